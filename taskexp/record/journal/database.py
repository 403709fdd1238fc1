"""Database: the file of a journal, from its making to its checks; every error of sqlite becomes a JournalError here."""

import os
import re
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from taskexp.record.journal.schema import APPLICATION_ID, STEPS, TABLES, VERSION, Steps
from taskexp.words.errors import JournalError

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "journal.sqlite"

BUSY_SECONDS = 30.0
"""How long a reader waits for the driver, or the driver for a reader."""

LARGEST_CELL_BYTES = 1 << 26
"""The most that is read of one cell: a command line of the greatest length, each byte of it escaped, is smaller."""

_TABLES = ("driver", "run", "attempt")

_NETWORK_FILE_SYSTEMS = frozenset(
    b"nfs nfs4 cifs smb3 smbfs lustre gpfs beegfs ceph afs 9p glusterfs "
    b"fuse.sshfs fuse.glusterfs fuse.ceph fuse.rclone fuse.s3fs fuse.juicefs fuse.mfs".split()
)
_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")
"""A byte in /proc/self/mountinfo that is written in octal."""

_HEADER_BYTES = 100
_APPLICATION_ID_AT = 68


class told:  # noqa: N801 - a context manager reads as a word
    """Turns what sqlite or the system says of a file into a JournalError that names the file and the cure.

    Args:
        path: the file.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        import sqlite3

        if isinstance(error, sqlite3.Error):
            raise JournalError(f"{self._path}: {error}; {cure_for(str(error))}") from error
        if isinstance(error, OSError):
            raise JournalError(f"{self._path}: {error.strerror or error}; {cure_for(str(error))}") from error


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> "sqlite3.Connection":
    """Open a journal to write to it; `busy_seconds` is how long a statement waits for another program."""
    import sqlite3

    # Threads take turns with it, never two at once.
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    # A write-ahead log lets readers in while we write; it needs memory that all of them share, so one machine.
    mode = "DELETE" if _is_on_network(path) else "WAL"
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute(f"PRAGMA journal_mode={mode}")
    except BaseException:
        connection.close()
        raise
    return connection


def is_write_ahead(connection: "sqlite3.Connection") -> bool:
    """Tell whether a journal is written by way of a write-ahead log."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode) == "wal"


