"""Sweep: the one core under both faces of the loop.

It owns what a loop has: the place in the grid, the slots, the tasks of the runs, the bar, the signals.
The faces only wait on it. Tasks are plain tasks owned here, never a task group around a yield, so what
the user's body does (break, raise, be cancelled) meets no scope of ours.

"Caller" below is the thread of the user's loop; "loop" is the event loop's. In async code they are one.
"""

import asyncio
import atexit
import os
import signal
import socket
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from taskexp.loop.options import ExecuteOptions, LoopOptions
from taskexp.loop.run import Run
from taskexp.loop.summary import Summary
from taskexp.loop.turnstile import Turnstile
from taskexp.plan.grid import Grid
from taskexp.run.engine import Attempt, Engine
from taskexp.run.interrupt import Handler, Interrupt, Phase, call_handler
from taskexp.run.outlet import Outlets
from taskexp.run.output import run_dry
from taskexp.run.progress import Progress
from taskexp.run.strand import Strand, ThreadPool
from taskexp.run.taps import Lane
from taskexp.run.transcript import BlockTranscript, LineTranscript, LiveTranscript, Transcript
from taskexp.words.errors import PointError, RunFailed
from taskexp.words.outcome import Ending, Status

TICK_SECONDS = 0.5
"""How often the bar's clock moves on although no run has ended."""

EXIT_PATIENCE_SECONDS = 10.0
"""How long the end of the program waits for a graceful stop before it kills."""

Face: TypeAlias = Literal["sync", "async"]


