r"""Lines: bytes from a pipe, cut into lines in linear time and flat memory.

A line ends at `\n`; nothing else ends one. A line that grows past `MAX_LINE_BYTES` without an end
comes in pieces of that size. Only the new chunk is searched for a newline: searching the kept rest
again for each chunk is quadratic, and looks like a hang at a gigabyte.
"""

import codecs

MAX_LINE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18
"""What a pipe's transport reads at once; a larger chunk is taken in parts, so that none holds a whole long line."""


class RawLines:
    """Cuts a stream of chunks into blocks of whole lines, bytes unchanged."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def push(self, chunk: bytes) -> list[bytes]:
        """Take the next chunk; return blocks that each end with a newline or are a full piece."""
        if len(chunk) > CHUNK_BYTES:
            parts = (chunk[start : start + CHUNK_BYTES] for start in range(0, len(chunk), CHUNK_BYTES))
            return [block for part in parts for block in self.push(part)]
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._keep(chunk)
            return self._pieces()
        blocks: list[bytes] = []
        first_end = chunk.find(b"\n") + 1
        if self._rest_bytes + first_end > MAX_LINE_BYTES:
            self._keep(chunk[:first_end])
            blocks += self._pieces()
            chunk, end = chunk[first_end:], end - first_end
        head = self._take() + chunk[:end]
        if end < len(chunk):
            self._keep(chunk[end:])
        return [*blocks, head] if head else blocks

    def finish(self) -> bytes:
        """Return the last line, which has no newline; empty if there is none."""
        return self._take()

    def _keep(self, chunk: bytes) -> None:
        self._rest.append(chunk)
        self._rest_bytes += len(chunk)

    def _take(self) -> bytes:
        rest = b"".join(self._rest)
        self._rest.clear()
        self._rest_bytes = 0
        return rest

    def _pieces(self) -> list[bytes]:
        if self._rest_bytes < MAX_LINE_BYTES:
            return []
        rest = self._take()
        whole = len(rest) - len(rest) % MAX_LINE_BYTES
        if rest[whole:]:
            self._keep(rest[whole:])
        return [rest[start : start + MAX_LINE_BYTES] for start in range(0, whole, MAX_LINE_BYTES)]


class TextLines:
    r"""Cuts a stream of chunks into blocks of text lines, as a log or a callback gets them.

    Lines end with `\n` alone, `\r\n` included. A line that the program redrew with `\r` is its last
    state. Bytes that are no UTF-8 become U+FFFD; a character split between chunks stays whole.
    """

    def __init__(self) -> None:
        self._lines = _RedrawnLines()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, chunk: bytes) -> list[str]:
        """Take the next chunk; return blocks of whole lines, or full pieces of a very long one."""
        return [text for block in self._lines.push(chunk) if (text := self._decoder.decode(_settled(block)))]

    def finish(self) -> str:
        """Return the last line, which has no newline; empty if there is none."""
        return self._decoder.decode(_settled(self._lines.finish()), final=True)


class _RedrawnLines(RawLines):
    r"""Keeps of a line that is being redrawn with `\r` only its last state, so hours of a bar fit."""

    def _keep(self, chunk: bytes) -> None:
        super()._keep(chunk)
        if b"\r" in chunk and not chunk.endswith(b"\n"):
            rest = self._take()
            body = rest.rstrip(b"\r")
            # A \r at the end may be half of \r\n, or start a redraw that has not come: it stays.
            super()._keep(body[body.rfind(b"\r") + 1 :] + (b"\r" if len(body) < len(rest) else b""))


def _settled(block: bytes) -> bytes:
    r"""Bring every line of a block to its last state, with `\n` for `\r\n`."""
    if b"\r" not in block:
        return block
    block = block.replace(b"\r\n", b"\n")
    if b"\r" not in block:
        return block
    return b"\n".join(line.rstrip(b"\r").rpartition(b"\r")[2] for line in block.split(b"\n"))


def split_lines(block: str) -> list[str]:
    r"""Split a block into its lines, each with its `\n`; the last may have none.

    Not `str.splitlines`, which also splits at form feeds, U+2028 and others.
    """
    lines = [line + "\n" for line in block.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines
