"""Outflow: what one run prints, on its way from both of its pipes into its output."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from taskexp.run.clock import Clock
from taskexp.run.engine import Output
from taskexp.run.pipe import Pipe
from taskexp.run.taps import StreamName
from taskexp.run.watch import Watch

DRAIN_SILENCE_SECONDS = 0.25
"""How long a pipe that outlives the child may be silent before its holder counts as left behind."""

DRAIN_CAP_SECONDS = 1.0
"""How long such a pipe is read at the most, however much comes."""

OVERDRAFT_BYTES = 1 << 20
"""What is read after the exit although a stream is congested: more than a pipe can hold."""


class Outflow:
    """The two pipes of a run, read as fast as its output takes what comes. All belongs to the event loop's thread.

    Args:
        output: where it goes.
        watch: tells when there is something to read.
        clock: tells when something came.
        over: called whenever both pipes have come to their end.
    """

    def __init__(self, output: Output, watch: Watch, clock: Clock, over: Callable[[], object]) -> None:
        self._output = output
        self._watch = watch
        self._clock = clock
        self._tell_over = over
        self._pipes: tuple[Pipe, ...] = ()
        self._open = 0
        self._news: asyncio.Event | None = None
        self.last_output = 0.0
        """When something came last, or could come again, on the clock."""

    def open(self, stdout: int, stderr: int) -> None:
        """Begin to read from two descriptors, which are closed at their end."""
        self.last_output = self._clock.now()
        self._open = 2
        self._pipes = Pipe("stdout", stdout, self._watch, self), Pipe("stderr", stderr, self._watch, self)
        for pipe in self._pipes:
            pipe.resume()

    @property
    def is_over(self) -> bool:
        """Whether both pipes have come to their end, or there were none."""
        return not self._open

    @property
    def paused(self) -> bool:
        """Whether the program has to wait until its output is taken."""
        return any(pipe.paused for pipe in self._pipes)

    async def drained(self) -> bool:
        """Read what is left although the output is congested, while it comes, within a cap; returns `is_over`."""
        for pipe in self._pipes:
            pipe.overdraw(OVERDRAFT_BYTES)
        now = self._clock.now()
        cap, quiet_since = now + DRAIN_CAP_SECONDS, now
        self._news = asyncio.Event()
        while self._open:
            left = min(max(quiet_since, self.last_output) + DRAIN_SILENCE_SECONDS, cap) - self._clock.now()
            if left <= 0:
                return False
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
        return True

    def close(self) -> None:
        """Read no more, and refer to nobody: what refers to each other is left to the garbage collector."""
        for pipe in self._pipes:
            pipe.close()
        self._pipes = ()
        self._tell_over = _nobody

    def took(self, stream: StreamName, chunk: bytes) -> None:
        """Pass on a chunk that a pipe has read, and pause the pipes if the output cannot follow."""
        self.last_output = self._clock.now()
        if not self._output.feed(stream, chunk):
            for pipe in self._pipes:
                pipe.pause()
            self._output.when_drained(self._resume_soon)

    def closed(self) -> None:
        """Learn that a pipe has come to its end."""
        self._open -= 1
        if not self._open:
            if self._news is not None:
                self._news.set()
            self._tell_over()

    def _resume_soon(self) -> None:
        with suppress(RuntimeError):  # the loop has closed: there is nothing to resume
            self._watch.loop.call_soon_threadsafe(self._resume)

    def _resume(self) -> None:
        self.last_output = self._clock.now()
        for pipe in self._pipes:
            pipe.resume()


def _nobody() -> None:
    return
