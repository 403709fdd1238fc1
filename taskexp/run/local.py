"""Local: the engine of this machine."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import IO

from taskexp.plan.command import Command
from taskexp.run.descendants import ProcessTable
from taskexp.run.devices import usable_cpus
from taskexp.run.engine import Attempt, Output
from taskexp.run.spawn import BusyError, Spawner, StartError
from taskexp.run.strand import ThreadPool
from taskexp.run.supervision import Cause, Supervision, finish
from taskexp.run.watch import Watch
from taskexp.words.outcome import Ending, Status

BUSY_TRIES = 3
BUSY_PAUSE_SECONDS = 0.05

SPAWNERS = 2
"""The threads that start runs while others run. One alone waits as long for each new program as the loop would; with
two, 8 workers at /bin/true made 1.2 times the runs on an idle machine and 3 times on a busy one (2 CPUs)."""


class LocalEngine:
    """Runs commands as child processes on this machine."""

    warnings = ()
    failure = None
    holds_alone = False

    def __init__(self) -> None:
        self._table = ProcessTable()
        self._spawner = Spawner()
        self._spawners = ThreadPool("spawn", SPAWNERS)
        self._wanted: set[Attempt] = set()
        self._supervisions: dict[Attempt, Supervision] = {}
        self._watch: Watch | None = None
        self._null = -1
        """/dev/null, once a run reads it."""
        self._stdin_files: dict[str | bytes, IO[bytes]] = {}
        self._host = socket.gethostname()

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
        while attempt in self._wanted:
            supervision = Supervision(attempt, output, self._watching(), self._host)
            try:
                ending = await self._start_and_supervise(supervision, attempt)
            except BusyError as error:
                if not busy_tries:
                    return Ending.unstarted(Status.not_started, str(error), self._host)
                busy_tries -= 1
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
                continue
            except StartError as error:
                return Ending.unstarted(Status.not_started, str(error), self._host)
            if ending is not None and not supervision.never_ran:
                return ending
        return Ending.unstarted(Status.interrupted, "it was stopped before it could start", self._host)

    def _watching(self) -> Watch:
        """Return what watches the descriptors of runs: there is one per event loop."""
        if self._watch is None or self._watch.loop is not asyncio.get_running_loop():
            self._watch = Watch()
        return self._watch

    async def _start_and_supervise(self, supervision: Supervision, attempt: Attempt) -> Ending | None:
        """See a run from its start to its end; None if it was stopped before. Raises StartError."""
        runs_alone = not self._supervisions
        self._supervisions[attempt] = supervision
        try:
            with self._stdin_of(attempt.command) as stdin:
                if runs_alone:  # nobody is kept waiting
                    supervision.spawn(self._spawner, self._table, stdin)
                else:
                    await self._spawn_aside(supervision, stdin)
            return await supervision.supervise()
        finally:
            supervision.destroy()
            del self._supervisions[attempt]

    async def _spawn_aside(self, supervision: Supervision, stdin: int) -> None:
        """Start a run in another thread: the loop goes on meanwhile. Raises StartError."""
        loop = asyncio.get_running_loop()
        spawned: asyncio.Future[None] = loop.create_future()

        def spawn() -> None:
            try:
                supervision.spawn(self._spawner, self._table, stdin)
            except BaseException as error:
                tell(partial(spawned.set_exception, error))
            else:
                tell(partial(spawned.set_result, None))

        def tell(news: Callable[[], object]) -> None:
            try:
                loop.call_soon_threadsafe(news)
            except RuntimeError:  # the loop has closed: nobody will see to the run
                supervision.destroy()

        self._spawners.submit(spawn)
        try:
            await asyncio.shield(spawned)
        except asyncio.CancelledError:
            supervision.end(Cause.STOPPED)
            await finish(spawned)

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        self._wanted.discard(attempt)
        if supervision := self._supervisions.get(attempt):
            supervision.end(Cause.STOPPED)

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

    def close(self) -> None:
        """Let the threads end, remove the temporary files that held standard input, and close /dev/null."""
        if self._null >= 0:
            os.close(self._null)
            self._null = -1
        self._spawners.close()
        self._spawners = ThreadPool("spawn", SPAWNERS)
        for file in self._stdin_files.values():
            file.close()
        self._stdin_files.clear()

    @contextmanager
    def _stdin_of(self, command: Command) -> Generator[int]:
        """Open what a command reads, while it is being started. Raises StartError."""
        if command.stdin is None:  # the one descriptor serves all
            self._null = _open_null(command) if self._null < 0 else self._null
            yield self._null
            return
        stdin = self._open_stdin(command)
        try:
            yield stdin
        finally:
            os.close(stdin)

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
            raise StartError(f"could not start {command.argv[0]!r}: cannot read its stdin: {error}") from error


def _open_null(command: Command) -> int:
    """Open /dev/null. Raises StartError."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        raise StartError(f"could not start {command.argv[0]!r}: {error.strerror}: {os.devnull}") from error
