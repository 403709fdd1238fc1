"""Text: what a journal holds, written so that it fits a terminal and does nothing to it."""

import os
import sys
from pathlib import Path
from typing import IO

from taskexp.record.plainfile import open_plain
from taskexp.run.cells import count_cells, cut, visible

ELLIPSIS = "…"

_TAIL_BYTES = 1 << 16


def printable(text: str) -> str:
    r"""Write what is not to be seen, and what would move the cursor or colour the screen, as escapes such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown_lines(text: str) -> list[str]:
    r"""Return the lines of a program's output as a terminal would have them: colours gone, redrawn ones in the end."""
    states = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [printable(visible(state).expandtabs()) for state in states]


def shorten(text: str, width: int) -> str:
    """Shorten a text to some cells of a terminal, with an ellipsis for what is left out."""
    if count_cells(text) <= width:
        return text
    return cut(text, width - 1) + ELLIPSIS if width > 0 else ""


def last_lines(path: Path, count: int) -> list[str]:
    """Read the last lines of a log; none where there is no log."""
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:  # it did not start, or its log was thrown away
        return []
    return shown_lines(text.removesuffix("\n"))[-count:] if text else []


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
