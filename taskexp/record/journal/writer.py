"""Writer: the one connection that writes a journal.

A change is made in the thread that asks for it, if the connection is free: with a write-ahead log a commit is a write
to the system's memory, 0.05 ms, and handing it to another thread costs more than that several times over. While the
connection is busy, and always where a commit waits for the disk or the network, changes queue for a thread of the
writer's, which commits all that has come in one transaction. So nobody ever waits for a disk who must not.

A commit is with the system, so it survives the driver's death. What has to survive a power cut, too, is told only when
the `Syncer` has seen it to the disk.
"""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from taskexp.record.journal.database import BUSY_SECONDS, connect, is_held_up, is_of_one_change, is_write_ahead, told
from taskexp.run.strand import THREAD_PREFIX
from taskexp.words.errors import JournalError

if TYPE_CHECKING:
    import sqlite3

GATHER_SECONDS = 0.005

CLOSE_SECONDS = 30.0
"""How long the end of a sweep waits for a disk that is stuck."""

LOOK_SECONDS = 0.02
"""How often to look whether another program still holds the journal."""

CHECKPOINT_COMMITS = 1000
"""After how many commits the write-ahead log is carried over: it has a few megabytes then."""

Change: TypeAlias = "Callable[[sqlite3.Connection], Any]"
"""One statement; returns what whoever asked for it wants to know."""

