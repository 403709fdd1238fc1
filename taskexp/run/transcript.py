"""Transcript: what one run says to the user's streams, its own output and what is printed about it.

Three ways to say it: live (one run at a time), as one block when the run is over (`output="group"`), or
line by line behind the run's index (`output="line"`). All three take the same calls.
"""

import codecs
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, TypeAlias

from taskexp.run.outlet import Outlet, Outlets
from taskexp.run.output import RunOutput, run_dry
from taskexp.run.spool import Spool
from taskexp.run.strand import Executor
from taskexp.run.taps import (
    CallbackTap,
    Lane,
    LineCallback,
    OutletTap,
    PrefixedBytesTap,
    PrefixedTextTap,
    RawTap,
    SpoolTap,
    TerminalTap,
    TextTap,
    prefixed,
)

Saying: TypeAlias = Callable[[], str]
"""Makes the text to say at the moment when it is written: a duration is known only after the run."""


class Transcript(ABC):
    """What one run says.

    Args:
        outlets: the sweep's outlets.
    """

    waits_for_body = True
    """Whether what the body still says of the run has to be known before the last of it is written."""
    _output: RunOutput | None = None
    _targets: tuple[Outlet, ...] = ()

    def __init__(self, outlets: Outlets) -> None:
        self._outlets = outlets

    @abstractmethod
    def say(self, streams: Sequence[IO[Any]], saying: Saying, *, wait: bool) -> None:
        """Print lines about the run, in order with its output.

        Args:
            streams: where to.
            saying: makes the lines.
            wait: return only when they are written, where they are written at once.
        """

    def place_output(self) -> None:  # noqa: B027 - nothing to do where all is said at once
        """Learn that the run was asked for: its output stands here, between what was said and what will be."""

    @abstractmethod
    def _taps(self, outlet: Outlet) -> tuple[Sequence[RawTap], Sequence[TextTap]]:
        """Make the taps that bring the output to one stream."""

    def open_output(self, streams: Sequence[IO[Any]], on_verbose: LineCallback | None, lane: Lane) -> RunOutput:
        """Make the output that the engine feeds.

        Args:
            streams: where the output goes.
            on_verbose: called per line.
            lane: where it is called.
        """
        raw: list[RawTap] = []
        text: list[TextTap] = []
        if streams:
            self._targets = tuple({id(stream): self._outlets.of(stream) for stream in streams}.values())
        for outlet in self._targets:
            raw_taps, text_taps = self._taps(outlet)
            raw += raw_taps
            text += text_taps
        if on_verbose is not None:
            text.append(CallbackTap(on_verbose, lane, self._outlets.notify))
        self._output = output = RunOutput(raw, text)
        return output

    def note(self, line: str) -> None:
        """Say a line in the place of the output: in the run's text streams, or on stderr where it has none."""
        if self._output is not None:
            self._output.finish()
            self._output.note(line)
        if not any(outlet.is_text for outlet in self._targets):
            self._outlets.notify(line)

    async def end(self, hurried: Callable[[], bool]) -> None:
        """Deliver what is left of the output once an attempt is over.

        Args:
            hurried: tells whether the run is being stopped, so that slow streams and callbacks are not waited for.
        """
        output = self._output
        if output is None or output.empty:
            return
        output.finish()
        for outlet in self._targets:
            outlet.strand.put(outlet.flush)
        await run_dry(output.strands, self._targets, hurried)

    async def write(self, hurried: Callable[[], bool]) -> None:  # noqa: B027 - nothing to do where nothing is kept
        """Write what was kept for this moment; the run has ended and the body has moved on."""

    def write_said(self) -> None:  # noqa: B027 - as above
        """Write what was said of a run that did not start."""


class LiveTranscript(Transcript):
    """Says everything at once: the one run of a sequential loop."""

    waits_for_body = False

    def say(self, streams: Sequence[IO[Any]], saying: Saying, *, wait: bool) -> None:
        """Print lines about the run now."""
        for outlet in map(self._outlets.of, streams):
            say_now(outlet, saying, wait=wait)

    def _taps(self, outlet: Outlet) -> tuple[Sequence[RawTap], Sequence[TextTap]]:
        if not outlet.is_text:
            return [OutletTap(outlet)], []
        if outlet.screen is not None:
            return [TerminalTap(outlet)], []
        return [], [OutletTap(outlet)]


