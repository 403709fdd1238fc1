r"""Progress: how far the sweep is, as tqdm's bar. The only place that knows tqdm.

The bar counts finished runs and skipped points, and names what did not succeed. On a terminal it holds
the last row, in a notebook it is tqdm's widget, elsewhere it is a plain line now and then (no `\r`),
always with a last one. A bar that cannot be shown is switched off; it never ends the sweep. On a terminal
the board of the runs that go on may stand below it.
"""

import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol, TextIO

from taskexp.run.board import Board
from taskexp.run.cells import may_colour
from taskexp.run.outlet import Outlet, Outlets
from taskexp.run.screen import Screen
from taskexp.words.outcome import Status

REDRAW_SECONDS = 0.1
PLAIN_SECONDS = 30.0

ECHO_CELLS = 3
"""What stays free at the end of the bar's row: the `^C` that a terminal echoes must not wrap it."""

FREE_ROWS = 2
"""How many rows of the terminal stay free of the bar and its board, for the last lines that were written."""


class Progress:
    """The state of a sweep, and the bar that shows it.

    Args:
        outlets: the sweep's outlets; the bar shares the strand of stderr.
        total: the number of points.
        initial: how many of them lie before the start.
        shown: whether there is a bar at all.
        shows_runs: whether a board stands below it, on a terminal.
        clock: tells the time that the runs could use, in seconds.
    """

    def __init__(
        self,
        outlets: Outlets,
        total: int,
        initial: int,
        *,
        shown: bool,
        shows_runs: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._initial = initial
        self.done = initial
        """How many points are behind: run, skipped, or before the start."""
        self._counts: Counter[Status] = Counter()
        self._retried = 0
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._drawn_at = float("-inf")
        self._draw_waits = False
        self._outlet: Outlet | None = None
        self._display: _Display | None = None
        self.board: Board | None = None
        """The rows of the runs that go on, where they are shown."""
        if shown and sys.stderr is not None:
            self._outlet = outlets.of(sys.stderr)
            if shows_runs and _screen_of(self._outlet) is not None:
                self.board = Board(self.refresh, is_coloured=may_colour(), clock=clock)
            self._outlet.strand.put(self._open)

    def advance(self, number: int = 1) -> None:
        """Count points that were skipped."""
        with self._lock:
            self.done += number
        self.refresh()

    def shrink(self, number: int) -> None:
        """Count points that `where` dropped: there is that much less to do."""
        with self._lock:
            self.total -= number
        self.refresh()

    def count_retry(self) -> None:
        """Count an attempt that is followed by another."""
        with self._lock:
            self._retried += 1
        self.refresh()

    def count(self, status: Status, *, advance: bool) -> None:
        """Count a run that ended; `advance` is False if its point was counted as skipped before."""
        with self._lock:
            self.done += advance
            if status is not Status.succeeded:
                self._counts[status] += 1
        self.refresh()

    def refresh(self) -> None:
        """Draw the bar again, unless that was done a moment ago."""
        if self._outlet is None or self._draw_waits or time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._draw_waits = True
        self._outlet.strand.put(self._draw)

    def line(self) -> str:
        """Write the state as a plain line, without a newline."""
        return self._meter().line()

    def close(self) -> None:
        """Draw the last state and let it stand."""
        if self._outlet is not None:
            self._outlet.strand.put(self._close)
            self._outlet = None

    def _open(self) -> None:
        """Choose the display; on the strand, since the first import of tqdm takes its time."""
        self._attempt(self._choose)
        self._draw()

    def _choose(self) -> None:
        stderr, outlet = sys.stderr, self._outlet
        if (notebook := _notebook_bar()) is not None:
            self._display = _Widget(notebook, self._meter)
        elif outlet is not None and (screen := _screen_of(outlet)) is not None:
            self._display = _LastRows(screen, _BarRows(stderr, self._meter, self.board))
        else:
            self._display = _PlainLines(stderr, self._meter)

    def _meter(self) -> "Meter":
        return Meter(self.done, self.total, self._initial, self._clock() - self._began, self._counts, self._retried)

    def _draw(self) -> None:
        self._draw_waits = False
        self._drawn_at = time.monotonic()
        if self._display is not None:
            self._attempt(self._display.draw)

    def _close(self) -> None:
        if self._display is not None:
            self._attempt(self._display.finish)
            self._display = None

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # stderr closed, a full disk behind it, no widget: the sweep matters more than its bar
            self._display = None


@dataclass(frozen=True, slots=True)
class Meter:
    """One reading of the progress."""

    done: int
    total: int
    initial: int
    elapsed_seconds: float
    counts: Mapping[Status, int]
    retried: int

    @property
    def postfix(self) -> str:
        """What did not succeed, and how often something was tried again, as `failed=2 timed_out=1 retried=4`."""
        told = [f"{status}={self.counts[status]}" for status in Status if self.counts.get(status)]
        return " ".join([*told, *([f"retried={self.retried}"] if self.retried else [])])

    def line(self, columns: int = 0, *, ascii_only: bool = False) -> str:
        """Write the reading as tqdm does; with no columns, without the graphic."""
        from tqdm import tqdm

        line = tqdm.format_meter(
            self.done,
            self.total,
            self.elapsed_seconds,
            ncols=columns,
            ascii=ascii_only,
            initial=self.initial,
            postfix=self.postfix or None,
        )
        return line.rstrip() if columns else line.strip()  # on a row, the percentages stand below each other


class _Display(Protocol):
    def draw(self) -> None: ...

    def finish(self) -> None: ...


class _LastRows:
    """The bar at the bottom of a terminal."""

    def __init__(self, screen: Screen, footer: "_BarRows") -> None:
        self._footer = footer
        self._screen = screen
        self._shown = False

    def draw(self) -> None:
        if self._shown:
            self._screen.refresh(self._footer)
        else:
            self._shown = True
            self._screen.show(self._footer)

    def finish(self) -> None:
        self._screen.release(self._footer)


class _BarRows:
    """The bar, and below it the board if there is one."""

    takes_answer = False

    def __init__(self, stream: IO[str], meter: Callable[[], Meter], board: Board | None) -> None:
        self.stream = stream
        self._meter = meter
        self._board = board
        self._encoding = getattr(stream, "encoding", None) or "ascii"
        self._ascii_only = not self._encoding.lower().startswith("utf")

    def rows(self, columns: int, lines: int) -> list[str]:
        """Write the bar, which leaves room for the `^C` that the terminal may put on it, and the board."""
        room = max(columns - ECHO_CELLS, 1)
        bar = self._meter().line(room, ascii_only=self._ascii_only)[:room]
        if self._board is None:
            return [bar]
        return [bar, *map(self._encodable, self._board.rows(columns - 1, lines - 1 - FREE_ROWS))]

    def _encodable(self, row: str) -> str:
        """Put a `?` for what the stream would write as several characters, which no row has room for."""
        return row.encode(self._encoding, "replace").decode(self._encoding) if self._ascii_only else row


class _PlainLines:
    """Lines for a log: one now and then, one at the end."""

    def __init__(self, stderr: TextIO, meter: Callable[[], Meter]) -> None:
        self._stderr = stderr
        self._meter = meter
        self._due = time.monotonic() + PLAIN_SECONDS

    def draw(self) -> None:
        if time.monotonic() >= self._due:
            self.finish()
            self._due = time.monotonic() + PLAIN_SECONDS

    def finish(self) -> None:
        self._stderr.write(self._meter().line() + "\n")
        self._stderr.flush()


class _Widget:
    """tqdm's notebook bar."""

    def __init__(self, bar_class: type[Any], meter: Callable[[], Meter]) -> None:
        class Bar(bar_class):  # type: ignore[misc]  # the class is known only in a notebook
            monitor_interval = 0  # no thread that watches a bar which we redraw ourselves

        Bar.set_lock(threading.RLock())
        reading = meter()
        self._meter = meter
        self._bar = Bar(total=reading.total, initial=reading.initial)

    def draw(self) -> None:
        reading = self._meter()
        self._bar.n, self._bar.total = reading.done, reading.total
        self._bar.set_postfix_str(reading.postfix, refresh=True)

    def finish(self) -> None:
        self.draw()
        self._bar.close()


def _screen_of(outlet: Outlet) -> Screen | None:
    """Return the terminal that the bar can hold the last rows of."""
    return None if os.environ.get("TERM") == "dumb" else outlet.screen


def _notebook_bar() -> type[Any] | None:
    """Return tqdm's notebook class where there is a notebook that can show it."""
    if "ipykernel.zmqshell" not in sys.modules:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets tqdm warns; plain lines serve then
        from tqdm.auto import tqdm
    return tqdm if any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__) else None
