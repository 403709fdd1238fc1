"""Supervision: one run on this machine, from its start to the last of its processes.

A run always ends: by itself, by its timeouts, or by being stopped. The order at the end is: the exit is
seen, what is in the pipes is read within a bound, the child is reaped, what it left behind is stopped.
"""

import asyncio
import errno
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from taskexp.run.clock import Clock
from taskexp.run.descendants import ProcessTable
from taskexp.run.engine import Attempt, Output
from taskexp.run.pipe import Pipe
from taskexp.run.process import Child, pinned
from taskexp.run.room import is_spare
from taskexp.run.spawn import Spawner, driver_environ, start_error
from taskexp.run.taps import StreamName
from taskexp.run.watch import Watch
from taskexp.run.watchdog import Ward
from taskexp.words.outcome import Ending, Status

END_OF_PIPES_SECONDS = 0.05
"""How long the ends of the pipes are waited for before an exit is looked into. They come with it, or as soon as a run
beside it that is being started has let go of its copies of the driver's descriptors."""

DRAIN_SILENCE_SECONDS = 0.25
"""How long a pipe that outlives the child may be silent before its holder counts as left behind."""

DRAIN_CAP_SECONDS = 1.0
"""How long such a pipe is read at the most, however much comes."""

OVERDRAFT_BYTES = 1 << 20
"""What is read after the exit although a stream is congested: more than a pipe can hold."""

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

    def __init__(self, attempt: Attempt, output: Output, watch: Watch, clock: Clock, ward: Ward, host: str) -> None:
        self._attempt = attempt
        self._output = output
        self._host = host
        self._watch = watch
        self._loop = watch.loop
        self._clock = clock
        self._ward = ward
        self._cause: asyncio.Future[Cause] = self._loop.create_future()
        self._exited = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._pipes: dict[StreamName, Pipe] = {}
        self._start_time = datetime.now().astimezone()
        self._started = self._ended = self._last_output = clock.now()
        self._ends: list[int] = []
        """Both ends of both pipes, while the child is being started: two for its stdout, two for its stderr."""
        self._child: Child | None = None
        self._spawning = threading.Lock()
        self._killed = False
        self._unwatch: Callable[[], None] | None = None
        self._read_all: asyncio.Future[None] | None = None
        """Done once both pipes have come to their end, if anybody waits for that."""

    # ---- start

    def spawn(self, spawner: Spawner, table: ProcessTable, stdin: int) -> None:
        """Start the child unless the run has come to its end before; any thread, and it may take a while.

        Raises:
            StartError: the system could not start it.
        """
        with self._spawning:
            if self._cause.done() or self._killed:
                return
            self._start_time = datetime.now().astimezone()
            self._started = self._clock.now()
            try:
                self._ends += os.pipe()
                self._ends += os.pipe()
                if is_spare(max(self._ends)):
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                self._child = self._start_child(spawner, table, stdin)
            except BaseException as error:
                self._close_ends()
                if isinstance(error, OSError):
                    told = f"could not start {self._attempt.command.argv[0]!r}: {error.strerror}"
                    raise start_error(error, told) from error
                raise
        if self._killed:  # while it was being started
            self.kill()

    def _start_child(self, spawner: Spawner, table: ProcessTable, stdin: int) -> Child:
        command, environ = self._attempt.command, driver_environ()
        for overlay in (command.env, self._attempt.environ):
            environ.update((os.fsencode(name), os.fsencode(value)) for name, value in overlay.items())
        with pinned(self._attempt.cpus):
            ends = self._ends
            ward = self._ward
            return Child(command, spawner, environ, ward=ward, stdin=stdin, stdout=ends[1], stderr=ends[3], table=table)

    def _close_ends(self) -> None:
        while self._ends:
            os.close(self._ends.pop())

    # ---- the run

    async def supervise(self) -> Ending | None:
        """See the run to its end; None if it came to its end before it was started, or was destroyed."""
        child = self._child
        if child is None or not self._ends:
            return None
        stdout, stdout_of_child, stderr, stderr_of_child = self._ends
        self._ends = [stdout_of_child, stderr_of_child]
        self._pipes = {
            "stdout": Pipe("stdout", stdout, self._watch, self),
            "stderr": Pipe("stderr", stderr, self._watch, self),
        }
        self._close_ends()
        self._ward.started(child.pid, child.since_ticks)
        if self._clock.is_held:
            self.pass_on(signal.SIGSTOP)
        if self._attempt.on_start is not None:
            self._attempt.on_start(child.pid)
        self._unwatch = child.watch_exit(self._watch, self._saw_exit)
        self._arm()
        for pipe in self._pipes.values():
            pipe.open()
        try:
            cause = await self._cause
        except asyncio.CancelledError:
            cause = Cause.STOPPED
        if cause is Cause.EXITED and not self._has_read_all:
            await self._meet_end_of_pipes()
        # Nearly every run has closed its pipes and leaves nobody behind: its end needs no task of its own.
        if cause is Cause.EXITED and self._has_read_all and not self._leaves_any_behind(child):
            self._disarm()
            return self._ending(child, cause, leaked=False, unkillable=False)
        return await finish(self._conclude(child, cause))

    async def _meet_end_of_pipes(self) -> None:
        """Wait a moment for the end of both pipes; a cancellation ends that, too."""
        self._read_all = self._loop.create_future()
        timer = self._loop.call_later(END_OF_PIPES_SECONDS, self._read_all.cancel)
        with suppress(asyncio.CancelledError):
            await self._read_all
        timer.cancel()

    @property
    def _has_read_all(self) -> bool:
        return all(pipe.closed for pipe in self._pipes.values())

    def _leaves_any_behind(self, child: Child) -> bool:
        child.reap()
        return child.left_group_behind()

    def end(self, cause: Cause) -> None:
        """Begin the end; the first cause stands, and an exit that was not noticed yet comes first."""
        if self._cause.done():
            return
        if cause is not Cause.EXITED and self._child is not None and self._child.has_exited():
            cause = Cause.EXITED
        self._cause.set_result(cause)

    def took(self, stream: StreamName, chunk: bytes) -> None:
        """Pass on a chunk that a pipe has read, and pause the pipes if the output cannot follow."""
        self._last_output = self._clock.now()
        if not self._output.feed(stream, chunk):
            for pipe in self._pipes.values():
                pipe.pause()
            self._output.when_drained(self._resume_soon)

    def _resume_soon(self) -> None:
        with suppress(RuntimeError):  # the loop has closed: there is nothing to resume
            self._loop.call_soon_threadsafe(self._resume)

    def _resume(self) -> None:
        self._last_output = self._clock.now()
        for pipe in self._pipes.values():
            pipe.resume()

    def _saw_exit(self) -> None:
        self._ended = self._clock.now()
        self._exited.set()
        self.end(Cause.EXITED)

    def _arm(self) -> None:
        limits = self._attempt.limits
        if limits.timeout is not None:
            self._timers.append(self._loop.call_later(limits.timeout, self._check_time, self._started + limits.timeout))
        if limits.idle_timeout is not None:
            self._last_output = self._clock.now()
            self._timers.append(self._loop.call_later(limits.idle_timeout, self._check_silence, limits.idle_timeout))

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _check_time(self, deadline: float) -> None:
        """End a run whose time is over; the clock may have been held, so that it has some left."""
        left = deadline - self._clock.now()
        if left <= 0:
            self.end(Cause.TIMED_OUT)
        else:
            self._timers.append(self._loop.call_later(left, self._check_time, deadline))
            del self._timers[:-2]

    def _check_silence(self, idle_timeout: float) -> None:
        """End a silent run; one that we have paused ourselves is not silent."""
        now = self._clock.now()
        if any(pipe.paused for pipe in self._pipes.values()):
            self._last_output = now
        due = self._last_output + idle_timeout
        if due <= now:
            self.end(Cause.WENT_SILENT)
        else:
            self._timers.append(self._loop.call_later(due - now, self._check_silence, idle_timeout))
            del self._timers[:-2]

    # ---- the end

    async def _conclude(self, child: Child, cause: Cause) -> Ending:
        self._disarm()
        unkillable = cause is not Cause.EXITED and not await self._stop_tree(child)
        leaked = False
        if not unkillable:
            leaked = await self._drain_and_reap(child) and cause is Cause.EXITED
        for pipe in self._pipes.values():
            pipe.close()
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
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._exited.wait(), seconds)
        pause = 0.005
        while child.members() or not self._exited.is_set():
            left = deadline - self._clock.now()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, 0.1)
        return True

    async def _drain_and_reap(self, child: Child) -> bool:
        """Read what is left in the pipes, reap, and stop what was left behind; returns whether there was any."""
        for pipe in self._pipes.values():
            pipe.overdraw(OVERDRAFT_BYTES)
        silent = not await self._drained()
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
        for pipe in self._pipes.values():
            pipe.overdraw(OVERDRAFT_BYTES)
        await self._drained()
        return True

    async def _drained(self) -> bool:
        """Wait for the end of both pipes, while data comes, within the cap."""
        cap = self._clock.now() + DRAIN_CAP_SECONDS
        quiet_since = self._clock.now()
        while not self._has_read_all:
            left = min(max(quiet_since, self._last_output) + DRAIN_SILENCE_SECONDS, cap) - self._clock.now()
            if left <= 0:
                return False
            self._read_all = self._loop.create_future()
            await asyncio.wait([self._read_all], timeout=left)
        return True

    def closed(self) -> None:
        """Learn that a pipe has come to its end."""
        if self._read_all is not None and not self._read_all.done() and self._has_read_all:
            self._read_all.set_result(None)

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
        if self._child is not None and self._child.reaped is None:
            self._child.signal_tree(number)

    def kill(self) -> None:
        """Kill what has not come to its end, or is being started."""
        self._killed = True
        self.pass_on(signal.SIGKILL)

    def destroy(self) -> None:
        """Kill and reap at once what has not come to its end; nothing to do after `supervise`."""
        self._killed = True
        with self._spawning:  # a start that is under way is waited for: then there is a child, or never will be
            pass
        if self._unwatch is not None:
            with suppress(RuntimeError):  # the loop may be closed already
                self._unwatch()
        if self._child is not None and self._child.reaped is None:
            self._child.destroy()
        for pipe in self._pipes.values():
            pipe.close()
        self._close_ends()
        self._ward.over()

    # ---- the record

    @property
    def has_started(self) -> bool:
        """Whether there is, or was, a process of it."""
        return self._child is not None

    @property
    def never_ran(self) -> bool:
        """Whether a signal to the driver's group struck the child before it became the program: start it again."""
        child = self._child
        exited = self._cause.done() and self._cause.result() is Cause.EXITED
        return exited and child is not None and child.reaped is not None and child.reaped.never_ran

    def _ending(self, child: Child, cause: Cause, *, leaked: bool, unkillable: bool) -> Ending:
        reaped = child.reap() if child.has_exited() else None
        if not self._exited.is_set():
            self._ended = self._clock.now()
        returncode = reaped.returncode if reaped else None
        status, error = self._verdict(cause, returncode)
        if unkillable:
            error = f"{error or 'stopped'}; process {child.pid} or a descendant did not even end by SIGKILL"
        return Ending(
            status,
            self._start_time,
            datetime.now().astimezone(),
            timedelta(seconds=self._ended - self._started),
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
