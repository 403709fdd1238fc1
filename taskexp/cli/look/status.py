"""Status: how far a sweep is, once or as it goes on."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from taskexp.cli.look.folder import add_folder, journal_folder
from taskexp.cli.table import write_table
from taskexp.cli.text import shorten, write_out
from taskexp.record.excerpt import printable
from taskexp.record.journal.glance import OpenRun
from taskexp.record.state import CUT_OFF, State, read_state
from taskexp.record.table import Cell, Sheet
from taskexp.run.board import age_text
from taskexp.run.cells import terminal_size
from taskexp.words.counting import counted
from taskexp.words.moment import local_now
from taskexp.words.outcome import Status

EXAMPLE = "  taskexp status runs --watch"

WATCH_SECONDS = 1.0
"""How often `--watch` looks."""

_UNDONE = (CUT_OFF, Status.interrupted)
"""What runs again in any case."""

_LARGEST_SHARE = 0.2
"""How much of its time `--watch` looks at most, where a look takes long."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `status` takes."""
    add_folder(parser)
    parser.add_argument("--watch", action="store_true", help="look every second until the sweep ends")
    parser.add_argument(
        "--json", action="store_true", help="write a JSON object; with --watch one per change, by lines"
    )


def main(arguments: argparse.Namespace) -> int:
    """Write how far a sweep is. Raises JournalError."""
    folder = journal_folder(arguments)
    if not arguments.watch:
        state = read_state(folder)
        write_out(_json(folder, state) if arguments.json else _text(folder, state, _width()))
    elif arguments.json:
        _watch_changes(folder, _json)
    elif sys.stdout.isatty():
        _watch_screen(folder)
    else:
        _watch_changes(folder, lambda _, state: _summary(state) + "\n")
    return 0


# ---- watching


def _watch_screen(folder: Path) -> None:
    """Draw the state in place until the driver ends."""
    drawn = 0
    while True:
        began = time.monotonic()
        state = read_state(folder)
        columns, rows = terminal_size(sys.stdout)
        lines = _text(folder, state, columns - 1).splitlines()
        if len(lines) > rows - 1:
            lines = [*lines[: rows - 2], f"  … {len(lines) - rows + 2} more"]
        over = f"\x1b[{drawn}A\r\x1b[J" if drawn else ""
        write_out(over + "".join(f"{shorten(line, columns - 1)}\n" for line in lines))
        drawn = len(lines)
        if state.driver is None:
            return
        _pause(time.monotonic() - began)


def _watch_changes(folder: Path, written: Callable[[Path, State], str]) -> None:
    """Write the state whenever it has changed, until the driver ends."""
    last = ""
    while True:
        began = time.monotonic()
        state = read_state(folder)
        if (text := written(folder, state)) != last:
            write_out(text)
            last = text
        if state.driver is None:
            return
        _pause(time.monotonic() - began)


def _pause(spent_seconds: float) -> None:
    time.sleep(max(WATCH_SECONDS, spent_seconds / _LARGEST_SHARE))


# ---- writing


def _text(folder: Path, state: State, width: int | None) -> str:
    glance = state.glance
    ago = _age(glance.changed)
    lines = [printable(str(folder)), _summary(state), _driver(state)]
    lines.append(f"last change {glance.changed:%Y-%m-%d %H:%M:%S}, {ago} ago")
    if state.driver is not None and glance.open_runs:
        lines += ["", *write_table(_running(state), width, colour=False).splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _summary(state: State) -> str:
    """Say in one line how many points are done, and how they went."""
    counts = state.counts
    ended = sum(count for status, count in counts.items() if status not in _UNDONE)
    of = (
        f" of {counted(state.points, 'point')}"
        if state.points is not None
        else counted(ended, "point")[len(str(ended)) :]
    )
    parts = [f"{count} {status}" for status, count in counts.items() if status != CUT_OFF]
    if state.driver is not None:
        parts.append(f"{len(state.glance.open_runs)} running")
    if any(state.kept):
        waiting, running, over = state.kept
        parts.append(
            f"{sum(state.kept)} with Slurm ({waiting} waiting, {running} running, {over} ended; "
            "`taskexp resume` takes in what has ended)"
        )
    if state.cut_off:
        parts.append(f"{state.cut_off} {CUT_OFF} by the end of their driver, they will run again")
    return f"{ended}{of} done" + (f": {', '.join(parts)}" if parts else "")


def _driver(state: State) -> str:
    if (holder := state.driver) is None:
        return "no driver: " + ("jobs of Slurm go on" if any(state.kept) else "nothing runs")
    return printable(f"driver pid {holder.driver.pid} on {holder.driver.host}, since {holder.since}")


def _running(state: State) -> Sheet:
    rows: list[list[Cell]] = [
        [
            run.index,
            run.attempt,
            _age(run.start_time),
            state.pids.get((run.index, run.attempt)),
            _values(run.params),
        ]
        for run in state.glance.open_runs
    ]
    return Sheet(["index", "attempt", "for", "pid", "running"], rows)


def _values(params: Mapping[str, object]) -> str:
    """Write the values of a point in one line: `--n=64 --amp=true`."""
    return " ".join(
        f"{name}={json.dumps(value) if isinstance(value, bool | None) else value}" for name, value in params.items()
    )


def _age(since: datetime) -> str:
    """Say how long ago something was."""
    return age_text(max(0.0, (local_now() - since).total_seconds()))


def _json(folder: Path, state: State) -> str:
    holder = state.driver
    driver = holder and {"pid": holder.driver.pid, "host": holder.driver.host, "since": holder.since}
    running = [_json_run(run, state) for run in state.glance.open_runs] if holder else []
    counts = {name.replace(" ", "_"): count for name, count in state.counts.items()}
    written = {"folder": str(folder), "points": state.points, "counts": counts, "running": running, "driver": driver}
    written["slurm"] = dict(zip(("waiting", "running", "ended"), state.kept, strict=True))
    return json.dumps(written | {"changed": state.glance.changed.isoformat()}) + "\n"


def _json_run(run: OpenRun, state: State) -> dict[str, object]:
    return {
        "index": run.index,
        "attempt": run.attempt,
        "params": run.params,
        "pid": state.pids.get((run.index, run.attempt)),
        "since": run.start_time.isoformat(),
        "log_path": str(run.log_path),
    }


def _width() -> int | None:
    return terminal_size(sys.stdout).columns if sys.stdout.isatty() else None
