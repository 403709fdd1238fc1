"""Content: what a page shows of some runs, as plain values that JSON has."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import cast

from taskexp.plan.command import Command
from taskexp.plan.secrets import HIDDEN
from taskexp.record.excerpt import last_lines
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.report.choice import choose
from taskexp.record.report.survey import RUN_COLUMNS, Parameter, Survey, make_survey, measured
from taskexp.record.table import Cell
from taskexp.words.outcome import RunResult, Status

FAILURES_TOLD = 50
"""How many failed runs are told with their last lines."""

LINES_TOLD = 10
LONGEST_LINE = 500
"""How much of a failed run's output is told: how many lines, and how many characters of each."""

_LARGEST_EXACT = 1 << 53
_GOOD = (Status.succeeded, Status.interrupted)
_UNITS = {"duration": "s", "cpu": "s", "memory": "MiB"}
_KINDS = {"id": "text", "status": "text", "host": "text", "error": "text", "start": "time"}
_FIRST = ("id", "index", "repeat", "attempt", "status")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the page's table.

    Attributes:
        name: what it is called; no two are called the same.
        role: "param", "metric", or "run" for what every run has.
        kind: "number", "flag", "text" or "time" (milliseconds since 1970).
        unit: that of its numbers; "" where nobody knows.
        varies: whether it has more than one value.
        is_axis: whether runs are compared along it, which what only follows from others is not.
        is_repeat: whether it only numbers repeats.
        is_wide: whether it is better seen on a logarithmic scale.
        prefers_less: whether less of it is better.
    """

    name: str
    role: str
    kind: str
    unit: str = ""
    varies: bool = True
    is_axis: bool = False
    is_repeat: bool = False
    is_wide: bool = False
    prefers_less: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What is shown of some runs.

    Attributes:
        columns: those of the table.
        choice: the plots, as `Choice` has them.
        counts: how many runs ended how.
        failures: the runs that failed, the first `FAILURES_TOLD` of them, with their last lines.
        failure_count: how many there are.
        rows: a list per run with one value per column.
    """

    columns: Sequence[Mapping[str, object]]
    choice: Mapping[str, object]
    counts: Mapping[str, int]
    failures: Sequence[Mapping[str, object]]
    failure_count: int
    rows: Sequence[Sequence[object]]

    def as_json(self) -> dict[str, object]:
        """Return the attributes by name; not by `asdict`, which copies every cell."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def make_content(rows: Sequence[RecordedRun]) -> Content:
    """Gather what is shown of runs."""
    survey = make_survey(rows)
    failed = [row for row in rows if row.status not in _GOOD]
    return Content(
        columns=[asdict(column) for column in _columns(survey, rows)],
        choice=asdict(choose(survey)),
        counts=dict(Counter(str(row.status) for row in rows)),
        failures=[_failure(row) for row in failed[:FAILURES_TOLD]],
        failure_count=len(failed),
        rows=[_row(row, survey) for row in rows],
    )


def json_cell(cell: Cell) -> object:
    """Write a cell so that JSON and a reader that knows only doubles lose nothing of it."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) > _LARGEST_EXACT:
        return str(cell)
    return cell


def command_of(run: RunResult, env: Mapping[str, str]) -> str:
    """Write the command of a run as a line for a shell; a secret is taken from the variable of its name there."""
    if not run.argv:
        return ""
    secrets = frozenset(name for name, value in env.items() if value == HIDDEN)
    return Command(tuple(run.argv), env, secrets=secrets).display()


def _columns(survey: Survey, rows: Sequence[RecordedRun]) -> list[Column]:
    axes = survey.axes
    params = [_parameter_column(parameter, axes) for parameter in survey.parameters]
    metrics = [
        Column(measure.name, "metric", "number", prefers_less=measure.prefers_less) for measure in survey.metrics
    ]
    run = {name: _run_column(name, rows) for name in RUN_COLUMNS}
    return [*(run.pop(name) for name in _FIRST), *params, *metrics, *run.values()]


def _parameter_column(parameter: Parameter, axes: Sequence[Parameter]) -> Column:
    return Column(
        parameter.name,
        "param",
        parameter.kind,
        varies=parameter.varies,
        is_axis=parameter in axes,
        is_repeat=parameter.is_repeat,
        is_wide=parameter.is_wide,
    )


def _run_column(name: str, rows: Sequence[RecordedRun]) -> Column:
    is_measure = name in _UNITS
    varies = is_measure or len({_CELLS[name](row) for row in rows}) > 1
    return Column(
        name,
        "run",
        _KINDS.get(name, "number"),
        _UNITS.get(name, ""),
        varies=varies,
        prefers_less=is_measure,
    )


def _row(row: RecordedRun, survey: Survey) -> list[object]:
    params = [json_cell(cast(Cell, row.params.get(parameter.option))) for parameter in survey.parameters]
    measures = {measure.name: measured(row, measure) for measure in survey.measures}
    metrics = [json_cell(measures.pop(measure.name)) for measure in survey.metrics]
    run: dict[str, object] = {name: None if value is None else round(value, 6) for name, value in measures.items()}
    run |= {name: cell_of(row) for name, cell_of in _CELLS.items()}
    first = [run.pop(name) for name in _FIRST]
    return [*first, *params, *metrics, *(run[name] for name in RUN_COLUMNS if name in run)]


_CELLS: Mapping[str, Callable[[RecordedRun], object]] = {
    "id": lambda row: row.id,
    "index": lambda row: json_cell(row.index),
    "repeat": lambda row: row.repeat,
    "attempt": lambda row: row.attempt,
    "status": lambda row: str(row.status),
    "start": lambda row: round(row.start_time.timestamp() * 1000),
    "slot": lambda row: row.slot,
    "host": lambda row: row.host,
    "error": lambda row: row.error,
}


def _failure(row: RecordedRun) -> dict[str, object]:
    """Tell of a run that did not succeed."""
    return {
        "id": row.id,
        "index": json_cell(row.index),
        "attempt": row.attempt,
        "what": row.describe(),
        "command": command_of(row, row.env),
        "log": str(row.log_path),
        "lines": [line[:LONGEST_LINE] for line in last_lines(row.log_path, LINES_TOLD)],
    }
