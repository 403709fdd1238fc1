"""Journal: what a driver records of its runs, and what it finds recorded.

A run is known by the fingerprint of its point. A row says so before an attempt starts, and again when it has ended;
an attempt without an end is one that its driver did not survive.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from taskexp.engines.slurm.depot import FOLDER, Depot, kept_runs
from taskexp.plan.values import Value
from taskexp.record.journal.database import FILE_NAME, check, make, migrate, told
from taskexp.record.journal.lock import Lock
from taskexp.record.journal.log import open_log
from taskexp.record.journal.rerun import Rerun
from taskexp.record.journal.schema import LARGEST_INT
from taskexp.record.journal.writer import Entry, Writer
from taskexp.record.provenance import Provenance, find_provenance
from taskexp.run.engine import run_name
from taskexp.run.identity import Identity
from taskexp.run.orphans import stop_orphans
from taskexp.words.counting import counted
from taskexp.words.errors import JournalError
from taskexp.words.moment import local_now
from taskexp.words.outcome import RunResult, Status
from taskexp.words.version import __version__

if TYPE_CHECKING:
    import sqlite3

Done: TypeAlias = Callable[[Any, JournalError | None], object]
"""Told what came of a change, in the journal's thread."""

_encode_any = json.JSONEncoder(separators=(",", ":")).encode
"""In ASCII: lone surrogates, which stand for bytes, survive."""

