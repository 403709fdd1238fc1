"""Grid: a spec's points by their index, each made when it is asked for."""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property

from taskexp.plan.command import Command
from taskexp.plan.space import Space
from taskexp.plan.spec import Axis, Computed, Constant, Kind, Part, Spec
from taskexp.plan.values import Value, checked_value, count, text_of
from taskexp.words.errors import PointError, PointIndexError, TaskExpError


class Grid:
    """The points of a spec.

    Args:
        spec: what was asked for.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.space = Space(tuple(count(axis.values) for axis in spec.axes))
        self.size = self.space.size
        self.is_computed = any(isinstance(part, Computed) for part in spec.parts)
        self.rendering = threading.RLock()

    @cached_property
    def content(self) -> str:
        """What all points have in common, as far as it makes their content."""
        spec = self.spec
        stdin = spec.stdin if isinstance(spec.stdin, str | bytes | None) else os.fspath(spec.stdin)
        fields = [f"program\0{word}" for word in spec.program]
        fields += sorted(f"env\0{name}\0{value}" for name, value in spec.env.items())
        return "\1".join([*fields, f"cwd\0{spec.cwd!r}", f"stdin\0{stdin!r}"])

    def point(self, index: int) -> "Point":
        """Return point `index`, counted from 0; a negative one counts from the end."""
        if not -self.size <= index < self.size:
            raise PointIndexError(f"point {index} is outside the grid of {self.size} points (0 to {self.size - 1})")
        return Point(self, index % self.size)


class Point(Mapping[str, Value]):
    """One point of the grid: its values by option name.

    As a mapping it holds the constants and the values of the loops: an option under its key, a switch
    under its flag as a bool, positionals as `arg1`, `arg2`, ..., a repeated key as `-I`, `-I#2`, an
    environment variable under its name. Computed values are in `params`, not here, since their
    functions are given this very object.

    Attributes:
        index: its place in the full grid, from 0.
    """

    def __init__(self, grid: Grid, index: int) -> None:
        self._grid = grid
        self._rendering: tuple[dict[str, Value], Command] | PointError | None = None
        self.index = index

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Point({self.index}, {self._values!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Point) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def id(self) -> str:
        """A short hash of the point's content: 16 hex digits, the same in every process.

        The content is the program, the constants, the values of the loops (equal values of one loop are
        told apart by their count), the added environment and the folder. The index and computed values
        are not part of it, and neither is the order of named options.
        """
        return self.fingerprint[:16]

    @cached_property
    def fingerprint(self) -> str:
        """The content's full hash, 32 hex digits: what `id` is the head of."""
        fields = [self._grid.content, *sorted(self._content())]
        return hashlib.blake2b("\1".join(fields).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    @property
    def params(self) -> dict[str, Value]:
        """Every value of the point by name, computed ones included, in the order of the calls; a fresh dict.

        Raises:
            PointError: a function of the point raised, or gave what cannot stand on a command line.
        """
        return dict(self._rendered()[0])

    @property
    def command(self) -> Command:
        """The command of this point. Raises PointError as `params` does."""
        return self._rendered()[1]

    @property
    def is_rendered(self) -> bool:
        """Whether the command is there without calling a function of the point, which is the user's code."""
        return self._rendering is not None or not self._grid.is_computed

    def render(self) -> None:
        """Make the command now; a failure is kept for whoever asks for it."""
        with suppress(PointError):
            self._rendered()

    @property
    def argv(self) -> list[str]:
        """The words of the command, as a fresh list. Raises PointError as `params` does."""
        return list(self.command.argv)

    @property
    def env(self) -> dict[str, str]:
        """The variables added to the environment, as a fresh dict. Raises PointError as `params` does."""
        return dict(self.command.env)

    def _rendered(self) -> tuple[dict[str, Value], Command]:
        """Make the values and the command, once: a function of the point may give another value next time."""
        rendering = self._rendering
        if rendering is None:  # else without the lock: a function of another point may hold it for long
            with self._grid.rendering:
                rendering = self._rendering = self._rendering or self._render_once()
        if isinstance(rendering, PointError):
            raise rendering
        return rendering

    def _render_once(self) -> tuple[dict[str, Value], Command] | PointError:
        try:
            params = {part.place.name: self._resolve(part) for part in self._grid.spec.parts}
            return params, self._make_command(params)
        except PointError as error:
            return error

    def _make_command(self, params: Mapping[str, Value]) -> Command:
        spec = self._grid.spec
        argv, env = list(spec.program), dict(spec.env)
        for part, value in zip(spec.parts, params.values(), strict=True):
            argv += part.place.words(value)
            if part.place.kind is Kind.ENV:
                env[part.place.key] = text_of(value)
        return Command(tuple(argv), env, spec.cwd, spec.stdin)

    @cached_property
    def _values(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        digits = iter(self._digits)
        for part in self._grid.spec.parts:
            if isinstance(part, Constant):
                values[part.place.name] = part.value
            elif isinstance(part, Axis):
                values[part.place.name] = part.values[next(digits)]
        return values

    @cached_property
    def _digits(self) -> tuple[int, ...]:
        return self._grid.space.digits(self.index)

    def _resolve(self, part: Part) -> Value:
        if not isinstance(part, Computed):
            return self._values[part.place.name]
        name = getattr(part.function, "__qualname__", repr(part.function))
        where = f"fixed({part.place.name!r}) at point {self.index}"
        try:
            return checked_value(part.function(self), f"{where}: the result of {name}")
        except TaskExpError as error:
            raise PointError(str(error)) from error
        except (Exception, SystemExit) as error:
            raise PointError(f"{where}: {name} raised {type(error).__name__}: {error}") from error

    def _content(self) -> Iterator[str]:
        """Write each constant and loop value with its place, and with its count among equal ones."""
        digits = iter(self._digits)
        for part in self._grid.spec.parts:
            if isinstance(part, Computed):
                continue
            digit = next(digits) if isinstance(part, Axis) else 0
            ordinal = part.ordinals[digit] if isinstance(part, Axis) and part.ordinals else 0
            value = self._values[part.place.name]
            text = "-" if value is None else "=" + text_of(value)
            yield f"{part.place.kind.value}\0{part.place.name}\0{text}\0{ordinal}"
