"""Lock: one driver per journal.

The system lets go of a `flock` when its holder dies, so that a dead driver's journal is free at once. Who holds it
stands in the file, for the message of whoever comes second.
"""

import errno
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from taskexp.run.descendants import HAS_PROC, start_ticks
from taskexp.words.errors import JournalError


@dataclass(frozen=True, slots=True)
class Holder:
    """The driver that has the lock."""

    host: str
    pid: int
    start_ticks: int
    since: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}, since {self.since}"


class Lock:
    """The lock of a journal, held from the making of this object until `release`.

    Args:
        path: the lock's file; it stays there.

    Raises:
        JournalError: another driver has it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._acquire()
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = Holder(socket.gethostname(), os.getpid(), start_ticks(os.getpid()) or 0, now)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(asdict(holder)).encode(), 0)

    def release(self) -> None:
        """Let another driver have it."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, self._path):
                    return descriptor
            except BlockingIOError:
                self._refuse_unless_stale(descriptor)
            except OSError as error:
                os.close(descriptor)
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise
                raise JournalError(
                    f"{self._path}: this file system cannot lock a file ({error.strerror}); put the journal on another"
                ) from error
            os.close(descriptor)

    def _refuse_unless_stale(self, descriptor: int) -> None:
        """Say who has the lock; one that only a fork of a dead driver has is thrown away."""
        holder = read_holder(self._path)
        if holder is not None and holder.host == socket.gethostname() and not _lives(holder):
            if _is_at(descriptor, self._path):
                self._path.unlink(missing_ok=True)
            return
        os.close(descriptor)
        raise JournalError(
            f"{self._path.parent}: the journal is in use by another driver ({holder or 'which has just begun'}); "
            "wait for it, stop it, or use another folder"
        )


def read_holder(path: Path) -> Holder | None:
    """Read who has the lock, or had it when it died; None if nobody."""
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _lives(holder: Holder) -> bool:
    return not HAS_PROC or start_ticks(holder.pid) == holder.start_ticks


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