_BEGIN = (
    "INSERT INTO attempt (fingerprint, number, driver, point_index, repeat, params, argv, env, cwd, slot, devices, "
    "log, begin_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_END = (
    "UPDATE attempt SET pid = ?, status = ?, returncode = ?, error = ?, start_time = ?, end_time = ?, duration = ?, "
    "max_rss_bytes = ?, max_rss_inherited = ?, user_seconds = ?, system_seconds = ?, leaked = ?, host = ?, slot = ?, "
    "metrics = ?, worker = ?, devices = coalesce(?, devices) WHERE id = ?"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for in an attempt; secrets are not in it.

    Args:
        fingerprint: the content of its point.
        index: the place of the point in the grid.
        repeat: which repeat it is.
        params: the values by name.
        argv: the words of the command.
        env: the variables added to the environment.
        cwd: the folder that it starts in, None for the driver's.
        slot: the slot that it has.
        devices: what the slot gives it.
    """

    fingerprint: bytes
    index: int
    repeat: int
    params: Mapping[str, Value]
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    slot: int
    devices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is recorded.

    Args:
        row: its row in the journal.
        number: which attempt of the run it is, from 1, whichever sweep made the others.
        log: the file that its output goes to.
        descriptor: that file, open to be written.
    """

    row: int
    number: int
    log: str
    descriptor: int = -1


class Journal:
    """The journal of a sweep that is going on. All methods may be called from any thread.

    Args:
        folder: where it is; made if need be. Whoever gives it has looked at it with `check_journal`.
        rerun: which of the recorded runs run again.
        secret_values: what is not to be written with the driver's arguments.
        gathers: whether ends of runs wait a moment for others, to share the way to the disk.

    Raises:
        JournalError: it cannot be used; what was there is as it was.
    """

    def __init__(
        self, folder: Path, rerun: Rerun, secret_values: Collection[str] = (), *, gathers: bool = False
    ) -> None:
        self._pid = os.getpid()
        self.folder = folder.absolute()
        self.warnings: list[str] = []
        """What whoever starts the sweep should know."""
        self.recorded: set[bytes] = set()
        """The fingerprints of the runs that do not run again."""
        self._kept = kept_runs(folder)
        """The attempts of dead drivers that are not dead themselves, by name: jobs that go on."""
        self._path = self.folder / FILE_NAME
        self._logs = self.folder / "logs"
        with told(self._path):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._logs.mkdir(mode=0o700, exist_ok=True)
            self._lock = Lock(self.folder)
        self._writer: Writer | None = None
        self._driver = 0
        try:
            self._open(rerun, secret_values, gathers=gathers)
        except BaseException:
            self.close()
            raise

    def _open(self, rerun: Rerun, secret_values: Collection[str], *, gathers: bool) -> None:
        with told(self._path):
            if not self._path.exists():
                make(self._path)
            migrate(self._path, check(self._path))
        self._writer = Writer(self._path, gathers=gathers)
        for number, driver in self._writer.call(_dead_drivers):
            self._bury(self._writer, number, driver)
        provenance = find_provenance(secret_values)
        self._driver = self._writer.call(lambda connection: _begin_driver(connection, provenance))
        self.recorded = self._writer.call(lambda connection: _recorded(connection, rerun))
        if self._kept:
            self._forget_recorded(self._writer.call(_ended))

    def begin(self, ask: Ask, done: Done) -> None:
        """Record that an attempt is about to start; `done` is told the `Begun`."""
        now = local_now().isoformat()
        self._put(Entry(lambda connection: self._begin(connection, ask, now), partial(_open_log, done)))

    def end(self, begun: Begun, result: RunResult, pid: int | None, done: Done) -> None:
        """Record how an attempt ended; once `done` is called without an error, that survives a power cut."""
        self._put(Entry(lambda connection: _end(connection, begun, result, pid), done, is_durable=True, is_kept=True))

    def close(self) -> None:
        """Write what is left, and let another driver have the journal.

        Raises:
            JournalError: some ends of runs could not be written; these runs will run again.
        """
        if os.getpid() != self._pid:  # a fork of the driver: the journal is the parent's
            return
        try:
            if (writer := self._writer) is not None:
                if number := self._driver:
                    writer.put(Entry(lambda connection: _end_driver(connection, number), _ignore))
                if unwritten := writer.close():
                    raise JournalError(
                        f"{self._path}: {counted(unwritten, 'run')} could not be recorded at the end, "
                        "and will run again; look at the disk"
                    )
        finally:
            self._writer = None
            self._lock.release()

    def _put(self, entry: Entry) -> None:
        if self._writer is None or os.getpid() != self._pid:
            entry.done(None, JournalError(f"{self._path}: the sweep has ended, and its journal is closed"))
        else:
            self._writer.put(entry)

    def _begin(self, connection: "sqlite3.Connection", ask: Ask, now: str) -> Begun:
        last = _attempts_of(connection, ask.fingerprint)
        if run_name(ask.fingerprint, last) in self._kept:
            return self._take_over(connection, ask, last)
        number = last + 1
        place = f"{ask.index}-" if ask.index <= LARGEST_INT else ""  # the name of a file is 255 bytes at the most
        log = f"{place}{ask.fingerprint.hex()[:16]}-{number}.log"
        row = connection.execute(
            _BEGIN,
            (
                ask.fingerprint,
                number,
                self._driver,
                ask.index if ask.index <= LARGEST_INT else str(ask.index),
                ask.repeat,
                _encode({name: _plain(value) for name, value in ask.params.items()}),
                _encode(ask.argv),
                _encode(ask.env),
                _encode(ask.cwd),
                ask.slot,
                _encode(ask.devices),
                log,
                now,
            ),
        ).lastrowid
        return Begun(row or 0, number, f"{self._logs}/{log}")

    def _forget_recorded(self, ended: Collection[str]) -> None:
        """Remove what a driver has left with Slurm that was killed between the record and the removal."""
        for name in self._kept & set(ended):
            Depot(self.folder / FOLDER).remove(name)
        self._kept -= set(ended)

    def _take_over(self, connection: "sqlite3.Connection", ask: Ask, number: int) -> Begun:
        """Give an attempt that a dead driver has begun a new one: it was not lost, though it was thought so."""
        self._kept.discard(run_name(ask.fingerprint, number))
        row, log = connection.execute(
            "SELECT id, log FROM attempt WHERE fingerprint = ? AND number = ?", (ask.fingerprint, number)
        ).fetchone()
        connection.execute(
            "UPDATE attempt SET driver = ?, status = NULL, error = NULL, end_time = NULL WHERE id = ?",
            (self._driver, row),
        )
        return Begun(row, number, f"{self._logs}/{log}")

    def _bury(self, writer: Writer, number: int, driver: Identity) -> None:
        """Stop what a dead driver left running, and record that its attempts came to no end."""
        found = stop_orphans(driver)
        why = f"its driver (pid {driver.pid} on {driver.host}) died while it ran"
        if writer.call(lambda connection: _end_attempts(connection, number, why)) and found:
            self.warnings.append(f"{self.folder}: {found}")
        writer.call(lambda connection: _end_driver(connection, number))


def check_journal(folder: Path) -> None:
    """Look whether a folder can hold a journal, and whether one in it is in good order, without changing anything.

    Raises:
        JournalError: it cannot be used.
    """
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not place.is_dir():
        what = "a link to nothing" if place.is_symlink() and not place.exists() else "a file"
        raise JournalError(f"{place}: this is {what}, and a journal is a folder; give another name")
    if os.path.lexists(folder / FILE_NAME):
        check(folder / FILE_NAME, is_thorough=True)


def _dead_drivers(connection: "sqlite3.Connection") -> Sequence[tuple[int, Identity]]:
    """Find the drivers that did not come to their end; none of them lives, we have the lock."""
    statement = "SELECT id, host, pid, start_ticks, boot_id, pid_namespace FROM driver WHERE end_time IS NULL"
    return [(number, Identity(*identity)) for number, *identity in connection.execute(statement)]


def _end_attempts(connection: "sqlite3.Connection", driver: int, why: str) -> int:
    """Give the attempts of a driver that died an end, and count them; their runs have none."""
    now = local_now().isoformat()
    statement = (
        "UPDATE attempt SET status = ?, error = ?, end_time = ? WHERE driver = ? AND end_time IS NULL "
        "AND id > (SELECT first_attempt FROM driver WHERE id = ?)"
    )
    return connection.execute(statement, (str(Status.lost), why, now, driver, driver)).rowcount


def _end_driver(connection: "sqlite3.Connection", driver: int) -> None:
    """Record that a driver has come to its end, unless the end of an attempt could not be recorded."""
    now = local_now().isoformat()
    statement = (
        "UPDATE driver SET end_time = ? WHERE id = ? AND NOT EXISTS "
        "(SELECT 1 FROM attempt WHERE attempt.id > first_attempt AND attempt.end_time IS NULL)"
    )
    connection.execute(statement, (now, driver))


def _begin_driver(connection: "sqlite3.Connection", provenance: Provenance) -> int:
    now = local_now().isoformat()
    facts = asdict(provenance)
    row: dict[str, Any] = {**facts.pop("driver"), **facts, "start_time": now, "taskexp": __version__}
    row |= {name: _encode(row[name]) for name in ("script", "arguments", "cwd")}
    last = "(SELECT coalesce(max(id), 0) FROM attempt)"
    statement = f"INSERT INTO driver (first_attempt, {', '.join(row)}) VALUES ({last}{', ?' * len(row)})"
    return connection.execute(statement, tuple(row.values())).lastrowid or 0


def _recorded(connection: "sqlite3.Connection", rerun: Rerun) -> set[bytes]:
    """Read which runs do not run again."""
    kept = [str(status) for status in rerun.kept]
    statement = f"SELECT fingerprint FROM run WHERE status IN ({', '.join('?' * len(kept))})"
    return {fingerprint for (fingerprint,) in connection.execute(statement, kept)}


def _attempts_of(connection: "sqlite3.Connection", fingerprint: bytes) -> int:
    """Read how many attempts a run has had; nothing of it is kept here, where it would grow with the sweep."""
    found = connection.execute("SELECT attempts FROM run WHERE fingerprint = ?", (fingerprint,)).fetchone()
    return int(found[0]) if found is not None else 0


def _ended(connection: "sqlite3.Connection") -> list[str]:
    """List the attempts that have an outcome, by name."""
    rows = connection.execute("SELECT fingerprint, number FROM attempt WHERE duration IS NOT NULL")
    return [run_name(fingerprint, number) for fingerprint, number in rows]


def _open_log(done: Done, begun: Begun | None, error: JournalError | None) -> None:
    """Open the log of an attempt that is recorded, in the journal's thread."""
    if begun is not None:
        try:
            with told(begun.log):
                begun = Begun(begun.row, begun.number, begun.log, open_log(begun.log))
        except JournalError as failure:
            begun, error = None, failure
    done(begun, error)


def _end(connection: "sqlite3.Connection", begun: Begun, result: RunResult, pid: int | None) -> None:
    connection.execute(
        _END,
        (
            pid,
            str(result.status),
            result.returncode,
            None if result.error is None else result.error.encode("utf-8", "backslashreplace").decode(),
            result.start_time.isoformat(),
            result.end_time.isoformat(),
            result.duration.total_seconds(),
            result.max_rss_bytes,
            result.max_rss_inherited,
            result.user_seconds,
            result.system_seconds,
            result.leaked,
            result.host,
            result.slot,
            _encode(result.metrics),
            result.worker or None,
            _encode(result.devices) if result.worker else None,  # a worker gives devices of its own
            begun.row,
        ),
    )


def _encode(value: object) -> str:
    """Write a value as JSON; most columns of most rows have nothing to say, and the encoder takes 3 us to say so."""
    if value is None:
        return "null"
    return "{}" if value == {} else _encode_any(value)


def _plain(value: Value) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _ignore(*_: object) -> None:
    return
