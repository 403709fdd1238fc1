"""Schema: the tables of a journal, and the steps from one version of them to the next.

`attempt` has a row per attempt, in the order of their beginnings; `run` has a short row per run, which triggers keep
in step, so that the beginning and the end of an attempt are one statement each. An attempt whose driver died has a
status but no duration: then its run has no status, and runs again.

A journal is known by its `application_id`, its version is the `user_version`. Times are ISO 8601 with their offset,
durations are seconds; what has a structure is JSON, and so is a path, which may hold bytes that are no text. An index
may be larger than an integer of sqlite: its column has no type, and such an index is text.
"""

from collections.abc import Mapping
from typing import TypeAlias

APPLICATION_ID = 0x54457870
"""What says that a file is a journal: "TExp"."""

VERSION = 2

Steps: TypeAlias = Mapping[int, str]
"""By version, the statements that make the next version of it."""

STEPS: Steps = {1: "ALTER TABLE attempt ADD COLUMN worker TEXT;"}

LARGEST_INT = (1 << 63) - 1
"""The largest integer of sqlite."""

TABLES = """
CREATE TABLE driver (
    id INTEGER PRIMARY KEY,
    first_attempt INTEGER NOT NULL,
    start_time TEXT NOT NULL,
    end_time TEXT,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    pid_namespace INTEGER NOT NULL,
    script TEXT NOT NULL,
    arguments TEXT NOT NULL,
    cwd TEXT NOT NULL,
    git_commit TEXT,
    git_dirty INTEGER,
    python TEXT NOT NULL,
    taskexp TEXT NOT NULL
);
CREATE TABLE run (
    fingerprint BLOB PRIMARY KEY,
    status TEXT,
    attempts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL REFERENCES run,
    number INTEGER NOT NULL,
    driver INTEGER NOT NULL REFERENCES driver,
    point_index NOT NULL,
    repeat INTEGER NOT NULL,
    params TEXT NOT NULL,
    argv TEXT NOT NULL,
    env TEXT NOT NULL,
    cwd TEXT NOT NULL,
    slot INTEGER,
    devices TEXT NOT NULL,
    log TEXT NOT NULL,
    begin_time TEXT NOT NULL,
    pid INTEGER,
    status TEXT,
    returncode INTEGER,
    error TEXT,
    start_time TEXT,
    end_time TEXT,
    duration REAL,
    max_rss_bytes INTEGER,
    max_rss_inherited INTEGER,
    user_seconds REAL,
    system_seconds REAL,
    leaked INTEGER,
    host TEXT,
    metrics TEXT,
    worker TEXT
);
CREATE TRIGGER attempt_begins AFTER INSERT ON attempt BEGIN
    INSERT OR REPLACE INTO run VALUES (new.fingerprint, NULL, new.number);
END;
CREATE TRIGGER attempt_ends AFTER UPDATE OF duration ON attempt BEGIN
    UPDATE run SET status = new.status WHERE fingerprint = new.fingerprint AND attempts = new.number;
END;
"""
