"""Run: one point on its way through a sweep."""

import time
from collections.abc import Callable
from datetime import timedelta

from taskexp.loop.options import ExecuteOptions
from taskexp.plan.command import quote
from taskexp.plan.grid import Point
from taskexp.run.engine import Attempt
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

    def __init__(self, point: Point, transcript: Transcript) -> None:
        self.point = point
        self.transcript = transcript
        self.options: ExecuteOptions | None = None
        self.lane: Lane | None = None
        """Where the user's functions are called for it; None is the sweep's own thread."""
        self.attempt: Attempt | None = None
        self.result: RunResult | None = None
        self.served_by: int | None = None
        """The thread that waits for it and calls the user's functions meanwhile."""
        self.unwanted = False
        """Whether it is to be stopped, or not started at all."""
        self.passed = False
        """Whether the loop's body is done with it."""
        self.counted = False
        """Whether the bar has counted it."""
        self.on_settled: list[Callable[[], object]] = []
        """Called on the event loop once the result is there."""
        self.on_over: list[Callable[[], object]] = []
        """Called on the event loop once all that it said is written, too."""
        self._claimed_at: float | None = None

    @property
    def claimed(self) -> bool:
        """Whether `execute` was called."""
        return self.options is not None

    def claim(self, options: ExecuteOptions) -> None:
        """Take note of `execute`. Raises ExecutableStateError the second time."""
        if self.options is not None:
            raise ExecutableStateError(
                f"the executable of index {self.point.index} has run; one executable runs once, "
                "loop again or call repeat for more"
            )
        self.options = options
        self._claimed_at = time.monotonic()

    def conclude(self, ending: Ending) -> RunResult:
        """Make the result from what the engine knows."""
        point = self.point
        try:
            params, argv = (point.params, point.argv) if point.is_rendered else (dict(point), [])
        except PointError:  # then the command was never made, and the ending says why
            params, argv = dict(point), []
        return RunResult(
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
            index=self.point.index,
            leaked=ending.leaked,
            host=ending.host,
        )

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
            return str(self.result.status)
        return "running" if self.claimed else "pending"

    def command_line(self) -> str:
        """The command as one line to paste, or why it cannot be made."""
        try:
            return self.point.command.display()
        except PointError as error:
            return f"# {quote(str(error))}"
