"""Dimension: one loop of the grid, the axes that advance together, row by row."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

from taskexp.plan.parts import Axis, content_of
from taskexp.plan.values import Value, count

Row: TypeAlias = tuple[str, ...]
"""The content of one step of a loop: one text per axis."""


class Dimension:
    """One loop of the grid.

    Equal rows (the two 1s of `[1, 1]`) are twins, told apart by how many came before. Nothing is counted
    until it is asked for, and ranges, whose rows all differ, are never listed.

    Args:
        axes: the axes that advance together, all of one length.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.size = count(axes[0].values)
        self._is_ranges = all(isinstance(axis.values, range) for axis in axes)

    def row(self, digit: int) -> Row:
        """Return the content of one row."""
        return tuple(content_of(axis.values[digit]) for axis in self.axes)

    def twins(self, row: Row) -> int:
        """Count the rows with this content."""
        if not self._is_ranges:
            return self._counts[row]
        digit = _find(self.axes[0].values, row[0])
        return int(digit is not None and self.row(digit) == row)

    @property
    def has_twins(self) -> bool:
        """Whether some rows are equal."""
        return self._ordinals is not None

    def twins_before(self, digit: int) -> int:
        """Count the rows before this one that equal it."""
        return self._ordinals[digit] if self._ordinals else 0

    @cached_property
    def _counts(self) -> Counter[Row]:
        return Counter(map(self.row, range(self.size)))

    @cached_property
    def _ordinals(self) -> Sequence[int] | None:
        """Number equal rows; None if all rows differ."""
        if self._is_ranges or len(self._counts) == self.size:
            return None
        seen: Counter[Row] = Counter()
        ordinals: list[int] = []
        for digit in range(self.size):
            row = self.row(digit)
            ordinals.append(seen[row])
            seen[row] += 1
        return ordinals


def _find(values: Sequence[Value], content: str) -> int | None:
    """Find the place of a number in a range by its content."""
    try:
        return values.index(int(content[1:]))
    except ValueError:  # no number, or not in the range
        return None
