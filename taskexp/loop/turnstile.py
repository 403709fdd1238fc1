"""Turnstile: a condition that threads and coroutines wait on alike.

What is waited for changes on the event loop's thread. Waiting costs a caller's thread no trip to the event
loop when the condition already holds.
"""

import asyncio
import threading
import time
from collections.abc import Callable

SIGNAL_POLL_SECONDS = 0.1
"""How long the main thread may stay deaf to a signal.

A signal that arrives in the instant before a lock is taken, or that the kernel hands to another thread, does
not interrupt the wait: Python's handler runs only when the main thread comes back to the interpreter.
"""


class Turnstile:
    """Lets waiters pass when their condition holds."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiters: set[asyncio.Future[None]] = set()

    def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Block this thread until `ready()`; returns it, False after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            with self._condition:
                self._condition.wait_for(ready, SIGNAL_POLL_SECONDS)
        return True

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
