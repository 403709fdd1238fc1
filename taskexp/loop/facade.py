"""Facade: the sweep for a plain `for`, on an event loop in a thread of its own (anyio's blocking portal).

It repeats nothing of the sweep: it starts the portal, posts to it, and waits. The caller's own event
loop, if it has one (a notebook), is never used; it is blocked while the facade waits.
"""

import asyncio
import atexit
import os
import queue
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from taskexp.loop.options import ExecuteOptions
from taskexp.loop.run import Run
from taskexp.loop.sweep import Sweep
from taskexp.loop.turnstile import SIGNAL_POLL_SECONDS
from taskexp.run.strand import THREAD_PREFIX, Job, Strand, on_own_thread
from taskexp.run.taps import Lane
from taskexp.words.errors import ExecutableStateError
from taskexp.words.outcome import RunResult

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal


class Mailbox:
    """Runs jobs in the thread that serves it: where a sequential loop's `on_verbose` is called."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.closed = False
        """Whether no more jobs come."""

    def submit(self, turn: Job) -> None:
        """Have a job run by whoever serves."""
        self._jobs.put(turn)

    def serve(self) -> None:
        """Run jobs as they come, until `close`."""
        while (job := self._next()) is not None:
            job()

    def close(self) -> None:
        """Let `serve` return."""
        self.closed = True
        self._jobs.put(None)

    def _next(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=SIGNAL_POLL_SECONDS)
            except queue.Empty:  # the interpreter has had its chance to run a signal handler
                continue


class LoopThread:
    """An event loop in a daemon thread, behind anyio's blocking portal.

    Not `start_blocking_portal`: its generator, collected as garbage on the portal's own thread or in a fork,
    waits for a thread that cannot answer.
    """

    def __init__(self) -> None:
        self._started: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(target=self._run, name=THREAD_PREFIX + "loop", daemon=True)
        self._thread.start()
        self._portal = self._started.result()

    def call(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run a coroutine function there and wait for it."""
        self._portal.call(function)

    def stop(self) -> None:
        """End the event loop and its thread."""
        with suppress(RuntimeError):  # it has ended by itself
            self._portal.call(self._portal.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            import anyio

            anyio.run(self._serve, backend="asyncio")
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        from anyio.from_thread import BlockingPortal

        async with BlockingPortal() as portal:
            self._started.set_result(portal)
            await portal.sleep_until_stopped()


class Facade:
    """Drives a sweep from a thread that runs no event loop for it.

    Args:
        sweep: the core.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._portal: LoopThread | None = None
        self.begun = False
        self.lists_recorded = False
        """Whether the recorded runs that do not run again are wanted, too."""
        self._last: Run | None = None
        self._told = False
        self._portal_lock = threading.RLock()
        """Held to open and shut the portal, and to post: executables may be run by several threads."""
        self._at_exit: Callable[[], None] = _nothing

    def __del__(self) -> None:
        if self._portal is not None:
            self.drop()

    # ---- the loop

    def next_run(self) -> Run | None:
        """Wait for a free slot and hand out the next point; None after the last or after a stop.

        Raises:
            KeyboardInterrupt: Ctrl-C was answered with yes; everything is stopped.
            SystemExit: SIGTERM, SIGHUP or SIGQUIT came; everything is stopped.
            RunFailed: a run with `check=True` did not succeed; everything is stopped.
        """
        if os.getpid() != self.sweep.pid:
            raise ExecutableStateError("this loop belongs to the process that it was forked from; make another one")
        if not self.sweep.finished:
            self.begin()
        if self._last is not None:
            self.sweep.pass_by(self._last)
        self._last = self.await_next(self.sweep.may_yield, self.sweep.take_next, self.sweep.seek)
        return self._last

    def await_next(
        self, ready: Callable[[], bool], take: Callable[[], Run | None], seek: Callable[[], bool] = lambda: True
    ) -> Run | None:
        """Wait until something can be taken; None at the end. Raises as `next_run` does.

        Args:
            ready: tells when to take.
            take: takes it.
            seek: looks for it, for a moment; tells whether it was found. A signal is heard in between.
        """
        sweep = self.sweep
        if sweep.finished:
            # A body that swallows the exception (a bare except) is told once more, out of the loop itself.
            if not self._told:
                self._told = True
                sweep.raise_if_interrupted()
            return None
        sweep.turnstile.wait(ready)
        while not (sweep.stopping or seek()):
            sweep.turnstile.wait(ready)
        run = None if sweep.stopping else take()
        if run is None:
            self.finish()
        return run

    def begin(self) -> None:
        """Take over the signals, show the bar, start the event loop that decides what a signal means."""
        if not self.begun:
            self.sweep.open()
            self.begun = True
            self.sweep.begin("sync", lists_recorded=self.lists_recorded)
            self._start_portal()

    def finish(self) -> None:
        """Wait for the runs that are left and give everything back."""
        sweep = self.sweep
        sweep.turnstile.wait(lambda: sweep.stopped if sweep.stopping else sweep.load == 0 and sweep.interrupt.heard)
        self._told = True
        if sweep.stopping:
            self._leave()
        else:
            self._give_back()
            self.sweep.raise_if_interrupted()  # by a signal that came while the last of all was written
            self._raise_breakdown()

    def close(self) -> None:
        """Stop what is running, and give everything back; a stop that a signal caused stays quiet here."""
        sweep = self.sweep
        if (sweep.finished and self._portal is None) or os.getpid() != sweep.pid:  # a fork: all is the parent's
            return
        if self._last is not None:
            sweep.pass_by(self._last)
        if sweep.load:
            sweep.post(sweep.stop)
            sweep.turnstile.wait(lambda: sweep.load == 0)
        sweep.refusal.stopping = True
        self._give_back()

    def drop(self) -> None:
        """Close because nobody holds the loop any more; on a thread of ours, which must not wait, by another one."""
        if sys.is_finalizing():  # what had to be done was done at exit; now no thread answers any more
            return
        if os.getpid() != self.sweep.pid:  # a fork of the driver: the runs and the signals are the parent's
            return
        if on_own_thread():
            threading.Thread(target=self.close, name="taskexp closes", daemon=True).start()
        else:
            self.close()

    # ---- runs

    def submit(self, run: Run, options: ExecuteOptions) -> None:
        """Hand a run to the pool."""
        self.sweep.claim(run, options)
        if self.sweep.finished and self.sweep.stopping:
            self.sweep.launch(run)  # which starts nothing any more, and needs no event loop to say so
        else:
            self.post(self.sweep.launch, run)

    def perform(self, run: Run, options: ExecuteOptions) -> RunResult:
        """Execute a run to its end; `on_verbose` is called in this thread."""
        mailbox = Mailbox()
        escaped: list[BaseException] = []

        def escape(error: BaseException) -> None:
            escaped.append(error)
            self.post(self.sweep.stop_run, run)

        run.lane = Lane(Strand(mailbox), escape)
        run.served_by = threading.get_ident()
        run.on_over.append(mailbox.close)  # not when it is settled: the next run would find this one in the pool
        self.submit(run, options)
        while not mailbox.closed:
            try:
                mailbox.serve()
            except BaseException as error:  # Ctrl-C where the signal is not ours: after the end of the loop
                escape(error)
        run.served_by = None
        run.lane = None  # which refers to us: without the cycle, dropping the last executable is enough
        if self.sweep.finished:  # a run after the end of the loop: its portal ends with it
            self.sweep.turnstile.wait(lambda: self.sweep.load == 0)
        if escaped:
            raise escaped[0]
        return self.await_result(run)

    def await_result(self, run: Run) -> RunResult:
        """Wait for a run's result. Raises as `next_run` does if the sweep is stopped by a signal meanwhile."""
        sweep = self.sweep
        if run.result is None and (run.served_by == threading.get_ident() or sweep.in_callback()):
            raise ExecutableStateError(
                f"on_verbose cannot wait for a result of its own loop (index {run.point.index}); the run waits for it"
            )
        if run.result is None or sweep.stopping:
            sweep.turnstile.wait(lambda: sweep.stopped or (run.result is not None and not sweep.stopping))
            if not sweep.finished:
                self._leave_if_interrupted()
        if sweep.finished and run.claimed:  # a run after the end of the loop: whoever sees the last one ends the portal
            sweep.turnstile.wait(lambda: run.left)
        with self._portal_lock:
            if sweep.finished and not sweep.load:
                self._stop_portal()
        if run.result is None:
            raise ExecutableStateError(f"the executable of index {run.point.index} has not run; call execute first")
        return run.result

    def post(self, act: Callable[..., object], *arguments: object) -> None:
        """Have something done on the event loop, which is started for it if need be."""
        with self._portal_lock:
            if self._portal is None:
                self._start_portal()
            self.sweep.post(act, *arguments)

    # ---- the end

    def _leave(self) -> None:
        """Everything is stopped: give everything back, then raise what was the cause."""
        self._give_back()
        self.sweep.raise_if_interrupted()
        if self.sweep.failure is not None:
            raise self.sweep.failure
        self._raise_breakdown()

    def _raise_breakdown(self) -> None:
        if (breakdown := self.sweep.refusal.breakdown) is not None:
            raise breakdown

    def _leave_if_interrupted(self) -> None:
        if self.sweep.interrupted:
            self._leave()

    def _give_back(self) -> None:
        self.sweep.finish()
        self._stop_portal()

    def _start_portal(self) -> None:
        self._portal = LoopThread()
        # At the end of the program, while the portal's thread still answers: a finalizer would wait in vain.
        self._at_exit = partial(_end_at_exit, ref(self))
        atexit.register(self._at_exit)
        self._portal.call(self._attach)

    def end_at_exit(self) -> None:
        """Leave nothing behind when the program ends in the middle of the loop, or of a run after it."""
        if os.getpid() != self.sweep.pid:
            return
        try:
            self.sweep.end_at_exit()
        finally:
            self._stop_portal()

    async def _attach(self) -> None:
        self.sweep.attach(asyncio.get_running_loop())

    def _stop_portal(self) -> None:
        with self._portal_lock:
            if self._portal is not None:
                portal, self._portal = self._portal, None
                atexit.unregister(self._at_exit)
                portal.stop()
                self.sweep.rest()


def _end_at_exit(facade: "ref[Facade]") -> None:
    """End a facade that is still there; a weak reference, so that being registered keeps nothing alive."""
    if (alive := facade()) is not None:
        alive.end_at_exit()


def _nothing() -> None:
    return
