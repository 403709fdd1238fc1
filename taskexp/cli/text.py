"""Text: what a journal holds, written so that it fits a terminal and does nothing to it."""

import re
import sys

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
ELLIPSIS = "…"


def printable(text: str) -> str:
    r"""Write what is not to be seen, and what would move the cursor or colour the screen, as escapes such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown_lines(text: str) -> list[str]:
    r"""Return the lines of a program's output as a terminal would have them: colours gone, redrawn ones in the end."""
    lines = _ESCAPES.sub("", text.replace("\r\n", "\n")).split("\n")
    return [printable(line.rstrip("\r").rpartition("\r")[2].expandtabs()) for line in lines]


def display_width(text: str) -> int:
    """Count the columns that a text takes on a terminal: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, width: int) -> str:
    """Shorten a text to some columns of a terminal, with an ellipsis for what is left out."""
    if display_width(text) <= width:
        return text
    kept, room = "", width - 1
    for each in text:
        room -= _width(each)
        if room < 0:
            break
        kept += each
    return kept + ELLIPSIS if width > 0 else ""


def write_out(text: str) -> None:
    """Write to stdout, with escapes for what its encoding has not."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _width(character: str) -> int:
    import unicodedata  # only text beyond ASCII needs it

    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
