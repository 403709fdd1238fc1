r"""Board: the runs that go on, one row each: index, age, what tells its command from the others, its newest line.

A slot keeps its row, so that rows do not jump when a run ends and the next one begins; a slot that stays
empty gives it up after a moment. Of the output only the last bytes are kept, and they are looked at when
the rows are drawn: a run that prints a gigabyte pays for copying a few KiB per chunk.
"""

import codecs
import time
from collections.abc import Callable

from taskexp.run.cells import count_cells, cut, fill, single_row
from taskexp.run.taps import STREAM_NAMES, StreamName

KEPT_BYTES = 1 << 12
"""How much of each stream is kept; of a line that is longer, its end is shown."""

KEPT_SECONDS = 1.0
"""How long the row of a slot that has nothing to run stays empty before the rows below it move up."""

_LABEL_SHARE = 0.4
"""How much of a row the label takes at the most."""

_AGE_CELLS = 6
_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"


class RunRow:
    """One attempt of a run, as its row shows it.

    Args:
        index: the run's place in the grid.
        label: the varying part of its command.
        began: when it began, by the board's clock.
        changed: called when there is output.
    """

    def __init__(self, index: int, label: str, began: float, changed: Callable[[], object]) -> None:
        self.index = str(index)
        self.label = single_row(label)
        self.began = began
        self.ended: float | None = None
        self._changed = changed
        self._kept: dict[StreamName, bytes] = dict.fromkeys(STREAM_NAMES, b"")
        self._newest: StreamName = "stdout"

    def push(self, stream: StreamName, chunk: bytes) -> None:
        """Take the next chunk of a stream; on the event loop, while another thread draws."""
        self._kept[stream] = (self._kept[stream] + chunk[-KEPT_BYTES:])[-KEPT_BYTES:]
        self._newest = stream
        self._changed()

    def newest_line(self) -> str:
        r"""Return the last line that shows anything, finished or not; of a line redrawn with `\r`, its last state."""
        for stream in (self._newest, *STREAM_NAMES):
            text = codecs.getincrementaldecoder("utf-8")("replace").decode(self._kept[stream])  # half a letter waits
            for state in reversed(text.replace("\r", "\n").split("\n")):
                if line := single_row(state).strip():
                    return line
        return ""


class Board:
    """The rows of the runs that go on. Rows are opened and closed on the event loop, and drawn on the strand.

    Args:
        changed: called when the rows are to be drawn again.
        is_coloured: whether ages are dimmed.
        clock: tells the time in seconds.
    """

    def __init__(
        self, changed: Callable[[], object], *, is_coloured: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._changed = changed
        self._is_coloured = is_coloured
        self._clock = clock
        self._by_slot: dict[int, RunRow] = {}
        self._label_cells = 0

    def open_row(self, slot: int, index: int, label: str) -> RunRow:
        """Give the row of a slot to an attempt that begins."""
        row = self._by_slot[slot] = RunRow(index, label, self._clock(), self._changed)
        self._changed()
        return row

    def close_row(self, row: RunRow) -> None:
        """Empty the row of an attempt that is over; the slot may belong to another one already."""
        row.ended = self._clock()
        self._changed()

    def rows(self, columns: int, most: int) -> list[str]:
        """Lay out the rows.

        Args:
            columns: the cells of a row; none takes more.
            most: how many rows there is room for; what does not fit is counted in the last one.
        """
        now = self._clock()
        rows = self._standing(now)
        shown = rows if len(rows) <= most else rows[: max(most - 1, 0)]
        index_cells = max((len(row.index) for row in shown), default=0)
        self._label_cells = max([self._label_cells, *(count_cells(row.label) for row in shown)])
        label_cells = min(self._label_cells, int(columns * _LABEL_SHARE))
        laid_out = [self._lay_out(row, now, columns, index_cells, label_cells) for row in shown]
        more = sum(row.ended is None for row in rows[len(shown) :])
        return laid_out if not more or most < 1 else [*laid_out, cut(f"  ... and {more} more running", columns)]

    def _standing(self, now: float) -> list[RunRow]:
        """Return the rows in the order of their slots, but for those whose slots stay empty."""
        by_slot = self._by_slot.copy()  # the event loop opens rows meanwhile
        rows = (by_slot[slot] for slot in sorted(by_slot))
        return [row for row in rows if row.ended is None or now - row.ended < KEPT_SECONDS]

    def _lay_out(self, row: RunRow, now: float, columns: int, index_cells: int, label_cells: int) -> str:
        if row.ended is not None:
            return ""
        age = age_text(now - row.began).rjust(_AGE_CELLS)
        head = f"  {row.index.rjust(index_cells)} "
        label = f"  {fill(row.label, label_cells)}" if label_cells else ""
        text = cut(f"{head}{age}{label}  {row.newest_line()}".rstrip(), columns)
        end = len(head) + len(age)
        if not self._is_coloured or len(text) < end:
            return text
        return text[: len(head)] + _DIM + text[len(head) : end] + _PLAIN + text[end:]


def age_text(seconds: float) -> str:
    """Write a time in at most six characters: `3.2s`, `1m05s`, `2h03m`, `4d07h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{int(seconds * 10) / 10:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02}h"
