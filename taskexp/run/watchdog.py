"""Watchdog: a small process beside the driver that stops its runs should the driver be killed.

A driver that gets SIGKILL, from a person or from the kernel that is out of memory, stops nothing. The watchdog sees
its end, stops what was going on, and ends. One is started for each loop, behind the first run and without waiting for
it, in a session of its own; it has the reading end of a pipe and /dev/null, and nothing else of the driver's. Through
the pipe it is told of each run that starts, and that its leader is about to be reaped: from then on the number of its
group may be given away. A line is one write of 2 us, which never blocks and wakes nobody, since the watchdog looks into
the pipe ten times a second at the most.

A driver that comes to its end in order kills its watchdog. One that has died, or was killed alone, is replaced with
the next run that starts, once a second at the most: the sweep goes on without, and there is nothing for a person to do.
"""

import itertools
import os
import secrets
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from taskexp.plan.command import Command
from taskexp.run.descendants import driver_mark
from taskexp.run.spawn import Spawner, StartError, driver_environ

LOOK_SECONDS = 1.0
"""How often it is looked, when a run starts, whether the watchdog still lives."""

MOST_UNSENT = 1 << 20
"""How many bytes may wait for a watchdog that does not take them before it is replaced."""

_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from taskexp.run.watchdog_process import main; main(int(sys.argv[2]), sys.argv[3])"
)
_ROOT = str(Path(__file__).parents[2])


class Ward:
    """A run's place with the watchdog.

    Args:
        watchdog: who watches.
        number: counts the runs of the watchdog from 1.
    """

    __slots__ = ("_is_over", "_is_told", "_number", "_watchdog", "marker")

    def __init__(self, watchdog: "Watchdog", number: int) -> None:
        self._watchdog = watchdog
        self._number = number
        self._is_told = False
        self._is_over = False
        self.marker = f"{watchdog.mark()}{number}"
        """What marks the processes of the run."""

    def started(self, group: int, since_ticks: int) -> None:
        """Tell of the run's group, whose leader was started at `since_ticks` or later."""
        self._is_told = True
        self._watchdog.tell_started(self._number, group, since_ticks)

    def lingers(self) -> None:
        """Tell that a run whose leader was reaped is not over: what it left behind is still to be stopped."""
        self._is_told, self._is_over = True, False
        self._watchdog.tell(b"~%d\n" % self._number)

    def over(self) -> None:
        """Tell that the run is over, or its leader is about to be reaped: its number means nothing from then on.

        What it may have left running on purpose is no longer a part of it.
        """
        if self._is_over:
            return
        self._is_over = True
        if self._is_told:
            self._is_told = False
            self._watchdog.tell_over(self._number)
        else:
            self._watchdog.strike(self._number)


class Watchdog:
    """The driver's side of the watchdog of one loop. No process is started before there is a run to watch.

    Args:
        spawner: starts it.
    """

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._series = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._going: dict[int, bytes] = {}
        """The runs whose groups are known, with the line that told of each."""
        self.first_ticks: int | None = None
        """When the first run was started, in clock ticks since boot; None if none was."""
        self._newest = 0
        self._untold: dict[int, None] = {}
        """The runs that are not told of yet, oldest first: they may be being started, in any order."""
        self._unsent = bytearray()
        self._lock = threading.RLock()
        """Held while a line is written: a run that nobody sees to any more is ended by the thread that started it."""
        self._pid = 0
        self._ends: tuple[int, int] | None = None
        """The pipe. Its reading end stays open here: to write to a pipe that nobody reads may be a deadly signal."""
        self._look_at = float("-inf")
        _watchdogs.add(self)

    def mark(self) -> str:
        """Begin the markers of the runs: this driver, and this watchdog."""
        return f"{driver_mark()}-{self._series}."

    def take_on(self) -> Ward:
        """Make a place for one more run, which is about to be started."""
        number = self._newest = next(self._numbers)
        self._untold[number] = None
        return Ward(self, number)

    def strike(self, number: int) -> None:
        """Forget a run that will not be started."""
        self._untold.pop(number, None)

    def tell_started(self, number: int, group: int, since_ticks: int) -> None:
        """See `Ward.started`; the first time, this starts the process."""
        self.first_ticks = since_ticks if self.first_ticks is None else self.first_ticks
        self.strike(number)
        line = b"+%d %d %d %d\n" % (number, group, since_ticks, next(iter(self._untold), self._newest + 1))
        self._going[number] = line
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if not self._is_alive():
                self._replace()
                return
        self.tell(line)

    def tell_over(self, number: int) -> None:
        """See `Ward.over`."""
        self._going.pop(number, None)
        self.tell(b"-%d\n" % number)

    def tell(self, line: bytes) -> None:
        """Send a line; if the pipe is full, with the next one."""
        with self._lock:
            if self._ends is None:
                return
            self._unsent += line
            try:
                sent = os.write(self._ends[1], self._unsent)
            except BlockingIOError:  # it was stopped, or has no CPU
                if len(self._unsent) > MOST_UNSENT:
                    self._replace()
                return
            del self._unsent[:sent]

    def close(self) -> None:
        """End the process. It is killed, for it may still be starting and not hear anything else."""
        if self._pid and self._is_child():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
        self.let_go()

    def let_go(self) -> None:
        """Forget the process and close the pipe."""
        self._pid = 0
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
        self._ends = None
        self._unsent.clear()
        self._look_at = float("-inf")

    def _replace(self) -> None:
        """Start a process, in place of the one that was there, and tell it all that is going on."""
        self.close()
        self._look_at = time.monotonic() + LOOK_SECONDS
        if not sys.executable or getattr(sys, "frozen", False):  # another program stands there, which is not Python
            return
        try:
            self._start()
        except (OSError, StartError):  # out of processes or descriptors; again in a while
            self.let_go()
            self._look_at = time.monotonic() + LOOK_SECONDS
            return

    def _start(self) -> None:
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)
        self.tell(b"".join(self._going.values()))  # before it runs: the driver may be killed as soon as it does
        argv = (sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT, str(os.getpid()), self.mark())
        null = os.open(os.devnull, os.O_RDWR)
        try:
            self._pid = self._spawner.spawn(Command(argv), driver_environ(), {}, (self._ends[0], null, null)).pid
        finally:
            os.close(null)

    def _is_alive(self) -> bool:
        """Tell whether the process lives; what has died, or was reaped by somebody else, does not."""
        return self._is_child() and os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _is_child(self) -> bool:
        """Tell whether the number is that of our child, dead or alive: it is safe to signal, and to wait for."""
        if not self._pid:
            return False
        try:
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True


_watchdogs: "WeakSet[Watchdog]" = WeakSet()
"""All of this process: a fork of it must let go of their pipes, which else would outlive the driver."""


def _let_go_in_fork() -> None:
    for watchdog in list(_watchdogs):
        watchdog.let_go()


os.register_at_fork(after_in_child=_let_go_in_fork)
