"""Output: where the bytes of one run go, while it runs.

The engine feeds chunks from the event loop; taps carry them on to strands. When a strand falls behind,
`feed` says so and the engine stops reading the pipes: that is the back-pressure that reaches the
program, and why no output is ever too large for memory.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from taskexp.run.board import RunRow
from taskexp.run.lines import TextLines
from taskexp.run.outlet import Outlet
from taskexp.run.strand import Job, Strand
from taskexp.run.tail import Tail
from taskexp.run.taps import RawTap, StreamName, TextTap

STOP_PATIENCE_SECONDS = 1.0
"""How long slow streams and callbacks are waited for once a run is being stopped."""

STALL_SECONDS = 2.0
"""A stream that sits in one single write for so long is no longer waited for; what it owes stays queued."""

LOOK_SECONDS = 0.2
"""How often a wait looks whether a stream is stuck, or the run is being stopped."""


class RunOutput:
    """The output of one run, spread to its taps. All methods belong to the event loop's thread.

    Args:
        raw: taps that take bytes.
        text: taps that take lines.
    """

    strands: Collection[Strand] = ()
    """Where the taps of the attempt carry it."""
    tail: Tail | None = None
    """Keeps the last of the output, if anybody wants it."""
    row: RunRow | None = None
    """Shows the newest line of the attempt, where runs are shown."""
    empty = True

    def __init__(self, raw: Sequence[RawTap] = (), text: Sequence[TextTap] = ()) -> None:
        self._lasting = raw, text
        self._lines: dict[StreamName, TextLines] = {}
        self._raw = raw
        self._text = text

    def begin_attempt(self, raw: Sequence[RawTap], text: Sequence[TextTap]) -> None:
        """Learn that an attempt begins, and of the taps that take its output alone."""
        self._raw, self._text = [*self._lasting[0], *raw], [*self._lasting[1], *text]
        self.strands = _strands_of(self._raw, self._text)
        if self.tail is not None:
            self.tail.clear()

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Take a chunk from the program; False asks the engine to pause until `when_drained` calls."""
        self.empty = False
        if self.tail is not None:
            self.tail.push(chunk)
        if self.row is not None:
            self.row.push(stream, chunk)
        for raw_tap in self._raw:
            raw_tap.push(stream, chunk)
        if self._text:
            if stream not in self._lines:
                self._lines[stream] = TextLines()
            for block in self._lines[stream].push(chunk):
                self._push_text(stream, block)
        return not any(strand.congested for strand in self.strands)

    def when_drained(self, callback: Job) -> None:
        """Call `callback` once, from any thread, when the engine may go on reading."""
        for strand in self.strands:
            if strand.congested:
                strand.when_drained(lambda: self.when_drained(callback))
                return
        callback()

    def note(self, line: str) -> None:
        """Say a line of our own between the lines of the run; after `finish`, on a line of its own."""
        self.empty = False
        for raw_tap in self._raw:
            raw_tap.note(line)
        for text_tap in self._text:
            text_tap.note(line)

    def finish(self) -> None:
        """Pass on the last lines of an attempt, which have no newline."""
        for raw_tap in self._raw:
            raw_tap.finish()
        for stream, lines in self._lines.items():
            if rest := lines.finish():
                self._push_text(stream, rest)

    def _push_text(self, stream: StreamName, block: str) -> None:
        for text_tap in self._text:
            text_tap.push(stream, block)


def _strands_of(raw: Sequence[RawTap], text: Sequence[TextTap]) -> Collection[Strand]:
    if not (raw or text):
        return ()
    strands = [*(tap.strand for tap in raw), *(tap.strand for tap in text)]
    return tuple({id(strand): strand for strand in strands}.values())


async def run_dry(strands: Collection[Strand], outlets: Collection[Outlet], hurried: Callable[[], bool]) -> None:
    """Wait until the strands have done all that was put so far.

    A stream that is stuck in one write for `STALL_SECONDS` is not waited for any longer: what it owes stays
    queued and is written if it ever wakes up.

    Args:
        strands: what to wait for.
        outlets: the streams that are written on these strands.
        hurried: tells whether the run is being stopped: from then on `STOP_PATIENCE_SECONDS` are waited, no more.
            Before, there is no limit, since a callback may well take its time.
    """
    loop = asyncio.get_running_loop()
    owed: dict[asyncio.Future[None], Strand] = {_arrival(strand, loop): strand for strand in strands}
    deadline: float | None = None
    while owed:
        await asyncio.wait(list(owed), timeout=LOOK_SECONDS, return_when=asyncio.ALL_COMPLETED)
        stuck = {id(outlet.strand): outlet for outlet in outlets if outlet.stalled_seconds > STALL_SECONDS}
        owed = {arrival: strand for arrival, strand in owed.items() if not arrival.done()}
        if deadline is None and hurried():
            deadline = time.monotonic() + STOP_PATIENCE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            return
        if owed and all(id(strand) in stuck for strand in owed.values()):
            for strand in owed.values():
                stuck[id(strand)].tell_stall()
            return


def _arrival(strand: Strand, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
    """Return a future that is done when the strand has come this far."""
    arrival: asyncio.Future[None] = loop.create_future()

    def arrive() -> None:
        if not arrival.done():
            arrival.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(arrive)
        except RuntimeError:  # the loop has closed meanwhile: nobody waits any more
            return

    strand.put(tell)
    return arrival
