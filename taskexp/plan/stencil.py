"""Stencil: the content of a grid's points, written but for the values of its loops.

A sweep that goes on looks up every point that it has recorded, so the content of a point is put together from parts
that are ready, and in bytes: 2 us a point, where writing it anew takes 20 us and more.
"""

import hashlib
from collections.abc import Callable, Sequence

from taskexp.plan.dimension import Dimension
from taskexp.plan.parts import Axis, Kind, Place, content_of

_EMPTY = hashlib.blake2b(digest_size=16)
"""The hash of nothing: to hash by a copy of it takes two thirds of the time that a new one takes."""

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
        columns = dict[tuple[Kind, str], tuple[int, int, Callable[[int], bytes]]]()
        stride = 1
        for dimension in reversed(dimensions):
            columns |= {_field(axis.place): (stride, dimension.size, _column(axis)) for axis in dimension.axes}
            stride *= dimension.size
        form = _literal(head)
        self._blanks: list[tuple[int, int, Callable[[int], bytes]]] = []
        """For each blank of the form, how many points its value stays, how many it has, and their contents."""
        for field in sorted(constants.keys() | columns.keys(), key=_beginning):
            form += f"\1{_literal(_beginning(field))}"
            if field in columns:
                self._blanks.append(columns[field])
                form += "%b"
            else:
                form += _literal(constants[field])
        self._form = _encoded(form + "\1")

    def fingerprint(self, place: int, twin_number: int) -> bytes:
        """Hash the content of a point: 16 bytes.

        Args:
            place: its place in the grid, from 0.
            twin_number: how many points before it have the same content.
        """
        content = self._form % tuple([column(place // stride % size) for stride, size, column in self._blanks])
        digest = _EMPTY.copy()
        digest.update(content + (b"%d" % twin_number if twin_number else b"0"))
        return digest.digest()


def _literal(text: str) -> str:
    """Write a text so that it stands in a form as it is."""
    return text.replace("%", "%%")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _field(place: Place) -> tuple[Kind, str]:
    return place.kind, place.name


def _beginning(field: tuple[Kind, str]) -> str:
    kind, name = field
    return f"{kind.value}\0{name}\0"


def _column(axis: Axis) -> Callable[[int], bytes]:
    """Return what gives the content of a value by its digit."""
    values = axis.values
    if isinstance(values, range):
        return lambda digit: b"=%d" % values[digit]
    if len(values) <= LISTED:
        return [_encoded(content_of(value)) for value in values].__getitem__
    return lambda digit: _encoded(content_of(values[digit]))
