"""Supervision: one run on this machine, from its start to the last of its processes.

A run always ends: by itself, by its timeouts, or by being stopped. The order at the end is: the exit is
seen, what is in the pipes is read within a bound, the child is reaped, what it left behind is stopped.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import TypeVar

from taskexp.run.clock import Clock
from taskexp.run.descendants import ProcessTable
from taskexp.run.engine import Attempt, Output
from taskexp.run.launch import Launch
from taskexp.run.outflow import DRAIN_SILENCE_SECONDS, Outflow
from taskexp.run.process import Child
from taskexp.run.spawn import Spawner
from taskexp.run.strand import Executor
from taskexp.run.watch import Watch
from taskexp.run.watchdog import Ward
from taskexp.words.moment import local_now
from taskexp.words.outcome import Ending, Status

END_OF_PIPES_SECONDS = 0.05
"""How long the ends of the pipes are waited for before an exit is looked into. They come with it, or as soon as a run
beside it that is being started has let go of its copies of the driver's descriptors."""

KILL_PATIENCE_SECONDS = 2.0
"""How long a killed tree has to be gone; a process in an uninterruptible sleep may stay longer."""

T = TypeVar("T")


class Cause(Enum):
    """Why a run comes to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    WENT_SILENT = "went silent"
    STOPPED = "stopped"


class Supervision:
    """One run on this machine, from its start to the last of its processes."""

    _ended = 0.0
    _exit_seen: asyncio.Event | None = None
    _has_exited = False
    _is_starting = False
    """Whether another thread is starting the child."""
    _start_over: asyncio.Event | None = None
    _unwatch: Callable[[], None] | None = None

    def __init__(
        self,
        attempt: Attempt,
        output: Output,
        watch: Watch,
        clock: Clock,
        ward: Ward,
        table: ProcessTable,
        host: str,
    ) -> None:
        self._attempt = attempt
        self._host = host
        self._watch = watch
        self._loop = watch.loop
        self._clock = clock
        self._ward = ward
        self._launch = Launch(attempt, ward, table, clock)
        self._outflow = Outflow(output, watch, clock, self._saw_end_of_pipes)
        self._cause: asyncio.Future[Cause] = self._loop.create_future()
        self._alarm = watch.alarm
        self._deadlines: dict[Cause, float] = {}
        """When which end is due, on the clock."""

    # ---- start

    def prepare(self, spawner: Spawner, stdin: int, *, closes_stdin: bool) -> None:
        """Make ready; see `Launch.prepare`."""
        self._launch.prepare(spawner, stdin, closes_stdin=closes_stdin)

    def start(self) -> None:
        """Start the child here and now. Raises StartError."""
        self._launch.go()
        self._begin()

    def start_aside(self, executor: Executor) -> None:
        """Start it in another thread, which may take a while, as the loop goes on. `supervise` raises its errors."""
        self._is_starting = True
        executor.submit(self._start_in_thread)

    def _start_in_thread(self) -> None:
        failure: BaseException | None = None
        try:
            self._launch.go()
        except BaseException as error:
            failure = error
        try:
            self._watch.doorbell.ring(partial(self._end_start, failure))
        except RuntimeError:  # the loop has closed: nobody will see to the run
            self.destroy()

    def _end_start(self, failure: BaseException | None) -> None:
        """Learn on the loop how a start in another thread ended."""
        self._is_starting = False
        if self._start_over is not None:
            self._start_over.set()
        if failure is None:
            try:
                self._begin()
                return
            except BaseException as error:
                failure = error
        if not self._cause.done():
            self._cause.set_exception(failure)

    # ---- the run

    def _begin(self) -> None:
        """Watch the child, once it is started; loop."""
        child, pipes = self._launch.child, self._launch.take_pipes()
        if child is None or pipes is None:  # stopped before it was started, or destroyed
            self.end(Cause.STOPPED)
            return
        self._outflow.open(*pipes)
        self._ward.started(child.pid, child.since_ticks)
        if self._clock.is_held:
            self.pass_on(signal.SIGSTOP)
        if self._attempt.on_start is not None:
            self._attempt.on_start(child.pid)
        self._unwatch = child.watch_exit(self._watch, self._saw_exit)
        limits = self._attempt.limits
        if limits.timeout is not None:
            self._deadlines[Cause.TIMED_OUT] = self._launch.started + limits.timeout
        if limits.idle_timeout is not None:
            self._deadlines[Cause.WENT_SILENT] = self._outflow.last_output + limits.idle_timeout
        self._set_alarm()

    async def supervise(self) -> Ending | None:
        """See the run to its end; None if it came to its end before it was started, or was destroyed.

        Raises:
            StartError: the system could not start it.
        """
        try:
            cause = await self._cause
        except asyncio.CancelledError:
            self._cause = self._loop.create_future()  # the cancellation has struck the one that was waited for
            self.end(Cause.STOPPED)
            cause = self._cause.result()
        if self._is_starting:
            self._start_over = asyncio.Event()
            await finish(self._start_over.wait())
        child = self._launch.child
        if child is None or child.reaped is not None:
            return None
        # Nearly every run has closed its pipes and leaves nobody behind: its end needs no task of its own.
        if cause is Cause.EXITED and self._outflow.is_over and not self._leaves_any_behind(child):
            return self._ending(child, cause, leaked=False, unkillable=False)
        return await finish(self._conclude(child, cause))

    def _leaves_any_behind(self, child: Child) -> bool:
        child.reap()
        return child.left_group_behind()

    def end(self, cause: Cause) -> None:
        """Begin the end; the first cause stands, and an exit that was not noticed yet comes first."""
        if self._cause.done():
            return
        child = self._launch.child
        if child is None:
            self._launch.call_off()
        elif cause is not Cause.EXITED and child.has_exited():
            cause = Cause.EXITED
        self._cause.set_result(cause)

    def _saw_exit(self) -> None:
        self._ended = self._clock.now()
        self._has_exited = True
        if self._exit_seen is not None:
            self._exit_seen.set()
        if self._outflow.is_over:
            self.end(Cause.EXITED)
        else:
            self._deadlines[Cause.EXITED] = self._ended + END_OF_PIPES_SECONDS
            self._set_alarm()

    def _saw_end_of_pipes(self) -> None:
        if self._has_exited:
            self.end(Cause.EXITED)

    def _set_alarm(self) -> None:
        if self._deadlines:
            self._alarm.set(self, min(self._deadlines.values()))

    def wake(self) -> None:
        """End a run whose time is over. One that we have paused ourselves is not silent."""
        now = self._clock.now()
        if (idle_timeout := self._attempt.limits.idle_timeout) is not None:
            if self._outflow.paused:
                self._outflow.last_output = now
            self._deadlines[Cause.WENT_SILENT] = self._outflow.last_output + idle_timeout
        for cause, deadline in self._deadlines.items():
            if deadline <= now:
                self.end(cause)
                return
        self._set_alarm()

    # ---- the end

    async def _conclude(self, child: Child, cause: Cause) -> Ending:
        unkillable = cause is not Cause.EXITED and not await self._stop_tree(child)
        leaked = False
        if not unkillable:
            leaked = await self._drain_and_reap(child) and cause is Cause.EXITED
        self._outflow.close()
        return self._ending(child, cause, leaked=leaked, unkillable=unkillable)

    async def _stop_tree(self, child: Child) -> bool:
        """TERM, a grace, KILL; a stopped process gets CONT to hear the TERM. Returns whether all are gone."""
        asked = self._attempt.ask_to_end is not None and self._attempt.ask_to_end()
        if not asked:
            child.signal_tree(signal.SIGTERM, signal.SIGCONT)
        if await self._gone(child, self._attempt.limits.grace):
            return True
        deadline = self._clock.now() + KILL_PATIENCE_SECONDS
        while self._clock.now() < deadline:
            child.signal_tree(signal.SIGKILL)
            if await self._gone(child, 0.2):
                return True
        return False

    async def _gone(self, child: Child, seconds: float) -> bool:
        """Wait until the child and all its descendants are gone."""
        deadline = self._clock.now() + seconds
        if not self._has_exited:
            self._exit_seen = asyncio.Event()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._exit_seen.wait(), seconds)
        pause = 0.005
        while child.members() or not self._has_exited:
            left = deadline - self._clock.now()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, 0.1)
        return True

    async def _drain_and_reap(self, child: Child) -> bool:
        """Read what is left in the pipes, reap, and stop what was left behind; returns whether there was any."""
        silent = not await self._outflow.drained()
        child.reap()
        if not silent and not child.left_group_behind():
            return False
        self._ward.lingers()
        if not silent and await self._group_ended(child):
            return False
        for _ in range(10):
            child.signal_tree(signal.SIGKILL)
            if not child.members():
                break
            await asyncio.sleep(0.02)
        await self._outflow.drained()
        return True

    async def _group_ended(self, child: Child) -> bool:
        """Give helpers of the program (a resource tracker, a pipe's last reader) a moment to end by themselves."""
        deadline = self._clock.now() + DRAIN_SILENCE_SECONDS
        while child.left_group_behind():
            if self._clock.now() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def pass_on(self, number: int) -> None:
        """Send a signal to all that has not come to its end."""
        self._launch.pass_on(number)

    def kill(self) -> None:
        """Kill what has not come to its end, or is being started."""
        self._launch.kill()

    def destroy(self) -> None:
        """Kill and reap at once what has not come to its end; nothing to do after `supervise`."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._launch.destroy()
        self._outflow.close()
        self._alarm.clear(self)
        self._ward.over()

    # ---- the record

    @property
    def has_started(self) -> bool:
        """Whether there is, or was, a process of it."""
        return self._launch.child is not None

    @property
    def never_ran(self) -> bool:
        """Whether a signal to the driver's group struck the child before it became the program: start it again."""
        child = self._launch.child
        exited = self._cause.done() and self._cause.result() is Cause.EXITED
        return exited and child is not None and child.reaped is not None and child.reaped.never_ran

    def _ending(self, child: Child, cause: Cause, *, leaked: bool, unkillable: bool) -> Ending:
        reaped = child.reap() if child.has_exited() else None
        if not self._has_exited:
            self._ended = self._clock.now()
        returncode = reaped.returncode if reaped else None
        status, error = self._verdict(cause, returncode)
        if unkillable:
            error = f"{error or 'stopped'}; process {child.pid} or a descendant did not even end by SIGKILL"
        return Ending(
            status,
            self._launch.start_time,
            local_now(),
            timedelta(seconds=self._ended - self._launch.started),
            returncode=returncode,
            error=error,
            max_rss_bytes=reaped.max_rss_bytes if reaped else None,
            max_rss_inherited=reaped.max_rss_inherited if reaped else False,
            user_seconds=reaped.user_seconds if reaped else None,
            system_seconds=reaped.system_seconds if reaped else None,
            leaked=leaked,
            host=self._host,
        )

    def _verdict(self, cause: Cause, returncode: int | None) -> tuple[Status, str | None]:
        program, limits = self._attempt.command.argv[0], self._attempt.limits
        match cause:
            case Cause.TIMED_OUT:
                return Status.timed_out, f"{program} ran longer than its timeout of {limits.timeout:g} s"
            case Cause.WENT_SILENT:
                return Status.timed_out, f"{program} printed nothing for {limits.idle_timeout:g} s"
            case Cause.STOPPED:
                return Status.interrupted, f"{program} was stopped"
            case Cause.EXITED if returncode is None:
                return Status.lost, f"the exit status of {program} was taken by somebody else (is SIGCHLD ignored?)"
            case Cause.EXITED:
                return (Status.succeeded if returncode == 0 else Status.failed), None


async def finish(work: Awaitable[T]) -> T:
    """Wait for work that must come to its end, whatever is cancelled meanwhile; the work bounds itself."""
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                raise
