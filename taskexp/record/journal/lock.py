"""Lock: one driver per journal.

The system lets go of a `flock` when its holder dies, so that a dead driver's journal is free at once. Only a fork of
the driver may hold it longer; then the lock's file is thrown away, if its driver is known to be dead. Who holds it
stands in the file, for the message of whoever comes second.
"""

import errno
import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from taskexp.record.plainfile import open_plain
from taskexp.run.identity import Identity, own_identity
from taskexp.words.errors import JournalError
from taskexp.words.moment import local_now

FILE_NAME = "driver.lock"

_HOLDER_BYTES = 1 << 16
"""The most that is read of what a holder says of itself."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The driver that has the lock, and since when."""

    driver: Identity
    since: str

    def __str__(self) -> str:
        who = "this very process" if self.driver.is_ours else "another driver"
        return f"{who} (pid {self.driver.pid} on {self.driver.host}, since {self.since})"


class Lock:
    """The lock of a journal, held from the making of this object until `release`.

    Args:
        folder: the journal's; the lock's file stays there.

    Raises:
        JournalError: another driver has it.
        OSError: the file cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._descriptor = self._acquire()
        try:
            holder = Holder(own_identity(), local_now().isoformat(timespec="seconds"))
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(asdict(holder)).encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another driver have it."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if _locked(descriptor, self._path):
                    if _is_at(descriptor, self._path):
                        return descriptor
                elif not self._throw_away(descriptor):
                    holder = read_holder(self._path) or "a driver which has just begun"
                    raise JournalError(
                        f"{self._path.parent}: the journal is in use by {holder}; wait for it, stop it, or use "
                        "another folder"
                    )
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _throw_away(self, descriptor: int) -> bool:
        """Delete the file of a lock whose driver is dead; False if it may be alive. A fork of it still has the lock."""
        with _guarded(self._path.with_name(self._path.name + ".guard")):  # so that nobody's new lock is deleted
            if _is_at(descriptor, self._path):
                holder = read_holder(self._path)
                if holder is None or not holder.driver.is_dead:
                    return False
                self._path.unlink()
        return True


@contextmanager
def _guarded(path: Path) -> Generator[None]:
    """Let one process at a time do something."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    """Lock an open file; False if another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise JournalError(
                f"{path}: this file system cannot lock a file ({error.strerror}); put the journal on another"
            ) from error
        raise
    return True


def read_holder(path: Path) -> Holder | None:
    """Read who has the lock, or had it when it died; None if nobody."""
    try:
        with open_plain(path) as file:
            written = json.loads(file.read(_HOLDER_BYTES))
        return Holder(Identity(**written["driver"]), written["since"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def read_living_holder(folder: Path) -> Holder | None:
    """Read who drives the sweep of a journal; None if nobody, or one who is dead."""
    path = folder / FILE_NAME
    holder = read_holder(path)
    if holder is None or holder.driver.is_dead:
        return None
    return holder if holder.driver.is_visible or _is_locked(path) else None


def _is_locked(path: Path) -> bool:
    """Try a lock whose holder cannot be seen from here; one who comes at this very moment would be refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # what cannot be tried may well be held
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
