"""Outcome: what can happen to a run, as frozen values.

A run is one command at one point of the grid. It ends in exactly one `Status`; the exit code, the
signal and the leak are told apart from it, because a program may well exit with 124 or 137 by itself.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from taskexp.words.moment import local_now


class Status(StrEnum):
    """How a run ended.

    - `succeeded`: it exited with code 0;
    - `failed`: it exited with another code, or a signal that we did not send ended it;
    - `timed_out`: its `timeout` or `idle_timeout` passed and it was stopped;
    - `interrupted`: the sweep was stopped while it ran, or before it could start;
    - `not_started`: the system could not start it (no such program, no such folder, ...);
    - `lost`: nobody can say how it ended (its exit status was taken by somebody else), or its machine was lost.
    """

    succeeded = "succeeded"
    failed = "failed"
    timed_out = "timed_out"
    interrupted = "interrupted"
    not_started = "not_started"
    lost = "lost"


@dataclass(frozen=True, slots=True)
class Ending:
    """What an engine knows of a run once it is over; see `RunResult` for the fields."""

    status: Status
    start_time: datetime
    end_time: datetime
    duration: timedelta
    returncode: int | None = None
    error: str | None = None
    max_rss_bytes: int | None = None
    max_rss_inherited: bool = False
    user_seconds: float | None = None
    system_seconds: float | None = None
    leaked: bool = False
    host: str = ""
    worker: str = ""
    devices: Mapping[str, str] = field(default_factory=dict[str, str])
    place_lost: bool = False
    """Whether the machine or the worker was lost, and the run with it: the command is not to blame."""

    @classmethod
    def unstarted(cls, status: Status, error: str, host: str = "", worker: str = "") -> "Ending":
        """Make the record of a run that was never started: it took no time, now."""
        now = local_now()
        return cls(status, now, now, timedelta(0), error=error, host=host, worker=worker)

    @classmethod
    def displaced(cls, error: str, start_time: datetime | None = None, host: str = "", worker: str = "") -> "Ending":
        """Make the record of a run whose machine or worker was lost, now; None is one that had not started."""
        now = local_now()
        began = start_time or now
        return cls(
            Status.lost,
            began,
            now,
            max(now - began, timedelta(0)),
            error=error,
            host=host,
            worker=worker,
            place_lost=True,
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """All that is known of a finished run.

    Attributes:
        status: how it ended.
        returncode: exit code as `subprocess` has it, -N for death by signal N; None if it did not start
            or nobody knows.
        error: what went wrong around the run (the program and the system's reason), or None.
        start_time: when it was started, timezone-aware.
        end_time: when it was over, timezone-aware.
        duration: from start to end by the monotonic clock, whatever the wall clock did meanwhile.
        max_rss_bytes: the peak resident memory of the largest single process among the command and the
            descendants it waited for (`ru_maxrss` of wait4(2)), not their sum; processes that it left behind
            or that were stopped with it are not counted. An upper bound: see `max_rss_inherited`. None if it did
            not start.
        max_rss_inherited: True if that peak is no larger than the driver's own was when it started the
            program: the kernel hands it on, so the run's real peak is that or anything below.
        user_seconds: CPU time in user mode: the sum over the command and the descendants it waited for.
        system_seconds: CPU time in the kernel, likewise.
        metrics: numbers read from its output, by name.
        params: the point's values, by option.
        argv: the command as it was started.
        index: its place in the full grid, from 0.
        attempt: which attempt this was, from 1; the last one where it was tried again.
        repeat: which repeat of its values this was, from 0.
        slot: the number of the slot it ran in, from 0; None if it did not start.
        devices: what its slot or its worker gave it, such as `{"CUDA_VISIBLE_DEVICES": "2"}`.
        leaked: True if it exited and left processes behind, which were then stopped.
        host: the name of the machine it ran on.
        worker: which part of an engine ran it there: a worker of Dask, a job of Slurm; "" on the driver's machine.
    """

    status: Status
    returncode: int | None
    error: str | None
    start_time: datetime
    end_time: datetime
    duration: timedelta
    max_rss_bytes: int | None
    user_seconds: float | None
    system_seconds: float | None
    params: Mapping[str, object]
    argv: Sequence[str]
    index: int
    attempt: int = 1
    leaked: bool = False
    host: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    max_rss_inherited: bool = False
    repeat: int = 0
    slot: int | None = None
    devices: Mapping[str, str] = field(default_factory=dict[str, str])
    worker: str = ""

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the run, or None."""
        return -self.returncode if self.returncode is not None and self.returncode < 0 else None

    def describe(self) -> str:
        """Say in a few words how the run ended, as `failed: exit code 2`."""
        if self.error is not None:
            return f"{self.status}: {self.error}"
        if self.signal is not None:
            return f"{self.status}: {signal_name(self.signal)}"
        return f"{self.status}: exit code {self.returncode}" if self.returncode else str(self.status)


def signal_name(number: int) -> str:
    """Name a signal as `SIGKILL`; real-time signals have only their number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
