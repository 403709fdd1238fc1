"""Retrial: whether a run is tried again after an attempt, and when."""

from taskexp.loop.performer import Performer
from taskexp.loop.refusal import Refusal
from taskexp.loop.retry import MOST_LOSSES, Retry, pause_before
from taskexp.loop.run import Run
from taskexp.run.search import Search
from taskexp.run.strand import Strand
from taskexp.run.taps import Lane
from taskexp.words.outcome import RunResult


class Retrial:
    """Applies a loop's policy to its runs; on the event loop.

    Args:
        retry: the policy.
        performer: knows where the user's expressions are searched for without holding the loop.
        search: searches for them.
        refusal: tells whether anything starts at all.
    """

    def __init__(self, retry: Retry, performer: Performer, search: Search, refusal: Refusal) -> None:
        self._retry = retry
        self._performer = performer
        self._search = search
        self._refusal = refusal

    async def pause_after(self, run: Run, result: RunResult) -> float | None:
        """Decide whether a run is tried again, and say so; returns the seconds until then."""
        if not (self._may_be(run, result) and await self._is_to_be(run, result)):
            return None
        pause = pause_before(run.tries + 1)
        left = MOST_LOSSES - run.losses if run.was_displaced else self._retry.retries - run.tries + run.losses
        last = result.attempt + 1 + max(left, 0)
        run.transcript.note(
            f"taskexp: index {result.index}, attempt {result.attempt} {result.describe()}; "
            f"attempt {result.attempt + 1} of at most {last} in {pause:.1f} s"
        )
        return pause

    def _may_be(self, run: Run, result: RunResult) -> bool:
        """Tell whether there may be a reason to try it again, whatever it printed."""
        if run.was_displaced:
            return self._retry.repeats(run.losses) and not self._is_given_up(run)
        return self._retry.may_want(run.tries - run.losses, result) and not self._is_given_up(run)

    async def _is_to_be(self, run: Run, result: RunResult) -> bool:
        if run.was_displaced or self._retry.wants(result):
            return True
        found: list[object] = []

        def search() -> None:
            found.extend(self._search.find(self._retry.patterns, run.last_output(), by_line=False))

        if self._retry.reads_output:
            lane = Lane(Strand(self._search.executor))
            await self._performer.call(search, lambda: self._is_given_up(run), lane)
        return any(found) and not self._is_given_up(run)

    def _is_given_up(self, run: Run) -> bool:
        return run.unwanted or self._refusal.why is not None
