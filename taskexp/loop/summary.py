"""Summary: the runs that did not succeed, named at the end of the loop."""

from collections import Counter
from collections.abc import Callable

from taskexp.words.outcome import RunResult, Status

LENGTH = 20
"""How many runs are named; the others are counted."""


class Summary:
    """Collects what is to be told at the end.

    Args:
        size: the number of points of the grid.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._counts: Counter[Status] = Counter()
        self._entries: list[str] = []

    def add(self, result: RunResult, command_line: Callable[[], str]) -> None:
        """Take note of a run that ended."""
        self._counts[result.status] += 1
        if result.status not in (Status.succeeded, Status.interrupted) and len(self._entries) < LENGTH:
            self._entries.append(f"  index {result.index}, {result.describe()}\n    {command_line()}")

    def text(self) -> str | None:
        """Write the summary; None if nothing failed. What was stopped on purpose is counted, not named."""
        wrong = self._counts.total() - self._counts[Status.succeeded] - self._counts[Status.interrupted]
        if not wrong:
            return None
        counts = ", ".join(f"{self._counts[status]} {status}" for status in Status if self._counts[status])
        head = f"taskexp: {wrong} of {self._counts.total()} runs failed ({counts})"
        more = [f"  and {wrong - len(self._entries)} more"] if wrong > len(self._entries) else []
        return "\n".join([head, *self._entries, *more])
