"""Descendants: which living processes belong to a run, read from /proc.

A run's processes share its group. Those that left it (setsid, a daemon) are found by the marker that the
run has in its environment, or by their parents. Only processes that were started after the run are looked
at. Where there is no /proc, nothing is found and the group is all there is.
"""

import os
import time

TYPE_CHECKING = False  # as in `typing`, whose import alone takes its time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARKER = "TASKEXP_RUN"
"""The environment variable that marks the processes of a run."""

HAS_PROC = os.path.exists("/proc/self/stat")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_SNAPSHOT_SECONDS = 0.02


class Process:
    """A living process: its numbers, and its start in clock ticks since boot, which no reuse of its pid has.

    No dataclass, whose import takes longer than all that the watchdog loads.
    """

    __slots__ = ("group", "parent", "pid", "start_ticks")

    def __init__(self, pid: int, parent: int, group: int, start_ticks: int) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.start_ticks = start_ticks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and (self.pid, self.start_ticks) == (other.pid, other.start_ticks)

    def __hash__(self) -> int:
        return hash((self.pid, self.start_ticks))


_driver_marks: dict[int, str] = {}


def driver_mark() -> str:
    """Name this process in the markers of its runs: its pid and its start, which no later process has, too."""
    pid = os.getpid()
    if pid not in _driver_marks:  # a fork of the driver has a number of its own to ask with
        _driver_marks[pid] = f"{pid}.{start_ticks(pid) or 0}"
    return _driver_marks[pid]


def ticks_now() -> int:
    """Return the kernel's start time for a process that would start now, rounded down."""
    if not HAS_PROC:
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_PER_SECOND) - 1


class ProcessTable:
    """The living processes of the machine, as of a moment ago.

    One snapshot serves all the runs that are stopped in the same moment: a thousand stops cost one scan.
    """

    def __init__(self) -> None:
        self._since_ticks = ticks_now()
        self._snapshot = _Snapshot(())
        self._stale_at = float("-inf")

    def members(self, leader: int, marker: str, since_ticks: int, until_ticks: int | None = None) -> list[Process]:
        """Find the living processes of a run, the leader included.

        Args:
            leader: the run's first process, whose pid is the number of its group.
            marker: the value of the run's marker.
            since_ticks: when the run was started.
            until_ticks: when the leader was reaped: from then on its number may name a stranger's group.
        """
        snapshot = self._recent()
        group = snapshot.by_group.get(leader, ())
        members = {each for each in group if until_ticks is None or each.start_ticks < until_ticks}
        members.update(snapshot.by_marker.get(marker.encode(), ()))
        parents = [member.pid for member in members]
        if until_ticks is None:
            parents.append(leader)
        while parents:
            children = set(snapshot.by_parent.get(parents.pop(), ())) - members
            members |= children
            parents += [child.pid for child in children]
        return [each for each in members if each.start_ticks >= since_ticks]

    def _recent(self) -> "_Snapshot":
        now = time.monotonic()
        if now >= self._stale_at:
            self._snapshot = _Snapshot(_started_since(self._since_ticks))
            spent = time.monotonic() - now
            self._stale_at = now + spent + max(_SNAPSHOT_SECONDS, 4 * spent)
        return self._snapshot


class _Snapshot:
    """The living processes by what they are looked up by, so that a thousand look-ups cost one scan."""

    def __init__(self, processes: "Iterable[Process]") -> None:
        self.by_group: dict[int, list[Process]] = {}
        self.by_parent: dict[int, list[Process]] = {}
        self.by_marker: dict[bytes, list[Process]] = {}
        for each in processes:
            self.by_group.setdefault(each.group, []).append(each)
            self.by_parent.setdefault(each.parent, []).append(each)
            for marker in _markers(each):
                self.by_marker.setdefault(marker, []).append(each)


def _markers(process: Process) -> list[bytes]:
    prefix = MARKER.encode() + b"="
    for entry in _read(f"/proc/{process.pid}/environ").split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].split(b":")
    return []


