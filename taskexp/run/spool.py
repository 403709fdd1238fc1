"""Spool: what one run has printed, kept until its block can be written.

A short output stays in memory; a longer one goes to an unnamed temporary file, written on a strand of
its own, so that neither the memory nor the event loop feels its size. What came last waits in memory until there
is enough of it: to hand every chunk to another thread took a fifth longer.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import IO

from taskexp.run.strand import Executor, Strand

MEMORY_BYTES = 1 << 17
"""How much of a run stays in memory."""

MEMORY_CHUNKS = 1000
"""And in how many chunks, which is less than what one system call takes (IOV_MAX)."""

READ_BYTES = 1 << 17
"""What is read at once. Pieces of 1 MiB took twice as long: the allocator asks the system for each."""


class Spool:
    """Bytes in order.

    Args:
        executor: where the temporary file is written.
    """

    def __init__(self, executor: Executor) -> None:
        self.strand = Strand(executor)
        self.error: OSError | None = None
        self._memory: list[bytes] = []
        """What came last."""
        self._memory_bytes = 0
        self._file: IO[bytes] | None = None
        self._end = 0

    def push(self, data: bytes) -> None:
        """Keep `data`; never waits. After a failure of the disk the rest is dropped, and `error` says why."""
        self._memory.append(data)
        self._memory_bytes += len(data)
        if self._memory_bytes > MEMORY_BYTES or len(self._memory) >= MEMORY_CHUNKS:
            chunks, size = self._memory, self._memory_bytes
            self._memory, self._memory_bytes = [], 0
            self.strand.put(lambda: self._spill(chunks, size), size)

    def chunks(self) -> Iterator[bytes]:
        """Read all that was kept, in pieces of bounded size; once the strand has run dry."""
        offset = 0
        while self._file is not None and offset < self._end:
            chunk = os.pread(self._file.fileno(), min(READ_BYTES, self._end - offset), offset)
            offset += len(chunk)
            yield chunk
        yield b"".join(self._memory)

    def close(self) -> None:
        """Give back the memory and the file."""
        self._memory.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, chunks: list[bytes], size: int) -> None:
        if self.error is not None:
            return
        try:
            if self._file is None:
                # Unbuffered: what was written is there to be read by its length, and a full disk shows here.
                self._file = tempfile.TemporaryFile(buffering=0, prefix="taskexp-")  # noqa: SIM115 - closed by close()
            while size:
                written = os.writev(self._file.fileno(), chunks)
                self._end += written
                size -= written
                if size:
                    chunks = [b"".join(chunks)[written:]]
        except OSError as error:
            self.error = error
