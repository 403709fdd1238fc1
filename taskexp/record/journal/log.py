"""Log: the output of one attempt, stdout and stderr, in one file that can be read while the program runs.

The two streams are merged by pieces that end with a newline or, where a program draws its line again, with a carriage
return, so that no line of one stands in a line of the other. The bytes themselves are as they came, but for a newline
between two last lines that have none.
"""

import os

from taskexp.run.strand import Executor, Strand
from taskexp.run.taps import STREAM_NAMES, StreamName

LONGEST_PIECE_BYTES = 1 << 20
"""A line that is longer is written in pieces."""


class Log:
    """The log of one attempt; a tap of its output.

    Args:
        descriptor: the file, open to be written.
        executor: where it is written.
    """

    def __init__(self, descriptor: int, executor: Executor) -> None:
        self.strand = Strand(executor)
        self.error: OSError | None = None
        """Why the rest of the output could not be written."""
        self._descriptor = descriptor
        self._begun = False
        self._unended: dict[StreamName, bytes] = dict.fromkeys(STREAM_NAMES, b"")

    def push(self, stream: StreamName, data: bytes) -> None:
        """Take the next chunk of a stream."""
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1  # a last \r may be half of \r\n
        rest = self._unended[stream]
        if not cut and len(rest) + len(data) <= LONGEST_PIECE_BYTES:
            self._unended[stream] = rest + data
            return
        cut = cut or len(data)
        self._unended[stream] = data[cut:]
        self._put(rest + data[:cut])

    def finish(self) -> None:
        """Write the last lines, which have no newline; where both streams have one, the first is given it."""
        rests = [self._unended[stream] for stream in STREAM_NAMES if self._unended[stream]]
        self._unended = dict.fromkeys(STREAM_NAMES, b"")
        if rests:
            self._put(b"\n".join(rests))

    def note(self, line: str) -> None:
        """Nothing: the log has the output of one attempt and nothing else."""

    def close(self) -> None:
        """Close the file once all is written."""
        self.finish()
        if self._begun:
            self.strand.put(self._close)
        else:
            self._close()

    def _put(self, data: bytes) -> None:
        self._begun = True
        self.strand.put(lambda: self._write(data), len(data))

    def _write(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.error = error

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_log(path: str) -> int:
    """Make the file of a log and return its descriptor; one that is there belongs to no attempt of this journal."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
