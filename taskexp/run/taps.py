"""Taps: what takes a run's output, as bytes or as lines, and carries it to a strand."""

import codecs
import io
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Literal, Protocol, TypeAlias, cast

from taskexp.run.lines import RawLines, split_lines
from taskexp.run.outlet import Outlet
from taskexp.run.spool import Spool
from taskexp.run.strand import Strand
from taskexp.words.moment import local_now

StreamName: TypeAlias = Literal["stdout", "stderr"]
STREAM_NAMES: tuple[StreamName, StreamName] = ("stdout", "stderr")
LineCallback: TypeAlias = Callable[[str, IO[str], datetime], object]
"""The user's function: a line, the stream it came from, and when."""


class StandardStream(io.TextIOBase):
    """Names the stream a line came from: the second argument of `on_verbose`."""

    def __init__(self, name: StreamName) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Either "stdout" or "stderr"."""
        return self._name


class RawTap(Protocol):
    """Takes a run's bytes as they come."""

    strand: Strand

    def push(self, stream: StreamName, data: bytes) -> None:
        """Take the next chunk of a stream."""
        ...

    def finish(self) -> None:
        """Learn that nothing more comes of this attempt."""
        ...

    def note(self, line: str) -> None:
        """Say a line of our own between the lines of the run, where it is a log for people to read."""
        ...


class TextTap(Protocol):
    """Takes a run's text in blocks of whole lines; only a piece of a long line and the last line have no newline."""

    strand: Strand

    def push(self, stream: StreamName, data: str) -> None:
        """Take the next block of a stream."""
        ...

    def note(self, line: str) -> None:
        """Say a line of our own between the lines of the run, where it is a log for people to read."""
        ...


class OutletTap:
    """Writes to a user's stream whatever it is given, until the stream fails in this run."""

    def __init__(self, outlet: Outlet) -> None:
        self.strand = outlet.strand
        self._outlet = outlet
        self._begun = False
        self._failed = False

    def push(self, stream: StreamName, data: str | bytes) -> None:
        """Take text for a text stream, bytes for a binary one."""
        self.strand.put(lambda: self._write(data), len(data))

    def finish(self) -> None:
        """Nothing is held back here."""

    def note(self, line: str) -> None:
        """Say a line, beginning on a fresh one; a binary stream has the run's bytes and nothing else."""
        if self._outlet.is_text:
            self.strand.put(lambda: self._outlet.say(line + "\n"))

    def _write(self, data: str | bytes) -> None:
        if not self._begun:
            self._begun = True
            self._outlet.fresh_line()
        if not self._failed:
            self._failed = not self._outlet.write(data)


class TerminalTap(OutletTap):
    r"""Shows a run on a terminal as it prints, unfinished lines and `\r` redraws included."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(outlet)
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in STREAM_NAMES}

    def push(self, stream: StreamName, data: str | bytes) -> None:
        """Take bytes and show what is whole of their text."""
        if isinstance(data, bytes) and (text := self._decoders[stream].decode(data)):
            super().push(stream, text)


class PrefixedTextTap(OutletTap):
    """Writes each line behind a prefix; a line without an end gets one, so that no two runs share a line."""

    def __init__(self, outlet: Outlet, prefix: str) -> None:
        super().__init__(outlet)
        self._prefix = prefix

    def push(self, stream: StreamName, data: str | bytes) -> None:
        """Take a block of lines."""
        super().push(stream, prefixed(str(data), self._prefix))

    def note(self, line: str) -> None:
        """Say a line behind the prefix."""
        super().note(self._prefix + line)


class PrefixedBytesTap(OutletTap):
    """The same for a binary stream; the bytes of a line stay as they are."""

    def __init__(self, outlet: Outlet, prefix: str) -> None:
        super().__init__(outlet)
        self._prefix = prefix.encode()
        self._lines = {name: RawLines() for name in STREAM_NAMES}

    def push(self, stream: StreamName, data: str | bytes) -> None:
        """Take a chunk and write the lines that it ends."""
        if isinstance(data, bytes):
            for block in self._lines[stream].push(data):
                self._push_lines(stream, block)

    def finish(self) -> None:
        """Write the last lines, which have no newline."""
        for stream in ("stdout", "stderr"):
            if rest := self._lines[stream].finish():
                self._push_lines(stream, rest)

    def _push_lines(self, stream: StreamName, block: bytes) -> None:
        lines = block.removesuffix(b"\n").split(b"\n")
        super().push(stream, b"".join(self._prefix + line + b"\n" for line in lines))


class SpoolTap:
    """Keeps a run's bytes, or its text as UTF-8, for its block.

    Args:
        spool: where they are kept.
        is_text: whether it is for the text streams.
    """

    def __init__(self, spool: Spool, *, is_text: bool) -> None:
        self.strand = spool.strand
        self._spool = spool
        self._is_text = is_text
        self._at_line_start = True

    def push(self, stream: StreamName, data: str | bytes) -> None:
        """Take the next chunk or block."""
        data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self._at_line_start = data.endswith(b"\n")
        self._spool.push(data)

    def finish(self) -> None:
        """Nothing is held back here."""

    def note(self, line: str) -> None:
        """Keep a line for the text streams, beginning on a fresh one."""
        if self._is_text:
            self.push("stdout", line + "\n" if self._at_line_start else f"\n{line}\n")


@dataclass(frozen=True, slots=True)
class Lane:
    """Where the user's functions are called, one at a time.

    Args:
        strand: the thread they have.
        escape: takes a SystemExit or KeyboardInterrupt that one of them raises; None where there is no
            caller to give it to.
    """

    strand: Strand
    escape: Callable[[BaseException], object] | None = None


class CallbackTap:
    """Calls the user's function once per line; the first exception is told, with its traceback.

    Args:
        function: the user's `on_verbose`.
        lane: where it is called.
        notify: says lines to the user.
    """

    def __init__(self, function: LineCallback, lane: Lane, notify: Callable[[str], None]) -> None:
        self.strand = lane.strand
        self._function = function
        self._escape = lane.escape
        self._notify = notify
        self._streams = {name: StandardStream(name) for name in STREAM_NAMES}
        self._escaped = False
        self._failure_told = False

    def push(self, stream: StreamName, data: str) -> None:
        """Take a block of lines."""
        when = local_now()
        self.strand.put(lambda: self._call(split_lines(data), cast(IO[str], self._streams[stream]), when), len(data))

    def note(self, line: str) -> None:
        """Nothing: the user's function gets the lines of the run alone."""

    def _call(self, lines: list[str], stream: IO[str], when: datetime) -> None:
        function, waiting = self._function, iter(lines)
        while not self._escaped:
            try:
                for line in waiting:
                    function(line, stream, when)
                return
            except Exception:  # the user's code decides no run's fate
                self._tell_failure()
            except BaseException as error:
                if self._escape is None:
                    self._tell_failure()
                else:
                    self._escaped = True
                    self._escape(error)

    def _tell_failure(self) -> None:
        if not self._failure_told:
            self._failure_told = True
            self._notify(
                "taskexp: warning: on_verbose raised; the run goes on, and more of this run's failures are not shown\n"
                + traceback.format_exc().rstrip("\n")
            )


def prefixed(block: str, prefix: str) -> str:
    """Put a prefix in front of each line of a block, and a newline behind the last."""
    return "".join(f"{prefix}{line}\n" for line in block.removesuffix("\n").split("\n"))
