"""Loop: what the user iterates, with `for` or `async for`.

Plain objects over the sweep. Their async generators hold no task group and no cancel scope across a
yield (PEP 789); what must be given back at once hangs on a lease, whose drop does it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from taskexp.loop.executable import AsyncTaskExecutable, TaskExecutable
from taskexp.loop.facade import Facade
from taskexp.loop.feeder import Feeder
from taskexp.loop.options import ExecuteOptions, LoopOptions
from taskexp.loop.run import Run
from taskexp.loop.sweep import Sweep
from taskexp.plan.route import Route
from taskexp.words.errors import ArgumentTypeError, ExecutableStateError, RunFailed
from taskexp.words.outcome import RunResult, Status

GATHERED = 200
"""How many finished runs are handed out together to who wants all of them, in the end."""


class Lease:
    """Ends a sweep whose async generator is dropped before it was closed."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep: Sweep | None = sweep

    def __del__(self) -> None:
        if self._sweep is not None:
            self._sweep.abandon()

    def give_back(self) -> None:
        """Learn that the sweep has come to its end in order."""
        self._sweep = None


class Loop(ABC):
    """A loop over points; iterate it once, with `for` or with `async for`.

    Leaving it early stops what is running: at once if the loop has no name of its own, in a `with` or
    `async with` block, or by `close()` and `aclose()`.
    """

    def __init__(self, route: Route, options: LoopOptions) -> None:
        self._sweep = Sweep(route, options, options.make_engine())
        self._facade = Facade(self._sweep)
        self._async_begun = False

    def __del__(self) -> None:
        if (facade := getattr(self, "_facade", None)) is not None and not self._async_begun:
            facade.drop()

    def __iter__(self) -> Self:
        if self._async_begun:
            raise ExecutableStateError("this loop is in use by an async for; make another one")
        return self

    def __next__(self) -> TaskExecutable:
        run = self._next_run()
        if run is None:
            raise StopIteration
        return TaskExecutable(self._facade, run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[AsyncTaskExecutable]:
        if self._async_begun or self._facade.begun:
            raise ExecutableStateError("this loop has been iterated before; make another one")
        self._async_begun = True
        if self._sweep.finished:
            return
        await self._sweep.open_aside()
        self._sweep.begin("async")
        self._sweep.attach(asyncio.get_running_loop())
        lease = Lease(self._sweep)
        try:
            while (run := await self._arriving_run()) is not None:
                yield AsyncTaskExecutable(self._sweep, run)
        except BaseException:  # GeneratorExit of a break or an error in the body, cancellation while waiting
            self._pass_last()
            await self.aclose()
            raise
        finally:
            lease.give_back()
        self._sweep.end_iteration()
        if (breakdown := self._sweep.refusal.breakdown) is not None:
            raise breakdown

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def open(self) -> None:
        """Begin now what the first step of a `for` begins: take the journal and the signals, and show the bar.

        Raises:
            ExecutableStateError: the loop is in use by an `async for`.
            JournalError: the journal cannot be used.
        """
        if self._async_begun:
            raise ExecutableStateError("this loop is in use by an async for; make another one")
        if not self._sweep.finished:
            self._facade.begin()

    def notify(self, line: str) -> None:
        """Say a line to the user on stderr, above the bar; what is printed there directly would tear it.

        While the loop goes on, this does not wait until the line is written.

        Args:
            line: a text without a final newline.

        Raises:
            ArgumentTypeError: it is no str.
        """
        if not isinstance(line, str):
            raise ArgumentTypeError(f"notify takes a str, not {type(line).__name__} ({line!r})")
        outlets = self._sweep.outlets
        # After the loop nobody waits for our threads, and a program that ends would leave the line unsaid.
        (outlets.notify_now if self._sweep.finished else outlets.notify)(line)

    def close(self) -> None:
        """Stop every run that is going on (SIGTERM, grace, SIGKILL) and give everything back.

        What has not started gives `interrupted` from now on. In async code this only begins the stop;
        await `aclose()` there.
        """
        if self._async_begun:
            self._sweep.stop()
        else:
            self._facade.close()

    async def aclose(self) -> None:
        """Stop every run that is going on and wait for it; for async code."""
        if not self._async_begun:
            self._facade.close()
        elif not self._sweep.finished:
            self._sweep.stop()
            await self._sweep.until_stopped()

    def _pass_last(self) -> None:  # noqa: B027 - nothing to do where the body executes nothing
        """Learn that the body has left the run that it was given last."""

    @abstractmethod
    def _next_run(self) -> Run | None:
        """Wait, in a thread, for the next run to hand out; None at the end."""

    @abstractmethod
    async def _arriving_run(self) -> Run | None:
        """Wait, on the event loop, for the next run to hand out; None at the end."""


class ExecutableLoop(Loop):
    """Hands out each point as an executable; what `Task.executable_loop` returns."""

    _handed_out: Run | None = None

    def _next_run(self) -> Run | None:
        return self._facade.next_run()

    async def _arriving_run(self) -> Run | None:
        sweep = self._sweep
        await asyncio.sleep(0)  # lets a task that the body has just started take its slot
        self._pass_last()
        await sweep.turnstile.arrive(sweep.may_yield)
        await sweep.seek_aside()
        self._handed_out = None if sweep.stopping else sweep.take_next()
        return self._handed_out

    def _pass_last(self) -> None:
        if self._handed_out is not None:
            self._sweep.pass_by(self._handed_out)


class CompletedRuns(Loop):
    """Runs every point and hands out each executable when its run is over; what `Task.as_completed` returns."""

    def __init__(
        self, route: Route, options: LoopOptions, execute: ExecuteOptions, *, lists_recorded: bool = False
    ) -> None:
        super().__init__(route, options)
        self._facade.lists_recorded = lists_recorded
        self._feeder = Feeder(self._sweep, execute, GATHERED if lists_recorded else 1)
        self._check = execute.check
        self._feeding = False

    def hand_over(self) -> bool:
        """Have all points begun, and wait until the engine goes on with them alone when this program ends.

        Returns:
            Whether it does; False if the loop was stopped, or ended, before.
        """
        sweep = self._sweep
        self._begin_feeding()
        sweep.turnstile.wait(lambda: sweep.stopping or (sweep.exhausted and (not sweep.load or sweep.holds_alone)))
        return not sweep.stopping and sweep.refusal.breakdown is None and sweep.load > 0

    def _begin_feeding(self) -> None:
        if not self._sweep.finished and not self._feeding:
            self._facade.begin()
            self._feeding = True
            self._facade.post(self._feeder.start)

    def recorded_results(self) -> list[RunResult]:
        """Read the results of the runs that a journal knew, so that they did not run again; after the loop.

        They have their places in this grid. Empty unless the loop was made to list them, as `Task.run` does.
        """
        return self._sweep.recorded_results()

    def _next_run(self) -> Run | None:
        facade = self._facade
        self._begin_feeding()
        run = facade.await_next(self._feeder.may_yield, self._feeder.take)
        if run is not None:
            try:
                self._check_run(run)
            except RunFailed:
                facade.close()
                raise
        return run

    async def _arriving_run(self) -> Run | None:
        if not self._feeding:
            self._feeding = True
            self._feeder.start()
        await self._sweep.turnstile.arrive(self._feeder.may_yield)
        run = None if self._sweep.stopping else self._feeder.take()
        if run is not None:
            self._check_run(run)
        return run

    def _check_run(self, run: Run) -> None:
        if self._check and run.result is not None and run.result.status is not Status.succeeded:
            raise RunFailed(run.result)
