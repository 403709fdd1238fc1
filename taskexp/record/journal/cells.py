"""Cells: what stands in a row of a journal, checked: it may be damaged, or a stranger's.

Nothing of it is trusted: a cell of another type than ours is a JournalError, and a log is a file of the journal's own
folder, whatever its row says.
"""

import json
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from taskexp.words.errors import JournalError

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_LOG = re.compile(r"[\w-][\w.-]*", re.ASCII)
_MISFITS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@contextmanager
def readable(row: "sqlite3.Row", folder: Path) -> Generator["Cells"]:
    """Read the cells of a row; whatever does not fit is a JournalError that names the row."""
    try:
        yield Cells(row)
    except _MISFITS as error:
        number = dict(row).get("id")
        why = str(error) or type(error).__name__
        raise JournalError(f"{folder}: row {number!r} of the journal makes no sense: {why}; put back a copy") from error


class Cells:
    """The cells of one row, by column.

    Args:
        row: as the database has it.
    """

    def __init__(self, row: "sqlite3.Row") -> None:
        self._row = row

    def whole(self, column: str) -> int:
        """Read an int."""
        return _of_type(int, self._row[column], column)

    def whole_or_none(self, column: str) -> int | None:
        """Read an int that may be missing."""
        return None if self._row[column] is None else self.whole(column)

    def seconds_or_none(self, column: str) -> float | None:
        """Read a number that may be missing."""
        return None if self._row[column] is None else _number(self._row[column], column)

    def text(self, column: str) -> str:
        """Read a text."""
        return _of_type(str, self._row[column], column)

    def text_or_none(self, column: str) -> str | None:
        """Read a text that may be missing."""
        return None if self._row[column] is None else self.text(column)

    def blob(self, column: str) -> bytes:
        """Read bytes."""
        return _of_type(bytes, self._row[column], column)

    def time(self, column: str) -> datetime:
        """Read a time with its offset."""
        read = datetime.fromisoformat(self.text(column))
        if read.tzinfo is None:
            raise ValueError(f"{column} has no offset")
        return read

    def index(self) -> int:
        """Read the index of a point, which is a text where it is too large for an integer of sqlite."""
        value = self._row["point_index"]
        return int(value) if isinstance(value, str) else _of_type(int, value, "point_index")

    def mapping(self, column: str) -> Mapping[str, object]:
        """Read a JSON object of plain values."""
        read = cast("dict[str, object]", _of_type(dict, json.loads(self.text(column)), column))
        if deep := [name for name, value in read.items() if isinstance(value, dict | list)]:
            raise TypeError(f"{column} has more than a value at {deep[0]!r}")
        return read

    def texts(self, column: str) -> Mapping[str, str]:
        """Read a JSON object of texts."""
        return {name: _of_type(str, value, column) for name, value in self.mapping(column).items()}

    def numbers(self, column: str) -> Mapping[str, float]:
        """Read a JSON object of numbers; none where there is nothing."""
        if self._row[column] is None:
            return {}
        return {name: _number(value, column) for name, value in self.mapping(column).items()}

    def words(self, column: str) -> Sequence[str]:
        """Read a JSON list of texts."""
        read = cast("list[object]", _of_type(list, json.loads(self.text(column)), column))
        return [_of_type(str, word, column) for word in read]

    def json_text_or_none(self, column: str) -> str | None:
        """Read a JSON text, or null."""
        read = json.loads(self.text(column))
        return None if read is None else _of_type(str, read, column)

    def log(self, folder: Path) -> Path:
        """Read where the log is: in the folder of the logs, by a name of ours."""
        name = self.text("log")
        if not _LOG.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a log")
        return folder / "logs" / name


def _of_type(kind: type[T], value: object, column: str) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{column} is {type(value).__name__}")
    return value


def _number(value: object, column: str) -> float:
    return float(value) if isinstance(value, int | float) else _of_type(float, value, column)
