"""Run: one point on its way through a sweep."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from taskexp.loop.options import ExecuteOptions
from taskexp.plan.command import quote
from taskexp.plan.point import Point
from taskexp.plan.values import Value
from taskexp.run.board import RunRow
from taskexp.run.engine import Attempt
from taskexp.run.output import RunOutput
from taskexp.run.taps import Lane
from taskexp.run.transcript import Transcript
from taskexp.words.errors import ExecutableStateError, PointError
from taskexp.words.outcome import Ending, RunResult


class Run:
    """What is known of one point: nothing yet, that it was asked for, that it runs, how it ended.

    Args:
        point: the point of the grid.
        transcript: what is said about it.
    """

    options: ExecuteOptions | None = None
    lane: Lane | None = None
    """Where the user's functions are called for it; None is the sweep's own thread."""
    attempt: Attempt | None = None
    """What the engine runs, or ran last, for it."""
    tries = 0
    """How many attempts it has had in this sweep."""
    attempt_number = 0
    """The number of its last attempt, over all sweeps that its journal knows."""
    slot: int | None = None
    """The slot of its last attempt."""
    output: RunOutput | None = None
    """Where the output of its attempts goes, once the first has begun."""
    row: RunRow | None = None
    """The row that shows its attempt while that goes on, where runs are shown."""
    log_path: str | None = None
    """Where the output of its last attempt is recorded; None without a journal."""
    latest: RunResult | None = None
    """How its last attempt ended."""
    losses = 0
    """How many of its attempts in this sweep were lost with the machine or the worker they ran on."""
    was_displaced = False
    """Whether the last one was."""
    result: RunResult | None = None
    """How it ended, once it is not tried again."""
    served_by: int | None = None
    """The thread that waits for it and calls the user's functions meanwhile."""
    unwanted = False
    """Whether it is to be stopped, or not started at all."""
    passed = False
    """Whether the loop's body is done with it."""
    left = False
    """Whether the pool has let go of it: it is over, and all that came of it is written."""
    counted = False
    """Whether the bar has counted it."""
    _claimed_at: float | None = None

    def __init__(self, point: Point, transcript: Transcript) -> None:
        self.point = point
        self.transcript = transcript
        self.on_over: list[Callable[[], object]] = []
        """Called on the event loop once the result is there and all that it said is written."""

    @property
    def claimed(self) -> bool:
        """Whether `execute` was called."""
        return self.options is not None

    @property
    def orders(self) -> ExecuteOptions:
        """What was said to `execute`."""
        if self.options is None:
            raise AssertionError("started before it was claimed")
        return self.options

    def claim(self, options: ExecuteOptions) -> None:
        """Take note of `execute`. Raises ExecutableStateError the second time."""
        if self.options is not None:
            raise ExecutableStateError(
                f"the executable of index {self.point.index} has run; one executable runs once, "
                "loop again or call repeat for more"
            )
        self.options = options
        self._claimed_at = time.monotonic()

    def conclude(
        self,
        ending: Ending,
        devices: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> RunResult:
        """Make the result of an attempt from what the engine knows, what its slot gave it and what it printed."""
        point = self.point
        if ending.place_lost:
            self.losses += 1
        self.was_displaced = ending.place_lost
        params, argv = dict[str, Value](), list[str]()
        try:
            if point.is_rendered:
                rendered, command = point.rendered()
                params, argv = dict(rendered), list(command.argv)
            else:
                params = dict(point)
        except PointError:  # then the command was never made, and the ending says why
            params = dict(point)
        self.latest = RunResult(
            status=ending.status,
            returncode=ending.returncode,
            error=ending.error,
            start_time=ending.start_time,
            end_time=ending.end_time,
            duration=ending.duration,
            max_rss_bytes=ending.max_rss_bytes,
            user_seconds=ending.user_seconds,
            system_seconds=ending.system_seconds,
            params=params,
            argv=argv,
            index=point.index,
            attempt=self.attempt_number or 1,
            leaked=ending.leaked,
            host=ending.host,
            metrics=metrics or {},
            max_rss_inherited=ending.max_rss_inherited,
            repeat=point.repeat,
            slot=self.slot,
            devices={**devices, **ending.devices} if devices else dict(ending.devices),
            worker=ending.worker,
        )
        return self.latest

    def tell_over(self) -> None:
        """Call those who wait for the end. They are let go of then: some of them refer to the run."""
        acts, self.on_over = self.on_over, []
        for act in acts:
            act()

    def last_output(self) -> str:
        """Return the last of what its last attempt printed, where that is kept."""
        return self.output.tail.text() if self.output is not None and self.output.tail is not None else ""

    @property
    def elapsed(self) -> timedelta:
        """How long the run took, or has taken so far. Raises ExecutableStateError if it was not executed."""
        if self.result is not None:
            return self.result.duration
        if self._claimed_at is None:
            raise ExecutableStateError(
                f"the executable of index {self.point.index} has not run yet; call execute first"
            )
        return timedelta(seconds=time.monotonic() - self._claimed_at)

    @property
    def state(self) -> str:
        """The word for how far it is: pending, running or its status."""
        if self.result is not None:
            return str(self.result.status) + (f", attempt {self.result.attempt}" if self.result.attempt > 1 else "")
        return "running" if self.claimed else "pending"

    def command_line(self) -> str:
        """The command as one line to paste, or why it cannot be made."""
        try:
            return self.point.command.display()
        except PointError as error:
            return f"# {quote(str(error))}"
