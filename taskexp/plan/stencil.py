"""Stencil: the content of a grid's points, written but for the values of its loops.

A sweep that goes on looks up every point that it has recorded, so the content of a point is put together from parts
that are ready: 5 us a point, where writing it anew takes 20 us and more.
"""

import hashlib
from collections.abc import Callable, Sequence

from taskexp.plan.dimension import Dimension
from taskexp.plan.parts import Axis, Kind, Place, content_of

LISTED = 10_000
"""The contents of so many values are kept; those of longer loops are written each time."""


class Stencil:
    """The content of the points of a grid.

    Args:
        head: what all points have in common, and what stands in front.
        constants: the content of the constants, by their kind and name.
        dimensions: the loops.
    """

    def __init__(self, head: str, constants: dict[tuple[Kind, str], str], dimensions: Sequence[Dimension]) -> None:
        columns = {
            _field(axis.place): (number, _column(axis))
            for number, dimension in enumerate(dimensions)
            for axis in dimension.axes
        }
        self._texts = [head]
        self._blanks: list[tuple[int, int, Callable[[int], str]]] = []
        """For each blank, its place among the texts, the number of the loop, and its contents by digit."""
        for field in sorted(constants.keys() | columns.keys(), key=_beginning):
            self._texts[-1] += f"\1{_beginning(field)}"
            if field in columns:
                self._blanks.append((len(self._texts), *columns[field]))
                self._texts += ["", ""]
            else:
                self._texts[-1] += constants[field]
        self._texts[-1] += "\1"

    def fingerprint(self, digits: Sequence[int], twin_number: int) -> bytes:
        """Hash the content of the point with these digits: 16 bytes.

        Args:
            digits: one per loop.
            twin_number: how many points before it have the same content.
        """
        texts = self._texts.copy()
        for place, number, column in self._blanks:
            texts[place] = column(digits[number])
        texts.append(str(twin_number))
        return hashlib.blake2b("".join(texts).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _field(place: Place) -> tuple[Kind, str]:
    return place.kind, place.name


def _beginning(field: tuple[Kind, str]) -> str:
    kind, name = field
    return f"{kind.value}\0{name}\0"


def _column(axis: Axis) -> Callable[[int], str]:
    """Return what gives the content of a value by its digit."""
    values = axis.values
    if isinstance(values, range):
        return lambda digit: f"={values[digit]}"
    if len(values) <= LISTED:
        return [content_of(value) for value in values].__getitem__
    return lambda digit: content_of(values[digit])
