"""Space: the lazy product of axes, in mixed radix.

An index stands for one digit per axis; the last axis varies fastest. Both ways cost one step per
axis, whatever the size of the product, and nothing is ever listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True, slots=True)
class Space:
    """A product of axes of the given sizes; no axis is one single point.

    Args:
        sizes: the number of values on each axis, each at least 1.
    """

    sizes: tuple[int, ...]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", prod(self.sizes))

    def digits(self, index: int) -> tuple[int, ...]:
        """Turn an index in [0, size) into one digit per axis."""
        digits = [0] * len(self.sizes)
        for axis in range(len(self.sizes) - 1, -1, -1):
            index, digits[axis] = divmod(index, self.sizes[axis])
        return tuple(digits)

    def index(self, digits: Sequence[int]) -> int:
        """Turn one digit per axis into the index: the inverse of `digits`."""
        index = 0
        for digit, size in zip(digits, self.sizes, strict=True):
            index = index * size + digit
        return index
