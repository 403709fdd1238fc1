"""Text: what a journal holds, written so that it fits a terminal and does nothing to it."""

import os
import sys
from typing import IO

from taskexp.run.cells import count_cells, cut

ELLIPSIS = "…"


def shorten(text: str, width: int) -> str:
    """Shorten a text to some cells of a terminal, with an ellipsis for what is left out."""
    if count_cells(text) <= width:
        return text
    return cut(text, width - 1) + ELLIPSIS if width > 0 else ""


def say(line: str) -> None:
    """Write a line to stderr; that it cannot be written ends nothing."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        divert(sys.stderr)


def divert(stream: IO[str]) -> None:
    """Have a stream that takes nothing any more write to nowhere, so that its last flush does not fail, too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def write_out(text: str) -> None:
    """Write to stdout, with escapes for what its encoding has not."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
