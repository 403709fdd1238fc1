"""Process: one child from spawn to reaped.

The child leads a session of its own, so the terminal's Ctrl-C reaches the driver alone and the child's
group has its pid as number. That number is safe to signal only while the child is not reaped; what has
left the group is signalled through a pidfd, after a look that it is still the same process.
"""

import os
import resource
import signal
import subprocess
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from taskexp.run.descendants import HAS_PROC, Process, ProcessTable, ticks_now
from taskexp.run.signalling import open_pidfd, signal_group, signal_process
from taskexp.run.spawn import Spawned, StartError
from taskexp.run.watch import Watch
from taskexp.run.watchdog import Ward

LOOK_SECONDS = 0.02
"""How often it is looked whether a child has exited, where neither a pidfd nor a thread can tell."""


class Reaped(NamedTuple):
    """What wait4(2) said of a child; all None if somebody else took its status.

    `never_ran` is True for a child that a signal killed between its fork and its exec. Until it has a session
    of its own, the child belongs to the driver's group, and a Ctrl-C at the terminal strikes it there; no order of
    system calls closes that window. Such a child is known by its page faults: it has none but for a page of its stack,
    for it lives in the driver's memory (vfork), while no program starts without some (a hundred Ctrl-Cs a second
    struck 8 % of the starts of /bin/true; the smallest static program has 2 more).
    """

    returncode: int | None = None
    never_ran: bool = False
    max_rss_bytes: int | None = None
    max_rss_inherited: bool = False
    user_seconds: float | None = None
    system_seconds: float | None = None


