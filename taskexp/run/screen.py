r"""Screen: one terminal, shared by the bar, the question of Ctrl-C and the lines of the runs.

The bar with its rows, or the question, is the footer, the last rows. Lines are written above it: the footer
is erased, the lines go out, the footer is drawn again. A line that has no end yet (a prompt, a program's own
progress redrawn with `\r`) is shown on the row above the footer and brought up to date in place.
Everything here runs on the terminal's one strand, so nothing tears.

A driver that is stopped by Ctrl-Z, or goes on in the background, has no footer: the last rows are the shell's. It is
drawn again once the driver is in the foreground.

The cursor rests on the first cell of the footer. When the window is made narrower, most terminals wrap the rows
again and some cut them off; the first cell stays the first cell in both, and all that is ours lies behind it.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from taskexp.run.cells import count_cells, cut, tamed, terminal_size, visible

_ERASE_BELOW = "\x1b[J"
_NO_COLOUR = "\x1b[m"
_NEXT_ROW = "\x1b[K\r\n"
# A row that is wider than we know (the window has just become narrower, a letter is new to us) must not wrap.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"


class Footer(Protocol):
    """Something that holds the last rows of the terminal."""

    stream: IO[str]
    takes_answer: bool
    """Whether the cursor stands behind it, where an answer is typed; it has one row then."""

    def rows(self, columns: int, lines: int) -> Sequence[str]:
        """Write yourself, at least one row, for a terminal of that size; the first row stays when you are released."""
        ...


class Screen:
    """The rows of one terminal that we write to."""

    def __init__(self) -> None:
        self._footers: list[Footer] = []
        self._footer_stream: IO[str] = sys.stderr  # the footer's own: a body may replace sys.stderr meanwhile
        self._drawn = _Drawing("", 0, os.terminal_size((0, 0)))
        self._passed_cells = 0
        """How many cells of the footer the cursor has passed: it stands behind a question, before anything else."""
        self._open_line = ""
        self._open_cells = 0
        """How many cells of the open line are shown on the row above the footer; none is no such row."""
        self._covered = False
        """Whether the footers are off the screen."""
        self._held = False
        """Whether they stay off for now."""

    def write(self, stream: IO[str], text: str) -> None:
        """Write text above the footer; an unfinished last line stays open and can be redrawn."""
        self._look()
        if not self._footers or self._covered:
            stream.write(text)
            stream.flush()
            self._open_line = _last_state((self._open_line + text).rpartition("\n")[2])
            return
        lines, newline, rest = (self._open_line + text).rpartition("\n")
        self._open_line = _last_state(rest)
        self._erase()
        stream.write(_plain_at_end(tamed(lines)) + newline)
        self._show_open_line(stream)
        stream.flush()
        self._draw_again()

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the row that the next text goes to."""
        return not visible(self._open_line)

    def show(self, footer: Footer) -> None:
        """Let `footer` hold the last rows, in front of the one that holds them now."""
        self._footer_stream = footer.stream
        self._covered = self._covered or not is_in_foreground(footer.stream)
        if not self._footers:
            self._make_room()
        self._footers.append(footer)
        self._draw()

    def hide(self, footer: Footer) -> None:
        """Take `footer` away; the one behind it is drawn again."""
        if footer not in self._footers:
            return
        self._footers.remove(footer)
        if self._footers:
            self._draw()
        else:
            self._clear()

    def cover(self) -> None:
        """Take the footers off until `uncover`: the driver is being stopped."""
        self._held = True
        if self._footers:
            self._clear()
        self._covered = True

    def uncover(self) -> None:
        """Let the footers come back: now, or once the driver is in the foreground."""
        self._held = False
        self._look()

    def leave_row(self, footer: Footer) -> None:
        """Take `footer` away where the cursor has already gone on to the next row."""
        if footer in self._footers:
            self._footers.remove(footer)
            self._open_cells = self._passed_cells = 0
            if self._footers:
                self._draw()

    def release(self, footer: Footer) -> None:
        """Leave the first row of `footer` standing, and hold the last rows no longer."""
        if footer not in self._footers:
            return
        self._footers.remove(footer)
        first_row = footer.rows(*terminal_size(footer.stream))[0]
        self._put(self._way_back() + first_row + _ERASE_BELOW + "\n")
        self._open_line, self._open_cells = "", 0
        if self._footers:
            self._draw()

    def refresh(self, footer: Footer) -> None:
        """Draw `footer` again if it holds the last rows."""
        self._look()
        if self._footers and self._footers[-1] is footer:
            self._draw()

    def _look(self) -> None:
        """Put the footers back on if they are off and may be there again."""
        if self._covered and not self._held and is_in_foreground(self._footer_stream):
            self._covered = False
            if self._footers:
                self._make_room()
                self._draw()

    def _make_room(self) -> None:
        """Go to the row below an open line, where there is one."""
        if not self._covered and (cells := count_cells(visible(self._open_line))):
            self._put("\n")
            self._open_cells = cells

    def _clear(self) -> None:
        """Take what stands there off the screen, but for an open line, which is written as it came."""
        if self._covered:
            return
        if self._open_cells:
            self._erase()
            self._put(self._open_line)
        else:
            self._put(self._way_back() + _ERASE_BELOW)

    def _draw(self) -> None:
        """Draw the footer that is in front over whatever stands there, in one piece and erasing nothing first."""
        if self._covered:
            return
        footer = self._footers[-1]
        self._footer_stream = footer.stream
        size = terminal_size(footer.stream)
        rows = footer.rows(*size)
        passed_cells = count_cells(visible(rows[0])) if footer.takes_answer else 0
        self._drawn = _Drawing(_written(rows, stays=footer.takes_answer), passed_cells, size)
        self._put(self._way_back() + self._drawn.text)
        self._passed_cells = passed_cells

    def _draw_again(self) -> None:
        """Draw below lines that were written, as it was: a program that floods pays for no new layout per line."""
        if self._drawn.size != terminal_size(self._footer_stream):
            self._draw()
            return
        self._put(self._drawn.text)
        self._passed_cells = self._drawn.passed_cells

    def _erase(self) -> None:
        """Erase the footer and the open line above it."""
        way = self._way_back()
        if self._open_cells:
            way += f"\x1b[{self._rows_of(self._open_cells)}A"
        self._put(way + _ERASE_BELOW)
        self._open_cells = 0

    def _way_back(self) -> str:
        """Return what moves the cursor to the first cell of the footer."""
        up = self._rows_of(self._passed_cells) - 1
        self._passed_cells = 0
        return f"\r\x1b[{up}A" if up > 0 else "\r"

    def _rows_of(self, cells: int) -> int:
        """Tell how many rows so many cells take; what was one row once may have been wrapped by a narrower window."""
        return -(-cells // terminal_size(self._footer_stream).columns)

    def _put(self, text: str) -> None:
        self._footer_stream.write(text)
        self._footer_stream.flush()

    def _show_open_line(self, stream: IO[str]) -> None:
        if shown := cut(visible(self._open_line), terminal_size(self._footer_stream).columns - 1):
            stream.write(shown + "\n")
            self._open_cells = count_cells(shown)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A footer as it was written last."""

    text: str
    passed_cells: int
    size: os.terminal_size


def is_in_foreground(stream: IO[str], *, otherwise: bool = True) -> bool:
    """Tell whether this process is in the foreground of the terminal that a stream is on.

    Args:
        stream: any stream.
        otherwise: what to say where that is not the terminal of this process's session.
    """
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return otherwise


def _written(rows: Sequence[str], *, stays: bool) -> str:
    """Write rows one below the other, over whatever stands there; the cursor stays behind the last one or goes back."""
    text = _NEXT_ROW.join(rows) + _ERASE_BELOW
    if stays:
        return text
    return _WRAP_OFF + text + (f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else "") + "\r" + _WRAP_ON


def _plain_at_end(text: str) -> str:
    """End the colours of lines, so that the footer has none of them."""
    return text + _NO_COLOUR if "\x1b" in text else text


def _last_state(line: str) -> str:
    r"""Return what a line that is redrawn with `\r` shows now; a final `\r` may become `\r\n`."""
    body = line.rstrip("\r")
    return body.rpartition("\r")[2] + ("\r" if len(body) < len(line) else "")
