"""Job: one run that is with Slurm, or on its way there, as the driver sees it."""

import asyncio

from taskexp.engines.slurm.depot import Depot
from taskexp.engines.slurm.queue import ABSENT, Queue
from taskexp.run.engine import Attempt, Output
from taskexp.words.outcome import Ending, Status

PIECE_BYTES = 1 << 22
"""How much of a run's output is read at once."""

MISSING_SECONDS = 5.0
"""How long a record may take to be seen here after its job has left the queue."""


class Job:
    """A run that is with Slurm; everything here belongs to the event loop's thread.

    Args:
        depot: where its files are.
        attempt: what is run.
        output: where its output goes.
    """

    def __init__(self, depot: Depot, attempt: Attempt, output: Output) -> None:
        if attempt.identify is None:
            raise AssertionError("a run without a name cannot be found again")
        self.attempt = attempt
        self.name = attempt.identify()
        self.loop = asyncio.get_running_loop()
        self.ending: asyncio.Future[Ending] = self.loop.create_future()
        self.array = ""
        """The name of its array, once it is submitted."""
        self.element = 0
        """Its number there."""
        self.is_going = False
        """Whether it was submitted, or is about to be."""
        self.is_unwanted = False
        """Whether it is to be stopped."""
        self.has_begun = False
        """Whether it is known to have begun."""
        self._depot = depot
        self._output = output
        self._offset = 0
        self._is_held = False
        self._missing_since: float | None = None

    def submitted(self, array: str, element: int) -> None:
        """Learn where it is."""
        self.array, self.element, self.is_going = array, element, True

    def claim(self) -> bool:
        """Take it away from its job; False if that has begun."""
        return not self.has_begun and self._depot.claim(self.name, "nobody\n")

    def end(self, ending: Ending) -> None:
        """Learn how it ended; the first word counts."""
        if not self.ending.done():
            self.ending.set_result(ending)

    def refuse(self, why: str) -> None:
        """Learn that it was not submitted; unless somebody has it all the same, it is not started."""
        if self.claim():
            self.end(Ending.unstarted(Status.not_started, why))

    def follow(self) -> bool:
        """Take what it has printed since, and its end once all of that was taken; tells whether there was any."""
        self.has_begun = True
        if self._is_held:
            return False
        ending = self._depot.ending(self.name)  # first: all that was printed before is there then
        took = False
        for stream, piece, offset in self._depot.read_output(self.name, self._offset, PIECE_BYTES):
            took, self._offset = True, offset
            if not self._output.feed(stream, piece):
                self._is_held = True
                self._output.when_drained(self._release)
                break
        if ending is not None and not took:
            self.end(ending)
        return took or ending is not None

    def _release(self) -> None:
        self._is_held = False

    def look_for_loss(self, queue: Queue) -> None:
        """Notice that it is gone and has left no record."""
        if self._is_held or self.ending.done() or queue.may_run(self.array, self.element):
            self._missing_since = None
            return
        if self._missing_since is None:
            self._missing_since = self.loop.time()
        if self.loop.time() - self._missing_since < MISSING_SECONDS or self._depot.ending(self.name) is not None:
            return
        state = queue.state(self.array, self.element)
        gone = "gone" if state == ABSENT else state
        if self.claim():
            out = self._depot.folder / f"{self.array}.out"
            self.end(Ending.displaced(f"its job of {self.array} is {gone} and has never begun; {out} may say why"))
            return
        host, worker = self._whereabouts()
        why = f"{worker} on {host} is {gone} and has recorded no end; its node was lost, or it was killed"
        if self.is_unwanted:
            self.end(Ending.unstarted(Status.interrupted, why, host, worker))
        else:
            self.end(Ending.displaced(why, None, host, worker))

    def _whereabouts(self) -> tuple[str, str]:
        try:
            host, worker, *_ = [*self._depot.path(self.name, "begun").read_text().splitlines(), "", ""]
        except FileNotFoundError:
            return "", ""
        return host, worker
