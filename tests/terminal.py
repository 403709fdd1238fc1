"""A real terminal for a program under test: a pseudo-terminal, with an emulator that keeps the screen."""

import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

# A session leader without a terminal gets the first one that it opens as its controlling terminal.
_TAKE_TERMINAL = """
import os, sys
tty = os.open(sys.argv[1], os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(tty, descriptor)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Terminal:
    """Runs a Python script in a terminal of its own; everything waits with a generous bound."""

    def __init__(self, script: Path, *arguments: str, columns: int = 100, rows: int = 40) -> None:
        self._master, slave = os.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        take_terminal = [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, os.ttyname(slave)]
        command = [*take_terminal, sys.executable, str(script), *arguments]
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
        self.process = subprocess.Popen(command, start_new_session=True, env=environ, cwd=script.parent)
        self._slave = slave
        self._stream = pyte.ByteStream(screen := pyte.HistoryScreen(columns, rows, history=5000))
        self._screen = screen
        self.raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._master >= 0:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as somebody who closes its window."""
        os.close(self._slave)
        os.close(self._master)
        self._slave = self._master = -1

    @property
    def rows(self) -> list[str]:
        """All rows that hold text, scrolled ones included."""
        top = ["".join(line[column].data for column in sorted(line)) for line in self._screen.history.top]
        return [row.rstrip() for row in [*top, *self._screen.display] if row.strip()]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window; the program gets SIGWINCH. This emulator cuts rows off where others wrap them."""
        self._screen.resize(rows, columns)
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type as a person does: "\\x03" is Ctrl-C."""
        os.write(self._master, text.encode())

    def read_until(self, text: str, count: int = 1, seconds: float = 30) -> None:
        """Read until the raw output holds `text` so many times."""
        self._read(lambda: self.raw.count(text.encode()) >= count, f"{text!r} x {count}", seconds)

    def read_row(self, holds: str, seconds: float = 30) -> None:
        """Read until the screen shows a row that holds a text."""
        self._read(lambda: any(holds in row for row in self.rows), f"a row with {holds!r}", seconds)

    def read_last_row(self, beginning: str, seconds: float = 30) -> None:
        """Read until the last row of the screen begins with a text."""
        self._read(lambda: self.rows[-1:] and self.rows[-1].startswith(beginning), f"last row {beginning!r}", seconds)

    def read_screen(self, holds: Callable[[list[str]], bool], seconds: float = 30) -> None:
        """Read until the rows of the screen are as wanted: what is drawn in several writes may be seen in between."""
        self._read(lambda: holds(self.rows), "such a screen", seconds)

    def wait(self, seconds: float = 30) -> int:
        """Read on until the program has ended; returns its exit code."""
        self._read(lambda: self.process.poll() is not None, "the end of the program", seconds)
        self._pump(0.05)
        return self.process.wait()

    def _read(self, holds, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {seconds} s; the terminal shows:\n{self.text}")
            self._pump(0.02)

    def _pump(self, seconds: float) -> None:
        while select.select([self._master], [], [], seconds)[0]:
            data = os.read(self._master, 65536)
            self.raw += data
            self._stream.feed(data)
            seconds = 0
