r"""Screen: one terminal, shared by the bar, the question of Ctrl-C and the lines of the runs.

The bar or the question is the footer, the last row. Lines are written above it: the footer is erased,
the lines go out, the footer is drawn again. A line that has no end yet (a prompt, a program's own
progress redrawn with `\r`) is shown on the row above the footer and brought up to date in place.
Everything here runs on the terminal's one strand, so nothing tears.
"""

import re
import shutil
import sys
from typing import IO, Protocol

_ERASE_ROW = "\r\x1b[2K"
_ROW_UP = "\x1b[1A"
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])|[\x00-\x08\x0a-\x1f\x7f]")


class Footer(Protocol):
    """Something that holds the last row of the terminal."""

    stream: IO[str]

    def draw(self) -> None:
        """Write yourself at the beginning of the row, with no newline."""
        ...

    def finish(self) -> None:
        """Write your last state and end the row."""
        ...


class Screen:
    """The rows of one terminal that we write to."""

    def __init__(self) -> None:
        self._footers: list[Footer] = []
        self._footer_stream: IO[str] = sys.stderr  # the footer's own: a body may replace sys.stderr meanwhile
        self._open_line = ""
        self._open_shown = False

    def write(self, stream: IO[str], text: str) -> None:
        """Write text above the footer; an unfinished last line stays open and can be redrawn."""
        if not self._footers:
            stream.write(text)
            stream.flush()
            self._open_line = _last_state((self._open_line + text).rpartition("\n")[2])
            return
        lines, newline, rest = (self._open_line + text).rpartition("\n")
        self._open_line = _last_state(rest)
        self._erase()
        stream.write(lines + newline)
        self._show_open_line(stream)
        stream.flush()
        self._footers[-1].draw()

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the row that the next text goes to."""
        return not _visible(self._open_line)

    def show(self, footer: Footer) -> None:
        """Let `footer` hold the last row, in front of the one that holds it now."""
        self._footer_stream = footer.stream
        if self._footers:
            self._erase_footer()
        elif _visible(self._open_line):
            self._footer_stream.write("\n")
            self._open_shown = True
        self._footers.append(footer)
        footer.draw()

    def hide(self, footer: Footer) -> None:
        """Take `footer` away; the one behind it is drawn again."""
        if footer not in self._footers:
            return
        self._erase_footer()
        self._footers.remove(footer)
        if self._footers:
            self._footers[-1].draw()
        elif self._open_shown:
            self._open_shown = False
            self._footer_stream.write(_ROW_UP + _ERASE_ROW + self._open_line)
        self._footer_stream.flush()

    def leave_row(self, footer: Footer) -> None:
        """Take `footer` away where the cursor has already gone on to the next row."""
        if footer in self._footers:
            self._footers.remove(footer)
            self._open_shown = False
            if self._footers:
                self._footers[-1].draw()

    def release(self, footer: Footer) -> None:
        """Leave `footer` standing as a finished row, and hold the last row no longer."""
        if footer not in self._footers:
            return
        self._erase_footer()
        self._footers.remove(footer)
        footer.finish()
        self._open_line, self._open_shown = "", False
        if self._footers:
            self._footers[-1].draw()

    def refresh(self, footer: Footer) -> None:
        """Draw `footer` again if it holds the last row."""
        if self._footers and self._footers[-1] is footer:
            footer.draw()

    def _erase(self) -> None:
        self._erase_footer()
        if self._open_shown:
            self._footer_stream.write(_ROW_UP + _ERASE_ROW)
            self._footer_stream.flush()
            self._open_shown = False

    def _erase_footer(self) -> None:
        self._footer_stream.write(_ERASE_ROW)
        self._footer_stream.flush()

    def _show_open_line(self, stream: IO[str]) -> None:
        if shown := _visible(self._open_line)[: shutil.get_terminal_size().columns - 1]:
            stream.write(shown + "\n")
            self._open_shown = True


def _last_state(line: str) -> str:
    r"""Return what a line that is redrawn with `\r` shows now; a final `\r` may become `\r\n`."""
    body = line.rstrip("\r")
    return body.rpartition("\r")[2] + ("\r" if len(body) < len(line) else "")


def _visible(line: str) -> str:
    """Return the text of an open line without what moves the cursor or colours it."""
    return _ESCAPES.sub("", line)
