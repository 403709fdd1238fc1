"""Points: the points of one task, or of a sum of tasks, in one index space."""

from bisect import bisect_right
from collections.abc import Sequence

from taskexp.plan.grid import Grid
from taskexp.plan.point import Point
from taskexp.plan.spec import Spec
from taskexp.words.errors import PointIndexError


class Points:
    """The points of one or more specs, one behind the other.

    Args:
        specs: what was asked for, at least one.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        self.grids: list[Grid] = []
        self.size = 0
        for spec in specs:
            grid = Grid(spec, self.size, self.grids)
            self.grids.append(grid)
            self.size += grid.size
        self._offsets = [grid.offset for grid in self.grids]
        self.is_filtered = any(spec.predicates for spec in specs)
        self.variables = {name for spec in specs for name in spec.variables}

    @property
    def secret_values(self) -> set[str]:
        """The values of variables that hold secrets, as far as they are known without calling a function."""
        return {value for grid in self.grids for value in grid.secret_values}

    def __getitem__(self, index: int) -> Point:
        """Return point `index`, counted from 0; a negative one counts from the end."""
        if not -self.size <= index < self.size:
            raise PointIndexError(f"point {index} is outside the grid of {self.size} points (0 to {self.size - 1})")
        index %= self.size
        grid = self._grid_of(index)
        return Point(grid, index - grid.offset)

    def fingerprint(self, index: int) -> bytes:
        """Return the fingerprint of point `index`, from 0, without making the point."""
        grid = self._grid_of(index)
        return grid.fingerprint(index - grid.offset)

    def _grid_of(self, index: int) -> Grid:
        return self.grids[0] if len(self.grids) == 1 else self.grids[bisect_right(self._offsets, index) - 1]
