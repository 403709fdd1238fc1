"""Table: rows and columns on their way out: CSV, JSON lines, Markdown, a data frame, Parquet.

The first three need nothing else. pandas and duckdb are imported when they are asked for; the extras `pandas` and
`parquet` install them.
"""

import csv
import io
import json
import math
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from taskexp.words.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

Cell: TypeAlias = str | int | float | bool | datetime | None
"""What stands in a table; times are aware."""


class Table(ABC):
    """Rows and columns."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The names of the columns, in order."""

    @abstractmethod
    def cells(self) -> Iterator[list[Cell]]:
        """Go over the rows, with one cell per column."""

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as CSV (RFC 4180, but with plain newlines): a header, a line per row, nothing for None.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_text(cell) for cell in row] for row in self.cells())
        return _written(text.getvalue(), path)

    def to_jsonl(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as JSON lines: an object per row; NaN and infinities, which JSON has not, are null.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        columns = self.columns
        rows = (dict(zip(columns, map(_json_value, row), strict=True)) for row in self.cells())
        return _written("".join(json.dumps(row) + "\n" for row in rows), path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the table as a Markdown table (the pipe syntax of GitHub), its columns aligned.

        Args:
            path: a file to write, in UTF-8; None writes none.

        Returns:
            The text.
        """
        lines = [[_markdown(name) for name in self.columns]]
        lines += [[_markdown(_short(cell)) for cell in row] for row in self.cells()]
        widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        padded = (" | ".join(map(str.ljust, line, widths)) for line in lines)
        return _written("".join(f"| {line} |\n" for line in padded), path)

    def to_pandas(self) -> "pandas.DataFrame":
        """Make a pandas data frame of the table.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas; pip install 'taskexp[pandas]'") from error
        columns = self.columns
        return pandas.DataFrame(list(self.cells()), columns=columns)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a Parquet file.

        Args:
            path: the file.

        Raises:
            MissingExtraError: duckdb is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("to_parquet needs duckdb; pip install 'taskexp[parquet]'") from error
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
            file.write(self.to_jsonl())
            file.flush()
            with duckdb.connect() as database:
                source = database.read_json(file.name, format="newline_delimited", sample_size=-1)
                source.write_parquet(os.fspath(path))


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return text


def _text(cell: Cell) -> object:
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _json_value(cell: Cell) -> object:
    return None if isinstance(cell, float) and not math.isfinite(cell) else _text(cell)


def _short(cell: Cell) -> str:
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
