"""Pipe: one end of a child's output, read while it may be and paused while it may not."""

import os
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

    paused = True
    """Whether it is not read: before the first `resume`, and while nobody could take what comes."""
    closed = False
    """Whether nothing more will come."""
    _overdraft_bytes = 0

    def __init__(self, stream: StreamName, descriptor: int, watch: Watch, owner: Owner) -> None:
        self._owner = owner
        self._stream: StreamName = stream
        self._descriptor = descriptor
        self._watch = watch

    def pause(self) -> None:
        """Stop reading, so that the pipe fills and the program waits."""
        if not (self.closed or self.paused) and self._overdraft_bytes <= 0:
            self.paused = True
            self._watch.remove(self._descriptor)

    def resume(self) -> None:
        """Read, or read on."""
        if self.paused:
            self.paused = False
            self._watch.add(self._descriptor, self._read)

    def overdraw(self, size: int) -> None:
        """Read up to `size` bytes more even if the output is congested: the program is over."""
        self._overdraft_bytes = size
        self.resume()

    def close(self) -> None:
        """Read no more."""
        if self.closed:
            return
        if not self.paused:
            self._watch.remove(self._descriptor)
        self.paused = False
        self.closed = True
        os.close(self._descriptor)
        self._owner.closed()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except InterruptedError:
            return
        except OSError:  # nothing comes out of it any more
            data = b""
        if data:
            self._overdraft_bytes -= len(data)
            self._owner.took(self._stream, data)
        else:
            self.close()
