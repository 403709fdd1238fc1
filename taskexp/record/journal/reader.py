"""Reader: the rows of a journal as values, while its sweep runs or after."""

import json
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

_ENDED = "end_time IS NOT NULL"
_LAST = f"AND id IN (SELECT max(id) FROM attempt WHERE {_ENDED} GROUP BY fingerprint)"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class RecordedRun(RunResult):
    """An attempt that has ended, as a journal has it: the fields of a RunResult and some more.

    Attributes:
        fingerprint: the hash of the point's content.
        log_path: the file with its output; it is not there if the attempt did not start.
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
    """Read the attempts that have ended, in the order of their indices.

    Args:
        folder: the journal's.
        attempts: read all of them; else each run's last one.

    Raises:
        JournalError: the journal cannot be read.
    """
    path = folder / FILE_NAME
    last = "" if attempts else _LAST
    query = f"SELECT * FROM attempt WHERE {_ENDED} {last} ORDER BY point_index, id"
    with told(path), closing(connect_to_read(path)) as connection:
        rows = connection.execute(query)
        while batch := rows.fetchmany(_BATCH):
            for row in batch:
                yield _recorded_run(row, folder)


def count_runs(folder: Path, *, attempts: bool = False) -> int:
    """Count what `read_runs` reads. Raises JournalError."""
    path = folder / FILE_NAME
    counted = "*" if attempts else "DISTINCT fingerprint"
    with told(path), closing(connect_to_read(path)) as connection:
        (number,) = connection.execute(f"SELECT count({counted}) FROM attempt WHERE {_ENDED}").fetchone()
    return int(number)


def _recorded_run(row: "sqlite3.Row", folder: Path) -> RecordedRun:
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
        cwd=row["cwd"],
        pid=row["pid"],
    )
