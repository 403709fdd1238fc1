"""Options: what is said to a loop and to `execute`, checked at the call."""

import math
import numbers
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

from taskexp.loop.halt import Halt
from taskexp.loop.retry import Retry
from taskexp.plan.values import checked_int, checked_text
from taskexp.record.journal.journal import check_journal
from taskexp.record.journal.rerun import DEFAULT, Rerun
from taskexp.run.engine import Engine, Limits
from taskexp.run.local import LocalEngine
from taskexp.run.outlet import checked_stream
from taskexp.run.taps import LineCallback
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

OutputMode: TypeAlias = Literal["group", "line"]


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How a loop runs its points.

    Args:
        use_tqdm: whether there is a bar.
        max_workers: how many commands run at once, at least 1; None is as many as the engine has room for.
        output: how parallel output is written: "group" or "line".
        environs: the variables of each slot; empty where slots are nothing but numbers.
        retry: which runs are tried again.
        halt: when to give up; None is never.
        journal: the folder where runs are recorded; None is nowhere.
        rerun: which recorded runs run again.
        show_runs: whether the runs that go on have rows under the bar, on a terminal.
        notices: whether a run that cannot be started, or times out, is told at once.
        secret_values: what is not to be written with the driver's own arguments.
        make_engine: makes what runs the commands.
    """

    use_tqdm: bool
    max_workers: int | None
    output: OutputMode
    environs: tuple[Mapping[str, str], ...]
    retry: Retry
    halt: Halt | None
    journal: Path | None = None
    rerun: Rerun = DEFAULT
    show_runs: bool = False
    notices: bool = True
    secret_values: frozenset[str] = frozenset()
    make_engine: Callable[[], Engine] = LocalEngine

    def __post_init__(self) -> None:
        if self.max_workers is not None:
            object.__setattr__(self, "max_workers", checked_int(self.max_workers, "max_workers"))
        if self.max_workers is not None and self.max_workers < 1:
            raise ArgumentValueError(
                f"max_workers={self.max_workers}: at least 1 command runs at a time; give 1 or more"
            )
        if self.output not in ("group", "line"):
            raise ArgumentValueError(f"output={self.output!r} is not known; give 'group' or 'line'")

    @property
    def is_parallel(self) -> bool:
        """Whether several commands may run at once."""
        return self.max_workers != 1

    def width(self, engine: Engine) -> int:
        """Say how many commands run at once: as many as were asked for, and as there are slots and room."""
        width = engine.width(self.max_workers)
        return min(width, len(self.environs) or width)


@dataclass(frozen=True, slots=True)
class ExecuteOptions:
    """How one run is executed.

    Args:
        limits: when it is stopped.
        ostreams: where its output goes.
        on_verbose: called per line, or None.
        check: whether a run that does not succeed raises.
    """

    limits: Limits
    ostreams: tuple[IO[Any], ...]
    on_verbose: LineCallback | None
    check: bool


def execute_options(
    timeout: float | None,
    ostreams: Sequence[IO[Any]] | None,
    on_verbose: LineCallback | None,
    idle_timeout: float | None,
    grace: float,
    check: bool,
) -> ExecuteOptions:
    """Check what is said to `execute`; see `TaskExecutable.execute` for the meaning."""
    if on_verbose is not None and not callable(on_verbose):
        raise ArgumentTypeError(f"on_verbose is a function of (line, stream, when) or None, not {on_verbose!r}")
    limits = Limits(
        _checked_seconds(timeout, "timeout"), _checked_seconds(idle_timeout, "idle_timeout"), _checked_grace(grace)
    )
    return ExecuteOptions(limits, checked_streams(ostreams), on_verbose, check)


def checked_folder(journal: object) -> Path | None:
    """Check the folder of a journal, and what is in it. Raises JournalError."""
    if journal is None:
        return None
    path = os.fspath(cast("str | os.PathLike[str]", journal)) if isinstance(journal, str | os.PathLike) else None
    if not isinstance(path, str):
        raise ArgumentTypeError(f"journal is the path of a folder, not {journal!r}")
    if not path:
        raise ArgumentValueError("journal is empty; give the path of a folder, or None for no journal")
    folder = Path(checked_text(path, "journal")).absolute()  # the body may go to another folder
    check_journal(folder)
    return folder


def checked_streams(ostreams: Sequence[IO[Any]] | None) -> tuple[IO[Any], ...]:
    """Check a list of streams; None is today's `sys.stdout`, looked up at the call."""
    if ostreams is None:
        return (sys.stdout,)
    if (
        isinstance(ostreams, str | bytes)
        or callable(getattr(ostreams, "write", None))
        or not isinstance(ostreams, Iterable)
    ):
        raise ArgumentTypeError(f"ostreams is a list of streams, not {ostreams!r}; write [stream]")
    return tuple(checked_stream(stream, "ostreams") for stream in ostreams)


def _checked_seconds(value: float | None, name: str) -> float | None:
    if value is None:
        return None
    seconds = _checked_number(value, name)
    if seconds <= 0:
        raise ArgumentValueError(f"{name}={value!r} is not a time; give seconds above 0, or None for no limit")
    return None if math.isinf(seconds) else seconds


def _checked_grace(value: float) -> float:
    seconds = _checked_number(value, "grace")
    if seconds < 0 or math.isinf(seconds):
        raise ArgumentValueError(f"grace={value!r} is not a time; give seconds, 0 or more")
    return seconds


def _checked_number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(f"{name} is a number of seconds, not {type(value).__name__} ({value!r})")
    try:
        seconds = float(value)
    except OverflowError:  # an int beyond all floats: no limit, as far as anybody can wait
        return math.inf
    if math.isnan(seconds):
        raise ArgumentValueError(f"{name} is not a number of seconds but NaN; give one")
    return seconds
