"""Launch: a command on its way to being a process, in this thread or in another."""

import errno
import os
import signal
import threading
from datetime import datetime

from taskexp.run.clock import Clock
from taskexp.run.descendants import MARKER, ProcessTable, ticks_now
from taskexp.run.engine import Attempt
from taskexp.run.process import Child, pinned
from taskexp.run.room import is_spare
from taskexp.run.spawn import Spawner, Start, driver_environ, start_error
from taskexp.run.watchdog import Ward
from taskexp.words.moment import local_now

_MARKER = MARKER.encode()


class Launch:
    """One start of one command.

    Args:
        attempt: what is started.
        ward: its place with the watchdog, which knows the marker that it gets.
        table: where its descendants are looked up.
        clock: tells when it was started.
    """

    child: Child | None = None
    """The process, once there is one."""
    start_time: datetime
    """When it was started."""
    started: float
    """The same on the clock."""
    _start: Start | None = None
    _is_called_off = False
    _is_killed = False

    def __init__(self, attempt: Attempt, ward: Ward, table: ProcessTable, clock: Clock) -> None:
        self._attempt = attempt
        self._ward = ward
        self._table = table
        self._clock = clock
        self._ends: list[int] = []
        """What is open meanwhile: both ends of the child's stdout, both of its stderr, and its stdin."""
        self._starting = threading.Lock()

    def prepare(self, spawner: Spawner, stdin: int, *, closes_stdin: bool) -> None:
        """Make ready: then the start itself takes little of Python, whose lock the event loop needs meanwhile.

        Args:
            spawner: starts it.
            stdin: descriptor that it reads from.
            closes_stdin: whether that is to be closed in the end.

        Raises:
            StartError: the system has no room for it.
        """
        command, ends, added = self._attempt.command, self._ends, dict[bytes, bytes]()
        if closes_stdin:
            ends.append(stdin)
        for overlay in (command.env, self._attempt.environ):
            for name, value in overlay.items():
                added[os.fsencode(name)] = os.fsencode(value)
        environ = driver_environ()
        # A run inside a run carries both markers, so that stopping the outer one finds the inner one's processes.
        outer, own = added.get(_MARKER, environ.get(_MARKER)), self._ward.marker.encode()
        added[_MARKER] = outer + b":" + own if outer else own
        try:
            ends[:0] = os.pipe()
            ends[2:2] = os.pipe()
            if is_spare(max(ends)):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        except OSError as error:
            raise start_error(error, f"could not start {command.argv[0]!r}: {error.strerror}") from error
        self._start = spawner.prepare(command, environ, added, (stdin, ends[1], ends[3]))

    def go(self) -> None:
        """Start it unless it was called off or killed; any thread, and it may take a while. Raises StartError."""
        start, self._start = self._start, None
        with self._starting:
            if start is None or self._is_called_off or self._is_killed:
                return
            self.start_time = local_now()
            self.started = self._clock.now()
            since_ticks = ticks_now()
            if self._attempt.cpus is None:
                spawned = start.start()
            else:
                with pinned(self._attempt.cpus):
                    spawned = start.start()
            self.child = Child(spawned, since_ticks, self._ward, self._table)
        if self._is_killed:  # while it was being started
            self.pass_on(signal.SIGKILL)

    def take_pipes(self) -> tuple[int, int] | None:
        """Give away our ends of its stdout and its stderr, and close the others; None if it has not been started."""
        if self.child is None or not self._ends:
            return None
        stdout, stdout_of_child, stderr, *others = self._ends
        self._ends = [stdout_of_child, *others]
        self._close_ends()
        return stdout, stderr

    def call_off(self) -> None:
        """Start it no more; what is being started already, or has been, goes on."""
        self._is_called_off = True

    def pass_on(self, number: int) -> None:
        """Send a signal to all of it that has not come to its end."""
        if self.child is not None and self.child.reaped is None:
            self.child.signal_tree(number)

    def kill(self) -> None:
        """Kill what has not come to its end, or is being started."""
        self._is_killed = True
        self.pass_on(signal.SIGKILL)

    def destroy(self) -> None:
        """Kill and reap it at once, and close what is open; nothing is left to do for what has come to its end."""
        self._is_killed = True
        with self._starting:  # a start that is under way is waited for: then there is a child, or never will be
            pass
        if self.child is not None and self.child.reaped is None:
            self.child.destroy()
        self._close_ends()

    def _close_ends(self) -> None:
        while self._ends:
            os.close(self._ends.pop())
