"""Executable: the user's handle on one point of the grid, for plain loops and for async ones."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from taskexp.loop.facade import Facade
from taskexp.loop.options import checked_streams, execute_options
from taskexp.loop.run import Run
from taskexp.loop.sweep import Sweep
from taskexp.plan.values import Value
from taskexp.run.taps import LineCallback
from taskexp.words.errors import ExecutableStateError, RunFailed
from taskexp.words.outcome import RunResult, Status


class Executable:
    """What both kinds of executables share: what will run, and what can be printed about it.

    In a parallel loop (`max_workers` above 1, `output="group"`) all that is printed here makes one block
    with the output of the run, in the order of the calls.
    """

    _waits_for_prints = True

    def __init__(self, sweep: Sweep, run: Run) -> None:
        self._sweep = sweep
        self._run = run

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.index} {self._run.state}: {self._run.command_line()}>"

    @property
    def index(self) -> int:
        """The place in the full grid, from 0."""
        return self._run.point.index

    @property
    def id(self) -> str:
        """The point's `id`: a short hash of its content, by which a journal knows it."""
        return self._run.point.id

    @property
    def label(self) -> str:
        """What tells its command from the others of the sweep, as one line such as `--lr 0.1 --seed 2`."""
        return self._run.point.label

    @property
    def log_path(self) -> Path | None:
        """The file that the output of its last attempt is recorded in, an absolute path.

        None without a journal, and before the first attempt begins.
        """
        return None if self._run.log_path is None else Path(self._run.log_path)

    @property
    def argv(self) -> list[str]:
        """The words of the command, as a fresh list. Raises PointError if a function of the point fails."""
        return self._run.point.argv

    @property
    def params(self) -> dict[str, Value]:
        """The point's values by name, as a fresh dict. Raises PointError if a function of the point fails."""
        return dict(self._run.point.params)

    @property
    def env(self) -> dict[str, str]:
        """The variables added to the driver's environment, as a fresh dict. Raises PointError likewise."""
        return self._run.point.env

    def print_cmd(self, ostreams: Sequence[IO[Any]] | None = None) -> None:
        """Print the command as one line that can be pasted into a shell, the added environment in front.

        Args:
            ostreams: where to; None is `[sys.stdout]`.
        """
        self._say(ostreams, lambda: self._run.command_line() + "\n")

    def print_duration(self, ostreams: Sequence[IO[Any]] | None = None) -> None:
        """Print how long the run took, as `0:01:02.345678 elapsed`.

        Args:
            ostreams: where to; None is `[sys.stdout]`.

        Raises:
            ExecutableStateError: it was not executed.
        """
        _ = self._run.elapsed
        self._say(ostreams, lambda: f"{self._run.elapsed} elapsed\n")

    def print_status(self, ostreams: Sequence[IO[Any]] | None = None) -> None:
        """Print the index, the size of the grid and how far the run is, as `index 3 of 36: succeeded`.

        Args:
            ostreams: where to; None is `[sys.stdout]`.
        """
        self._say(ostreams, lambda: f"index {self.index} of {self._sweep.route.points.size}: {self._run.state}\n")

    def update_tqdm(self, ostreams: Sequence[IO[Any]] | None = None) -> None:
        """Draw the bar again. The bar counts by itself: calling this twice, or never, does no harm.

        Args:
            ostreams: streams that get the state of the bar as a plain line, too; None is none.
        """
        self._sweep.tally.progress.refresh()
        if ostreams is not None:
            self._say(ostreams, lambda: self._sweep.tally.progress.line() + "\n")

    def _say(self, ostreams: Sequence[IO[Any]] | None, saying: Callable[[], str]) -> None:
        self._sweep.turn_to(self._run)
        self._run.transcript.say(checked_streams(ostreams), saying, wait=self._waits_for_prints)

    def _finished_result(self) -> RunResult:
        if self._run.result is None:
            raise ExecutableStateError(f"the executable of index {self.index} has no result yet; call execute first")
        return self._run.result


