"""Spec: what was asked for, in the order of the builder's calls.

A spec is a frozen value; each builder call makes a new one. Loops that advance together (`zip`) are one
dimension of the grid.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias, cast

from taskexp.plan.dimension import Dimension
from taskexp.plan.metric import Metric, checked_metric
from taskexp.plan.parts import (
    Axis,
    Computed,
    Constant,
    Kind,
    Part,
    Place,
    Sample,
    Template,
    checked_key,
    checked_own_name,
    switch_flag,
)
from taskexp.plan.secrets import Secrets
from taskexp.plan.values import Value, checked_int, checked_text, checked_value, checked_values, count
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

PointFunction: TypeAlias = Callable[[Any], object]
"""A function of the point: what it gives depends on where it is called."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole sweep as asked for.

    Args:
        program: the words of the program, wrappers in front.
        parts: constants, computed values and axes in the order of the calls.
        env: variables added to the environment of every run.
        cwd: the folder every run starts in, or a function of the point that gives it; None is the driver's.
        stdin: text, bytes or the path of a file that every run reads; None is /dev/null.
        predicates: functions of the point that all have to hold for it to run.
        samples: random choices, each among the points of the dimensions before it.
        metrics: numbers to be read from the output.
        secrets: which environment variables hold secrets.
    """

    program: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | PointFunction | None = None
    stdin: str | bytes | os.PathLike[str] | None = None
    predicates: tuple[PointFunction, ...] = ()
    samples: tuple[Sample, ...] = ()
    metrics: tuple[Metric, ...] = ()
    secrets: Secrets = field(default_factory=Secrets)

    # ---- the builder's calls

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
        if key is None and (flag := switch_flag(checked)):
            return self._with_switch(flag, (checked[0] == flag, checked[1] == flag))
        return self._with_loop(place, checked)

    def with_template(self, pieces: Sequence[str | tuple[str, Sequence[Value]]], is_script: bool = False) -> "Spec":
        """Add one word made of texts and of loops, each a key and values; "" is the key of one without."""
        spec = self
        filled: list[str | Place] = []
        for piece in pieces:
            if isinstance(piece, str):
                filled.append(piece)
                continue
            key, values = piece
            place = Place(Kind.PIECE, key, spec._free_name(key or spec._next_positional()))
            spec = spec._with_loop(place, values)
            filled.append(place)
        return spec._with(Template(tuple(filled), is_script))

    def with_switch(self, flag: object) -> "Spec":
        """Add a flag that is on, then off."""
        if not isinstance(flag, str):
            raise ArgumentTypeError(f"switch: the flag is a str such as '--amp', not {type(flag).__name__}")
        if not flag:
            raise ArgumentValueError("switch: the flag is empty; give its text, such as '--amp'")
        return self._with_switch(checked_text(flag, "switch"), (True, False))

    def with_env(self, name: str, values: object) -> "Spec":
        """Add an environment variable: one str is a constant, a function is called with the point, a list is a loop."""
        place = self._env_place(name, "env")
        where = f"env({name!r})"
        if isinstance(values, str):
            return self._with(Constant(place, checked_text(values, where)))
        if callable(values):
            return self._with(Computed(place, values))
        return self._with_loop(place, _checked_env_values(values, where))

    def with_zip(self, axes: object, env: object) -> "Spec":
        """Add axes that advance together, options first, then environment variables."""
        spec, dimension = self, self.dimension_count
        for key, values in _named_lists(axes, "zip"):
            place = spec._option_place(key, "zip")
            spec = spec._with(Axis(place, checked_values(values, f"zip({key!r})"), dimension))
        for name, values in _named_lists({} if env is None else env, "zip: env"):
            place = spec._env_place(name, "zip: env")
            spec = spec._with(Axis(place, _checked_env_values(values, f"zip: env({name!r})"), dimension))
        lengths = {
            part.place.name: count(part.values) for part in spec.parts[len(self.parts) :] if isinstance(part, Axis)
        }
        if not lengths:
            raise ArgumentValueError("zip: there is no axis; give at least one, such as {'--model': ['a', 'b']}")
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ArgumentValueError(f"zip: axes that advance together have one length, but {told} values")
        return spec

    def with_repeat(self, times: object, key: str | None) -> "Spec":
        """Add a loop over the numbers of a repeat."""
        if self.repeat_dimension is not None:
            raise ArgumentValueError("repeat: it was called before; call it once, with the number of runs per point")
        number = checked_int(times, "repeat: the number of runs per point")
        if number < 1:
            raise ArgumentValueError(f"repeat({number}): every point runs at least once; give 1 or more")
        numbers = Axis(Place(Kind.REPEAT, "", ""), range(number), self.dimension_count)
        if key is None:
            return self._with(numbers)
        return self._with(numbers)._with(Axis(self._option_place(key, "repeat"), range(number), self.dimension_count))

    def with_predicate(self, predicate: object) -> "Spec":
        """Add a condition for a point to run."""
        if not callable(predicate):
            raise ArgumentTypeError(
                f"where: the predicate is a function of the point, not {predicate!r}; "
                "write where(lambda p: p['--m'] <= p['--n'])"
            )
        return replace(self, predicates=(*self.predicates, predicate))

    def with_sample(self, number: object, seed: object) -> "Spec":
        """Draw points at random among those of the loops so far."""
        wanted = checked_int(number, "sample: the number of points")
        if wanted < 1:
            raise ArgumentValueError(f"sample({wanted}): there is nothing to run; give 1 point or more")
        if wanted > self.visited_size:
            raise ArgumentValueError(
                f"sample({wanted}) is larger than the grid: the loops before it have {self.visited_size} points; "
                "give no more than that, and call sample after the loops that it draws from"
            )
        sample = Sample(wanted, checked_int(seed, "sample: the seed"), self.dimension_count)
        return replace(self, samples=(*self.samples, sample))

    def with_metric(self, name: object, pattern: object, take: object) -> "Spec":
        """Add a number to be read from the output."""
        metric = checked_metric(name, pattern, take)
        if any(other.name == metric.name for other in self.metrics):
            raise ArgumentValueError(f"metric({name!r}): there is one of this name; give each metric a name of its own")
        return replace(self, metrics=(*self.metrics, metric))

    def wrapped_in(self, outer: Sequence[str]) -> "Spec":
        """Put the words of an outer command in front of the program."""
        return replace(self, program=(*outer, *self.program))

    # ---- what they make

    @property
    def dimensions(self) -> list[Dimension]:
        """The loops, the slowest first."""
        axes: list[list[Axis]] = [[] for _ in range(self.dimension_count)]
        for part in self.parts:
            if isinstance(part, Axis):
                axes[part.dimension].append(part)
        return [Dimension(together) for together in axes]

    @property
    def dimension_count(self) -> int:
        """The number of loops."""
        return max((part.dimension + 1 for part in self.parts if isinstance(part, Axis)), default=0)

    @property
    def repeat_dimension(self) -> int | None:
        """Which of the loops is the repeat; None without one."""
        numbers = (part for part in self.parts if isinstance(part, Axis) and part.place.kind is Kind.REPEAT)
        return next((axis.dimension for axis in numbers), None)

    @property
    def variables(self) -> set[str]:
        """The environment variables that it sets."""
        return {*self.env, *(part.place.key for part in self.parts if part.place.kind is Kind.ENV)}

    @property
    def visited_size(self) -> int:
        """The number of points that a loop visits: all of them, or what the samples leave."""
        sizes = [dimension.size for dimension in self.dimensions]
        if not self.samples:
            return prod(sizes)
        last = self.samples[-1]
        return last.count * prod(sizes[last.dimensions :])

    def _with(self, part: Part) -> "Spec":
        return replace(self, parts=(*self.parts, part))

    def _with_loop(self, place: Place, values: Sequence[Value]) -> "Spec":
        return self._with(Axis(place, values, self.dimension_count))

    def _with_switch(self, flag: str, values: tuple[bool, bool]) -> "Spec":
        return self._with_loop(Place(Kind.SWITCH, flag, self._free_name(flag)), values)

    def _env_place(self, name: object, call: str) -> Place:
        checked = checked_own_name(name, call)
        return Place(Kind.ENV, checked, self._free_name(checked), is_secret=checked in self.secrets)

    def _option_place(self, key: object, call: str) -> Place:
        checked = checked_key(key, call)
        if checked is None:
            return Place(Kind.POSITIONAL, "", self._free_name(self._next_positional()))
        return Place(Kind.OPTION, checked, self._free_name(checked))

    def _next_positional(self) -> str:
        unnamed = (part.place for part in self.parts if part.place.kind in (Kind.POSITIONAL, Kind.PIECE))
        return f"arg{sum(not place.key for place in unnamed) + 1}"

    def _free_name(self, name: str) -> str:
        """Find the name in `params` of another use of `name`: `-I`, then `-I#2`."""
        taken = {part.place.name for part in self.parts}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}#{number}"
        return free


def _named_lists(axes: object, where: str) -> list[tuple[object, object]]:
    """Read the axes of a zip: a dict of lists, or a list of pairs; only positionals may come more than once."""
    pairs: list[object] = []
    if isinstance(axes, Mapping):
        pairs = list(cast("Mapping[object, object]", axes).items())
    elif isinstance(axes, Sequence) and not isinstance(axes, str | bytes):
        pairs = list(cast("Sequence[object]", axes))
    elif axes is not None:
        pairs = [axes]
    checked: list[tuple[object, object]] = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(cast("tuple[object, ...]", pair)) != 2:
            raise ArgumentTypeError(
                f"{where}: the axes are a dict of lists such as {{'--model': ['a', 'b'], '--tp': [1, 2]}}, not {axes!r}"
            )
        checked.append(cast("tuple[object, object]", pair))
    names = [key.removesuffix("=") for key, _ in checked if isinstance(key, str)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ArgumentValueError(f"{where}: the axis {twice[0]!r} is named twice; give each axis once")
    return checked


def _checked_env_values(values: object, where: str) -> Sequence[Value]:
    checked = checked_values(values, where)
    if not isinstance(checked, range) and None in checked:  # a range would be gone through from end to end
        raise ArgumentValueError(f'{where}: None is no value of an environment variable; "" makes it empty')
    return checked
