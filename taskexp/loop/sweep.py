"""Sweep: the one core under both faces of the loop.

It ties together what a loop has: the course through the points, the pool of runs, the bar, the signals.
The faces only wait on it. Tasks are plain tasks owned by the pool, never a task group around a yield, so
what the user's body does (break, raise, be cancelled) meets no scope of ours.

"Caller" below is the thread of the user's loop; "loop" is the event loop's. In async code they are one.
"""

import asyncio
import atexit
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from taskexp.loop.capacity import Capacity
from taskexp.loop.course import Course
from taskexp.loop.halt import Halt
from taskexp.loop.narration import Narration
from taskexp.loop.options import ExecuteOptions, LoopOptions
from taskexp.loop.performer import Performer
from taskexp.loop.pool import Pool
from taskexp.loop.recorder import Recorder
from taskexp.loop.refusal import STOPPED_EARLY, Refusal
from taskexp.loop.retrial import Retrial
from taskexp.loop.run import Run
from taskexp.loop.slots import Slots
from taskexp.loop.tally import Tally
from taskexp.loop.turnstile import Turnstile
from taskexp.plan.route import Route
from taskexp.run.arrival import arrival_aside, arrival_of
from taskexp.run.engine import Engine
from taskexp.run.interrupt import Interrupt, Phase, interruption, redeliver
from taskexp.run.orphans import say_strays
from taskexp.run.search import Search
from taskexp.run.strand import Strand, ThreadPool
from taskexp.run.suspension import Suspension
from taskexp.run.taps import Lane
from taskexp.words.errors import JournalError, RunFailed
from taskexp.words.outcome import Ending, RunResult, Status

TICK_SECONDS = 0.5
"""How often the bar's clock moves on although no run has ended."""

EXIT_PATIENCE_SECONDS = 10.0
"""How long the end of the program waits for a graceful stop before it kills."""

Face: TypeAlias = Literal["sync", "async"]


