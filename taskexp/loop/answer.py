"""Answer: what the journal's thread says, for the event loop to wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from taskexp.words.errors import JournalError

PATIENCE_SECONDS = 10.0
"""How long a journal that does not answer is waited for once the sweep is being stopped."""

_LOOK_SECONDS = 0.5


class Answer:
    """One answer, on its way from a thread to the event loop."""

    def __init__(self) -> None:
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
            with suppress(RuntimeError):  # the event loop has closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future)

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
            hurried: tells whether the sweep is being stopped.

        Raises:
            JournalError: that is the answer, or there is none.
        """
        if self._outcome is None:
            await self._arrival(hurried)
        if self._outcome is None:
            raise JournalError("the journal does not answer; look at its disk")
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    async def _arrival(self, hurried: Callable[[], bool]) -> None:
        """Wait until there is an answer, or too long in a hurry."""
        loop = asyncio.get_running_loop()
        patience = PATIENCE_SECONDS
        while self._outcome is None and patience > 0:
            self._future = future = loop.create_future()
            if self._outcome is not None:  # it came before it could see the future
                return
            look = loop.call_later(_LOOK_SECONDS, _settle, future)  # asyncio.wait costs several times this
            try:
                await future
            finally:
                look.cancel()
            patience -= _LOOK_SECONDS if hurried() else 0.0


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
