"""Local: the engine of this machine."""

import asyncio
import os
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import IO

from taskexp.plan.command import Command
from taskexp.run.clock import Clock
from taskexp.run.descendants import ProcessTable, family, name_of
from taskexp.run.devices import usable_cpus
from taskexp.run.engine import Attempt, Output
from taskexp.run.spawn import BusyError, ShortageError, Spawner, StartError, start_error
from taskexp.run.strand import ThreadPool
from taskexp.run.supervision import Cause, Supervision
from taskexp.run.watch import Watch
from taskexp.run.watchdog import Watchdog
from taskexp.words.outcome import Ending, Status

BUSY_TRIES = 3
BUSY_PAUSE_SECONDS = 0.05

SHORTAGE_PAUSE_SECONDS = 0.5
"""How long a run that the system has no room for waits for the end of another one before it tries again."""

SHORTAGE_PATIENCE_SECONDS = 60.0
"""How long it tries while no other of ours runs, whose end could make room."""

SPAWNERS = 2
"""How many threads there are that start runs, where others go on: a start takes 0.15 ms on a machine with idle CPUs
and many times that on a busy one, and threads made twice the runs of a loop that waits for each (8 workers at
/bin/true, 2 CPUs). More of them made no more."""


class LocalEngine:
    """Runs commands as child processes on this machine."""

    warnings = ()
    failure = None
    holds_alone = False

    def __init__(self) -> None:
        self.clock = Clock()
        self._table = ProcessTable()
        self._spawner = Spawner()
        self._watchdog = Watchdog(self._spawner)
        self._spawners = ThreadPool("spawn", SPAWNERS)
        self._wanted: set[Attempt] = set()
        self._supervisions: dict[Attempt, Supervision] = {}
        self._watch: Watch | None = None
        self._null = -1
        """/dev/null, once a run reads it."""
        self._stdin_files: dict[str | bytes, IO[bytes]] = {}
        self._host = socket.gethostname()
        self._turns: deque[asyncio.Event] = deque()
        """What the runs wait on that the system had no room for, the longest first."""

    def open(self, changed: Callable[[], object]) -> None:
        """Nothing to get ready; see `Engine.open`."""

    def width(self, wanted: int | None) -> int:
        """As many as are wanted; None is as many as there are CPUs; see `Engine.width`."""
        return wanted or usable_cpus()

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command to its end; see `Engine.run`."""
        self._wanted.add(attempt)
        try:
            return await self._try_until_it_runs(attempt, output)
        finally:
            self._wanted.discard(attempt)

    async def _try_until_it_runs(self, attempt: Attempt, output: Output) -> Ending:
        busy_tries = BUSY_TRIES
        alone_since: float | None = None
        while attempt in self._wanted:
            ward = self._watchdog.take_on()
            watch = self._watching()
            supervision = Supervision(attempt, output, watch, self.clock, ward, self._table, self._host)
            try:
                ending = await self._start_and_supervise(supervision, attempt)
            except BusyError as error:
                if not busy_tries:
                    return Ending.unstarted(Status.not_started, str(error), self._host)
                busy_tries -= 1
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
                continue
            except ShortageError as error:
                now = time.monotonic()
                others_run = any(each.has_started for each in self._supervisions.values())
                alone_since = None if others_run else now if alone_since is None else alone_since
                if alone_since is not None and now - alone_since >= SHORTAGE_PATIENCE_SECONDS:
                    return Ending.unstarted(Status.not_started, str(error), self._host)
                if attempt.on_shortage is not None:
                    attempt.on_shortage(str(error))
                await self._wait_for_room()
                continue
            except StartError as error:
                return Ending.unstarted(Status.not_started, str(error), self._host)
            if ending is not None and not supervision.never_ran:
                return ending
        return Ending.unstarted(Status.interrupted, "it was stopped before it could start", self._host)

    async def _wait_for_room(self) -> None:
        """Wait until a run has ended, whose room is for one that waits, or a while for other programs to make some."""
        turn = asyncio.Event()
        self._turns.append(turn)
        try:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(turn.wait(), SHORTAGE_PAUSE_SECONDS)
        finally:
            if turn in self._turns:
                self._turns.remove(turn)

    def _watching(self) -> Watch:
        """Return what watches the descriptors of runs: there is one per event loop."""
        if self._watch is None or self._watch.loop is not asyncio.get_running_loop():
            self._watch = Watch(self.clock)
        return self._watch

    async def _start_and_supervise(self, supervision: Supervision, attempt: Attempt) -> Ending | None:
        """See a run from its start to its end; None if it was stopped before. Raises StartError."""
        is_alone = self._is_idle()
        self._supervisions[attempt] = supervision
        try:
            stdin = self._stdin_of(attempt.command)
            supervision.prepare(self._spawner, stdin, closes_stdin=stdin != self._null)
            if is_alone:
                supervision.start()
            else:
                supervision.start_aside(self._spawners)
            return await supervision.supervise()
        finally:
            supervision.destroy()
            del self._supervisions[attempt]
            if self._turns and supervision.has_started:
                self._turns.popleft().set()

    def _is_idle(self) -> bool:
        """Tell whether no run goes on: then the event loop may as well wait for a start."""
        return not self._supervisions

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        self._wanted.discard(attempt)
        if supervision := self._supervisions.get(attempt):
            supervision.end(Cause.STOPPED)
        while self._turns:  # one of them may wait for this attempt
            self._turns.popleft().set()

    def pause(self) -> None:
        """Stop all processes and the clock; see `Engine.pause`."""
        self.clock.hold()
        for supervision in self._supervisions.values():
            supervision.pass_on(signal.SIGSTOP)

    def resume(self) -> None:
        """Let all go on; see `Engine.resume`."""
        for supervision in self._supervisions.values():
            supervision.pass_on(signal.SIGCONT)
        self.clock.go_on()

    def forget(self, attempt: Attempt) -> None:
        """Nothing is kept of a run; see `Engine.forget`."""

    def kill(self) -> None:
        """Kill everything at once; see `Engine.kill`."""
        self._wanted.clear()
        for supervision in list(self._supervisions.values()):
            supervision.kill()

    def strike(self, attempt: Attempt) -> None:
        """Kill one run at once, without a grace: nobody waits for it any more."""
        self.stop(attempt)
        if supervision := self._supervisions.get(attempt):
            supervision.kill()

    def destroy(self) -> None:
        """Kill everything and reap it; see `Engine.destroy`."""
        self.kill()
        for supervision in list(self._supervisions.values()):
            supervision.destroy()
        self._watchdog.close()

    def strays(self) -> Mapping[int, str]:
        """Find what runs left running in sessions of their own; see `Engine.strays`."""
        since_ticks, mark = self._watchdog.first_ticks, self._watchdog.mark().encode()
        if since_ticks is None:
            return {}
        left = family(since_ticks, lambda _, markers: any(each.startswith(mark) for each in markers))
        return {each.pid: name_of(each) for each in sorted(left, key=attrgetter("pid"))}

    def close(self) -> None:
        """End the watchdog and the threads, remove the temporary files of standard input, and close what is open."""
        self._watchdog.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._null >= 0:
            os.close(self._null)
            self._null = -1
        self._spawners.close()
        self._spawners = ThreadPool("spawn", SPAWNERS)
        for file in self._stdin_files.values():
            file.close()
        self._stdin_files.clear()

    def _stdin_of(self, command: Command) -> int:
        """Open what a command reads: /dev/null, one for all, or a descriptor of its own. Raises StartError."""
        if command.stdin is not None:
            return self._open_stdin(command)
        if self._null < 0:
            self._null = _open_null(command)
        return self._null

    def _open_stdin(self, command: Command) -> int:
        """Open what the command reads: a file of its own position for every run. Raises StartError."""
        source = command.stdin
        if source is None:
            raise AssertionError("what reads nothing needs no file")
        try:
            if isinstance(source, os.PathLike):
                return os.open(source, os.O_RDONLY)
            if source not in self._stdin_files:
                file = self._stdin_files[source] = tempfile.NamedTemporaryFile(prefix="taskexp-")  # noqa: SIM115
                file.write(source.encode() if isinstance(source, str) else source)
                file.flush()
            return os.open(self._stdin_files[source].name, os.O_RDONLY)
        except OSError as error:
            raise start_error(error, f"could not start {command.argv[0]!r}: cannot read its stdin: {error}") from error


def _open_null(command: Command) -> int:
    """Open /dev/null. Raises StartError."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        raise start_error(error, f"could not start {command.argv[0]!r}: {error.strerror}: {os.devnull}") from error
