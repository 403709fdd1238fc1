"""Excerpt: the last lines of a log, as a terminal would show them, and free of what would do something to it."""

import os
from pathlib import Path

from taskexp.record.plainfile import open_plain
from taskexp.run.cells import visible

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


def last_lines(path: Path, count: int) -> list[str]:
    """Read the last lines of a log; none where there is no log."""
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:  # it did not start, or its log was thrown away
        return []
    return shown_lines(text.removesuffix("\n"))[-count:] if text else []
