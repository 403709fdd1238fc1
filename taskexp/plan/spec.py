"""Spec: what was asked for, part by part, in the order of the builder's calls.

A spec is a frozen value; each builder call makes a new one. A part says where a value goes (`Place`)
and which values it takes: one (`Constant`), a function's (`Computed`) or a loop of them (`Axis`).
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeAlias

from taskexp.plan.values import Value, checked_text, checked_value, checked_values, text_of
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError


class Kind(Enum):
    """Where a part's value goes."""

    OPTION = "option"
    POSITIONAL = "positional"
    SWITCH = "switch"
    ENV = "env"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes, and the name it has in `params`.

    Args:
        kind: option, positional, switch or environment variable.
        key: the option, flag or variable; "" for a positional.
        name: its name in `params`, unique in the spec.
    """

    kind: Kind
    key: str
    name: str

    def words(self, value: Value) -> list[str]:
        """Write the value as the arguments it adds: none, one or two."""
        if self.kind is Kind.SWITCH:
            return [self.key] if value else []
        if self.kind is Kind.ENV or value is None:
            return []
        text = text_of(value)
        if self.kind is Kind.POSITIONAL:
            return [text] if text else []
        return [self.key + text] if self.key.endswith("=") else [self.key, text]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same in every run."""

    place: Place
    value: Value


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that a function of the point gives, when the command is made."""

    place: Place
    function: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop over values.

    `ordinals` tells equal values apart (the second 1 of [1, 1] has ordinal 1); None when all differ.
    """

    place: Place
    values: Sequence[Value]
    ordinals: tuple[int, ...] | None = field(init=False)

    def __post_init__(self) -> None:
        ordinals = None if isinstance(self.values, range) else _ordinals(self.values)
        object.__setattr__(self, "ordinals", ordinals)


Part: TypeAlias = Constant | Computed | Axis


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole sweep as asked for.

    Args:
        program: the words of the program, wrappers in front.
        parts: constants, computed values and axes in the order of the calls.
        env: variables added to the environment of every run.
        cwd: the folder every run starts in; None is the driver's.
        stdin: text, bytes or the path of a file that every run reads; None is /dev/null.
    """

    program: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    stdin: str | bytes | os.PathLike[str] | None = None

    def with_value(self, key: str | None, value: object) -> "Spec":
        """Add a constant, or a function of the point."""
        place = self._option_place(key, "fixed")
        if callable(value):
            return self._with(Computed(place, value))
        return self._with(Constant(place, checked_value(value, f"fixed({key!r})")))

    def with_axis(self, key: str | None, values: object) -> "Spec":
        """Add a loop; a flag and "" under no key are a switch."""
        place = self._option_place(key, "arg")
        checked = checked_values(values, f"arg({key!r})")
        if key is None and (flag := _switch_flag(checked)):
            return self._with_switch(flag, (checked[0] == flag, checked[1] == flag))
        return self._with(Axis(place, checked))

    def with_switch(self, flag: object) -> "Spec":
        """Add a flag that is on, then off."""
        if not isinstance(flag, str):
            raise ArgumentTypeError(f"switch: the flag is a str such as '--amp', not {type(flag).__name__}")
        if not flag:
            raise ArgumentValueError("switch: the flag is empty; give its text, such as '--amp'")
        return self._with_switch(checked_text(flag, "switch"), (True, False))

    def with_env(self, name: str, values: object) -> "Spec":
        """Add an environment variable: one str is a constant, a list is a loop."""
        where = f"env({name!r})"
        place = Place(Kind.ENV, checked_env_name(name, "env"), self._free_name(name))
        if isinstance(values, str):
            return self._with(Constant(place, checked_text(values, where)))
        checked = checked_values(values, where)
        if None in checked:
            raise ArgumentValueError(f'{where}: None is no value of an environment variable; "" makes it empty')
        return self._with(Axis(place, checked))

    def wrapped_in(self, outer: Sequence[str]) -> "Spec":
        """Put the words of an outer command in front of the program."""
        return replace(self, program=(*outer, *self.program))

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The loops, the slowest first."""
        return tuple(part for part in self.parts if isinstance(part, Axis))

    def _with(self, part: Part) -> "Spec":
        return replace(self, parts=(*self.parts, part))

    def _with_switch(self, flag: str, values: tuple[bool, bool]) -> "Spec":
        return self._with(Axis(Place(Kind.SWITCH, flag, self._free_name(flag)), values))

    def _option_place(self, key: object, call: str) -> Place:
        if key is None:
            taken = sum(part.place.kind is Kind.POSITIONAL for part in self.parts)
            return Place(Kind.POSITIONAL, "", self._free_name(f"arg{taken + 1}"))
        if not isinstance(key, str):
            raise ArgumentTypeError(
                f"{call}: the key is a str such as '--n', or None for a positional, not {type(key).__name__} ({key!r})"
            )
        if not key:
            raise ArgumentValueError(f"{call}: the key is empty; use None for a positional argument")
        return Place(Kind.OPTION, checked_text(key, f"{call}({key!r})"), self._free_name(key))

    def _free_name(self, name: str) -> str:
        """Find the name in `params` of another use of `name`: `-I`, then `-I#2`."""
        taken = {part.place.name for part in self.parts}
        count, free = 1, name
        while free in taken:
            count += 1
            free = f"{name}#{count}"
        return free


def checked_env_name(name: object, where: str) -> str:
    """Refuse what cannot name an environment variable."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"{where}: the name of a variable is a str, not {type(name).__name__} ({name!r})")
    if not name or re.search(r"[=\0]", name):
        raise ArgumentValueError(
            f"{where}: {name!r} cannot name an environment variable; it is empty or has '=' or NUL"
        )
    return checked_text(name, where)


def _switch_flag(values: Sequence[Value]) -> str | None:
    """Return the flag if the two values are a flag and ""."""
    if len(values) != 2 or "" not in values:
        return None
    flag = values[0] or values[1]
    return flag if isinstance(flag, str) and flag else None


def _ordinals(values: Iterable[Value]) -> tuple[int, ...] | None:
    """Count each value among those with the same text; None if all differ."""
    seen: Counter[tuple[bool, str]] = Counter()
    ordinals: list[int] = []
    for value in values:
        same = (value is None, text_of(value))
        ordinals.append(seen[same])
        seen[same] += 1
    return tuple(ordinals) if any(ordinals) else None