def family(since_ticks: int, belongs: "Callable[[Process, list[bytes]], bool]") -> list[Process]:
    """Find the living processes that belong somewhere, and all their descendants.

    Args:
        since_ticks: only processes that were started then or later are looked at.
        belongs: tells whether a process does; it is given its markers, too.
    """
    later = list(_started_since(since_ticks))
    by_parent: dict[int, list[Process]] = {}
    for each in later:
        by_parent.setdefault(each.parent, []).append(each)
    members = {each for each in later if belongs(each, _markers(each))}
    parents = [each.pid for each in members]
    while parents:
        children = set(by_parent.get(parents.pop(), ())) - members
        members |= children
        parents += [child.pid for child in children]
    return list(members)


def start_ticks(pid: int) -> int | None:
    """Return when a living process was started, in clock ticks since boot; None if there is none, or no /proc."""
    process = _parse(pid, _read(f"/proc/{pid}/stat"))
    return None if process is None else process.start_ticks


def pid_namespace() -> int:
    """Number the namespace in which this process's pids count; a container has its own; 0 where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def boot_id() -> str:
    """Name this boot of the machine: ticks of another one mean nothing here; "" where the system does not say."""
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()


def marked_by(pid: int, start_ticks: int) -> list[Process]:
    """Find the living processes of the runs of a driver, by its mark in their markers.

    Args:
        pid: the number of the driver, which may be dead.
        start_ticks: when it was started.
    """
    head = f"{pid}.{start_ticks}-".encode()
    return [each for each in _living() if any(marker.startswith(head) for marker in _markers(each))]


def leaders_of(pid: int, start_ticks: int) -> dict[tuple[int, int], int]:
    """Find the first processes of the attempts that a driver runs: index and attempt to pid.

    Args:
        pid: the number of the driver.
        start_ticks: when it was started.
    """
    head = f"{pid}.{start_ticks}-".encode()
    leaders: dict[tuple[int, int], int] = {}
    for each in _living():
        # What a run inside a run starts has the numbers of the inner one, and the marker of that comes last.
        is_ours = each.pid == each.group and any(marker.startswith(head) for marker in _markers(each)[-1:])
        if is_ours and (numbers := _numbers(each)) is not None:
            leaders.setdefault(numbers, each.pid)
    return leaders


def _numbers(process: Process) -> tuple[int, int] | None:
    """Read which attempt a process belongs to, from its environment."""
    entries = [entry.partition(b"=") for entry in _read(f"/proc/{process.pid}/environ").split(b"\0")]
    values = {name: value for name, _, value in entries}
    try:
        return int(values[b"TASKEXP_INDEX"]), int(values[b"TASKEXP_ATTEMPT"])
    except (KeyError, ValueError):  # it ended meanwhile, or it was started without them
        return None


def name_of(process: Process) -> str:
    """Return the name of a process's program, without the folder; "" if it is gone."""
    program = _read(f"/proc/{process.pid}/cmdline").partition(b"\0")[0]
    return os.fsdecode(program.rpartition(b"/")[2])


def is_alive(process: Process) -> bool:
    """Tell whether this very process, not a later one with its pid, still lives."""
    now = _parse(process.pid, _read(f"/proc/{process.pid}/stat"))
    return now is not None and now.start_ticks == process.start_ticks  # its parent may have died meanwhile


def _started_since(since_ticks: int) -> "Iterator[Process]":
    """Find the living processes that were started then or later, but for this one."""
    return (each for each in _living() if each.start_ticks >= since_ticks and each.pid != os.getpid())


def _living() -> "Iterator[Process]":
    if not HAS_PROC:
        return
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _parse(int(name), _read(f"/proc/{name}/stat"))) is not None:
            yield process


def _parse(pid: int, stat: bytes) -> Process | None:
    """Read one line of /proc/PID/stat (proc(5)); None for a process that is gone or a zombie."""
    fields = stat.rpartition(b")")[2].split()  # the name before it may hold anything, even ")"
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, parent=int(fields[1]), group=int(fields[2]), start_ticks=int(fields[19]))


def _read(path: str) -> bytes:
    """Read a file of /proc; without Python's buffers, which take a third of the time of a scan."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # it ended meanwhile, or is not ours to look at
        return b""
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 12), b""))
    except OSError:
        return b""
    finally:
        os.close(descriptor)
