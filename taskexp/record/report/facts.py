"""Facts: what was run, when, where and from which code, as lines for the head of a page."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from taskexp.record.journal.drivers import Driver
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.provenance import git_state
from taskexp.record.report.content import command_of
from taskexp.record.table import Cell, shown
from taskexp.run.board import age_text
from taskexp.words.counting import counted


def tell_facts(folder: Path | None, drivers: Sequence[Driver], rows: Sequence[RecordedRun]) -> list[tuple[str, str]]:
    """Tell what is known of a sweep, as names with texts; what nobody knows is left out.

    Args:
        folder: its journal; None without one.
        drivers: who has run it, the first one first.
        rows: its runs.
    """
    facts = [*_of_runs(rows), *_of_drivers(drivers)]
    return [*facts, *([("Journal", str(folder))] if folder else [])]


def _of_runs(rows: Sequence[RecordedRun]) -> Iterator[tuple[str, str]]:
    if not rows:
        return
    if command := command_of(rows[0], rows[0].env):
        yield "First command", command
    if same := _constants(rows):
        yield "The same in every run", same
    begin, end = min(row.start_time for row in rows), max(row.end_time for row in rows)
    spent = sum((row.duration for row in rows), timedelta())
    took, in_sum = age_text((end - begin).total_seconds()), age_text(spent.total_seconds())
    yield "Ran", f"from {_at(begin)} to {_at(end)}: {took}; one after the other {in_sum}"


def _of_drivers(drivers: Sequence[Driver]) -> Iterator[tuple[str, str]]:
    if not drivers:
        return
    last = drivers[-1]
    if last.script is not None:
        yield "Started as", shlex.join([*_program(Path(last.script)), *last.arguments])
    yield "In the folder", last.cwd
    starts = f"{counted(len(drivers), 'start')}, the first {_at(drivers[0].start_time)}" if len(drivers) > 1 else ""
    yield "Started", starts or _at(last.start_time)
    yield "On", ", ".join(dict.fromkeys(driver.host for driver in drivers))
    if last.git_commit is not None:
        yield "Commit", git_state(last.git_commit, last.git_dirty)
    yield "With", f"Python {last.python}, TaskExp {last.taskexp}"


def _program(script: Path) -> list[str]:
    return ["python", "-m", script.parent.name] if script.name == "__main__.py" else [script.name]


def _constants(rows: Sequence[RecordedRun]) -> str:
    same = dict(rows[0].params)
    for row in rows:
        same = {name: value for name, value in same.items() if name in row.params and row.params[name] == value}
    return ", ".join(f"{name} = {shown(cast(Cell, value))}" for name, value in same.items())


def _at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S %z}".strip()