class Sweep:
    """A loop over points, while it is alive.

    Args:
        route: the points, and the way through them.
        options: how they are run.
        engine: what runs the commands.
    """

    def __init__(self, route: Route, options: LoopOptions, engine: Engine) -> None:
        self.route = route
        self.options = options
        self.pid = os.getpid()
        self.turnstile = Turnstile()
        self._narration = Narration(options)
        self.outlets = self._narration.outlets
        suspension = Suspension(self._suspend, self._go_on)
        self.interrupt = Interrupt(self.outlets, self.stop, engine.kill, suspension, self._look_again)
        self.failure: RunFailed | None = None
        self.finished = False
        self.loop: AbstractEventLoop | None = None
        self.tally = Tally(self.outlets, route, options.halt, engine.clock.now)
        self._engine = engine
        self._course = Course(route)
        self._slots = Slots(options.environs, 1)  # as many as there are is known once the engine is open
        self._capacity = Capacity(options, engine)
        self._callback_thread = ThreadPool("callback", max_threads=1)
        self._search = Search(self.outlets.notify)
        self.recorder = Recorder(options, self._narration.spoolers, self._search, self._give_up_recording)
        self.refusal = Refusal(self.recorder, engine, self.tally)
        self._pool = Pool(self._slots, self, self.refusal, rests_alone=not options.is_parallel)
        lane = Lane(Strand(self._callback_thread))
        self._performer = Performer(
            engine,
            lane,
            self.recorder,
            keeps_tail=options.retry.reads_output,
            notices=options.notices,
            on_shortage=self._tell_shortage,
        )
        self._retrial = Retrial(options.retry, self._performer, self._search, self.refusal)
        self._is_short = False
        self._begun = False
        self._iterating = False
        self._face: Face = "sync"

    # ---- life

    def open(self) -> None:
        """Get the engine and the journal ready and wait for it; any thread but the event loop's.

        Raises:
            EngineError, JournalError: one of them cannot be used; nothing was started, nothing is held.
        """
        try:
            arrival_of(self._open_engine)
            self.recorder.open()
        except BaseException:
            self._engine.close()
            raise

    async def open_aside(self) -> None:
        """The same on the event loop, without holding it."""
        try:
            await arrival_aside(self._open_engine)
            await self.recorder.open_aside()
        except BaseException:
            self._engine.close()
            raise

    def _open_engine(self) -> None:
        self._engine.open(lambda: self.post(self._look_at_engine))
        self._slots.width = self._capacity.width

    def _look_at_engine(self) -> None:
        """Learn that the engine has more room, or less, or can run nothing any more; loop."""
        if self._engine.failure is not None:
            if not self.finished:
                self.outlets.notify(f"taskexp: {self._engine.failure}")
                self._pool.stop_waiting(self.refusal.why or "")
        else:
            self._slots.width = self._capacity.width
        self._look_again()

    def begin(self, face: Face, *, lists_recorded: bool = False) -> None:
        """Take over the signals and show the bar; caller. The recorder has its journal open.

        Args:
            face: who is in front of it.
            lists_recorded: whether `recorded_results` will be asked for.
        """
        self._face = face
        self._course.recorded = self.recorder.recorded
        self._course.passed_over = {} if lists_recorded else None
        self._begun = self._iterating = True
        self.interrupt.install()
        if face == "async":
            atexit.register(self.end_at_exit)
        options = self.options
        for warning in (*self._engine.warnings, *self.recorder.warnings):
            self.outlets.notify(f"taskexp: {warning}")
        self.tally.begin(shown=options.use_tqdm, shows_runs=options.show_runs)
        for warning in self._capacity.warnings():
            self.outlets.notify(f"taskexp: {warning}")

    def recorded_results(self) -> list[RunResult]:
        """Read the results of the recorded runs that were passed over; after the sweep. Raises JournalError."""
        return self.recorder.recorded_results(self._course.passed_over or {})

    def attach(self, loop: AbstractEventLoop) -> None:
        """Learn the event loop; loop."""
        self.loop = loop
        self.interrupt.attach(loop)
        self._tick()

    @property
    def load(self) -> int:
        """The number of runs that were asked for and are not over."""
        return self._pool.load

    @property
    def holds_alone(self) -> bool:
        """Whether the engine goes on with all that it was asked for when this program ends."""
        return self._engine.holds_alone

    @property
    def stopping(self) -> bool:
        """Whether everything is being stopped, or was."""
        return self.refusal.stopping

    @property
    def stopped(self) -> bool:
        """Whether the sweep was stopped and nothing runs any more."""
        return self.stopping and self.load == 0

    @property
    def exhausted(self) -> bool:
        """Whether no further point will be handed out."""
        return self.refusal.gives_up or self._course.exhausted

    def may_yield(self) -> bool:
        """Tell whether a waiting face has something to do: a slot is free, or all is over."""
        if self.refusal.stopping:
            return self.stopped
        return (self._pool.has_room and self.interrupt.calm) or self.exhausted

    def end_iteration(self) -> None:
        """Learn that no more points are asked for; the last run to end finishes the sweep. Async face."""
        self._iterating = False
        if self.load == 0:
            self.finish()

    def finish(self) -> None:
        """Give back the signals, end the bar, say what failed; caller, when nothing runs any more."""
        if self.finished:
            return
        self.finished = True
        self._iterating = False
        if not self._begun:
            return
        self.recorder.close()  # while a signal still finds us
        self.interrupt.remove()
        self.tally.close()
        if (told := say_strays(self._engine.strays())) is not None:
            self.outlets.notify(f"taskexp: {told}")
        if self.interrupted and self.recorder.folder is not None:
            self.outlets.notify(f"taskexp: what has ended is recorded in {self.recorder.folder}; start again to go on")
        self._narration.close()
        self._callback_thread.close()
        self.rest()
        atexit.unregister(self.end_at_exit)

    def rest(self) -> None:
        """Give back what only runs need, unless something runs."""
        if not self.load:
            self.recorder.close()
            self._search.close()
            self._engine.close()

    def in_callback(self) -> bool:
        """Tell whether this is the thread that the loop's callbacks are called in."""
        return self._callback_thread.owns_this_thread()

    # ---- points

    def seek(self) -> bool:
        """Look for the next point that `where` lets through; False after a while without one; caller."""
        sought = self._course.seek()
        self.tally.drop(sought.dropped)
        self.tally.pass_over(sought.recorded)
        return sought.settled or self.refusal.gives_up

    async def seek_aside(self) -> None:
        """Look for the next point in the thread that the user's functions are called in; loop."""
        settled: list[bool] = []
        while self._course.is_filtered and not (any(settled) or self.stopping):
            await self._performer.call(lambda: settled.append(self.seek()), lambda: self.stopping)
            await self.turnstile.arrive(self.may_yield)

    def take_next(self) -> Run | None:
        """Hand out the next point, or None after the last; caller."""
        point = None if self.refusal.gives_up else self._course.take()
        return None if point is None else self._narration.begin_run(point)

    def pass_by(self, run: Run) -> None:
        """Learn that the body is done with a run; caller."""
        if run.passed:
            return
        run.passed = True
        if not run.claimed:
            run.transcript.write_said()
            self.tally.skip(run)
        elif run.result is not None and run.transcript.waits_for_body:
            self.post(self.turnstile.notify)  # it has ended and waits for this before it writes its block

    def turn_to(self, run: Run) -> None:
        """Learn which run the body speaks of now; caller."""
        self._narration.turn_to(run)

    # ---- runs

    def claim(self, run: Run, options: ExecuteOptions) -> None:
        """Take note of `execute`; caller. Raises ExecutableStateError the second time."""
        run.claim(options)
        self.turn_to(run)
        run.transcript.place_output()
        self._pool.enter()
        if self.finished and self._face == "async":
            atexit.register(self.end_at_exit)  # a run after the end of the loop is not to outlive the program

    def launch(self, run: Run) -> None:
        """Start a claimed run as soon as there is a slot; loop."""
        self._pool.launch(run)

    def stop_run(self, run: Run) -> None:
        """Stop one run; loop."""
        self._pool.stop(run)

    def stop(self) -> None:
        """Stop everything; loop. `stopped` tells when nothing runs any more."""
        if self.stopping:
            return
        self.refusal.stopping = True
        self._pool.stop_waiting(STOPPED_EARLY)
        self._pool.stop_running()
        self.turnstile.notify()
        if self.load == 0:
            self._arrive_at_stop()

    async def until_stopped(self) -> None:
        """Wait until nothing runs any more after `stop`, whatever is cancelled meanwhile; a stop bounds itself."""
        waiting = asyncio.ensure_future(self.turnstile.arrive(lambda: self.stopped))
        cancelled: asyncio.CancelledError | None = None
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled  # only put off, never swallowed: the canceller counts on it

    def abandon(self) -> None:
        """Stop everything when nobody is left to wait for it: the loop was dropped, or its event loop is dead."""
        if self.loop is not None and self.loop.is_running():
            self.post(self.stop)
            return
        self._engine.destroy()
        self.finish()

    def post(self, act: Callable[..., object], *arguments: object) -> None:
        """Have something done on the event loop; from any thread, and in vain if it is closed."""
        if self.loop is not None:
            try:
                self.loop.call_soon_threadsafe(act, *arguments)
            except RuntimeError:  # closed: whatever was to be done is over
                return

    @property
    def interrupted(self) -> bool:
        """Whether a signal has stopped the sweep."""
        return self.interrupt.phase is Phase.STOPPED

    def raise_if_interrupted(self) -> None:
        """Raise what a signal stands for, once everything is stopped; caller."""
        if self.interrupted and self.interrupt.number is not None:
            raise interruption(self.interrupt.number)

    # ---- what the pool asks for

    @property
    def on_hold(self) -> bool:
        """Whether the question of Ctrl-C stands; see `Owner`."""
        return not (self.interrupt.calm or self.finished)

    async def attempt(self, run: Run, slot: int) -> float | None:
        """Take a run through one attempt; see `Owner`."""
        self.tally.show(run, slot)
        try:
            result = await self._performer.perform(
                run,
                slot,
                self._slots.environ(slot),
                lambda: self.refusal.stopping or run.unwanted,
                partial(self._pool.vacate, run),
            )
        finally:
            self.tally.hide(run)
        if result.status is not Status.succeeded:
            pause = await self._retrial.pause_after(run, result)
            if pause is not None:
                self.tally.retry()
                return pause
        await self.conclude(run)
        return None

    async def conclude(self, run: Run) -> None:
        """End a run as its last attempt ended, and say the last of its words; see `Owner`."""
        if run.latest is None:
            raise AssertionError("concluded before it was attempted")
        if run.latest.status is Status.timed_out and self.options.notices:
            self.outlets.notify(f"taskexp: index {run.point.index} timed out: {run.latest.error}")
        self._settle(run, run.latest)
        if not run.passed:  # the body may wait for the result
            self.turnstile.notify()
            if self._face == "sync" and run.transcript.waits_for_body:
                await self.turnstile.arrive(lambda: run.passed or self.stopping)
        await run.transcript.write(lambda: self.stopping or run.unwanted)

    def over(self, run: Run, task: "asyncio.Task[float | None]") -> None:
        """Tell whoever waits for a run; see `Owner`."""
        error = None if task.cancelled() else task.exception()
        try:
            if error is not None:
                self.outlets.notify(f"taskexp: error: index {run.point.index}: {error!r}; please report this")
            if run.result is None:
                status = Status.lost if error is not None else Status.interrupted
                why = repr(error) if error else "the event loop was closed"
                self._settle(run, run.conclude(Ending.unstarted(status, why)))
        finally:
            run.tell_over()

    def drop(self, run: Run, why: str) -> None:
        """End a run that was asked for and will not start; see `Owner`."""
        run.transcript.write_said()
        self._settle(run, run.conclude(Ending.unstarted(Status.interrupted, why)))
        run.tell_over()
        self.turnstile.notify()

    def break_off(self, run: Run) -> None:
        """Stop a run that is going on; see `Owner`."""
        self._performer.stop(run)

    def released(self) -> None:
        """Let whoever waits look again; see `Owner`."""
        if self.stopped:
            self._arrive_at_stop()
        self.turnstile.notify()
        if self.load == 0 and not self._iterating and self._face == "async":
            self.finish()
            self.rest()
            atexit.unregister(self.end_at_exit)

    # ---- how runs end

    def _tell_shortage(self, why: str) -> None:
        """Say once that runs have to wait for the system."""
        if not self._is_short:
            self._is_short = True
            self.outlets.notify(f"taskexp: warning: {why}; runs wait until there is room, fewer at a time")

    def _settle(self, run: Run, result: RunResult) -> None:
        """Publish a run's result; loop."""
        run.result = result
        if self.finished and result.status not in (Status.succeeded, Status.interrupted):
            self.outlets.notify(f"taskexp: index {result.index}, {result.describe()}: {run.command_line()}")
        halt = self.tally.settle(run, result)
        if result.status is not Status.succeeded and run.orders.check:
            self.failure = self.failure or RunFailed(result)
            if self.options.is_parallel and self._face == "sync" and not self.stopping:
                self.stop()
        if halt is not None and not self.stopping:
            self._give_up(halt)

    def _give_up(self, halt: Halt) -> None:
        """Have enough: nothing starts any more, and the loop comes to its end by itself."""
        ends = "running runs are stopped" if halt.at_once else "running runs end by themselves"
        self.outlets.notify(f"taskexp: {halt.reason}; nothing more starts, {ends}")
        self._pool.stop_waiting(f"{halt.reason} before it could start")
        if halt.at_once:
            self._pool.stop_running()

    def _give_up_recording(self, error: JournalError) -> None:
        """Start nothing more, since what came of it could not be recorded; loop, or whoever closes the journal."""
        self.outlets.notify(f"taskexp: {error}")
        if not self.finished:
            self.outlets.notify("taskexp: nothing more starts, running runs end by themselves")
            self._pool.stop_waiting(self.refusal.why or "")
            self.turnstile.notify()

    def _look_again(self) -> None:
        """Nothing came of a signal, or the question of Ctrl-C was answered; loop."""
        self._pool.fill()
        self.turnstile.notify()

    def _suspend(self, ready: Callable[[], None]) -> None:
        """Ctrl-Z: stop the runs, and take the bar off the terminal; loop."""
        self._engine.pause()
        self.outlets.cover(ready)

    def _go_on(self) -> None:
        """The driver goes on after Ctrl-Z; loop."""
        self._engine.resume()
        self.outlets.uncover()
        self._look_again()

    def _arrive_at_stop(self) -> None:
        """Nothing runs any more after a stop: pass the signal on that was its cause, if one was."""
        number = self.interrupt.conclude()
        self.turnstile.notify()
        if self._face == "async":
            previous = self.interrupt.previous
            self.finish()
            if number is not None:
                redeliver(previous.get(number), number)

    # ---- the rest

    def _tick(self) -> None:
        if not self.finished and self.loop is not None:
            self.tally.progress.refresh()
            self.loop.call_later(TICK_SECONDS, self._tick)

    def end_at_exit(self) -> None:
        """Leave nothing behind when the program ends in the middle of the loop."""
        if os.getpid() != self.pid:
            return
        if self.load and self.loop is not None and self.loop.is_running():
            self.post(self.stop)
            self.turnstile.wait(lambda: self.load == 0, EXIT_PATIENCE_SECONDS)
        if self.load:
            self._engine.destroy()
        self.finish()
