"""Watchdog process: the program of the process that `taskexp.run.watchdog` starts.

It waits until its driver is dead, stops the runs that were going on with all that they had started, and ends. It is
told of runs by lines on its standard input: `+NUMBER GROUP TICKS FLOOR` when one has started (its group, when that was
at the earliest, and the least number of those that were not told of yet), `-NUMBER` when it is over, `~NUMBER` when it
still goes on but its group has no number of its own any more. What it stops is found by the markers in the
environments, by the groups and by the parents; where there is no /proc, by the groups alone.

The end of its input alone means nothing, since a program may close the descriptors of its process: the driver is dead
when this process has another parent. It imports little and wakes seldom, for it stands beside what is measured.
"""

import os
import select
import time

from taskexp.run.descendants import HAS_PROC, Process, family, ticks_now
from taskexp.run.signalling import open_pidfd, signal_group, signal_process

TYPE_CHECKING = False  # as in `typing`, whose import alone takes its time

if TYPE_CHECKING:
    import signal
else:  # the part of it in C: its enums take a third of the time in which this process starts
    import _signal as signal

GRACE_SECONDS = 0.5
"""How long the runs have between SIGTERM and SIGKILL."""

KILL_SECONDS = 10.0
"""How long it is tried to kill what does not end."""

PAUSE_SECONDS = 0.1
"""How long what is told may wait in the pipe; only the driver's death is seen at once."""

LOOK_SECONDS = 0.02
"""How often the parent is looked at, where nothing tells of its end."""

_INPUT = 0
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


class Register:
    """The runs that are going on, as far as they were told of.

    Args:
        mark: how the markers of the driver's runs begin; the number of the run follows.
    """

    def __init__(self, mark: bytes) -> None:
        self.groups: dict[int, tuple[int, int]] = {}
        """The groups whose numbers are theirs, with the time since when."""
        self._mark = mark
        self._going: set[int] = set()
        self._floor = 0
        self._over: set[int] = set()
        """The runs from the floor upwards that are over."""
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Take what was read; a line may be in two pieces."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            number, *figures = map(int, line[1:].split())
            self._going.discard(number)
            self._over.discard(number)
            self.groups.pop(number, None)
            if line.startswith(b"+"):
                group, since_ticks, floor = figures
                self.groups[number] = (group, since_ticks)
                self._floor = max(self._floor, floor)
            if not line.startswith(b"-"):
                self._going.add(number)
            elif number >= self._floor:
                self._over.add(number)
        self._over = {number for number in self._over if number >= self._floor}

    def is_marked(self, markers: list[bytes]) -> bool:
        """Tell whether a marker is that of a run that is going on, or that is not told of yet."""
        numbers = [each[len(self._mark) :] for each in markers if each.startswith(self._mark)]
        return any(self._goes_on(int(number)) for number in numbers if number.isdigit())

    def _goes_on(self, number: int) -> bool:
        return number in self._going or (number >= self._floor and number not in self._over)


def main(driver: int, mark: str) -> None:
    """Watch the driver of that number, and do what is to be done at its end."""
    os.chdir("/")  # it holds no folder of the driver's
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(_INPUT, False)
    register = Register(mark.encode())
    _await_death(driver, register)
    if HAS_PROC:
        _stop(register, int(mark.partition(".")[2].partition("-")[0]), ticks_now() + 2)  # it is rounded down, twice
    else:
        _stop_groups([group for group, _ in register.groups.values()])
    os._exit(0)


def _await_death(driver: int, register: Register) -> None:
    """Take what is told until the driver is dead, and the rest of it then."""
    poll = select.poll()
    if (descriptor := open_pidfd(driver)) >= 0:
        poll.register(descriptor, select.POLLIN)
    poll.register(_INPUT, select.POLLIN)
    ended_at: float | None = None
    while os.getppid() == driver:
        poll.poll(None if ended_at is None else 1000 * LOOK_SECONDS)
        if ended_at is not None:
            if time.monotonic() - ended_at > 1:  # it lives and tells nothing any more: the numbers may be others' soon
                register.groups.clear()
        elif _drain(register):
            ended_at = time.monotonic()
            poll.unregister(_INPUT)
        else:
            poll.modify(_INPUT, 0)  # only its end wakes us for a while
            poll.poll(1000 * PAUSE_SECONDS)
            poll.modify(_INPUT, select.POLLIN)
    if ended_at is None:
        _drain(register)


def _drain(register: Register) -> bool:
    """Take all that is there to read; returns whether that was the end of it."""
    while True:
        try:
            chunk = os.read(_INPUT, 1 << 16)
        except BlockingIOError:
            return False
        if not chunk:
            return True
        register.take(chunk)


def _stop(register: Register, since_ticks: int, died_ticks: int) -> None:
    """TERM, a grace, KILL, for all that belongs to the runs that were going on when the driver died.

    The number of a group is that of a run as long as the driver lives, which does not reap what it has not told of. So
    what is in the group and was started before the driver's death belongs to the run.
    """
    groups = dict(register.groups.values())

    def belongs(process: Process, markers: list[bytes]) -> bool:
        is_in_group = groups.get(process.group, died_ticks + 1) <= process.start_ticks <= died_ticks
        return is_in_group or register.is_marked(markers)

    grace_ends = time.monotonic() + GRACE_SECONDS
    asked: set[Process] = set()
    # To the end of the grace in any case: a run whose exec is not done yet has no marker, and may not be told of.
    while (left := family(since_ticks, belongs)) or time.monotonic() < grace_ends:
        if time.monotonic() >= grace_ends + KILL_SECONDS:
            return
        if time.monotonic() >= grace_ends:
            _signal(left, groups, signal.SIGKILL)
        else:
            _signal([each for each in left if each not in asked], {}, signal.SIGTERM, signal.SIGCONT)
            asked.update(left)
        time.sleep(LOOK_SECONDS)


def _signal(processes: list[Process], groups: dict[int, int], *numbers: int) -> None:
    """Signal processes one by one, and those groups as a whole that one of them is in: it may fork meanwhile."""
    for number in numbers:
        for group in {each.group for each in processes} & groups.keys():
            signal_group(group, number)
        for process in processes:
            signal_process(process, number)


def _stop_groups(groups: list[int]) -> None:
    """Do the same where groups are all that is known."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        for group in groups:
            signal_group(group, number)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for group in groups:
        signal_group(group, signal.SIGKILL)