class LineTranscript(Transcript):
    """Says everything at once, each line behind the run's index.

    Args:
        outlets: the sweep's outlets.
        index: the run's index.
    """

    def __init__(self, outlets: Outlets, index: int) -> None:
        super().__init__(outlets)
        self._prefix = f"[{index}] "
        self._lock = threading.Lock()
        self._kept: list[tuple[Outlet, Saying]] | None = None

    def place_output(self) -> None:
        """Keep what is said from now on until the run is over: it may tell how it ended."""
        with self._lock:
            self._kept = []

    def say(self, streams: Sequence[IO[Any]], saying: Saying, *, wait: bool) -> None:
        """Print lines about the run behind its index; now, or behind its output."""
        for outlet in map(self._outlets.of, streams):
            with self._lock:
                if self._kept is not None:
                    self._kept.append((outlet, saying))
                    continue
            self._say_prefixed(outlet, saying, wait=wait)

    def write_said(self) -> None:
        """Write what was kept."""
        with self._lock:
            kept, self._kept = self._kept or [], None
        for outlet, saying in kept:
            self._say_prefixed(outlet, saying, wait=False)

    async def write(self, hurried: Callable[[], bool]) -> None:
        """Write what was kept, behind the output."""
        self.write_said()

    def _say_prefixed(self, outlet: Outlet, saying: Saying, *, wait: bool) -> None:
        say_now(outlet, lambda: prefixed(saying(), self._prefix), wait=wait)

    def _taps(self, outlet: Outlet) -> tuple[Sequence[RawTap], Sequence[TextTap]]:
        if outlet.is_text:
            return [], [PrefixedTextTap(outlet, self._prefix)]
        return [PrefixedBytesTap(outlet, self._prefix)], []


class BlockTranscript(Transcript):
    """Keeps all that is said and writes it as one block once the run has ended and the body has moved on.

    Args:
        outlets: the sweep's outlets.
        executor: where temporary files are written.
    """

    _said_before = 0
    _written = False
    _unwritten = 0

    def __init__(self, outlets: Outlets, executor: Executor) -> None:
        super().__init__(outlets)
        self._executor = executor
        self._lock = threading.Lock()
        self._said: list[tuple[Outlet, Saying]] = []
        self._spools: dict[bool, Spool] = {}

    def say(self, streams: Sequence[IO[Any]], saying: Saying, *, wait: bool) -> None:
        """Keep the lines for the block; once it is written, print them now."""
        for outlet in map(self._outlets.of, streams):
            with self._lock:
                if not self._written:
                    self._said.append((outlet, saying))
                    continue
            say_now(outlet, saying, wait=wait)

    def place_output(self) -> None:
        """Learn that the run was asked for: what was said so far stands before its output."""
        with self._lock:
            self._said_before = len(self._said)

    def write_said(self) -> None:
        """Write what was said of a run that did not start."""
        with self._lock:
            said, self._said = self._said, []
        for outlet, saying in said:
            say_now(outlet, saying, wait=False)

    async def write(self, hurried: Callable[[], bool]) -> None:
        """Write the block, on each of its streams in one piece."""
        with self._lock:
            said, self._said = self._said, []
            self._written = True
        if not (said or self._targets):
            return
        before, after = said[: self._said_before], said[self._said_before :]
        outlets = list(
            dict.fromkeys([*(outlet for outlet, _ in before), *self._targets, *(outlet for outlet, _ in after)])
        )
        self._unwritten = len(outlets)
        for outlet in outlets:
            outlet.strand.put(partial(self._write_block, outlet, before, after))
        await run_dry(tuple({id(outlet.strand): outlet.strand for outlet in outlets}.values()), outlets, hurried)

    def _taps(self, outlet: Outlet) -> tuple[Sequence[RawTap], Sequence[TextTap]]:
        if outlet.is_text in self._spools:
            return [], []
        spool = self._spools[outlet.is_text] = Spool(self._executor)
        if outlet.is_text:
            return [], [SpoolTap(spool, is_text=True)]
        return [SpoolTap(spool, is_text=False)], []

    def _write_block(
        self, outlet: Outlet, before: Sequence[tuple[Outlet, Saying]], after: Sequence[tuple[Outlet, Saying]]
    ) -> None:
        """Write one stream's share of the block; on its strand. The last one gives back the spools."""
        outlet.fresh_line()
        outlet.say("".join(saying() for target, saying in before if target is outlet))
        if outlet in self._targets:
            self._copy_output(outlet)
        outlet.say("".join(saying() for target, saying in after if target is outlet))
        outlet.flush()
        with self._lock:
            self._unwritten -= 1
            if self._unwritten:
                return
        for spool in self._spools.values():
            spool.close()

    def _copy_output(self, outlet: Outlet) -> None:
        spool = self._spools[outlet.is_text]
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for chunk in spool.chunks():
            if not outlet.write(decoder.decode(chunk) if outlet.is_text else chunk):
                return
        if spool.error is not None:
            self._outlets.notify(f"taskexp: warning: a part of a run's output is lost: {spool.error} (temporary file)")


def say_now(outlet: Outlet, saying: Saying, *, wait: bool) -> None:
    """Print lines on one stream, in their turn."""
    act = outlet.strand.perform if wait else outlet.strand.put
    act(lambda: outlet.say(saying()))