def connect_to_read(path: Path) -> "sqlite3.Connection":
    """Open a journal to read it, whoever writes to it meanwhile; what is recorded in it is not changed.

    A transaction that its driver did not live to end is undone first, where that is for readers to do: without a
    write-ahead log the file has half of it.
    """
    import sqlite3

    for beside in ("-wal", "-shm", "-journal"):  # a named pipe would be waited for
        if _beside(path, beside).exists() and not _beside(path, beside).is_file():
            raise sqlite3.DatabaseError(f"{path.name}{beside} is no regular file")
    half_done = _beside(path, "-journal").exists() and _is_ours(path)
    address = f"file:{quote(os.fsencode(path.absolute()))}?mode={'rw' if half_done else 'ro'}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException as error:
        connection.close()
        if half_done or not isinstance(error, sqlite3.OperationalError) or not _is_still(path, str(error)):
            raise
        connection = sqlite3.connect(address + "&immutable=1", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    _distrust(connection)
    return connection


def _distrust(connection: "sqlite3.Connection") -> None:
    """Have nothing in a file obeyed that is more than data: it may be a stranger's, or damaged.

    See https://www.sqlite.org/security.html, "Untrusted SQLite Database Files".
    """
    import sqlite3

    connection.execute("PRAGMA trusted_schema=OFF")  # its views and triggers call no function with side effects
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA mmap_size=0")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_CELL_BYTES)


def _is_still(path: Path, error: str) -> bool:
    """Tell whether a journal could not be opened for this alone: its folder has no place for what readers share.

    A folder that cannot be written to has none. But nobody writes there either, so the file holds all there is to read.
    """
    return ("unable to open" in error or "readonly" in error) and not _beside(path, "-wal").exists()


def _is_ours(path: Path) -> bool:
    """Tell by the header of a file whether it is a journal."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4]) == APPLICATION_ID


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def is_held_up(error: JournalError) -> bool:
    """Tell whether it is for this alone that another program holds the journal at the moment."""
    import sqlite3

    code = getattr(error.__cause__, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_of_one_change(error: JournalError) -> bool:
    """Tell whether a change was at fault, a value that cannot be stored, say, and not the file or the disk."""
    import sqlite3

    changes = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
    cause = error.__cause__
    return isinstance(cause, changes) or not isinstance(cause, sqlite3.Error | OSError | None)


def make(path: Path) -> None:
    """Make an empty journal: under another name first, so that a half-made one is never taken for a journal."""
    for leftover in path.parent.glob(f"{path.name}.new-*"):
        leftover.unlink(missing_ok=True)
    import sqlite3

    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(
                f"BEGIN;{TABLES}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={VERSION};COMMIT;"
            )
        os.rename(new, path)
    finally:
        new.unlink(missing_ok=True)


def check(path: Path, *, is_thorough: bool = False) -> int:
    """Look whether a file is a journal in good order, without changing it; returns its version.

    Args:
        path: the file.
        is_thorough: read all of it, half a second for a million runs.

    Raises:
        JournalError: it is not ours, is damaged, cannot be read, or is of a newer TaskExp.
    """
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal; give the folder of one")
    with told(path), closing(connect_to_read(path)) as connection:
        (identity,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if identity != APPLICATION_ID:
            raise JournalError(f"{path}: this is no journal of TaskExp, or what is left of one; give another folder")
        _check_tables(connection, path)
        if version > VERSION:
            raise JournalError(
                f"{path}: the journal has version {version}, this TaskExp knows versions up to {VERSION}; "
                "install a newer TaskExp"
            )
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone() if is_thorough else ("ok",)
        if state != "ok":
            raise JournalError(f"{path}: the journal is damaged ({state}); {cure_for('malformed')}")
    return int(version)


def _check_tables(connection: "sqlite3.Connection", path: Path) -> None:
    """Refuse what is called as our tables are and is none: a view, or columns that are computed, could never end."""
    for table in _TABLES:
        kinds = [kind for (kind,) in connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,))]
        columns = connection.execute(f"PRAGMA table_xinfo({table})").fetchall() if kinds == ["table"] else []
        if not columns or any(column["hidden"] for column in columns):
            raise JournalError(f"{path}: {table!r} in it is no table of a journal; give another folder")


def migrate(path: Path, version: int, steps: Steps = STEPS, target: int = VERSION) -> None:
    """Bring a journal of an older version to the one that is needed; what it was is kept beside it.

    Args:
        path: the journal; nobody else has it open.
        version: what it has.
        steps: by version, what makes the next one of it.
        target: what is needed.
    """
    import sqlite3

    if version == target:
        return
    backup = path.with_name(f"{path.name}.v{version}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if not backup.exists():
            part = backup.with_name(f"{backup.name}.new-{os.getpid()}")
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
            os.rename(part, backup)
        script = "".join(steps[number] for number in range(version, target))
        connection.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version={target};COMMIT;")


def cure_for(error: str) -> str:
    """Say what can be done about an error of sqlite or the system."""
    told = error.lower()
    if "full" in told or "no space" in told or "quota" in told:
        return "make room on the disk and start again, what was recorded is kept"
    if "malformed" in told or "not a database" in told:
        return "it is left as it is; put back a copy, or give another folder"
    if "readonly" in told or "read-only" in told or "permission" in told or "unable to open" in told:
        return "give a folder that can be written to"
    if "locked" in told:
        return "another program holds it; end that"
    return "look at the disk, or give another folder"


def _is_on_network(path: Path) -> bool:
    """Tell whether a file lies on a network file system, as far as the system says."""
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return False
    folder = os.fsencode(path.absolute().parent.resolve())
    best, kind = b"", b""
    for mount in mounts:
        left, _, right = mount.partition(b" - ")
        point = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), left.split(b" ")[4])
        inside = folder == point or folder.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(b" ")[0]
    return kind in _NETWORK_FILE_SYSTEMS