class TaskExecutable(Executable):
    """One point of the grid in a plain `for` loop."""

    def __init__(self, facade: Facade, run: Run) -> None:
        super().__init__(facade.sweep, run)
        self._facade = facade

    def execute(
        self,
        timeout: float | None = 300,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        *,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
    ) -> RunResult | None:
        """Run the command, stream its output, and see it to its end.

        One at a time (`max_workers=1`) this returns when the run is over. In a parallel loop it hands the
        run to the pool and returns None at once; `wait()` or `result` wait for it.

        Args:
            timeout: seconds for the whole run, then it is stopped; None is no limit.
            ostreams: streams that get stdout and stderr: str for text streams, bytes unchanged for binary
                ones; None is `[sys.stdout]`.
            on_verbose: called per line with the line (its newline included), a stream whose `name` is
                "stdout" or "stderr", and the time it came (timezone-aware). One at a time it is called in
                this thread, in a parallel loop in one thread of the loop's; never twice at once.
            idle_timeout: seconds without any output, then it is stopped; None is no limit.
            grace: seconds between SIGTERM and SIGKILL when it is stopped.
            check: raise if the run does not succeed; in a parallel loop at the loop's next step.

        Returns:
            The result, or None in a parallel loop.

        Raises:
            ArgumentTypeError, ArgumentValueError: an argument makes no sense; nothing was started.
            ExecutableStateError: it was executed before.
            RunFailed: with `check=True`, the run did not succeed.
            KeyboardInterrupt: Ctrl-C was answered with yes; every run is stopped.
            SystemExit: SIGTERM, SIGHUP or SIGQUIT came; every run is stopped. The code is 128 and the signal's number.
        """
        options = execute_options(timeout, ostreams, on_verbose, idle_timeout, grace, check)
        if self._sweep.options.is_parallel:
            self._facade.submit(self._run, options)
            return None
        result = self._facade.perform(self._run, options)
        if check and result.status is not Status.succeeded:
            raise RunFailed(result)
        return result

    def wait(self) -> RunResult:
        """Wait until the run is over; returns its result. Raises as `result` does."""
        return self.result

    @property
    def result(self) -> RunResult:
        """What happened to the run; in a parallel loop this waits for its end.

        Raises:
            ExecutableStateError: it was not executed.
            KeyboardInterrupt, SystemExit: the sweep was stopped by a signal while this waited.
        """
        if not self._run.claimed:
            return self._finished_result()
        return self._facade.await_result(self._run)


class AsyncTaskExecutable(Executable):
    """One point of the grid in an `async for` loop."""

    _waits_for_prints = False

    async def execute(
        self,
        timeout: float | None = 300,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        *,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
    ) -> RunResult:
        """Run the command, stream its output, and see it to its end; see `TaskExecutable.execute`.

        It waits for a slot first, so that no more than `max_workers` commands run however many of these
        are awaited at once. `on_verbose` is called in one thread of the loop's, never on the event loop.
        Cancelling it stops the run (SIGTERM, grace, SIGKILL) before the cancellation goes on.

        Returns:
            The result.

        Raises:
            ArgumentTypeError, ArgumentValueError: an argument makes no sense; nothing was started.
            ExecutableStateError: it was executed before.
            RunFailed: with `check=True`, the run did not succeed.
        """
        options = execute_options(timeout, ostreams, on_verbose, idle_timeout, grace, check)
        self._sweep.claim(self._run, options)
        over = asyncio.Event()
        self._run.on_over.append(over.set)
        self._sweep.launch(self._run)
        try:
            await over.wait()
        except asyncio.CancelledError:
            self._sweep.stop_run(self._run)
            await _despite_cancel(over)
            raise
        result = self._finished_result()
        if check and result.status is not Status.succeeded:
            raise RunFailed(result)
        return result

    @property
    def result(self) -> RunResult:
        """What happened to the run; never waits.

        Raises:
            ExecutableStateError: it is not over yet.
        """
        return self._finished_result()


async def _despite_cancel(over: asyncio.Event) -> None:
    """Wait for a run's end, which is bounded by its grace, whatever is cancelled meanwhile."""
    while not over.is_set():
        try:
            await over.wait()
        except asyncio.CancelledError:
            continue
