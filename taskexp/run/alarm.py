"""Alarm: wakes many at the times they ask for, with one timer of the event loop for all.

To set a timer of asyncio and to cancel it took 20 us per run, though hardly any run comes to its time.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Hashable
from typing import Protocol

from taskexp.run.clock import Clock


class Sleeper(Hashable, Protocol):
    """Who is woken."""

    def wake(self) -> None:
        """Learn that the time has come."""
        ...


class Alarm:
    """The times that sleepers are to be woken at. Everything here belongs to the event loop's thread.

    Args:
        loop: tells when time has passed.
        clock: the time that is meant; it may be held, and then the alarm waits, too.
    """

    def __init__(self, loop: AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._times: dict[Sleeper, float] = {}
        self._timer: TimerHandle | None = None
        self._next = float("inf")
        """When the timer is due, which may be too early: the sleeper of that time is gone, perhaps."""

    def set(self, sleeper: Sleeper, time: float) -> None:
        """Wake a sleeper at a time on the clock, once, and not at the time that was set before."""
        self._times[sleeper] = time
        if time < self._next:
            self._arm(time)

    def clear(self, sleeper: Sleeper) -> None:
        """Let a sleeper sleep."""
        self._times.pop(sleeper, None)

    def close(self) -> None:
        """Give the timer back unless somebody sleeps."""
        if not self._times:
            self._disarm()

    def _arm(self, time: float) -> None:
        self._disarm()
        self._next = time
        self._timer = self._loop.call_later(time - self._clock.now(), self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._next = float("inf")

    def _ring(self) -> None:
        self._disarm()
        now = self._clock.now()
        for sleeper in [sleeper for sleeper, time in self._times.items() if time <= now]:
            del self._times[sleeper]
            sleeper.wake()
        if self._times and (earliest := min(self._times.values())) < self._next:
            self._arm(earliest)