class Child:
    """A started process and its group.

    Args:
        spawned: what was started.
        since_ticks: when it was started at the earliest, in clock ticks since boot.
        ward: its place with the watchdog, which knows the marker that it has.
        table: where its descendants are looked up.
    """

    reaped: Reaped | None = None
    _until_ticks: int | None = None

    def __init__(self, spawned: Spawned, since_ticks: int, ward: Ward, table: ProcessTable) -> None:
        self._table = table
        self._ward = ward
        self.since_ticks = since_ticks
        self._idle_faults = spawned.idle_faults
        self._drivers_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.pid = spawned.pid

    def watch_exit(self, watch: Watch, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the event loop once the child has exited; it is not reaped by that.

        By pidfd; where there is none, by a thread that waits and leaves the status in place; without that, by looks now
        and then. Returns a function that gives up watching.
        """
        descriptor = open_pidfd(self.pid)
        if descriptor < 0:
            waiting = threading.Thread(target=partial(_wait_in_thread, self.pid, watch.loop, callback), daemon=True)
            try:
                waiting.start()
            except RuntimeError:  # there is no thread to be had, and the child runs already
                return self._look_now_and_then(watch.loop, callback)
            return _nothing

        def unwatch() -> None:
            nonlocal descriptor
            if descriptor >= 0:
                watch.remove(descriptor)
                os.close(descriptor)
                descriptor = -1

        def exited() -> None:
            unwatch()
            callback()

        watch.add(descriptor, exited)
        return unwatch

    def _look_now_and_then(self, loop: AbstractEventLoop, callback: Callable[[], None]) -> Callable[[], None]:
        look: TimerHandle

        def see() -> None:
            nonlocal look
            if self.has_exited():
                callback()
            else:
                look = loop.call_later(LOOK_SECONDS, see)

        look = loop.call_later(LOOK_SECONDS, see)
        return lambda: look.cancel()

    def has_exited(self) -> bool:
        """Tell whether the child has exited, without reaping it."""
        if self.reaped is not None:
            return True
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has reaped it
            return True

    def signal_tree(self, *numbers: int) -> None:
        """Send signals, in this order, to the child's group and to its descendants that left the group."""
        strays = [member for member in self.members() if member.group != self.pid or self._until_ticks]
        for number in numbers:
            if self._until_ticks is None:
                signal_group(self.pid, number)
            for stray in strays:
                signal_process(stray, number)

    def members(self) -> list[Process]:
        """Find the run's living processes; none where there is no /proc."""
        if not HAS_PROC:
            return []
        return self._table.members(self.pid, self._ward.marker, self.since_ticks, self._until_ticks)

    def left_group_behind(self) -> bool:
        """Tell whether processes of the group outlived the child. It must have been reaped.

        A group's number stays taken while a member lives; asking with signal 0 harms nobody even if it
        has been given away since.
        """
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS says so of a group of zombies
            if not HAS_PROC:
                return False
        # A zombie keeps the number, too, until init reaps it; in a container nobody may ever do so.
        return not HAS_PROC or any(member.group == self.pid for member in self.members())

    def reap(self) -> Reaped:
        """Take the status and the usage of a child that has exited; never waits."""
        if self.reaped is None:
            self._until_ticks = ticks_now() or 1  # first: from here on the number may be given away
            self._ward.over()
            self.reaped = self._wait()
        return self.reaped

    def destroy(self, patience: float = 2.0) -> None:
        """Kill the whole tree at once and reap the child; blocks for `patience` seconds at the most."""
        self.signal_tree(signal.SIGKILL)
        deadline = time.monotonic() + patience
        while not self.has_exited() and time.monotonic() < deadline:
            time.sleep(0.001)
        self.signal_tree(signal.SIGKILL)
        if self.has_exited():
            self.reap()

    def _wait(self) -> Reaped:
        try:
            _, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            return Reaped()
        unit = 1024 if HAS_PROC else 1  # Linux counts ru_maxrss in KiB, macOS in bytes
        is_idle = usage.ru_minflt + usage.ru_majflt <= self._idle_faults
        never_ran = HAS_PROC and os.WIFSIGNALED(status) and is_idle
        inherited = usage.ru_maxrss <= self._drivers_peak and usage.ru_maxrss <= _own_peak(usage.ru_maxrss)
        return Reaped(
            os.waitstatus_to_exitcode(status),
            never_ran,
            usage.ru_maxrss * unit,
            inherited,
            usage.ru_utime,
            usage.ru_stime,
        )


_own_peak_seen = 0  # in KiB; it never falls


def _own_peak(enough: int) -> int:
    """Return the peak memory of this process's own address space, or as much of it as is `enough`, in ru_maxrss's unit.

    A spawner hands that peak on to the program at its exec, so a smaller one cannot be seen. The `ru_maxrss` of
    this process may be far larger: it holds what its own spawner handed on, and that goes no further.
    """
    global _own_peak_seen
    if not HAS_PROC:
        return enough
    if _own_peak_seen < enough:
        _, _, told = Path("/proc/self/status").read_bytes().partition(b"VmHWM:")
        if not told:  # a kernel that does not say
            return enough
        _own_peak_seen = int(told.split(maxsplit=1)[0])
    return _own_peak_seen


@contextmanager
def pinned(cpus: frozenset[int]) -> Generator[None]:
    """Pin what this thread starts meanwhile to some CPUs; a child takes over the affinity of the thread.

    Not `taskset` in front, which would be one more program, and no preexec_fn, which would fork the whole driver.

    Raises:
        StartError: there are no such CPUs, or this system cannot pin.
    """
    try:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError) as error:
        listed = ",".join(map(str, sorted(cpus)))
        raise StartError(f"could not pin the run to CPU {listed}: {error}; look at its slots") from error
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_in_thread(pid: int, loop: AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(ChildProcessError):  # reaped meanwhile: it is over all the same
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(callback)


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a small tool.

    Args:
        returncode: its exit code, -N for a signal.
        stdout: what it printed.
        stderr: what it said of errors.
    """

    returncode: int
    stdout: str
    stderr: str


def ask(argv: Sequence[str], timeout: float, stdin: str = "") -> Answer:
    """Run a small tool to its end.

    Raises:
        OSError: it is missing, or takes longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            argv, timeout=timeout, input=stdin, capture_output=True, check=False, encoding="utf-8", errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{argv[0]} does not answer in {timeout:g} s") from error
    return Answer(done.returncode, done.stdout, done.stderr)


def capture(argv: Sequence[str], cwd: str, timeout: float) -> str | None:
    """Run a small tool and return what it prints; None if it is missing, fails or takes longer than `timeout` s."""
    try:
        done = subprocess.run(argv, cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
