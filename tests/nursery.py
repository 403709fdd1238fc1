"""Nursery: processes that serve the tests, and end with them, however the tests end."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from waiting import eventually

PROGRAM = Path(__file__).parent / "programs" / "nursery.py"
ROOT = Path(__file__).parent.parent
READY_SECONDS = 60.0


class Nursery:
    """Starts processes that are nobody's children here, so that no test takes them for its own.

    When it is closed, or this process is gone, they are killed with all that they have left behind.

    Args:
        modules: what Python programs that are forked find imported: that is most of their start.
        environ: variables that all have beside ours.
    """

    descriptors: ClassVar[int] = 0
    """How many descriptors those hold that are not closed."""

    def __init__(self, *modules: str, **environ: str) -> None:
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        its_input, requests = os.pipe()
        answers, its_output = os.pipe()
        subprocess.run(
            [sys.executable, str(PROGRAM), *modules],
            stdin=its_input,
            stdout=its_output,
            env=self._environ,
            check=True,
        )
        os.close(its_input)
        os.close(its_output)
        self._requests, self._answers = os.fdopen(requests, "w"), os.fdopen(answers)
        Nursery.descriptors += 2
        self.pid = json.loads(self._answers.readline())

    def start(self, *argv: str, log: Path, **environ: str) -> "Daemon":
        """Start a program in the folder of its log."""
        return self._start(argv, log, environ, is_forked=False)

    def fork(self, *argv: str, log: Path, **environ: str) -> "Daemon":
        """Start what `python ARGV` would, with the modules imported already."""
        return self._start(argv, log, environ, is_forked=True)

    def code_of(self, pid: int) -> int | None:
        """Tell how a process has ended; None if it has not."""
        code = self._ask(pid=pid)
        return code if isinstance(code, int) else None

    def close(self) -> None:
        """Kill everything, and wait until it is gone."""
        self._requests.close()
        while self._answers.read(1):  # it ends with its descriptors
            pass
        self._answers.close()
        Nursery.descriptors -= 2

    def _start(self, argv: tuple[str, ...], log: Path, environ: dict[str, str], is_forked: bool) -> "Daemon":
        environ = {**self._environ, **environ}
        pid = self._ask(argv=argv, log=str(log), environ=environ, is_forked=is_forked)
        return Daemon(self, int(pid), log)

    def _ask(self, **request: object) -> object:
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        return json.loads(self._answers.readline())


class Daemon:
    """A process of a nursery.

    Args:
        nursery: started it.
        pid: its number.
        log: what it says.
    """

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._nursery = nursery

    def says(self, text: str) -> "Daemon":
        """Wait until its log has a text."""
        eventually(lambda: text in self.said(), lambda: f"{text!r} was not said:\n{self.said()}", READY_SECONDS)
        return self

    def said(self) -> str:
        """Read what it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self, seconds: float = READY_SECONDS) -> int:
        """Wait until it has ended; returns its code, -N for a signal."""
        codes: list[int | None] = [None]

        def has_ended() -> bool:
            codes.append(self._nursery.code_of(self.pid))
            return codes[-1] is not None

        eventually(has_ended, lambda: f"it does not end:\n{self.said()}", seconds)
        return codes[-1] or 0

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()
