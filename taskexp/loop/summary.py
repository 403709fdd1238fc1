"""Summary: how the sweep went, told at the end of a loop in which something went wrong."""

from collections import Counter
from collections.abc import Callable

from taskexp.loop.halt import Halt
from taskexp.words.outcome import RunResult, Status

LENGTH = 20
"""How many runs are named; the others are counted."""


class Summary:
    """Collects what is to be told at the end."""

    def __init__(self) -> None:
        self.counts: Counter[Status] = Counter()
        """The runs that are over, by status."""
        self._entries: list[str] = []
        self._retried: Counter[Status] = Counter()
        self._cpu_seconds = 0.0
        self._largest: RunResult | None = None

    def add(self, result: RunResult, tries: int, command_line: Callable[[], str]) -> None:
        """Take note of a run that is over, after some attempts in this sweep."""
        self.counts[result.status] += 1
        self._retried[result.status] += tries > 1
        self._cpu_seconds += (result.user_seconds or 0.0) + (result.system_seconds or 0.0)
        if result.max_rss_bytes and result.max_rss_bytes > ((self._largest and self._largest.max_rss_bytes) or 0):
            self._largest = result
        if result.status not in (Status.succeeded, Status.interrupted) and len(self._entries) < LENGTH:
            attempts = f" ({tries} attempts)" if tries > 1 else ""
            entry = f"  index {result.index}, {result.describe()}{attempts}"
            self._entries.append(f"{entry}\n    {command_line()}" if result.argv else entry)

    def text(self, halted: Halt | None, not_run: int) -> str | None:
        """Write the summary; None if nothing failed. What was stopped on purpose is counted, not named.

        Args:
            halted: the policy by which the loop gave up, if it did.
            not_run: how many points it had still to run.
        """
        total = self.counts.total()
        wrong = total - self.counts[Status.succeeded] - self.counts[Status.interrupted]
        if not (wrong or halted or self._retried.total()):
            return None
        counts = ", ".join(f"{self.counts[status]} {status}" for status in Status if self.counts[status])
        lines = [f"taskexp: {wrong} of {total} runs failed ({counts})", *self._entries]
        if wrong > len(self._entries):
            lines.append(f"  and {wrong - len(self._entries)} more")
        if retried := self._retried.total():
            lines.append(f"  {retried} tried again, {self._retried[Status.succeeded]} of them with success")
        if halted is not None:
            lines.append(f"  halt={halted.text!r} was reached; {not_run} more were not run")
        return "\n".join([*lines, *self._usage()])

    def _usage(self) -> list[str]:
        largest = self._largest
        if largest is None or largest.max_rss_bytes is None:
            return []
        if largest.max_rss_inherited:  # no run was larger than the driver: how large they were nobody knows
            return [f"  {self._cpu_seconds:.1f} s of CPU in all"]
        peak = f"{largest.max_rss_bytes / 2**20:.0f} MiB (index {largest.index})"
        return [f"  {self._cpu_seconds:.1f} s of CPU in all, largest peak memory {peak}"]
