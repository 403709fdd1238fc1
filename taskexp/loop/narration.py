"""Narration: how a sweep speaks of its runs; whose streams are written by which threads, and what is still unsaid."""

import atexit
import os

from taskexp.loop.options import LoopOptions
from taskexp.loop.run import Run
from taskexp.plan.point import Point
from taskexp.run.outlet import Outlets
from taskexp.run.strand import ThreadPool
from taskexp.run.transcript import BlockTranscript, LineTranscript, LiveTranscript, Transcript


class Narration:
    """What is said of the runs of one sweep.

    Args:
        options: how the runs are run, and so how their output is written.
    """

    def __init__(self, options: LoopOptions) -> None:
        self._options = options
        self._pid = os.getpid()
        self._writers = ThreadPool("writer")
        self.spoolers = ThreadPool("spool", max_threads=2)  # not the writers: streams that are stuck stall no spool
        self.outlets = Outlets(self._writers)
        self._spoken_of: Run | None = None
        self._closed = False

    def begin_run(self, point: Point) -> Run:
        """Make the run of a point."""
        return Run(point, self._new_transcript(point.index))

    def turn_to(self, run: Run) -> None:
        """Learn which run the body speaks of now, after the loop has passed it by; caller.

        What was said of another one that never started is written: it has had its chance to become a block.
        """
        last, self._spoken_of = self._spoken_of, run
        if last is not None and last is not run and last.passed and not last.claimed:
            last.transcript.write_said()
        if self._closed and not run.claimed:
            atexit.unregister(self._write_rest)
            atexit.register(self._write_rest)

    def close(self) -> None:
        """Let the threads end: nothing runs any more."""
        self._closed = True
        self._writers.close()
        self.spoolers.close()

    def _new_transcript(self, index: int) -> Transcript:
        if not self._options.is_parallel:
            return LiveTranscript(self.outlets)
        if self._options.output == "line":
            return LineTranscript(self.outlets, index)
        return BlockTranscript(self.outlets, self.spoolers)

    def _write_rest(self) -> None:
        """Write what was said of the last run that never started; at the end of the program."""
        if self._spoken_of is not None and not self._spoken_of.claimed and os.getpid() == self._pid:
            self._spoken_of.transcript.write_said()
            self._writers.close()
