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
        self._waiting: list[Callable[[], bool]] = []
        """What threads wait for."""
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Block this thread until `ready()`; returns it, False after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            with self._condition:
                self._waiting.append(ready)
                try:
                    self._condition.wait_for(ready, SIGNAL_POLL_SECONDS)
                finally:
                    self._waiting.remove(ready)
        return True

    async def arrive(self, ready: Callable[[], bool]) -> None:
        """Suspend this coroutine until `ready()`; on the event loop's thread."""
        while not ready():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = ready
            try:
                await waiter
            finally:
                del self._waiters[waiter]

    def notify(self) -> None:
        """Look whether what is waited for holds, and let those pass; on the event loop's thread.

        Only those: to wake a thread that goes on waiting costs two changes of the thread and of the interpreter's lock.
        """
        if self._waiting:  # who comes after this look finds the condition as it is now
            with self._condition:
                if any(ready() for ready in self._waiting):
                    self._condition.notify_all()
        for waiter, ready in self._waiters.items():
            if not waiter.done() and ready():
                waiter.set_result(None)
