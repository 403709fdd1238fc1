"""History: all attempts of one run, found by its index or its id, and what has come of them since."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from taskexp.record.journal.cells import readable
from taskexp.record.journal.database import FILE_NAME, connect_to_read, told
from taskexp.record.journal.glance import OpenRun, open_run
from taskexp.record.journal.reader import RecordedRun, recorded_run
from taskexp.record.journal.schema import LARGEST_INT
from taskexp.words.errors import ArgumentValueError

if TYPE_CHECKING:
    import sqlite3

AnyRun: TypeAlias = RecordedRun | OpenRun

SHORTEST_ID = 6
"""How many digits of an id name a run."""

_NEWEST_FIRST = "GROUP BY attempt.fingerprint ORDER BY max(attempt.id) DESC"
_BY_INDEX = f"SELECT fingerprint FROM attempt WHERE point_index = ? {_NEWEST_FIRST}"
_BY_ID = "SELECT fingerprint FROM run WHERE substr(hex(fingerprint), 1, ?) = ?"
_ATTEMPTS = (
    "SELECT attempt.*, driver.cwd AS driver_cwd FROM attempt JOIN driver ON driver.id = attempt.driver "
    "WHERE attempt.{} ORDER BY attempt.id"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as a journal has it.

    Attributes:
        row: its row in the journal.
        run: what is recorded of it.
        driver_folder: the folder in which its driver was started.
        has_outcome: whether it came to an end of its own; else it runs, or its driver did not survive it.
    """

    row: int
    run: AnyRun
    driver_folder: str
    has_outcome: bool


@dataclass(frozen=True, slots=True)
class History:
    """The attempts of one run, at least one.

    Attributes:
        attempts: in their order.
        others: the ids of other runs with the same index, from grids that were of another shape.
    """

    attempts: Sequence[Attempt]
    others: Sequence[str]

    def chosen(self, number: int | None) -> Attempt:
        """Return an attempt by its number, the last one for None. Raises ArgumentValueError."""
        if number is None:
            return self.attempts[-1]
        numbers = [attempt.run.attempt for attempt in self.attempts]
        if number not in numbers:
            raise ArgumentValueError(
                f"--attempt: there is no attempt {number} of run {self.attempts[-1].run.index}; "
                f"it has had {', '.join(map(str, numbers))}"
            )
        return self.attempts[numbers.index(number)]


def read_history(folder: Path, wanted: str) -> History:
    """Find the run that has an index, or whose id begins so; of several with one index the newest.

    Args:
        folder: the journal's.
        wanted: an index, or at least 6 digits of an id.

    Raises:
        ArgumentValueError: there is no such run, or more than one id begins so.
        JournalError: the journal cannot be read.
    """
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        found = _found_by_index(connection, wanted) or _found_by_id(connection, wanted)
        if not found:
            raise ArgumentValueError(f"there is no run {wanted}; {_choice(connection)}")
        rows = connection.execute(_ATTEMPTS.format("fingerprint = ?"), (found[0],)).fetchall()
    return History([_attempt(row, folder) for row in rows], [other.hex()[:16] for other in found[1:]])


def read_again(folder: Path, attempt: Attempt) -> Attempt:
    """Look what has come of an attempt. Raises JournalError."""
    (again,) = _read(folder, "id = ?", attempt.row)
    return again


def read_next(folder: Path, attempt: Attempt) -> Attempt | None:
    """Look whether the run of an attempt was tried again after it. Raises JournalError."""
    later = _read(folder, "id > ? AND attempt.fingerprint = ?", attempt.row, attempt.run.fingerprint)
    return later[0] if later else None


def _read(folder: Path, condition: str, *values: object) -> list[Attempt]:
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        rows = connection.execute(_ATTEMPTS.format(condition), values).fetchall()
    return [_attempt(row, folder) for row in rows]


def _found_by_index(connection: "sqlite3.Connection", wanted: str) -> list[bytes]:
    if not wanted.isdecimal():
        return []
    index = wanted.lstrip("0") or "0"  # one that is larger than an integer of sqlite is recorded as text
    is_small = len(index) < 20 and int(index) <= LARGEST_INT
    return [each for (each,) in connection.execute(_BY_INDEX, (int(index) if is_small else index,))]


def _found_by_id(connection: "sqlite3.Connection", wanted: str) -> list[bytes]:
    if len(wanted) < SHORTEST_ID:
        return []
    found = [each for (each,) in connection.execute(_BY_ID, (len(wanted), wanted.upper()))]
    if len(found) > 1:
        ids = ", ".join(sorted(each.hex()[:16] for each in found[:5]))
        raise ArgumentValueError(f"{wanted!r} is the beginning of {len(found)} ids: {ids}; give more of it")
    return found


def _choice(connection: "sqlite3.Connection") -> str:
    count, lowest, highest = connection.execute(
        "SELECT count(DISTINCT point_index), min(point_index), max(point_index) FROM attempt"
    ).fetchone()
    if not count:
        return "nothing is recorded yet"
    span = f"index {lowest}" if count == 1 else f"{count} indices from {lowest} to {highest}"
    return f"recorded is {span}; give one, or {SHORTEST_ID} digits of an id"


def _attempt(row: "sqlite3.Row", folder: Path) -> Attempt:
    run = open_run(row, folder) if row["end_time"] is None else recorded_run(row, folder)
    with readable(row, folder) as cells:
        return Attempt(cells.whole("id"), run, cells.json_text_or_none("driver_cwd") or "", row["duration"] is not None)
