"""Point: one point of the grid, from its index to its values and its command, each made when it is asked for."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TypeVar, cast

from taskexp.plan.command import Command
from taskexp.plan.grid import Grid
from taskexp.plan.label import write_label
from taskexp.plan.metric import Metric
from taskexp.plan.parts import Axis, Computed, Constant, Kind, Template
from taskexp.plan.secrets import HIDDEN, Secrets, without_secrets
from taskexp.plan.spec import PointFunction
from taskexp.plan.values import Value, checked_text, checked_value, text_of
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError, PointError, TaskExpError

T = TypeVar("T")


class Point(Mapping[str, Value]):
    """One point of the grid: its values by option name.

    As a mapping it holds the constants and the values of the loops: an option under its key, a switch
    under its flag as a bool, positionals as `arg1`, `arg2`, ..., a repeated key as `-I`, `-I#2`, an
    environment variable under its name. Computed values are in `params`, not here, since their
    functions are given this very object.

    Attributes:
        index: its place in the full grid, from 0.
    """

    def __init__(self, grid: Grid, place: int) -> None:
        self._grid = grid
        self._digits = grid.space.digits(place)
        self._rendering: tuple[dict[str, Value], Command] | PointError | None = None
        self.index = grid.offset + place

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = {name: HIDDEN if name in self._grid.secret_names else value for name, value in self._values.items()}
        return f"Point({self.index}, {shown!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Point) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def repeat(self) -> int:
        """Which repeat of its values this is, from 0; 0 where nothing is repeated."""
        dimension = self._grid.repeat_dimension
        return 0 if dimension is None else self._digits[dimension]

    @cached_property
    def id(self) -> str:
        """A short hash of the point's content: 16 hex digits, the same in every process.

        The content is the program, the constants, the values of the loops, the number of the repeat, the
        added environment and the folder; identical points are told apart by their count. The index and
        computed values are not part of it, and neither is the order of named options.
        """
        return self.fingerprint.hex()[:16]

    @cached_property
    def fingerprint(self) -> bytes:
        """The content's full hash, 16 bytes: what `id` is the head of."""
        return self._grid.fingerprint(self.index - self._grid.offset)

    @property
    def params(self) -> dict[str, Value]:
        """Every value of the point by name, computed ones included, in the order of the calls; a fresh dict.

        Raises:
            PointError: a function of the point raised, or gave what cannot stand on a command line.
        """
        return dict(self.rendered()[0])

    @property
    def command(self) -> Command:
        """The command of this point. Raises PointError as `params` does."""
        return self.rendered()[1]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The numbers to be read from the output."""
        return self._grid.spec.metrics

    @property
    def displayed_params(self) -> dict[str, Value]:
        """As `params`, or without the computed ones where these cannot be had; the values of secrets are hidden."""
        try:
            params, command = self.rendered()
        except PointError:
            params, command = self._values, Command(())
        secret = self._grid.secret_names
        return {
            name: HIDDEN if name in secret else command.hide(value) if isinstance(value, str) else value
            for name, value in params.items()
        }

    @property
    def label(self) -> str:
        """What is special about this point, in one printable line.

        That is what each loop adds, in the order of the loops, as it would be typed: `--lr 0.1 --amp OMP=4 #2`,
        where #2 is the number of a repeat, from 0, and *** a secret. A word that loops make parts of is told as a
        whole; the loops in a shell's command, by name. Where nothing is added, it is the whole command.

        Raises:
            PointError: only where nothing is added; as `params` does.
        """
        return write_label(self._grid.spec, self._values, self.repeat, self._hide) or self.command.display()

    def _hide(self, text: str) -> str:
        """Take the values of secrets out of a text, as far as they are known without calling a function."""
        spec = self._grid.spec
        known = [value for name, value in spec.env.items() if name in spec.secrets]
        looped = [text_of(value) for name, value in self._values.items() if name in self._grid.secret_names]
        return without_secrets(text, [*known, *looped])

    @property
    def secrets(self) -> Secrets:
        """Which variables hold secrets."""
        return self._grid.spec.secrets

    def admitted(self) -> bool:
        """Tell whether every `where` holds here; if one raises, the point stays, and its run says what was raised."""
        try:
            return all(self._call("where", predicate, _truth) for predicate in self._grid.spec.predicates)
        except PointError as error:
            self._rendering = error
            return True

    @property
    def is_rendered(self) -> bool:
        """Whether the command is there without calling a function of the point, which is the user's code."""
        return self._rendering is not None or not self._grid.is_computed

    def render(self) -> None:
        """Make the command now; a failure is kept for whoever asks for it."""
        with suppress(PointError):
            self.rendered()

    @property
    def argv(self) -> list[str]:
        """The words of the command, as a fresh list. Raises PointError as `params` does."""
        return list(self.command.argv)

    @property
    def env(self) -> dict[str, str]:
        """The variables added to the environment, as a fresh dict. Raises PointError as `params` does."""
        return dict(self.command.env)

    def rendered(self) -> tuple[Mapping[str, Value], Command]:
        """Return the values and the command, made once: a function may give another value next time.

        Raises PointError as `params` does.
        """
        rendering = self._rendering
        if rendering is None:  # else without the lock: a function of another point may hold it for long
            with self._grid.rendering:
                rendering = self._rendering = self._rendering or self._render_once()
        if isinstance(rendering, PointError):
            raise rendering
        return rendering

    def _render_once(self) -> tuple[dict[str, Value], Command] | PointError:
        spec = self._grid.spec
        argv, env, params = list(spec.program), dict(spec.env), dict[str, Value]()
        try:
            for part in spec.parts:
                if isinstance(part, Template):
                    argv += part.words(self._values)
                    continue
                value = self._call_for(part) if isinstance(part, Computed) else self._value(part)
                argv += part.place.words(value)
                if part.place.kind is Kind.ENV:
                    env[part.place.key] = text_of(value)
                if part.place.name:
                    params[part.place.name] = value
            cwd = self._call("cwd", spec.cwd, checked_cwd) if callable(spec.cwd) else spec.cwd
        except PointError as error:
            return error
        secrets = frozenset(name for name in env if name in spec.secrets)
        return params, Command(tuple(argv), env, cwd, spec.stdin, secrets)

    @cached_property
    def _values(self) -> dict[str, Value]:
        parts = self._grid.spec.parts
        return {
            part.place.name: self._value(part)
            for part in parts
            if isinstance(part, Constant | Axis) and part.place.name
        }

    def _value(self, part: Constant | Axis) -> Value:
        return part.values[self._digits[part.dimension]] if isinstance(part, Axis) else part.value

    def _call_for(self, part: Computed) -> Value:
        """Ask the user's function for a value."""
        if part.place.kind is Kind.ENV:
            return self._call_for_env(part)
        return self._call(f"fixed({part.place.name!r})", part.function, checked_value)

    def _call_for_env(self, part: Computed) -> Value:
        """Ask the user's function for the value of a variable; what goes wrong with a secret is told without it."""
        call = f"env({part.place.name!r})"
        try:
            return self._call(call, part.function, _checked_env_value)
        except PointError:
            if not part.place.is_secret:
                raise
        raise PointError(
            f"{call} at point {self.index}: {_name_of(part.function)} failed; it makes a secret, so no more is told"
        )

    def _call(self, call: str, function: PointFunction, checked: Callable[[object, str], T]) -> T:
        """Call a function of the point, which is the user's, and check what it gives. Raises PointError."""
        where = f"{call} at point {self.index}"
        name = _name_of(function)
        try:
            return checked(function(self), f"{where}: the result of {name}")
        except TaskExpError as error:
            raise PointError(str(error)) from error
        except (Exception, SystemExit) as error:
            cure = f"; the point has {', '.join(map(repr, self))}" if isinstance(error, KeyError) else ""
            raise PointError(f"{where}: {name} raised {type(error).__name__}: {error}{cure}") from error


def checked_cwd(cwd: object, where: str = "cwd") -> str:
    """Refuse what cannot be the path of a folder."""
    path = os.fspath(cast("str | os.PathLike[str]", cwd)) if isinstance(cwd, str | os.PathLike) else None
    if not isinstance(path, str):
        raise ArgumentTypeError(f"{where} is the path of a folder, not {cwd!r}")
    if not path:
        raise ArgumentValueError(f"{where} is empty; give the path of a folder, or None for the driver's own")
    return checked_text(path, where)


def _checked_env_value(value: object, where: str) -> Value:
    if value is None:
        raise ArgumentTypeError(f'{where} is None, which is no value of a variable; "" makes it empty')
    return checked_value(value, where)


def _truth(value: object, _: str) -> bool:
    return bool(value)


def _name_of(function: PointFunction) -> str:
    """Name a function for its owner; a lambda by where it stands."""
    name = str(getattr(function, "__qualname__", repr(function)))
    code = getattr(function, "__code__", None)
    if code is None or not name.endswith("<lambda>"):
        return name
    return f"{name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
