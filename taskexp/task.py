"""Task: the builder that users meet first."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Self, SupportsIndex, cast

from taskexp.loop.loop import CompletedRuns, ExecutableLoop
from taskexp.loop.options import LoopOptions, OutputMode, checked_int, execute_options
from taskexp.plan.grid import Grid, Point
from taskexp.plan.spec import Spec, checked_env_name
from taskexp.plan.values import Value, checked_text, checked_value, text_of
from taskexp.run.taps import LineCallback
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.outcome import RunResult


class Task:
    """A sweep of a command line: a program, what is fixed, and what is looped over.

    Every builder call returns the task, so calls chain; their order is the order on the command line and
    the order of the loops, the last one varying fastest. A loop that has begun is not changed by later
    calls. Nothing is ever listed: a grid of 10^12 points costs what ten points cost.

    Args:
        program: the command, as a str that is split as a shell would split it (no shell is run), or as a
            list of words.
        env: variables that are added to the driver's environment in every run.
        cwd: the folder every run starts in; None is the driver's.
        stdin: what every run reads: text (str), bytes, or the path of a file (a `pathlib.Path`); None is
            /dev/null.
        live: ask Python programs not to buffer their output, so that lines come as they are printed
            (sets `PYTHONUNBUFFERED=1`).

    Raises:
        ArgumentTypeError, ArgumentValueError: an argument makes no sense, or the program is empty.
    """

    def __init__(
        self,
        program: str | Sequence[str],
        *,
        env: Mapping[str, object] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: str | bytes | os.PathLike[str] | None = None,
        live: bool = False,
    ) -> None:
        overlay = _checked_env(env)
        if live:
            overlay.setdefault("PYTHONUNBUFFERED", "1")
        self._spec = Spec(_words(program, "program"), env=overlay, cwd=_checked_cwd(cwd), stdin=_checked_stdin(stdin))

    # ---- what to run

    def fixed(self, key: str | None, value: Value | Callable[[Point], Value]) -> Self:
        """Add an argument that is no loop.

        Args:
            key: the option; None for a positional argument. A key that ends in "=" is joined to its value.
            value: its value, or a function of the point that gives it (`p["--n"]`, `p.index`, `p.id`).
                None leaves the option out.
        """
        self._spec = self._spec.with_value(key, value)
        return self

    def arg(self, key: str | None, values: Iterable[Value]) -> Self:
        """Add a loop over the values of an argument.

        Args:
            key: the option; None for a positional argument. A key that ends in "=" is joined to its value.
            values: at least one, in a sized iterable (a list, a tuple, a range, ...). Under no key, ""
                adds nothing; under a key, it is passed as an empty value. None leaves the option out.
        """
        self._spec = self._spec.with_axis(key, values)
        return self

    def switch(self, flag: str) -> Self:
        """Add a loop over a flag: on, then off. The same as `arg(None, [flag, ""])`."""
        self._spec = self._spec.with_switch(flag)
        return self

    def env(self, name: str, values: str | Iterable[Value]) -> Self:
        """Add a loop over an environment variable.

        Args:
            name: the variable.
            values: at least one, in a sized iterable; a single str is a constant.
        """
        self._spec = self._spec.with_env(name, values)
        return self

    def wraps(self, outer: str | Sequence[str]) -> Self:
        """Put an outer command in front: `numactl -N 0`, `nsys profile`. A second one goes in front of the first."""
        self._spec = self._spec.wrapped_in(_words(outer, "wraps"))
        return self

    # ---- the grid

    @property
    def size(self) -> int:
        """The number of points of the full grid, however large."""
        return Grid(self._spec).size

    def __len__(self) -> int:
        """The number of points; `size` has it where it is above `sys.maxsize`."""
        return self.size

    def __bool__(self) -> bool:
        return True  # a grid has at least one point; `len` ends at sys.maxsize

    def __getitem__(self, index: SupportsIndex) -> Point:
        """Return point `index`, counted from 0 (a negative one from the end), in time that does not grow with it.

        Raises:
            PointIndexError: it lies outside the grid.
        """
        return Grid(self._spec).point(checked_int(index, "the index of a point"))

    def __iter__(self) -> Iterator[Point]:
        """Go over the points, without running anything."""
        grid = Grid(self._spec)
        return (grid.point(index) for index in range(grid.size))

    def __repr__(self) -> str:
        return f"<Task {shlex.join(self._spec.program)}: {self.size} points>"

    # ---- running it

    def executable_loop(
        self, start: int = 0, use_tqdm: bool = True, *, max_workers: int = 1, output: OutputMode = "group"
    ) -> ExecutableLoop:
        """Make the loop that hands out each point as an executable, for `for` and for `async for`.

        Args:
            start: the position to begin at, from 0.
            use_tqdm: show a progress bar on stderr.
            max_workers: how many commands run at once; above 1, `execute` of a plain loop returns at once.
            output: with several workers, "group" writes all of a run as one block when it is over, "line"
                writes its lines as they come, each behind the run's index.

        Raises:
            ArgumentTypeError, ArgumentValueError: an argument makes no sense; nothing was started.
        """
        grid = Grid(self._spec)
        return ExecutableLoop(grid, LoopOptions(grid.size, start, use_tqdm, max_workers, output))

    def as_completed(
        self,
        *,
        timeout: float | None = None,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
        start: int = 0,
        use_tqdm: bool = True,
        max_workers: int = 1,
        output: OutputMode = "group",
    ) -> CompletedRuns:
        """Run every point and hand out each executable when its run is over, in order of completion.

        For `for` and for `async for`. `on_verbose` is called in one thread of the loop's. With `check=True`
        the first run that does not succeed stops the others and raises RunFailed. The arguments are those
        of `executable_loop` and of `TaskExecutable.execute`; here `timeout` is None, no limit, by default.
        """
        grid = Grid(self._spec)
        options = LoopOptions(grid.size, start, use_tqdm, max_workers, output)
        return CompletedRuns(grid, options, execute_options(timeout, ostreams, on_verbose, idle_timeout, grace, check))

    def run(
        self,
        *,
        timeout: float | None = None,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
        start: int = 0,
        use_tqdm: bool = True,
        max_workers: int = 1,
        output: OutputMode = "group",
    ) -> list[RunResult]:
        """Run every point; returns the results in the order of their indices. See `as_completed`."""
        with self.as_completed(
            timeout=timeout,
            ostreams=ostreams,
            on_verbose=on_verbose,
            idle_timeout=idle_timeout,
            grace=grace,
            check=check,
            start=start,
            use_tqdm=use_tqdm,
            max_workers=max_workers,
            output=output,
        ) as completed:
            return sorted((executable.result for executable in completed), key=lambda result: result.index)


def _words(command: object, where: str) -> tuple[str, ...]:
    """Split a command given as a str, or check one given as words."""
    if isinstance(command, str):
        try:
            words = cast(Sequence[object], shlex.split(command))
        except ValueError as error:
            raise ArgumentValueError(f"{where}: {command!r} cannot be split into words: {error}") from error
    elif isinstance(command, Sequence) and not isinstance(command, bytes):
        words = cast(Sequence[object], command)
    else:
        raise ArgumentTypeError(f"{where} is a str or a list of str, not {type(command).__name__}")
    texts = [_word(word, where) for word in words]
    if not texts or not texts[0]:
        raise ArgumentValueError(f"{where} is empty; give the command to run, such as 'python train.py'")
    return tuple(texts)


def _word(word: object, where: str) -> str:
    if not isinstance(word, str | os.PathLike):
        raise ArgumentTypeError(f"{where}: every word of a command is a str, not {type(word).__name__} ({word!r})")
    return text_of(checked_value(cast(object, word), where))


def _checked_env(env: object) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise ArgumentTypeError(f"env is a dict of variables and values, not {type(env).__name__}")
    checked: dict[str, str] = {}
    for name, value in cast(Mapping[object, object], env).items():
        if value is None:
            raise ArgumentTypeError(f'env: the value of {name!r} is None; "" makes the variable empty')
        checked[checked_env_name(name, "env")] = text_of(checked_value(value, f"env[{name!r}]"))
    return checked


def _checked_cwd(cwd: object) -> str | None:
    if cwd is None:
        return None
    path = os.fspath(cast("str | os.PathLike[str]", cwd)) if isinstance(cwd, str | os.PathLike) else None
    if not isinstance(path, str):
        raise ArgumentTypeError(f"cwd is the path of a folder, not {cwd!r}")
    if not path:
        raise ArgumentValueError("cwd is empty; give the path of a folder, or None for the driver's own")
    return checked_text(path, "cwd")


def _checked_stdin(stdin: object) -> str | bytes | os.PathLike[str] | None:
    if stdin is None or isinstance(stdin, bytes):
        return stdin
    if isinstance(stdin, str):
        return _checked_stdin_text(stdin)
    if isinstance(stdin, os.PathLike):
        path = cast("os.PathLike[str]", stdin)
        if isinstance(text := os.fspath(path), str):
            checked_text(text, "stdin")
            return path
    raise ArgumentTypeError(f"stdin is text, bytes or a path, not {stdin!r}")


def _checked_stdin_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentValueError("stdin: the text has lone surrogates, which UTF-8 cannot carry; give bytes") from None
    return text
