"""Cells: how a text stands on a terminal: what of it is seen, how many cells that takes, how much fits."""

import os
import re
import shutil
import unicodedata
from typing import IO

# A sequence that has not come to its end is not seen, either: the rest of it is in the next chunk.
_ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*([@-~]|\Z)|\][^\x07\x1b]*(\x07|\x1b\\)?|[PX^_][^\x1b]*(\x1b\\)?|[ -/]*[0-~])"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)
_HARMLESS = re.compile(r"[\b\n\r]|\x1b\[[0-9;:]*m")
"""Of these, what stays within its row and leaves the terminal as it was, but for colours."""


def visible(text: str) -> str:
    """Return a text without what moves the cursor or colours it."""
    return _ESCAPES.sub("", text)


def tamed(text: str) -> str:
    """Return a text with its colours, without all else that a terminal would obey.

    What moves the cursor, clears the screen, sets the title, asks the terminal something that it answers as if it were
    typed, is left out. Tabs, backspaces and ends of lines stay.
    """
    if not _ESCAPES.search(text):
        return text
    return _ESCAPES.sub(lambda found: found[0] if _HARMLESS.fullmatch(found[0]) else "", text)


def single_row(text: str) -> str:
    """Return what a text shows on one row: no control, no tab, no character that turns or hides others."""
    shown = visible(text.replace("\t", " "))
    return shown if shown.isprintable() else "".join(filter(str.isprintable, shown))


def count_cells(text: str) -> int:
    """Count the cells that a text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def cut(text: str, cells: int) -> str:
    """Return as much of the beginning of a text as fits."""
    if text.isascii():
        return text[: max(cells, 0)]
    for position, character in enumerate(text):
        cells -= _cells_of(character)
        if cells < 0:
            return text[:position]
    return text


def fill(text: str, cells: int) -> str:
    """Cut a text, or put blanks behind it, so that it takes just so many cells."""
    text = cut(text, cells)
    return text + " " * (cells - count_cells(text))


def terminal_size(stream: IO[str]) -> os.terminal_size:
    """Return how many columns and rows a stream's terminal has now.

    Not `shutil.get_terminal_size` first: it believes COLUMNS, which does not follow a window that is resized.
    """
    try:
        size = os.get_terminal_size(stream.fileno())
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return shutil.get_terminal_size()
    return size if size.columns and size.lines else shutil.get_terminal_size()


def may_colour() -> bool:
    """Tell whether the user wants colours on a terminal; see https://no-color.org."""
    return not os.environ.get("NO_COLOR")


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0  # it stands on the one before; the range are vowels and ends of Korean syllables
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
