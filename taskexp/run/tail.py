"""Tail: the last of what a run has printed, in flat memory."""

from collections import deque

TAIL_BYTES = 1 << 16


class Tail:
    """The last 64 KiB of stdout and stderr together, as they came."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def push(self, chunk: bytes) -> None:
        """Take the next chunk of either stream."""
        chunk = chunk[-TAIL_BYTES:]
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= TAIL_BYTES:
            self._size -= len(self._chunks.popleft())

    def text(self) -> str:
        """Return what is kept, whatever is no UTF-8 replaced."""
        return b"".join(self._chunks)[-TAIL_BYTES:].decode("utf-8", "replace")

    def clear(self) -> None:
        """Forget everything: another attempt begins."""
        self._chunks.clear()
        self._size = 0
