"""Outlet: one stream of the user's, written in order on its own strand.

What the user's stream does (block, raise, be closed) stays its own affair: a failure is told once, and
costs the rest of that run's output on that stream. The run and the other streams go on.
"""

import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, Any
from weakref import WeakValueDictionary

from taskexp.run.cells import tamed
from taskexp.run.screen import Screen
from taskexp.run.strand import Executor, Job, Strand
from taskexp.words.errors import ArgumentTypeError

RECENT = 32
"""How many idle streams are remembered, for where their last line ended and whether they failed."""


class Outlet:
    """A user's stream.

    Args:
        stream: anything with `write`.
        strand: where it is written; streams on one terminal share theirs.
        screen: the terminal it is on, if any.
        notify: says a line to the user, for failures.
    """

    def __init__(self, stream: IO[Any], strand: Strand, screen: Screen | None, notify: Callable[[str], None]) -> None:
        self.stream = stream
        self.strand = strand
        self.screen = screen
        self.is_text = is_text(stream)
        self._notify = notify
        self._failure_told = False
        self._stall_told = False
        self._at_line_start = True
        self._write_began: float | None = None

    @property
    def stalled_seconds(self) -> float:
        """How long the stream has been inside one single write, or waiting for a thread to write it, now."""
        began = self._write_began
        return time.monotonic() - began if began is not None else self.strand.starving_seconds

    def write(self, data: str | bytes) -> bool:
        """Write a run's output; on the strand only. Returns False if the stream failed."""
        return self._guard(self._write, data)

    def say(self, text: str) -> bool:
        """Write lines of our own, beginning on a fresh line; on the strand only. A name in them does no harm."""
        return not text or (self._guard(self._say, tamed(text)) and self.flush())

    def fresh_line(self) -> bool:
        """End an unfinished line of a text stream, so that no two runs share a line; on the strand only."""
        return not self.is_text or self._guard(self._end_line, "")

    def flush(self) -> bool:
        """Flush the stream, if it can; on the strand only."""
        return self._guard(self._flush, "")

    def tell_stall(self) -> None:
        """Tell once that nobody waits for this stream any more."""
        if not self._stall_told and self.stream is not sys.stderr:
            self._stall_told = True
            self._notify(
                f"taskexp: warning: the stream {self._name} takes nothing any more; going on, "
                "what it is owed is written when it wakes up"
            )

    @property
    def _name(self) -> str:
        return str(getattr(self.stream, "name", None) or type(self.stream).__name__)

    def _guard(self, act: Callable[[Any], None], data: str | bytes) -> bool:
        self._write_began = time.monotonic()
        try:
            act(data)
        except Exception as error:  # whatever a user's stream raises is its own failure, not the run's
            self._tell_failure(error)
            return False
        finally:
            self._write_began = None
        return True

    def _write(self, data: Any) -> None:
        if self.screen is not None and self.is_text:
            self.screen.write(self.stream, data)
            return
        if self.is_text:
            self._write_text(data)
        else:
            _write_all(self.stream, data)
        if data:
            self._at_line_start = data[-1:] in ("\n", b"\n")
        if not self.strand.waiting:
            self._flush(data)

    def _say(self, text: Any) -> None:
        self._end_line(text)
        self._write(text if self.is_text else text.encode("utf-8", "surrogateescape"))

    def _end_line(self, _: object) -> None:
        at_line_start = self._at_line_start if self.screen is None else self.screen.at_line_start
        if not at_line_start:
            self._write("\n" if self.is_text else b"\n")

    def _write_text(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def _flush(self, _: object) -> None:
        if (flush := getattr(self.stream, "flush", None)) is not None:
            flush()

    def _tell_failure(self, error: Exception) -> None:
        if self._failure_told or self.stream is sys.stderr:
            return
        self._failure_told = True
        self._notify(
            f"taskexp: warning: could not write to the stream {self._name}: {type(error).__name__}: {error}; "
            "output to it is lost until it works again, the run and the other streams go on"
        )


class Outlets:
    """The outlets of one sweep, one per stream.

    Args:
        executor: where streams are written.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._by_stream: WeakValueDictionary[int, Outlet] = WeakValueDictionary()
        self._recent: deque[Outlet] = deque(maxlen=RECENT)
        self._lock = threading.RLock()  # again in the same thread: is_text may call the user's write
        self._terminals: dict[int, tuple[Strand, Screen]] = {}

    def of(self, stream: IO[Any]) -> Outlet:
        """Return the outlet of a stream."""
        with self._lock:  # a caller's thread and the event loop's ask; two outlets would write at once
            outlet = self._by_stream.get(id(stream))
            if outlet is None:
                outlet = self._by_stream[id(stream)] = Outlet(stream, *self._place(stream), self.notify)
            if outlet not in self._recent:
                self._recent.append(outlet)
            return outlet

    def notify(self, line: str) -> None:
        """Say a line to the user on stderr, without waiting for it."""
        if (stderr := sys.stderr) is not None:
            outlet = self.of(stderr)
            outlet.strand.put(lambda: outlet.say(line + "\n"))

    def notify_now(self, line: str) -> None:
        """Say a line to the user on stderr, and return when it is written."""
        if (stderr := sys.stderr) is not None:
            outlet = self.of(stderr)
            outlet.strand.perform(lambda: outlet.say(line + "\n"))

    def cover(self, done: Callable[[], None]) -> None:
        """Take the bar and the question off all terminals, then call `done`, on a thread of a terminal's."""
        last: Callable[[Job], None] = _call
        for strand, screen in list(self._terminals.values()):
            strand.put(partial(_guarded, screen.cover))
            last = strand.put
        last(done)

    def uncover(self) -> None:
        """Put them back."""
        for strand, screen in list(self._terminals.values()):
            strand.put(partial(_guarded, screen.uncover))

    def _place(self, stream: IO[Any]) -> tuple[Strand, Screen | None]:
        device = terminal_device(stream)
        if device is None:
            return Strand(self._executor), None
        if device not in self._terminals:
            self._terminals[device] = (Strand(self._executor), Screen())
        return self._terminals[device]


def checked_stream(stream: object, where: str) -> IO[Any]:
    """Refuse what cannot be written to."""
    if not callable(getattr(stream, "write", None)):
        raise ArgumentTypeError(f"{where}: every stream has a write method; {stream!r} has none; give an open file")
    return stream  # type: ignore[return-value]  # all we ever call is write, and flush if it has one


def is_text(stream: object) -> bool:
    """Tell whether a stream takes str; one that does not say is tried with an empty str."""
    if isinstance(stream, io.TextIOBase):
        return True
    if isinstance(stream, io.RawIOBase | io.BufferedIOBase):
        return False
    if isinstance(mode := getattr(stream, "mode", None), str):
        return "b" not in mode
    try:
        stream.write("")  # type: ignore[attr-defined]
    except TypeError:
        return False
    except Exception:  # a stream that fails already will say so at its first real write
        return True
    return True


def _call(job: Job) -> None:
    job()


def _guarded(act: Callable[[], None]) -> None:
    with suppress(OSError, ValueError):  # the terminal has gone; whoever writes to it will meet the same
        act()


def terminal_device(stream: object) -> int | None:
    """Return the device number of the terminal a stream is on, or None."""
    try:
        if not stream.isatty():  # type: ignore[attr-defined]
            return None
        return os.fstat(stream.fileno()).st_rdev  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None


def _write_all(stream: IO[bytes], data: bytes) -> None:
    """Write bytes to a stream that may take only a part of them, as a raw one does."""
    rest = memoryview(data)
    while rest:
        written = stream.write(rest if len(rest) < len(data) else data)
        if not isinstance(written, int) or written >= len(rest):
            return
        rest = rest[written:]