class Sweep:
    """A loop over a grid, while it is alive.

    Args:
        grid: the points.
        options: how to go over them.
        engine: what runs the commands.
    """

    def __init__(self, grid: Grid, options: LoopOptions, engine: Engine) -> None:
        self.options = options
        self.pid = os.getpid()
        self.turnstile = Turnstile()
        self.writers = ThreadPool("writer")
        self._spoolers = ThreadPool("spool", max_threads=2)  # not the writers: streams that are stuck stall no spool
        self.outlets = Outlets(self.writers)
        self.interrupt = Interrupt(self.outlets, self.stop, engine.kill, self.turnstile.notify)
        self.failure: RunFailed | None = None
        self.load = 0
        self.stopping = False
        self.finished = False
        self.loop: AbstractEventLoop | None = None
        self.progress = Progress(self.outlets, grid.size, options.start, shown=False)
        self._grid = grid
        self._engine = engine
        self._callback_thread = ThreadPool("callback", max_threads=1)
        self._lane = Lane(Strand(self._callback_thread))
        self._summary = Summary(grid.size)
        self._position = options.start
        self._load_lock = threading.Lock()
        self._queue: deque[Run] = deque()
        self._tasks: dict[Run, asyncio.Task[None]] = {}
        self._spoken_of: Run | None = None
        self._begun = False
        self._iterating = False
        self._face: Face = "sync"

    # ---- life

    def begin(self, face: Face) -> None:
        """Take over the signals and show the bar; caller."""
        self._face = face
        self._begun = self._iterating = True
        self.interrupt.install()
        if face == "async":
            atexit.register(self.end_at_exit)
        self.progress = Progress(self.outlets, self._grid.size, self.options.start, shown=self.options.use_tqdm)

    def attach(self, loop: AbstractEventLoop) -> None:
        """Learn the event loop; loop."""
        self.loop = loop
        self.interrupt.attach(loop)
        self._tick()

    @property
    def stopped(self) -> bool:
        """Whether the sweep was stopped and nothing runs any more."""
        return self.stopping and self.load == 0

    @property
    def exhausted(self) -> bool:
        """Whether every point was handed out."""
        return self._position >= self._grid.size

    def may_yield(self) -> bool:
        """Tell whether a waiting face has something to do: a slot is free, or all is over."""
        if self.stopping:
            return self.stopped
        return self.exhausted or (self.load < self.options.max_workers and self.interrupt.calm)

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
        self.interrupt.remove()
        self.progress.close()
        if (text := self._summary.text()) is not None:
            self.outlets.notify(text)
        self.writers.close()
        self._callback_thread.close()
        self._spoolers.close()
        self.close_engine()
        atexit.unregister(self.end_at_exit)

    def close_engine(self) -> None:
        """Give back what the engine holds, unless something runs."""
        if not self.load:
            self._engine.close()

    def in_callback(self) -> bool:
        """Tell whether this is the thread that the loop's callbacks are called in."""
        return self._callback_thread.owns_this_thread()

    # ---- points

    def take_next(self) -> Run | None:
        """Hand out the next point, or None after the last; caller."""
        if self.exhausted:
            return None
        run = Run(self._grid.point(self._position), self._new_transcript(self._position))
        self._position += 1
        return run

    def pass_by(self, run: Run) -> None:
        """Learn that the body is done with a run; caller."""
        if run.passed:
            return
        run.passed = True
        if not run.claimed:
            run.transcript.write_said()
            run.counted = True
            self.progress.advance()
        elif run.result is not None:
            self.post(self.turnstile.notify)  # it has ended and waits for this before it writes its block

    def turn_to(self, run: Run) -> None:
        """Learn which run the body speaks of now, after the loop has passed it by; caller.

        What was said of another one that never started is written: it has had its chance to become a block.
        """
        last, self._spoken_of = self._spoken_of, run
        if last is not None and last is not run and last.passed and not last.claimed:
            last.transcript.write_said()
        if self.finished and not run.claimed:
            atexit.unregister(self._write_rest)
            atexit.register(self._write_rest)

    def _write_rest(self) -> None:
        """Write what was said of the last run that never started; at the end of the program."""
        if self._spoken_of is not None and not self._spoken_of.claimed and os.getpid() == self.pid:
            self._spoken_of.transcript.write_said()
            self.writers.close()

    # ---- runs

    def claim(self, run: Run, options: ExecuteOptions) -> None:
        """Take note of `execute`; caller. Raises ExecutableStateError the second time."""
        run.claim(options)
        self.turn_to(run)
        run.transcript.place_output()
        with self._load_lock:
            self.load += 1
        if self.finished and self._face == "async":
            atexit.register(self.end_at_exit)  # a run after the end of the loop is not to outlive the program

    def launch(self, run: Run) -> None:
        """Start a claimed run as soon as there is a slot; loop."""
        if self.stopping:
            self._drop(run, "the loop was stopped before it could start")
            self._release()
        elif len(self._tasks) < self.options.max_workers:
            self._tasks[run] = task = asyncio.ensure_future(self._see_through(run))
            task.add_done_callback(partial(self._end_task, run))
        else:
            self._queue.append(run)

    def stop_run(self, run: Run) -> None:
        """Stop one run; loop."""
        if run in self._queue:
            self._queue.remove(run)
            self._drop(run, "it was cancelled before it could start")
            self._release()
        else:
            self._stop_task(run)

    def stop(self) -> None:
        """Stop everything; loop. `stopped` tells when nothing runs any more."""
        if self.stopping:
            return
        self.stopping = True
        while self._queue:
            run = self._queue.popleft()
            self._drop(run, "the loop was stopped before it could start")
            self._count_down()
        for run in self._tasks:
            self._stop_task(run)
        self.turnstile.notify()
        if self.load == 0:
            self._arrive_at_stop()

    def _stop_task(self, run: Run) -> None:
        run.unwanted = True  # for a task that has not come to start its command yet
        if run.attempt is not None:
            self._engine.stop(run.attempt)

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

    async def _see_through(self, run: Run) -> None:
        """Take a run from its start to the last of its words."""

        def hurried() -> bool:
            return self.stopping or run.unwanted

        ending = await self._execute(run, hurried)
        await run.transcript.end(hurried)
        self._settle(run, ending)
        if self._face == "sync":
            await self.turnstile.arrive(lambda: run.passed or self.stopping)
        await run.transcript.write(hurried)

    def _end_task(self, run: Run, task: "asyncio.Task[None]") -> None:
        """Give the slot back, however the task came to its end."""
        del self._tasks[run]
        error = None if task.cancelled() else task.exception()
        try:
            if error is not None:
                self.outlets.notify(f"taskexp: error: index {run.point.index}: {error!r}; please report this")
            if run.result is None:
                status = Status.lost if error is not None else Status.interrupted
                self._settle(run, Ending.unstarted(status, repr(error) if error else "the event loop was closed"))
        finally:
            for act in run.on_over:
                act()
            self._release()

    def _drop(self, run: Run, why: str) -> None:
        """End a run that was asked for and will not start."""
        run.transcript.write_said()
        self._settle(run, Ending.unstarted(Status.interrupted, why))
        for act in run.on_over:
            act()

    async def _execute(self, run: Run, hurried: Callable[[], bool]) -> Ending:
        options = run.options
        if options is None:
            raise AssertionError("launched before it was claimed")
        lane = run.lane or self._lane
        if not run.point.is_rendered:
            lane.strand.put(run.point.render)
            await run_dry([lane.strand], [], hurried)
        if hurried():
            return Ending.unstarted(Status.interrupted, "it was stopped before it could start")
        try:
            run.attempt = Attempt(run.point.command, options.limits)
        except PointError as error:
            ending = Ending.unstarted(Status.not_started, str(error), socket.gethostname())
        else:
            output = run.transcript.open_output(options.ostreams, options.on_verbose, lane)
            ending = await self._engine.run(run.attempt, output)
        if ending.status is Status.not_started:
            await self._tell_not_started(run, options, ending, hurried)
        elif ending.status is Status.timed_out:
            self.outlets.notify(f"taskexp: index {run.point.index} timed out: {ending.error}")
        return ending

    async def _tell_not_started(
        self, run: Run, options: ExecuteOptions, ending: Ending, hurried: Callable[[], bool]
    ) -> None:
        """Say it where the user looks: in the run's text streams, or else on stderr."""
        line = f"taskexp: index {run.point.index} not started: {ending.error}"
        texts = [stream for stream in options.ostreams if self.outlets.of(stream).is_text]
        if texts:
            run.transcript.say(texts, lambda: line + "\n", wait=False)
            outlets = [self.outlets.of(stream) for stream in texts]
            await run_dry([outlet.strand for outlet in outlets], outlets, hurried)
        else:
            self.outlets.notify(line)

    def _settle(self, run: Run, ending: Ending) -> None:
        """Publish a run's result; loop."""
        run.result = result = run.conclude(ending)
        if self.finished and result.status not in (Status.succeeded, Status.interrupted):
            self.outlets.notify(f"taskexp: index {result.index}, {result.describe()}: {run.command_line()}")
        self._summary.add(result, run.command_line)
        self.progress.count(result.status, advance=not run.counted)
        run.counted = True
        if result.status is not Status.succeeded and run.options is not None and run.options.check:
            self.failure = self.failure or RunFailed(result)
            if self.options.max_workers > 1 and self._face == "sync" and not self.stopping:
                self.stop()
        for act in run.on_settled:
            act()
        self.turnstile.notify()

    def _release(self) -> None:
        """Give a slot back, to the run that waits for one or to the loop; loop."""
        self._count_down()
        if self._queue and not self.stopping:
            self.launch(self._queue.popleft())
        if self.stopped:
            self._arrive_at_stop()
        self.turnstile.notify()
        if self.load == 0 and not self._iterating and self._face == "async":
            self.finish()
            self.close_engine()
            atexit.unregister(self.end_at_exit)

    def _count_down(self) -> None:
        with self._load_lock:
            self.load -= 1

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

    def _new_transcript(self, index: int) -> Transcript:
        if self.options.max_workers == 1:
            return LiveTranscript(self.outlets)
        if self.options.output == "line":
            return LineTranscript(self.outlets, index)
        return BlockTranscript(self.outlets, self._spoolers)

    def _tick(self) -> None:
        if not self.finished and self.loop is not None:
            self.progress.refresh()
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


def interruption(number: int) -> BaseException:
    """Make the exception that a signal stands for: KeyboardInterrupt, or the exit code 128 + N."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def redeliver(handler: Handler, number: int) -> None:
    """Do in async code what the signal did before: asyncio's own handler cancels the main task."""
    if number == signal.SIGTERM and handler == signal.SIG_DFL:
        raise SystemExit(128 + number)
    call_handler(handler, number, None)
