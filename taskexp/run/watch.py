"""Watch: tells when there is something to read from the descriptors of runs, and when their time is over.

On Linux they share an epoll of their own, and the event loop watches that one alone: to have an asyncio loop watch a
descriptor, tell of it and let go of it again costs 25 us, three times per run, where epoll itself needs 2. Elsewhere
the loop watches each.
"""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from taskexp.run.alarm import Alarm
from taskexp.run.clock import Clock
from taskexp.run.doorbell import Doorbell

Callback: TypeAlias = Callable[[], object]

HAS_EPOLL = hasattr(select, "epoll")

LOOKS = 3
"""How often in one turn of the event loop it is looked for more. The ends of a run's two pipes and its exit come one
behind the other: a look costs 2 us, a turn of an asyncio loop 30."""


class Watch:
    """Descriptors that one event loop watches, and times. All but `close` belongs to its thread, while it runs.

    Args:
        clock: tells the time of the alarm.
    """

    def __init__(self, clock: Clock) -> None:
        self.loop = asyncio.get_running_loop()
        self.alarm = Alarm(self.loop, clock)
        self.doorbell = Doorbell(self.loop)
        self._callbacks: dict[int, Callback] = {}
        self._epoll: select.epoll | None = None

    def add(self, descriptor: int, callback: Callback) -> None:
        """Call `callback` whenever there is something to read, or the end of it."""
        if not HAS_EPOLL:
            self.loop.add_reader(descriptor, callback)
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            self.loop.add_reader(self._epoll.fileno(), self._call)
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def remove(self, descriptor: int) -> None:
        """Call nothing any more; before the descriptor is closed, whose number may be given away at once."""
        if self._epoll is None:
            with suppress(RuntimeError):  # the loop may be closed already
                self.loop.remove_reader(descriptor)
            return
        del self._callbacks[descriptor]
        self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Give back what is open, unless it is in use; any thread."""
        try:
            self.loop.call_soon_threadsafe(self._close)
        except RuntimeError:  # the loop has closed: it watches nothing any more
            self._close_epoll()

    def _close(self) -> None:
        self.alarm.close()
        if self._epoll is not None and not self._callbacks:
            self.loop.remove_reader(self._epoll.fileno())
            self._close_epoll()

    def _close_epoll(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def _call(self) -> None:
        for _ in range(LOOKS):
            events = self._epoll.poll(0) if self._epoll is not None else []
            if not events:
                return
            for descriptor, _ in events:
                callback = self._callbacks.get(descriptor)  # another one may have taken it out
                if callback is not None:
                    callback()
