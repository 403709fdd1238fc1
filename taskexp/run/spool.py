"""Spool: what one run has printed, kept until its block can be written.

A short output stays in memory; a longer one goes to an unnamed temporary file, written on a strand of
its own, so that neither the memory nor the event loop feels its size.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import IO

from taskexp.run.strand import Executor, Strand

MEMORY_BYTES = 1 << 16
READ_BYTES = 1 << 20


class Spool:
    """Bytes in order.

    Args:
        executor: where the temporary file is written.
    """

    def __init__(self, executor: Executor) -> None:
        self.strand = Strand(executor)
        self.error: OSError | None = None
        self._memory = bytearray()
        self._spilled = False
        self._file: IO[bytes] | None = None
        self._end = 0

    def push(self, data: bytes) -> None:
        """Keep `data`; never waits. After a failure of the disk the rest is dropped, and `error` says why."""
        if not self._spilled and len(self._memory) + len(data) <= MEMORY_BYTES:
            self._memory += data
            return
        self._spilled = True
        self.strand.put(lambda: self._spill(data), len(data))

    def chunks(self) -> Iterator[bytes]:
        """Read all that was kept, in pieces of bounded size; once the strand has run dry."""
        yield bytes(self._memory)
        offset = 0
        while self._file is not None and offset < self._end:
            chunk = os.pread(self._file.fileno(), min(READ_BYTES, self._end - offset), offset)
            offset += len(chunk)
            yield chunk

    def close(self) -> None:
        """Give back the memory and the file."""
        self._memory.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            if self._file is None:
                # Unbuffered: what was written is there to be read by its length, and a full disk shows here.
                self._file = tempfile.TemporaryFile(buffering=0, prefix="taskexp-")  # noqa: SIM115 - closed by close()
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest) or 0
                self._end += written
                rest = rest[written:]
        except OSError as error:
            self.error = error
