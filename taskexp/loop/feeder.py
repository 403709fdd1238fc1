"""Feeder: starts every point of a sweep by itself and keeps the finished runs for whoever takes them."""

import asyncio
from collections import deque
from functools import partial

from taskexp.loop.options import ExecuteOptions
from taskexp.loop.run import Run
from taskexp.loop.sweep import Sweep

AHEAD = 1000
"""How many finished runs may wait to be taken before no new one starts: memory stays flat."""


class Feeder:
    """The body of a loop that nobody writes: execute each point, all alike.

    Args:
        sweep: the core.
        options: how each run is executed.
        gathered: how many finished runs are waited for before they are handed out, one behind the other. To wake a
            thread for each one takes a tenth of the time of a short run, and helps nobody who wants them all.
    """

    def __init__(self, sweep: Sweep, options: ExecuteOptions, gathered: int = 1) -> None:
        self._sweep = sweep
        self._options = options
        self._over: deque[Run] = deque()
        self._gathered = gathered
        self._is_handing_out = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to feed; on the event loop."""
        self._task = asyncio.ensure_future(self._feed())

    def may_yield(self) -> bool:
        """Tell whether there is a finished run to take, or nothing will come any more."""
        sweep = self._sweep
        if sweep.stopping:
            return sweep.stopped
        if len(self._over) >= self._gathered or (self._over and self._is_handing_out):
            return True
        return sweep.exhausted and sweep.load == 0

    def take(self) -> Run | None:
        """Take a finished run, in order of completion; None after the last."""
        if not self._over:
            return None
        if len(self._over) >= AHEAD:
            self._sweep.post(self._sweep.turnstile.notify)
        run = self._over.popleft()
        self._is_handing_out = bool(self._over)
        return run

    async def _feed(self) -> None:
        sweep = self._sweep
        while True:
            await sweep.turnstile.arrive(self._has_room)
            await sweep.seek_aside()
            run = None if sweep.stopping else sweep.take_next()
            if run is None:
                sweep.turnstile.notify()  # there may be nothing left, and nothing running that would say so
                return
            run.passed = True
            run.on_over.append(partial(self._over.append, run))
            sweep.claim(run, self._options)
            sweep.launch(run)

    def _has_room(self) -> bool:
        return self._sweep.may_yield() and (len(self._over) < AHEAD or self._sweep.stopping)
