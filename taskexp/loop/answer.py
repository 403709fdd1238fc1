"""Answer: what the journal's threads say, for the event loop to wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from taskexp.run.doorbell import Doorbell
from taskexp.words.errors import JournalError

PATIENCE_SECONDS = 10.0
"""How long a journal that does not answer is waited for once the sweep is being stopped."""


class WaitingRoom:
    """Those who wait on an event loop for answers, woken all at once whose answers have come.

    So the loop is not woken for each of them, and none needs a timer of its own to look whether it is in a hurry.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._doorbell: Doorbell | None = None

    def enter(self) -> "asyncio.Future[None]":
        """Return a future that is done when it is called, or all are; loop."""
        loop = asyncio.get_running_loop()
        if self._doorbell is None or self._doorbell.loop is not loop:
            self._doorbell = Doorbell(loop)
        future = loop.create_future()
        self._waiting.add(future)
        return future

    def leave(self, future: "asyncio.Future[None]") -> None:
        """Forget a future; loop."""
        self._waiting.discard(future)

    def call(self, future: "asyncio.Future[None]") -> None:
        """Wake who waits for a future; any thread."""
        if self._doorbell is not None and self._doorbell.loop is future.get_loop():
            with suppress(RuntimeError):  # the event loop has closed: nobody waits any more
                self._doorbell.ring(partial(_settle, future))

    def call_all(self) -> None:
        """Have all look again whether they are in a hurry; loop."""
        for future in self._waiting:
            _settle(future)


class Answer:
    """One answer, on its way from a thread to the event loop.

    Args:
        room: where it is waited for.
    """

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._outcome: tuple[object, JournalError | None] | None = None
        self._future: asyncio.Future[None] | None = None
        self._disposals: list[Callable[[object], object]] = []

    def arrive(self, value: object, error: JournalError | None) -> None:
        """Take the answer; from any thread, the first one stands."""
        if self._outcome is not None:
            return
        self._outcome = (value, error)
        self._dispose()
        if (future := self._future) is not None:
            self._room.call(future)

    def dispose(self, act: Callable[[object], object]) -> None:
        """Leave the value, if one comes or has come, to somebody else: nobody will take it."""
        self._disposals.append(act)
        self._dispose()

    def _dispose(self) -> None:
        if self._outcome is not None:
            with suppress(IndexError):  # of two threads one pops
                self._disposals.pop()(self._outcome[0])

    async def take(self, hurried: Callable[[], bool]) -> object:
        """Wait for the answer, in a hurry for `PATIENCE_SECONDS` at the most.

        Args:
            hurried: tells whether the sweep is being stopped; all in the room are called when that changes.

        Raises:
            JournalError: that is the answer, or there is none.
        """
        while self._outcome is None and not hurried():
            await self._arrival()
        if self._outcome is None:
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while self._outcome is None:
                        await self._arrival()
        if self._outcome is None:
            raise JournalError("the journal does not answer; look at its disk")
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    async def _arrival(self) -> None:
        """Wait until the answer comes, or something else is to be looked at."""
        self._future = future = self._room.enter()
        try:
            if self._outcome is None:  # else it came before it could see the future
                await future
        finally:
            self._room.leave(future)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
