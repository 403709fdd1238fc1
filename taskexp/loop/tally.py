"""Tally: what a sweep counts; the bar while it goes on, the summary at its end, and when it is time to halt."""

from collections.abc import Callable

from taskexp.loop.halt import Halt
from taskexp.loop.run import Run
from taskexp.loop.summary import Summary
from taskexp.plan.route import Route
from taskexp.run.outlet import Outlets
from taskexp.run.progress import Progress
from taskexp.words.counting import counted
from taskexp.words.outcome import RunResult


class Tally:
    """The counts of one sweep.

    Args:
        outlets: where to the user is spoken.
        route: the points that it goes to.
        halt: when to give up; None is never.
        clock: tells the time that the runs could use, in seconds.
    """

    def __init__(self, outlets: Outlets, route: Route, halt: Halt | None, clock: Callable[[], float]) -> None:
        self._outlets = outlets
        self._route = route
        self._halt = halt
        self._clock = clock
        self._summary = Summary()
        self.progress = self._make_progress(shown=False)
        self._recorded = 0
        self.halted: Halt | None = None
        """The policy by which the sweep gave up, once it has."""

    def begin(self, *, shown: bool, shows_runs: bool) -> None:
        """Begin to show the counts, where a bar was asked for, and the runs that go on."""
        self.progress = self._make_progress(shown=shown, shows_runs=shows_runs)

    def show(self, run: Run, slot: int) -> None:
        """Show an attempt of a run, where runs are shown; `hide` follows."""
        if (board := self.progress.board) is not None:
            run.row = board.open_row(slot, run.point.index, run.point.label)

    def hide(self, run: Run) -> None:
        """Learn that the attempt is over."""
        if (board := self.progress.board) is not None and run.row is not None:
            board.close_row(run.row)
            run.row = None

    def drop(self, number: int) -> None:
        """Count points that `where` did not let through."""
        if number:
            self.progress.shrink(number)

    def pass_over(self, number: int) -> None:
        """Count points that are recorded and do not run again."""
        if number:
            self._recorded += number
            self.progress.advance(number)

    def skip(self, run: Run) -> None:
        """Count a run that was not asked for when the loop went on; should it run later, it is not counted again."""
        run.counted = True
        self.progress.advance()

    def retry(self) -> None:
        """Count an attempt that is followed by another."""
        self.progress.count_retry()

    def settle(self, run: Run, result: RunResult) -> Halt | None:
        """Count a run that is over; returns the policy by which this is the moment to give up, if it is."""
        self._summary.add(result, run.tries, run.command_line)
        self.progress.count(result.status, advance=not run.counted)
        run.counted = True
        total = self.progress.total - self._route.first_step
        if self._halt is None or self.halted is not None or not self._halt.reached(self._summary.counts, total):
            return None
        self.halted = self._halt
        return self._halt

    def close(self) -> None:
        """Let the last state of the bar stand, and say what went wrong."""
        self.progress.close()
        if self._recorded:
            were = "is recorded and was" if self._recorded == 1 else "are recorded and were"
            self._outlets.notify(f"taskexp: {counted(self._recorded, 'run')} {were} not run again")
        not_run = self.progress.total - self.progress.done
        if (text := self._summary.text(self.halted, not_run)) is not None:
            self._outlets.notify(text)

    def _make_progress(self, *, shown: bool, shows_runs: bool = False) -> Progress:
        steps, first = self._route.step_count, self._route.first_step
        return Progress(self._outlets, steps, first, shown=shown, shows_runs=shows_runs, clock=self._clock)
