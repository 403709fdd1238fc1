"""Local: the engine of this machine."""

import asyncio
import os
import socket
import tempfile
from typing import IO

from taskexp.plan.command import Command
from taskexp.run.descendants import ProcessTable
from taskexp.run.engine import Attempt, Output
from taskexp.run.process import BusyError, StartError
from taskexp.run.supervision import Cause, Supervision
from taskexp.words.outcome import Ending, Status

BUSY_TRIES = 3
BUSY_PAUSE_SECONDS = 0.05


class LocalEngine:
    """Runs commands as child processes on this machine."""

    def __init__(self) -> None:
        self._table = ProcessTable()
        self._wanted: set[Attempt] = set()
        self._supervisions: dict[Attempt, Supervision] = {}
        self._stdin_files: dict[str | bytes, IO[bytes]] = {}
        self._host = socket.gethostname()

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
            supervision = Supervision(attempt, output, self._host)
            try:
                supervision.start(self._table, self._open_stdin(attempt.command))
            except BusyError as error:
                if not busy_tries:
                    return Ending.unstarted(Status.not_started, str(error), self._host)
                busy_tries -= 1
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
                continue
            except StartError as error:
                return Ending.unstarted(Status.not_started, str(error), self._host)
            ending = await self._supervise(attempt, supervision)
            if not supervision.never_ran:
                return ending
        return Ending.unstarted(Status.interrupted, "it was stopped before it could start", self._host)

    async def _supervise(self, attempt: Attempt, supervision: Supervision) -> Ending:
        self._supervisions[attempt] = supervision
        try:
            return await supervision.supervise()
        finally:
            supervision.destroy()
            del self._supervisions[attempt]

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        self._wanted.discard(attempt)
        if supervision := self._supervisions.get(attempt):
            supervision.end(Cause.STOPPED)

    def kill(self) -> None:
        """Kill everything at once; see `Engine.kill`."""
        for supervision in list(self._supervisions.values()):
            supervision.kill()

    def destroy(self) -> None:
        """Kill everything and reap it; see `Engine.destroy`."""
        self.kill()
        for supervision in list(self._supervisions.values()):
            supervision.destroy()

    def close(self) -> None:
        """Remove the temporary files that held standard input."""
        for file in self._stdin_files.values():
            file.close()
        self._stdin_files.clear()

    def _open_stdin(self, command: Command) -> int:
        """Open what the command reads: a file of its own position for every run. Raises StartError."""
        source = command.stdin
        if source is None:
            return os.open(os.devnull, os.O_RDONLY)
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
