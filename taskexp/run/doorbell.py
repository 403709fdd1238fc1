"""Doorbell: other threads have things done on an event loop, which is woken once for all that has come.

asyncio wakes its loop for each thing by a write to a socket, in which a thread also lets go of Python's lock and has to
wait for it again.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Act: TypeAlias = Callable[[], object]


class Doorbell:
    """What is to be done on one event loop.

    Args:
        loop: where it is done.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._acts: deque[Act] = deque()
        self._is_rung = False
        """Whether the loop has been woken, and has not answered yet."""

    def ring(self, act: Act) -> None:
        """Have something done soon; any thread. Raises RuntimeError if the loop is closed."""
        self._acts.append(act)
        if not self._is_rung or self.loop.is_closed():
            self._is_rung = True
            self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._is_rung = False  # first: who comes from now on rings again
        while self._acts:
            try:
                self._acts.popleft()()
            except Exception as error:  # as of any other callback of the loop; the others have their turn all the same
                self.loop.call_exception_handler({"message": "a thread's act failed", "exception": error})