Tell: TypeAlias = Callable[[JournalError | None], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A change on its way.

    Args:
        change: what is done.
        done: told what came of it, in the writer's thread: what the change returned, or the error.
        is_durable: whether it has to survive a power cut.
        is_kept: whether it is tried again with the next commits after a failure.
    """

    change: Change
    done: Callable[[Any, JournalError | None], object]
    is_durable: bool = False
    is_kept: bool = False


class Syncer:
    """Sees the write-ahead log of a journal to the disk, for all who wait for that at once.

    It syncs the log's file itself: `synchronous=FULL` would do the same in the middle of a commit, and hold up those
    that need not wait. Opening this file loses no lock of sqlite's, which are on other files.

    Args:
        path: the journal's file.
        gather_seconds: how long who comes first waits for others.
    """

    def __init__(self, path: Path, gather_seconds: float) -> None:
        self._gather_seconds = gather_seconds
        self._path = path.with_name(path.name + "-wal")
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)
        self._waiting: list[Tell] = []
        self._busy = False
        self._closing = False
        self._descriptor = -1
        self._thread = threading.Thread(target=self._work, name=THREAD_PREFIX + "sync", daemon=True)
        self._thread.start()

    def put(self, tell: Tell) -> None:
        """Have somebody told once all that was committed so far is on the disk, or why it is not."""
        with self._lock:
            self._waiting.append(tell)
            if not self._busy:
                self._condition.notify_all()

    def drain(self) -> None:
        """Wait until everybody is told."""
        with self._condition:
            while self._waiting or self._busy:
                self._condition.wait()

    def close(self) -> None:
        """End the thread, or leave it to itself where the disk does not answer."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while self._has_somebody():
            if self._gather_seconds and not self._closing:
                time.sleep(self._gather_seconds)
            waiting = self._take()
            error = self._sync()
            for tell in waiting:
                tell(error)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _has_somebody(self) -> bool:
        """Wait until somebody waits; False at the end."""
        with self._condition:
            self._busy = False
            self._condition.notify_all()
            while not (self._waiting or self._closing):
                self._condition.wait()
            self._busy = bool(self._waiting)
            return self._busy

    def _take(self) -> list[Tell]:
        with self._condition:
            waiting, self._waiting = self._waiting, []
            return waiting

    def _sync(self) -> JournalError | None:
        try:
            with told(self._path):
                if self._descriptor < 0:
                    self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                _to_disk(self._descriptor)
        except JournalError as error:
            return error if self._path.exists() else None  # without a write-ahead log the commit has waited itself
        return None


class Writer:
    """Writes a journal until it is closed. A change that fails is told so, and costs no other change anything.

    Args:
        path: the journal's file; it is there and in good order.
        gathers: whether durable changes wait a moment for others, to share the way to the disk.
    """

    def __init__(self, path: Path, *, gathers: bool) -> None:
        self._path = path
        self._path_text = str(path)
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)
        self._entries: deque[Entry] = deque()
        self._kept: list[Entry] = []
        self._busy = False
        """Whether a thread has the connection."""
        self._closing = False
        self._commits = 0
        self._connection: sqlite3.Connection | None = None
        self._is_quick = False
        self._syncer = Syncer(path, GATHER_SECONDS if gathers else 0.0)
        self._place: tuple[int, int] | None = None
        self._patience = BUSY_SECONDS
        """How long another program that holds the journal is waited for, in seconds."""
        self._thread = threading.Thread(target=self._work, name=THREAD_PREFIX + "journal", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Have a change made, after those that came before it; from any thread."""
        with self._lock:
            if self._busy or self._entries or not self._is_quick:
                self._entries.append(entry)
                self._condition.notify_all()
                return
            self._busy = True
        try:
            if not self._commit([entry], patience=0.0):
                self._entries.appendleft(entry)  # the thread of ours may wait
        finally:
            self._let_go()

    def call(self, change: Change) -> Any:
        """Have a change made in the writer's thread and wait for it. Raises JournalError."""
        arrived = threading.Event()
        outcomes: list[tuple[Any, JournalError | None]] = []

        def done(value: Any, error: JournalError | None) -> None:
            outcomes.append((value, error))
            arrived.set()

        with self._condition:
            self._entries.append(Entry(change, done))
            self._condition.notify_all()
        arrived.wait()
        value, error = outcomes[0]
        if error is not None:
            raise error
        return value

    def close(self) -> int:
        """Write what is left and end the threads; returns how many changes could not be written.

        Raises:
            JournalError: the disk has not answered for `CLOSE_SECONDS`.
        """
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            raise JournalError(f"{self._path}: the disk does not answer; what was recorded last may run again")
        self._syncer.close()
        return len(self._kept)

    def _work(self) -> None:
        while (group := self._next_group()) is not None:
            if group:
                self._commit(group, patience=self._patience)
            if self._commits >= CHECKPOINT_COMMITS:
                self._checkpoint()
            self._let_go()
        if self._kept:  # one more chance for what failed
            self._commit([], patience=self._patience)
        self._syncer.drain()
        if self._connection is not None:
            self._connection.close()

    def _next_group(self) -> list[Entry] | None:
        """Wait for changes that queue, or for a log that has grown, and take the connection; None at the end."""
        with self._condition:
            while self._busy or not (self._entries or self._commits >= CHECKPOINT_COMMITS or self._closing):
                self._condition.wait()
            if self._closing and not self._entries:
                return None
            self._busy = True
            group = list(self._entries)
            self._entries.clear()
            return group

    def _let_go(self) -> None:
        with self._lock:
            self._busy = False
            if self._entries or self._closing or self._commits >= CHECKPOINT_COMMITS:
                self._condition.notify_all()

    def _checkpoint(self) -> None:
        """Carry the write-ahead log over into the journal, so that it does not grow for ever."""
        self._commits = 0
        with suppress(JournalError), told(self._path):  # a full disk: the next commit says so
            self._connected().execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _commit(self, group: list[Entry], patience: float) -> bool:
        """Make the changes in one transaction; where one of them is at fault each in its own, so that no other fails.

        Returns:
            False if there is no patience and another program holds the journal: nothing was done.
        """
        entries = [*self._kept, *group] if self._kept else group
        deadline = time.monotonic() + patience
        while (error := self._transact(entries)) is not None and is_held_up(error) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        if error is None:
            self._kept = []
            self._patience = BUSY_SECONDS
        elif is_held_up(error) and not patience:
            return False
        elif len(entries) > 1 and is_of_one_change(error):
            self._kept = [entry for entry in entries if not self._commit_alone(entry) and entry.is_kept]
        else:
            if is_held_up(error):
                self._patience = LOOK_SECONDS  # it was long enough; who comes next need not wait as long again
            self._kept = [entry for entry in entries if entry.is_kept]
            for entry in entries:
                entry.done(None, error)
        return True

    def _commit_alone(self, entry: Entry) -> bool:
        if (error := self._transact([entry])) is not None:
            entry.done(None, error)
        return error is None

    def _transact(self, entries: list[Entry]) -> JournalError | None:
        """Make changes in one transaction and tell who asked for them; or return what went wrong and tell nobody."""
        values: list[Any] = []
        try:
            with told(self._path):
                connection = self._connected()
                self._check_place()
                try:
                    if len(entries) > 1:  # one is one statement, which is a transaction by itself
                        connection.execute("BEGIN IMMEDIATE")
                    values += [entry.change(connection) for entry in entries]
                    if len(entries) > 1:
                        connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except JournalError as error:
            return error
        except Exception as failure:
            unknown = JournalError(f"{self._path}: {failure!r}")
            unknown.__cause__ = failure
            return unknown
        self._commits += 1
        for entry, value in zip(entries, values, strict=True):
            if entry.is_durable:
                self._syncer.put(partial(entry.done, value))
            else:
                entry.done(value, None)
        return None

    def _connected(self) -> "sqlite3.Connection":
        if self._connection is None:
            self._connection = connect(self._path, busy_seconds=0.0)  # who may wait does so in `_commit`
            # Without a write-ahead log, whose file the syncer sees to the disk, sqlite itself waits for it.
            self._is_quick = is_write_ahead(self._connection)
            self._connection.execute(f"PRAGMA synchronous={'NORMAL' if self._is_quick else 'FULL'}")
            self._connection.execute("PRAGMA wal_autocheckpoint=0")
            self._place = _place_of(self._path_text)
        return self._connection

    def _check_place(self) -> None:
        """Notice that the file was deleted or replaced: sqlite would go on writing to what nobody sees."""
        if self._place is not None and _place_of(self._path_text) != self._place:
            raise JournalError(
                f"{self._path}: the journal was deleted or replaced while the sweep ran; put it back and start again"
            )


def _to_disk(descriptor: int) -> None:
    """Wait until a file's data is on the disk; macOS has it in the disk's cache, unless asked for more."""
    if (full_sync := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
        fcntl.fcntl(descriptor, full_sync)
    else:
        os.fdatasync(descriptor)


def _place_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
