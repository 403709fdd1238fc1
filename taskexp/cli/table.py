"""Table: rows and columns for the eye: aligned, cut to the terminal, the status coloured."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from taskexp.cli.text import shorten
from taskexp.record.excerpt import printable
from taskexp.record.order import number_of
from taskexp.record.table import Cell, Sheet, shown
from taskexp.run.cells import count_cells, may_colour
from taskexp.words.outcome import Status

_GAP = "  "
_SHORTEST_TEXT = 10
"""A column of text is not made narrower than this; rather others are left out."""

_SHORTEST_NAME = 16
"""The same of a column of numbers, whose name may be long: `throughput mean` is to be told from `throughput max`."""

_GREEN, _RED, _YELLOW, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_COLOURS: Mapping[str, str] = {
    Status.succeeded: _GREEN,
    Status.failed: _RED,
    Status.timed_out: _RED,
    Status.not_started: _RED,
    Status.lost: _RED,
    Status.interrupted: _YELLOW,
}


@dataclass(frozen=True, slots=True)
class _Column:
    """One column as it is written."""

    name: str
    cells: Sequence[str]
    is_numeric: bool

    @property
    def natural_width(self) -> int:
        return max(map(count_cells, (self.name, *self.cells)))

    @property
    def least_width(self) -> int:
        """How narrow it may be: numbers are never cut."""
        if not self.is_numeric:
            return min(self.natural_width, _SHORTEST_TEXT)
        return max(min(self.natural_width, _SHORTEST_NAME), *map(count_cells, self.cells))


def colours(stream: IO[str]) -> bool:
    """Tell whether a stream is to be given colours: a terminal that knows them, unless NO_COLOR is set."""
    return stream.isatty() and may_colour() and os.environ.get("TERM") != "dumb"


def write_table(sheet: Sheet, width: int | None, *, colour: bool) -> str:
    """Write a table: a header, and a line per row.

    Args:
        sheet: the columns and rows.
        width: how many columns the terminal has: cells are cut, and what does not fit at all is left out from the
            right, which a last line says. None cuts nothing.
        colour: whether a status is coloured.

    Returns:
        Lines, each with its newline.
    """
    columns = [_column(name, [row[place] for row in sheet.rows]) for place, name in enumerate(sheet.columns)]
    widths = [column.natural_width for column in columns] if width is None else _fitted(columns, width)
    shown_columns = columns[: len(widths)]
    lines = [_line([column.name for column in shown_columns], shown_columns, widths, colour=False)]
    for place in range(len(sheet.rows)):
        lines.append(_line([column.cells[place] for column in shown_columns], shown_columns, widths, colour=colour))
    if left_out := [column.name for column in columns[len(widths) :]]:
        lines.append(f"columns not shown: {', '.join(left_out)}; --columns shows them")
    return "".join(f"{line}\n" for line in lines)


def _column(name: str, cells: Sequence[Cell]) -> _Column:
    values = [cell for cell in cells if cell is not None]
    is_numeric = bool(values) and all(type(cell) is not bool and number_of(cell) is not None for cell in values)
    return _Column(printable(name), [_written(cell) for cell in cells], is_numeric)


def _written(cell: Cell) -> str:
    text = shown(cell)
    return text if text.isprintable() else printable(" ".join(text.splitlines()))


def _fitted(columns: Sequence[_Column], width: int) -> list[int]:
    """Choose the widths of as many columns as fit; the first is always among them."""
    count = len(columns)
    while count > 1 and _total([column.least_width for column in columns[:count]]) > width:
        count -= 1
    if count == 1:
        return [min(columns[0].natural_width, max(width, 1))]
    return _narrowed(columns[:count], width)


def _narrowed(columns: Sequence[_Column], width: int) -> list[int]:
    """Choose the widths of columns that fit when all are at their least: the widest give way first."""
    for most in range(width, 0, -1):
        widths = [max(column.least_width, min(column.natural_width, most)) for column in columns]
        if _total(widths) <= width:
            return widths
    return [column.least_width for column in columns]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], *, colour: bool) -> str:
    padded = [_padded(cell, column, width) for cell, column, width in zip(cells, columns, widths, strict=True)]
    if colour:
        padded = [_coloured(text, cell, column) for text, cell, column in zip(padded, cells, columns, strict=True)]
    return _GAP.join(padded).rstrip()


def _coloured(text: str, cell: str, column: _Column) -> str:
    return f"{_COLOURS[cell]}{text}{_PLAIN}" if column.name == "status" and cell in _COLOURS else text


def _padded(cell: str, column: _Column, width: int) -> str:
    text = shorten(cell, width)
    spaces = " " * (width - count_cells(text))
    return spaces + text if column.is_numeric else text + spaces
