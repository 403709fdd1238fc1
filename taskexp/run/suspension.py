"""Suspension: Ctrl-Z. The runs have sessions of their own, so that the terminal's SIGTSTP reaches the driver alone.

    the signal -- every loop stops its runs, and takes its rows off the terminal -- the driver stops itself
    fg or bg -- every loop lets its runs go on, with the time that they had left

As with the other signals, the handler only notes it and wakes the event loops. The driver stops as it would without
us, by the signal's default action or by the handler that was there before: where no shell could ever let it go on (an
orphaned process group, the first process of a container), the kernel does nothing, and the runs go on at once.
"""

import asyncio
import os
import signal
import threading
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

PATIENCE_SECONDS = 1.0
"""How long a loop may take to make ready: a terminal that takes nothing keeps its rows."""

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


class StopDesk:
    """The handler of SIGTSTP: it lets all loops that are alive make ready, and stops the driver then.

    It stands in the table of signal handlers, as the desks of the interrupt do.

    Args:
        previous: the handler that was there before.
    """

    def __init__(self, previous: Handler) -> None:
        self.previous = previous
        self.guests: list[Suspension] = []
        self._pid = os.getpid()
        self._awaited: set[Suspension] = set()
        self._all_ready = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; in the main thread. A second one, while the first is obeyed, says nothing new."""
        if os.getpid() != self._pid:  # in a fork of the driver there is no loop to tell
            self._stop(number, frame)
        elif self._all_ready:
            self._all_ready = False
            self._stop(number, frame)
            for guest in self.guests:
                guest.go_on()
        elif not self.guests:
            self._stop(number, frame)
        elif not self._awaited:
            self._awaited = set(self.guests)
            for guest in list(self._awaited):
                if not guest.make_ready():
                    self.leave_out(guest)

    def leave_out(self, guest: "Suspension") -> None:
        """Learn that a loop is ready, or gone; from any thread. After the last one, the signal comes once more."""
        if guest in self._awaited:
            self._awaited.discard(guest)
            if not self._awaited:
                self._all_ready = True
                os.kill(os.getpid(), signal.SIGTSTP)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Stop as if there was no handler of ours; returns when the driver goes on."""
        if callable(self.previous):
            self.previous(number, frame)
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # in this very thread, so that it stops here
        signal.signal(number, self)


class Suspension:
    """What Ctrl-Z does to one loop.

    Args:
        pause: stops the runs and makes ready otherwise; called on the event loop with what to call, from any thread,
            when that is done.
        resume: lets the runs go on; called on the event loop.
    """

    def __init__(self, pause: Callable[[Callable[[], None]], None], resume: Callable[[], None]) -> None:
        self.active = False
        """Whether the runs are stopped, or about to be: no new one starts."""
        self._pause = pause
        self._resume = resume
        self._loop: AbstractEventLoop | None = None
        self._desk: StopDesk | None = None
        self._patience: TimerHandle | None = None

    def install(self) -> None:
        """Take the signal over; in the main thread only. If it is ignored it stays so."""
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGTSTP)
        if handler in (signal.SIG_IGN, None):
            return
        desk = handler if isinstance(handler, StopDesk) else StopDesk(handler)
        if desk is not handler:
            signal.signal(signal.SIGTSTP, desk)
        desk.guests.append(self)
        self._desk = desk

    def attach(self, loop: AbstractEventLoop) -> None:
        """Learn the event loop that the runs belong to."""
        self._loop = loop

    def remove(self) -> None:
        """Give the signal back; in the main thread the handler is restored at once."""
        desk, self._desk = self._desk, None
        if desk is None:
            return
        self._end()
        desk.guests.remove(self)
        desk.leave_out(self)
        previous, in_main_thread = desk.previous, threading.current_thread() is threading.main_thread()
        if not desk.guests and in_main_thread and signal.getsignal(signal.SIGTSTP) is desk:
            signal.signal(signal.SIGTSTP, previous)

    def make_ready(self) -> bool:
        """Begin to make ready, in the signal handler; False if there is nothing to be made ready."""
        return self._post(self._begin)

    def go_on(self) -> None:
        """Learn that the driver goes on, in the signal handler."""
        self._post(self._end)

    def _post(self, act: Callable[[], None]) -> bool:
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # the event loop is closed: the loop was dropped without being closed
            return False
        return True

    def _begin(self) -> None:
        if self._desk is not None:
            self.active = True
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._ready)
            self._pause(self._ready)

    def _ready(self) -> None:
        if self._desk is not None:
            self._desk.leave_out(self)

    def _end(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self.active:
            self.active = False
            self._resume()
