"""Table: rows and columns on their way out: CSV, JSON lines, Markdown, a data frame, Parquet.

The first three need nothing else. pandas and duckdb are imported when they are asked for; the extras `pandas` and
`parquet` install them.
"""

import io
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from taskexp.words.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

Cell: TypeAlias = str | int | float | bool | datetime | None
"""What stands in a table; times are aware."""


class Sheet(NamedTuple):
    """The names of the columns, and rows with one cell per column."""

    columns: list[str]
    rows: list[list[Cell]]


class Table(ABC):
    """Rows and columns."""

    @abstractmethod
    def sheet(self) -> Sheet:
        """Read the names of the columns and all rows at once, so that they fit together while more rows come."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return self.sheet().columns

    def _repr_html_(self) -> str:
        """Show itself in a notebook."""
        return html_table(self.sheet())

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as CSV (RFC 4180, but with plain newlines): a header, a line per row, nothing for None.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        import csv  # most tables are written for the eye

        columns, rows = self.sheet()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")  # so that a \r in a cell is quoted; it ends a line for some
        lines: list[str] = []
        header: list[Cell] = [*columns]
        for row in (header, *rows):
            writer.writerow([_text(cell) for cell in row])
            lines.append(text.getvalue().removesuffix("\r\n") + "\n")
            text.seek(text.truncate(0))
        return written("".join(lines), path)

    def to_jsonl(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as JSON lines: an object per row; NaN and infinities, which JSON has not, are null.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        columns, rows = self.sheet()
        objects = (dict(zip(columns, map(json_value, row), strict=True)) for row in rows)
        return written("".join(json.dumps(each) + "\n" for each in objects), path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as a Markdown table (the pipe syntax of GitHub), its columns aligned.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        columns, rows = self.sheet()
        lines = [[_markdown(name) for name in columns]]
        lines += [[_markdown(shown(cell)) for cell in row] for row in rows]
        widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        padded = (" | ".join(map(str.ljust, line, widths)) for line in lines)
        return written("".join(f"| {line} |\n" for line in padded), path)

    def to_pandas(self) -> "pandas.DataFrame":
        """Make a pandas data frame of the table.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas; pip install 'taskexp[pandas]'") from error
        columns, rows = self.sheet()
        return pandas.DataFrame(rows, columns=columns)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a Parquet file; a column of numbers and text, or of integers beyond 64 bits, is text.

        Args:
            path: the file.

        Raises:
            MissingExtraError: duckdb is not installed.
            OSError: the file cannot be written.
        """
        import tempfile  # it loads much, and little else needs it

        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("to_parquet needs duckdb; pip install 'taskexp[parquet]'") from error
        columns, rows = self.sheet()
        types = {f"c{number}": _sql_type(cells) for number, cells in enumerate(zip(*rows, strict=True))}
        types = types or dict.fromkeys((f"c{number}" for number in range(len(columns))), "VARCHAR")
        named = ", ".join(f"{place} AS {_sql_name(name)}" for place, name in zip(types, columns, strict=True))
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
            for row in rows:
                file.write(json.dumps(dict(zip(types, map(_sql_value, row, types.values()), strict=True))) + "\n")
            file.flush()
            try:
                with duckdb.connect() as database:
                    source = database.read_json(file.name, format="newline_delimited", columns=types)
                    source.project(named).write_parquet(os.fspath(path))
            except duckdb.IOException as error:
                raise OSError(f"{os.fspath(path)}: {error}") from error


def _sql_type(cells: Sequence[Cell]) -> str:
    """Choose the type of a column."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {datetime}:
        return "TIMESTAMPTZ"
    if kinds == {int} and all(abs(cell) < 1 << 63 for cell in cells if isinstance(cell, int)):
        return "BIGINT"
    return "DOUBLE" if kinds == {float} or kinds == {int, float} else "VARCHAR"


def _sql_value(cell: Cell, kind: str) -> object:
    if cell is None or (isinstance(cell, int) and kind != "VARCHAR"):
        return cell
    if isinstance(cell, float) and math.isfinite(cell) and kind == "DOUBLE":
        return cell
    return _valid(str(_text(cell)))  # "nan" is a number for SQL, and JSON has none


def _sql_name(name: str) -> str:
    quoted = _valid(name).replace('"', '""')
    return f'"{quoted}"'


def _valid(text: str) -> str:
    """Write what stands for bytes that are no text as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def written(text: str, path: str | os.PathLike[str] | None) -> str:
    """Write a text to a file, if there is one, in UTF-8; returns the text."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return text


def _text(cell: Cell) -> object:
    return cell.isoformat() if isinstance(cell, datetime) else cell


NOTEBOOK_ROWS = 60
"""How many rows a notebook shows of a table: its first and its last ones."""


def html_table(sheet: Sheet) -> str:
    """Write a table for a notebook; of a long one the first rows and the last."""
    import html  # notebooks alone need it

    rows = [[html.escape(shown(cell)) for cell in row] for row in sheet.rows]
    if left_out := max(0, len(rows) - NOTEBOOK_ROWS):
        half = NOTEBOOK_ROWS // 2
        rows = [*rows[:half], ["…"] * len(sheet.columns), *rows[-half:]]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in sheet.columns)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    told = f"{len(sheet.rows)} rows" + (f", {left_out} of them not shown" if left_out else "")
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<p>{told}</p>"


def chosen_columns(sheet: Sheet, names: Iterable[str]) -> Sheet:
    """Choose columns of a sheet, in their order."""
    places = [sheet.columns.index(name) for name in names]
    return Sheet([sheet.columns[place] for place in places], [[row[place] for place in places] for row in sheet.rows])


def json_value(cell: Cell) -> object:
    """Write a cell so that strict JSON has it: NaN and infinities are null, a time is text."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else _text(cell)


def shown(cell: Cell) -> str:
    """Write a cell for the eye."""
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case float():
            return f"{cell:.6g}"
        case datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case _:
            return str(cell)


def _markdown(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|")
    return " ".join(escaped.splitlines()) if escaped else ""


def table_columns(names: Sequence[str], taken: Sequence[str], kind: str) -> dict[str, str]:
    """Name columns so that none is called like one that is there: `loss`, or `metric:loss`."""
    return {name: f"{kind}:{name}" if name in taken else name for name in names}
