"""Flight: an attempt that was sent out, until the word of its end has come."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from taskexp.engines.dask.order import WINDOW_BYTES, Order
from taskexp.run.engine import Attempt, Output
from taskexp.run.taps import StreamName
from taskexp.words.outcome import Ending, Status


class Flight:
    """An attempt on its way; everything here belongs to the event loop's thread.

    Args:
        order: what the worker was told.
        attempt: what was asked for.
        output: where its output goes.
        consume: tells the worker how many bytes were done with.
    """

    def __init__(self, order: Order, attempt: Attempt, output: Output, consume: Callable[[str, int], object]) -> None:
        self.order = order
        self.attempt = attempt
        self.loop = asyncio.get_running_loop()
        self.is_unwanted = False
        self.ending: asyncio.Future[Ending] = self.loop.create_future()
        self._output = output
        self._consume = consume
        self._received = 0
        self._consumed = 0
        self._is_held = False
        self._start_time: datetime | None = None
        self._host = ""
        self._worker = ""

    def begin(self, when: datetime, pid: int, host: str, worker: str) -> None:
        """Learn that it has started."""
        self._start_time, self._host, self._worker = when, host, worker
        if self.attempt.on_start is not None:
            self.attempt.on_start(pid)

    def take(self, stream: StreamName, chunk: bytes) -> None:
        """Take a chunk of its output."""
        self._received += len(chunk)
        has_room = self._output.feed(stream, chunk)
        if self._is_held:
            return
        if has_room:
            if self._received - self._consumed >= WINDOW_BYTES // 4:
                self._tell_consumed()
        else:
            self._is_held = True
            self._output.when_drained(lambda: self.loop.call_soon_threadsafe(self._release))

    def _release(self) -> None:
        self._is_held = False
        self._tell_consumed()

    def _tell_consumed(self) -> None:
        self._consumed = self._received
        if not self.ending.done():
            self._consume(self.order.key, self._consumed)

    def end(self, ending: Ending) -> None:
        """Learn how it ended; the first word counts."""
        if not self.ending.done():
            self.ending.set_result(ending)

    def lose_worker(self, worker: str, host: str) -> None:
        """Learn that its worker is lost; this one, unless it has said itself where it began."""
        self._worker, self._host = self._worker or worker, self._host or host
        self.lose(f"the worker {self._worker} on {self._host} is lost")

    def lose(self, why: str) -> None:
        """Learn that the way to it is lost."""
        self.end(Ending.displaced(why, self._start_time, self._host, self._worker))

    def refuse(self, status: Status, why: str) -> None:
        """Learn that it will not start."""
        self.end(Ending.unstarted(status, why, self._host, self._worker))
