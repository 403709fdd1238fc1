"""Feed: the runs of a sweep as they end, for the pages that show it live."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from taskexp.record.journal.drivers import read_drivers
from taskexp.record.journal.glance import OpenRun
from taskexp.record.journal.reader import RecordedRun, read_ended
from taskexp.record.report.content import Content, json_cell, make_content
from taskexp.record.report.facts import tell_facts
from taskexp.record.state import State, read_state
from taskexp.record.table import Cell


class Feed:
    """Reads a journal again and again, and of it only what is new.

    Args:
        folder: the journal's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[int] = set()
        self._latest: dict[bytes, tuple[int, RecordedRun]] = {}
        self._order: list[bytes] = []
        self._content: Content | None = None
        self._facts: list[tuple[str, str]] = []
        self.state: State = read_state(folder)

    @property
    def position(self) -> int:
        """How many ends of runs have been read."""
        return len(self._order)

    def read(self) -> None:
        """Look what has ended, and what runs. Raises JournalError."""
        self.state = read_state(self._folder)
        ended = read_ended(self._folder, self._known)
        for number, run in ended:
            self._known.add(number)
            if (before := self._latest.get(run.fingerprint)) is None or before[0] < number:
                self._latest[run.fingerprint] = (number, run)
                self._order.append(run.fingerprint)
        if ended or self._content is None:
            rows = [run for _, run in sorted(self._latest.values(), key=lambda each: (each[1].index, each[0]))]
            self._content = make_content(rows)
            self._facts = tell_facts(self._folder, read_drivers(self._folder), rows)

    def content_since(self, position: int) -> dict[str, object]:
        """Tell what a page needs that was told all up to a position: the rows that are new, all else as it is now."""
        assert self._content is not None  # read has been called
        fresh = {fingerprint.hex()[:16] for fingerprint in self._order[position:]}
        rows = [row for row in self._content.rows if row[0] in fresh]
        return {**self._content.as_json(), "rows": rows, "facts": self._facts}

    def told_state(self) -> dict[str, object]:
        """Tell how far the sweep is, and what runs now."""
        state = self.state
        running = [_told_open(run) for run in state.glance.open_runs] if state.driver is not None else []
        return {"points": state.points, "running": running, "is_driven": state.driver is not None}


def _told_open(run: OpenRun) -> Mapping[str, object]:
    return {
        "id": run.id,
        "index": json_cell(run.index),
        "attempt": run.attempt,
        "since": round(run.start_time.timestamp() * 1000),
        "params": {name: json_cell(cast(Cell, value)) for name, value in run.params.items()},
    }
