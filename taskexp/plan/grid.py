"""Grid: what the points of a spec have in common, and what tells them apart.

A point is known by its content, not by its index: a journal finds it again in a grid that was widened or
reordered. Points with the same content are twins, told apart by their count.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod
from typing import TypeAlias

from taskexp.plan.parts import Axis, Computed, Constant, Kind, Part, Place, Template, content_of
from taskexp.plan.space import Space
from taskexp.plan.spec import Spec
from taskexp.plan.stencil import Stencil
from taskexp.plan.values import text_of

Fields: TypeAlias = Mapping[tuple[Kind, str], str]
"""The content of a point: the text of each constant and loop value, by its kind and name."""

_REPEAT = (Kind.REPEAT, "")


class Grid:
    """The points of a spec.

    Args:
        spec: what was asked for.
        offset: the index of its first point, where it stands behind other grids.
        before: those grids; they may have points that are identical with its own.
    """

    def __init__(self, spec: Spec, offset: int = 0, before: Sequence["Grid"] = ()) -> None:
        self.spec = spec
        self.offset = offset
        self.dimensions = spec.dimensions
        self.space = Space(tuple(dimension.size for dimension in self.dimensions))
        self.size = self.space.size
        self.repeat_dimension = spec.repeat_dimension
        self.is_computed = callable(spec.cwd) or any(isinstance(part, Computed) for part in spec.parts)
        self.rendering = threading.RLock()
        self._alike = [grid for grid in before if grid.likeness == self.likeness]

    @cached_property
    def secret_names(self) -> set[str]:
        """The names in `params` of secrets."""
        return {part.place.name for part in self.spec.parts if part.place.is_secret}

    @property
    def secret_values(self) -> set[str]:
        """The values of secrets in the environment of any of its points, but for what functions give."""
        values = {value for name, value in self.spec.env.items() if name in self.spec.secrets}
        for part in self.spec.parts:
            if part.place.is_secret and isinstance(part, Constant):
                values.add(text_of(part.value))
            elif part.place.is_secret and isinstance(part, Axis):
                values.update(map(text_of, part.values))
        return values

    @cached_property
    def content(self) -> str:
        """What all points have in common, as far as it makes their content."""
        spec = self.spec
        stdin = spec.stdin if isinstance(spec.stdin, str | bytes | None) else os.fspath(spec.stdin)
        cwd = "computed" if callable(spec.cwd) else repr(spec.cwd)
        fields = [f"program\0{word}" for word in spec.program]
        shown = {name: "secret" if name in spec.secrets else f"={value}" for name, value in spec.env.items()}
        fields += sorted(f"env\0{name}\0{value}" for name, value in shown.items())
        return "\1".join([*fields, f"cwd\0{cwd}", f"stdin\0{stdin!r}", *_word_order(spec.parts)])

    @cached_property
    def constants(self) -> Fields:
        """The content of the constants; a grid that repeats nothing runs every point for the first time.

        A secret that is the same in all runs is not part of it: a new token makes no new results.
        """
        constants = (part for part in self.spec.parts if isinstance(part, Constant))
        return {
            _REPEAT: "=0",
            **{_field(part.place): "secret" if part.place.is_secret else content_of(part.value) for part in constants},
        }

    @property
    def likeness(self) -> object:
        """What two grids must have in common to have points in common."""
        axes = (part for part in self.spec.parts if isinstance(part, Axis))
        return self.content, {*self.constants, *(_field(axis.place) for axis in axes)}

    def fingerprint(self, place: int) -> bytes:
        """Hash the content of the point at a place, from 0: 16 bytes, the same in every process."""
        return self._stencil.fingerprint(place, self.twin_number(self.space.digits(place)) if self._has_twins else 0)

    @cached_property
    def _stencil(self) -> Stencil:
        return Stencil(self.content, dict(self.constants), self.dimensions)

    @cached_property
    def _has_twins(self) -> bool:
        """Whether some points may be identical."""
        return bool(self._alike) or any(dimension.has_twins for dimension in self.dimensions)

    def fields(self, digits: Sequence[int]) -> Fields:
        """Write the content of the point with these digits."""
        fields = dict(self.constants)
        for dimension, digit in zip(self.dimensions, digits, strict=True):
            fields.update(zip((_field(axis.place) for axis in dimension.axes), dimension.row(digit), strict=True))
        return fields

    def twin_number(self, digits: Sequence[int]) -> int:
        """Count the points before this one that are identical with it, in this grid and in those before it."""
        number, fields = 0, self.fields(digits)
        for dimension, digit in zip(self.dimensions, digits, strict=True):
            number = number * dimension.twins(dimension.row(digit)) + dimension.twins_before(digit)
        return number + sum(grid._count_of(fields) for grid in self._alike)

    def _count_of(self, fields: Fields) -> int:
        """Count the points with this content, without looking at each."""
        looped = {_field(axis.place) for dimension in self.dimensions for axis in dimension.axes}
        if any(fields[name] != text for name, text in self.constants.items() if name not in looped):
            return 0
        rows = (tuple(fields[_field(axis.place)] for axis in dimension.axes) for dimension in self.dimensions)
        return prod(dimension.twins(row) for dimension, row in zip(self.dimensions, rows, strict=True))


def _word_order(parts: Sequence[Part]) -> list[str]:
    """Tell where a template's words stand among the others; named options may stand anywhere.

    Without templates there is nothing to tell: positionals are numbered in their order.
    """
    if not any(isinstance(part, Template) for part in parts):
        return []
    kinds = (Kind.POSITIONAL, Kind.OPTION, Kind.SWITCH, Kind.TEMPLATE)
    ordered = (part for part in parts if part.place.kind in kinds and not part.place.key.startswith("-"))
    return [f"word\0{part.content if isinstance(part, Template) else f'@{part.place.name}'}" for part in ordered]


def _field(place: Place) -> tuple[Kind, str]:
    return place.kind, place.name
