"""Pipe: one end of a child's output, read while it may be and paused while it may not."""

import os
from contextlib import suppress
from typing import Protocol

from taskexp.run.taps import StreamName
from taskexp.run.watch import Watch

READ_BYTES = 1 << 16
"""What is read at once: all that a pipe holds, and no more than the allocator has at hand without a system call."""


class Owner(Protocol):
    """What a pipe tells."""

    def took(self, stream: StreamName, chunk: bytes) -> None:
        """Take a chunk that was read."""
        ...

    def closed(self) -> None:
        """Learn that a pipe has come to its end."""
        ...


class Pipe:
    """One of the child's pipes, read in whole chunks when the event loop says that there is something.

    Not asyncio's transport, which makes some eight turns of the event loop of what is one read for most runs.

    Args:
        stream: which of them.
        descriptor: its end here, which is the pipe's to close.
        watch: tells when there is something to read.
        owner: whom the pipe belongs to.
    """

    def __init__(self, stream: StreamName, descriptor: int, watch: Watch, owner: Owner) -> None:
        self._owner = owner
        self._stream: StreamName = stream
        self._descriptor = descriptor
        self._watch = watch
        self._is_watched = False
        self._overdraft_bytes = 0
        self.paused = False
        self.closed = False
        """Whether nothing more will come."""

    def open(self) -> None:
        """Begin to read."""
        self._watch.add(self._descriptor, self._read)
        self._is_watched = True

    def pause(self) -> None:
        """Stop reading, so that the pipe fills and the program waits."""
        if self._is_watched and self._overdraft_bytes <= 0:
            self.paused = True
            self._unwatch()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            self.open()

    def overdraw(self, size: int) -> None:
        """Read up to `size` bytes more even if the output is congested: the program is over."""
        self._overdraft_bytes = size
        self.resume()

    def close(self) -> None:
        """Read no more."""
        self.paused = False
        if self._is_watched:
            with suppress(RuntimeError):  # the loop may be closed already
                self._unwatch()
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)
            self._owner.closed()

    def _unwatch(self) -> None:
        self._is_watched = False
        self._watch.remove(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except InterruptedError:
            return
        except OSError:  # nothing comes out of it any more
            data = b""
        if not data:
            self.close()
            return
        self._overdraft_bytes -= len(data)
        self._owner.took(self._stream, data)
