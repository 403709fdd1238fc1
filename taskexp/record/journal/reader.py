"""Reader: the rows of a journal as values, while its sweep runs or after."""

import json
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

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
        wanted = _ids(connection, attempts=attempts)
        for at in range(0, len(wanted), _BATCH):
            batch = wanted[at : at + _BATCH]
            found = connection.execute(f"SELECT * FROM attempt WHERE id IN ({','.join('?' * len(batch))})", batch)
            rows = {row["id"]: row for row in found.fetchall()}
            for each in batch:
                yield recorded_run(rows[each], folder)


def _ids(connection: "sqlite3.Connection", *, attempts: bool) -> "array[int]":
    """List the rows of the attempts that have ended, all or the last of each run, in the order of their indices."""
    ended = "WHERE end_time IS NOT NULL"
    last = "" if attempts else f"AND id IN (SELECT max(id) FROM attempt {ended} GROUP BY fingerprint)"
    rows = connection.execute(f"SELECT id FROM attempt {ended} {last} ORDER BY point_index, id")
    return array("q", (number for (number,) in rows))


def recorded_run(row: "sqlite3.Row", folder: Path) -> RecordedRun:
    """Make a value of a row of an attempt that has ended."""
    return RecordedRun(
        status=Status(row["status"]),
        returncode=row["returncode"],
        error=row["error"],
        start_time=datetime.fromisoformat(row["start_time"] or row["begin_time"]),
        end_time=datetime.fromisoformat(row["end_time"]),
        duration=timedelta(seconds=row["duration"] or 0.0),
        max_rss_bytes=row["max_rss_bytes"],
        max_rss_inherited=bool(row["max_rss_inherited"]),
        user_seconds=row["user_seconds"],
        system_seconds=row["system_seconds"],
        leaked=bool(row["leaked"]),
        host=row["host"] or "",
        metrics=json.loads(row["metrics"] or "{}"),
        params=json.loads(row["params"]),
        argv=json.loads(row["argv"]),
        index=int(row["point_index"]),
        repeat=row["repeat"],
        attempt=row["number"],
        slot=row["slot"],
        devices=json.loads(row["devices"]),
        fingerprint=row["fingerprint"],
        log_path=folder / "logs" / row["log"],
        env=json.loads(row["env"]),
        cwd=json.loads(row["cwd"]),
        pid=row["pid"],
        worker=(row["worker"] if "worker" in row.keys() else None) or "",  # noqa: SIM118 - a journal of version 1 has none
    )
