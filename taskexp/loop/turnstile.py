"""Turnstile: a condition that threads and coroutines wait on alike.

The state it guards changes on the event loop's thread, but for counters that a caller's thread raises
under the turnstile's own lock. Waiting costs a caller's thread no trip to the event loop when the
condition already holds.
"""

import asyncio
import threading
from collections.abc import Callable


class Turnstile:
    """Lets waiters pass when their condition holds."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiters: set[asyncio.Future[None]] = set()

    def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Block this thread until `ready()`; returns it, False after `timeout` seconds."""
        if ready():
            return True
        with self._condition:
            return self._condition.wait_for(ready, timeout)

    async def arrive(self, ready: Callable[[], bool]) -> None:
        """Suspend this coroutine until `ready()`; on the event loop's thread."""
        while not ready():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def notify(self) -> None:
        """Let the waiters look again; on the event loop's thread."""
        with self._condition:
            self._condition.notify_all()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
