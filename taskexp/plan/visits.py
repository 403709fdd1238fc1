"""Visits: the points of one grid that a loop goes to, all of them or what its samples leave."""

from math import prod

from taskexp.plan.grid import Grid
from taskexp.plan.permutation import Permutation
from taskexp.plan.space import Space
from taskexp.words.errors import ArgumentValueError


class Visits:
    """The points of a grid that a loop goes to, by their position in the order of the loops.

    A sample draws among the positions of what stands before it; the loops behind it multiply what it drew.

    Args:
        grid: the grid.
    """

    def __init__(self, grid: Grid) -> None:
        sizes = grid.space.sizes
        self._offset = grid.offset
        self._draws: list[tuple[Permutation, int]] = []
        """Each sample's draw, and the number of points of the loops between it and the sample before it."""
        drawn, depth = 1, 0
        for sample in grid.spec.samples:
            block = prod(sizes[depth : sample.dimensions])
            self._draws.append((Permutation(drawn * block, f"sample {sample.seed}"), block))
            drawn, depth = sample.count, sample.dimensions
        self._space = Space((drawn, *sizes[depth:]))
        self._tail_size = prod(sizes[depth:])
        self.size = self._space.size
        repeat = grid.repeat_dimension
        self._round_axis = None if repeat is None else repeat - depth + 1
        self.rounds = 1 if repeat is None else sizes[repeat]

    def index(self, position: int) -> int:
        """Return the index of the point at a position, in the order of the loops."""
        if not self._draws:
            return self._offset + position
        head, tail = divmod(position, self._tail_size)
        places: list[tuple[int, int]] = []
        for draw, block in reversed(self._draws):
            head, place = divmod(draw[head], block)
            places.append((place, block))
        index = 0
        for place, block in reversed(places):
            index = index * block + place
        return self._offset + index * self._tail_size + tail

    @property
    def round_size(self) -> int:
        """The number of points of one round: each point once, without its repeats."""
        return self.size // self.rounds

    def check_rounds(self) -> None:
        """Refuse rounds where a sample was drawn among the repeats. Raises ArgumentValueError."""
        if self._round_axis is not None and self._round_axis < 1:
            raise ArgumentValueError(
                "order='interleave' runs each round of the repeats before the next, but sample has drawn some repeats "
                "and left others; call sample before repeat, or use order='shuffle'"
            )

    def index_in_round(self, number: int, place: int) -> int:
        """Return the index of the point at a place in the order of the loops, in one round of its repeats."""
        axis = self._round_axis
        if axis is None:
            return self.index(place)
        sizes = self._space.sizes
        digits = Space((*sizes[:axis], *sizes[axis + 1 :])).digits(place)
        return self.index(self._space.index((*digits[:axis], number, *digits[axis:])))
