"""Drivers: who has run the sweep of a journal, when, where and from which code."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from taskexp.record.journal.database import FILE_NAME, connect_to_read, told

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Driver:
    """One start of a sweep.

    Attributes:
        start_time: when it began.
        end_time: when it ended; None if it runs, or did not come to an end of its own.
        host: the name of the machine.
        pid: its process.
        script: the file that ran; None in an interactive session.
        arguments: its arguments; the values of secrets are hidden.
        cwd: the folder it ran in.
        git_commit: the commit of the script's folder; None without one.
        git_dirty: whether there were changes on top of it; None if nobody knows.
        python: the version of Python.
        taskexp: the version of TaskExp.
    """

    start_time: datetime
    end_time: datetime | None
    host: str
    pid: int
    script: str | None
    arguments: Sequence[str]
    cwd: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    taskexp: str


def read_drivers(folder: Path) -> list[Driver]:
    """Read who has run a sweep, the first one first. Raises JournalError."""
    path = folder / FILE_NAME
    with told(path), closing(connect_to_read(path)) as connection:
        rows = connection.execute("SELECT * FROM driver ORDER BY id").fetchall()
    return [_driver(row) for row in rows]


def _driver(row: "sqlite3.Row") -> Driver:
    return Driver(
        start_time=datetime.fromisoformat(row["start_time"]),
        end_time=None if row["end_time"] is None else datetime.fromisoformat(row["end_time"]),
        host=row["host"],
        pid=row["pid"],
        script=json.loads(row["script"]),
        arguments=json.loads(row["arguments"]),
        cwd=json.loads(row["cwd"]),
        git_commit=row["git_commit"],
        git_dirty=None if row["git_dirty"] is None else bool(row["git_dirty"]),
        python=row["python"],
        taskexp=row["taskexp"],
    )
