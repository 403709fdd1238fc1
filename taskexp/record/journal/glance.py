"""Glance: how far a sweep is, counted by the database: a million recorded runs take a moment and no memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from taskexp.record.journal.cells import readable
from taskexp.record.journal.database import FILE_NAME, connect_to_read, told
from taskexp.words.outcome import Status

if TYPE_CHECKING:
    import sqlite3

_TOTALS = ", ".join(f"count(*) FILTER (WHERE status = '{status}')" for status in Status)
_COUNTS = f"SELECT count(*) - count(status), {_TOTALS} FROM run"

# There are exactly as many such attempts as runs without a status. They are looked for from the newest on, and no
# further than needed: without the CROSS JOIN sqlite might make an index of all attempts first.
_WITHOUT_OUTCOME = """
SELECT attempt.* FROM attempt CROSS JOIN run
ON run.fingerprint = attempt.fingerprint AND run.attempts = attempt.number
WHERE attempt.duration IS NULL AND run.status IS NULL
ORDER BY attempt.id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """An attempt that has begun, and of which no end is recorded.

    Attributes:
        fingerprint: the hash of the point's content.
        index: its place in the grid.
        repeat: which repeat of its values it is.
        attempt: which attempt it is, from 1.
        params: the point's values.
        argv: the command.
        env: the variables that were added to its environment; the values of secret ones are hidden.
        cwd: the folder that it was started in; None is the driver's.
        slot: the slot that it has.
        devices: what the slot gives it.
        log_path: the file with its output.
        start_time: when it was recorded, a moment before it was started.
    """

    fingerprint: bytes
    index: int
    repeat: int
    attempt: int
    params: Mapping[str, object]
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    slot: int | None
    devices: Mapping[str, str]
    log_path: Path
    start_time: datetime

    @property
    def id(self) -> str:
        """The short hash of the point's content, as `Point.id`."""
        return self.fingerprint.hex()[:16]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a journal has at one moment.

    Attributes:
        counts: the runs that have an outcome, by status; statuses that none has are left out.
        open_runs: the attempts without an end, by index: they run, if their driver lives.
        buried: how many more runs have no outcome, because an earlier driver died while they ran.
        changed: when the journal was last written to.
    """

    counts: Mapping[Status, int]
    open_runs: Sequence[OpenRun]
    buried: int
    changed: datetime


def read_glance(folder: Path) -> Glance:
    """Look how far a sweep is, while it runs or after. Raises JournalError."""
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        changed = _changed(path)
        connection.execute("BEGIN")  # so that the counts and the attempts fit together
        open_count, *counts = map(int, connection.execute(_COUNTS).fetchone())
        rows = connection.execute(_WITHOUT_OUTCOME, (open_count,)).fetchall()
    open_runs = [open_run(row, folder) for row in rows if row["end_time"] is None]
    return Glance(
        {status: count for status, count in zip(Status, counts, strict=True) if count},
        sorted(open_runs, key=lambda run: run.index),
        open_count - len(open_runs),
        changed,
    )


def read_statuses(folder: Path) -> Iterator[tuple[bytes, Status | None]]:
    """Read how each run ended, by the fingerprint of its point; None has no outcome. Raises JournalError."""
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        rows = connection.execute("SELECT fingerprint, status FROM run").fetchall()
    return ((fingerprint, None if status is None else Status(status)) for fingerprint, status in rows)


def open_run(row: "sqlite3.Row", folder: Path) -> OpenRun:
    """Make a value of a row of an attempt that has not ended."""
    with readable(row, folder) as cells:
        return OpenRun(
            fingerprint=cells.blob("fingerprint"),
            index=cells.index(),
            repeat=cells.whole("repeat"),
            attempt=cells.whole("number"),
            params=cells.mapping("params"),
            argv=cells.words("argv"),
            env=cells.texts("env"),
            cwd=cells.json_text_or_none("cwd"),
            slot=cells.whole_or_none("slot"),
            devices=cells.texts("devices"),
            log_path=cells.log(folder),
            start_time=cells.time("begin_time"),
        )


def _changed(path: Path) -> datetime:
    """Tell when a journal was last written to: a reader may make an empty write-ahead log, which says nothing."""
    stats = [path.stat()]
    log = path.with_name(path.name + "-wal")
    stats += [log.stat()] if log.exists() and log.stat().st_size else []
    return datetime.fromtimestamp(max(stat.st_mtime for stat in stats)).astimezone()
