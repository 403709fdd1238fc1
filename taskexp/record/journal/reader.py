"""Reader: the rows of a journal as values, while its sweep runs or after."""

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from taskexp.record.journal.cells import readable
from taskexp.record.journal.database import FILE_NAME, check, connect_to_read, told
from taskexp.words.outcome import RunResult, Status

if TYPE_CHECKING:
    import sqlite3

_BATCH = 500


@dataclass(frozen=True, slots=True)
class RecordedRun(RunResult):
    """An attempt that has ended, as a journal has it: the fields of a RunResult and some more.

    Attributes:
        fingerprint: the hash of the point's content.
        log_path: the file with its output.
        env: the variables that were added to its environment; the values of secret ones are hidden.
        cwd: the folder that it started in; None is the driver's.
        pid: its process; None if nobody knows.
    """

    fingerprint: bytes = b""
    log_path: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    pid: int | None = None

    @property
    def id(self) -> str:
        """The short hash of the point's content, as `Point.id`."""
        return self.fingerprint.hex()[:16]


def check_readable(folder: Path) -> None:
    """Look whether a folder holds a journal. Raises JournalError."""
    check(folder / FILE_NAME)


def read_runs(folder: Path, *, attempts: bool = False) -> Iterator[RecordedRun]:
    """Read the attempts that have ended, in the order of their indices; what ends meanwhile is not among them.

    No transaction outlives a batch of rows: a reader that takes its time must not hold up a driver, whose log could not
    be carried over, or which could not write at all.

    Args:
        folder: the journal's.
        attempts: read all of them; else each run's last one.

    Raises:
        JournalError: the journal cannot be read.
    """
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        for _, run in _runs(connection, _ids(connection, attempts=attempts), folder):
            yield run


def read_ended(folder: Path, known: Collection[int]) -> list[tuple[int, RecordedRun]]:
    """Read the attempts that have ended, all of them, but for those that are known.

    Args:
        folder: the journal's.
        known: the numbers of their rows.

    Returns:
        The numbers of the rows, which grow in the order in which attempts begin, and the attempts.

    Raises:
        JournalError: the journal cannot be read.
    """
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        wanted = [number for number in _ids(connection, attempts=True) if number not in known]
        return list(_runs(connection, wanted, folder))


def _runs(connection: "sqlite3.Connection", wanted: Sequence[int], folder: Path) -> Iterator[tuple[int, RecordedRun]]:
    for at in range(0, len(wanted), _BATCH):
        batch = wanted[at : at + _BATCH]
        found = connection.execute(f"SELECT * FROM attempt WHERE id IN ({','.join('?' * len(batch))})", batch)
        rows = {row["id"]: row for row in found.fetchall()}
        for each in batch:
            yield each, recorded_run(rows[each], folder)


def _ids(connection: "sqlite3.Connection", *, attempts: bool) -> "array[int]":
    """List the rows of the attempts that have ended, all or the last of each run, in the order of their indices."""
    ended = "WHERE end_time IS NOT NULL"
    last = "" if attempts else f"AND id IN (SELECT max(id) FROM attempt {ended} GROUP BY fingerprint)"
    rows = connection.execute(f"SELECT id FROM attempt {ended} {last} ORDER BY point_index, id")
    return array("q", (number for (number,) in rows))


def recorded_run(row: "sqlite3.Row", folder: Path) -> RecordedRun:
    """Make a value of a row of an attempt that has ended."""
    with readable(row, folder) as cells:
        return RecordedRun(
            status=Status(cells.text("status")),
            returncode=cells.whole_or_none("returncode"),
            error=cells.text_or_none("error"),
            start_time=cells.time("begin_time" if row["start_time"] is None else "start_time"),
            end_time=cells.time("end_time"),
            duration=timedelta(seconds=cells.seconds_or_none("duration") or 0.0),
            max_rss_bytes=cells.whole_or_none("max_rss_bytes"),
            max_rss_inherited=bool(cells.whole_or_none("max_rss_inherited")),
            user_seconds=cells.seconds_or_none("user_seconds"),
            system_seconds=cells.seconds_or_none("system_seconds"),
            leaked=bool(cells.whole_or_none("leaked")),
            host=cells.text_or_none("host") or "",
            metrics=cells.numbers("metrics"),
            params=cells.mapping("params"),
            argv=cells.words("argv"),
            index=cells.index(),
            repeat=cells.whole("repeat"),
            attempt=cells.whole("number"),
            slot=cells.whole_or_none("slot"),
            devices=cells.texts("devices"),
            fingerprint=cells.blob("fingerprint"),
            log_path=cells.log(folder),
            env=cells.texts("env"),
            cwd=cells.json_text_or_none("cwd"),
            pid=cells.whole_or_none("pid"),
            worker=cells.text_or_none("worker") or "" if "worker" in row.keys() else "",  # noqa: SIM118 - not in version 1
        )
