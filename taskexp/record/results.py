"""Results: the recorded runs of a sweep, to be looked at while it runs or after."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

from taskexp.plan.metric import Metric, Take, checked_metric
from taskexp.record.groups import Groups
from taskexp.record.journal.reader import RecordedRun, check_readable, read_runs
from taskexp.record.metrics import metric_of_log
from taskexp.record.order import is_nothing, ordered
from taskexp.record.repeats import parameters_without_repeat
from taskexp.record.table import Cell, Sheet, Table, chosen_columns, html_table, table_columns, written
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.outcome import Status

Predicate: TypeAlias = Callable[[RecordedRun], object]

_FIELDS: Mapping[str, Callable[[RecordedRun], Cell]] = {
    "index": lambda row: row.index,
    "repeat": lambda row: row.repeat,
    "status": lambda row: str(row.status),
    "returncode": lambda row: row.returncode,
    "error": lambda row: row.error,
    "attempt": lambda row: row.attempt,
    "duration": lambda row: row.duration.total_seconds(),
    "user_seconds": lambda row: row.user_seconds,
    "system_seconds": lambda row: row.system_seconds,
    "max_rss_bytes": lambda row: row.max_rss_bytes,
    "start_time": lambda row: row.start_time,
    "host": lambda row: row.host,
    "worker": lambda row: row.worker,
    "slot": lambda row: row.slot,
    "id": lambda row: row.id,
    "log_path": lambda row: str(row.log_path),
}
FIELDS = tuple(_FIELDS)
"""The columns that every run has."""

_FIRST = ("index", "repeat")


def open_results(folder: str | os.PathLike[str], *, attempts: bool = False) -> "Results":
    """Open the results that a journal holds, of a sweep that is over or still runs.

    Args:
        folder: the `journal` of the sweep.
        attempts: one row per attempt that has ended; else one per point, its last one.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    if not isinstance(folder, str | os.PathLike):
        raise ArgumentTypeError(f"open_results: the folder is a path, not {folder!r}")
    path = Path(folder).absolute()
    check_readable(path)
    return Results(lambda: read_runs(path, attempts=attempts), path)


class Results(Table):
    """Recorded runs in the order of their indices, unless they were sorted.

    A view: each iteration reads the journal again. `filter`, `sort` and `metric` make new ones.

    Args:
        source: reads the rows.
        folder: the journal that they come from.
    """

    def __init__(self, source: Callable[[], Iterator[RecordedRun]], folder: Path) -> None:
        self._source = source
        self._folder = folder

    def __iter__(self) -> Iterator[RecordedRun]:
        return self._source()

    def __len__(self) -> int:  # `list` asks for it, and would read everything twice: `list(iter(self))`
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Results of {self._folder}>"

    def filter(self, condition: Predicate | Mapping[str, object]) -> "Results":
        """Keep the rows for which a condition holds.

        Args:
            condition: a function of the row, or columns with their values: `{"--n": 64, "status": "succeeded"}`.
        """
        if callable(condition):
            return self._made(lambda: (row for row in self if condition(row)))
        if not isinstance(condition, Mapping):
            raise ArgumentTypeError(f"filter: the condition is a function of the row or a dict, not {condition!r}")
        wanted = dict(condition)
        self._check_columns("filter", list(wanted))
        return self._made(lambda: (row for row in self if _agrees(row, wanted)))

    def sort(self, *columns: str) -> "Results":
        """Put the rows in an order; equal ones stay in theirs, and what has no value comes last.

        Text that looks like a number, such as "1e-3", has the place of that number.

        Args:
            columns: by what, the first one first; with a "-" in front the largest come first: `"-throughput"`.
        """
        found = [self._sort_key(column) for column in columns]
        keys = [(partial(cell_of, name=name), descending) for name, descending in found]
        return self._made(lambda: iter(ordered(iter(self), keys)))

    def group_by(self, *columns: str) -> Groups:
        """Fold rows that agree in some columns; of those that succeeded, every metric to n, mean, std, min and max.

        Args:
            columns: in what; none is in all parameters but the number of the repeat, so that repeats are folded.
        """
        names = list(columns) or parameters_without_repeat(self)
        self._check_columns("group_by", names)
        return Groups(self, names, cell_of)

    def best(self, metric: str, *, lowest: bool = False) -> RecordedRun | None:
        """Find the succeeded run with the largest value of a metric, or of another column that holds numbers.

        Args:
            metric: its name.
            lowest: find the smallest instead.

        Returns:
            The row; None if no run that succeeded has a value.
        """
        self._check_columns("best", [metric])
        rows = [row for row in self if row.status is Status.succeeded and _is_number(cell_of(row, metric))]
        chosen = min if lowest else max
        return chosen(rows, key=lambda row: cast(float, cell_of(row, metric)), default=None)

    def metric(self, name: str, pattern: str, *, take: Take = "last") -> "Results":
        """Read a metric from the saved logs; no program runs again.

        Args:
            name: what it is called.
            pattern: a regular expression whose first group is the number. It is searched for here, without a limit.
            take: which of several: "first", "last", "min" or "max".
        """
        metric = checked_metric(name, pattern, take)
        return self._made(lambda: (_with_metric(row, metric) for row in self))

    def sheet(self) -> Sheet:
        """Read the rows, with columns for the index, the parameters, the metrics, and how each run went."""
        rows = list(iter(self))
        getters = _getters(rows)
        return Sheet(list(getters), [[getter(row) for getter in getters.values()] for row in rows])

    def _repr_html_(self) -> str:
        return html_table(brief_sheet(self.sheet()))

    def report(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> str:
        """Make a page of the rows, with their table and plots: one HTML file that needs no network.

        Args:
            path: a file to write, in UTF-8; None writes none.
            title: its title; the name of the journal's folder if None.

        Returns:
            The page, some 5 MB: plotly.js is in it.

        Raises:
            MissingExtraError: plotly is not installed.
        """
        if title is not None and not isinstance(title, str):
            raise ArgumentTypeError(f"report: the title is a str, not {title!r}")
        from taskexp.record.report.file import make_report  # most sweeps are not reported

        return written(make_report(self._folder, list(iter(self)), title), path)

    def _made(self, source: Callable[[], Iterator[RecordedRun]]) -> "Results":
        return Results(source, self._folder)

    def _sort_key(self, column: str) -> tuple[str, bool]:
        names = self.columns
        if column not in names and column.startswith("-") and column[1:] in names:
            return column[1:], True
        self._check_columns("sort", [column])
        return column, False

    def _check_columns(self, call: str, wanted: list[str]) -> None:
        rows = list(iter(self))
        names = list(_getters(rows))
        for name in wanted:
            if rows and name not in names:  # where there are no rows, nobody knows
                raise ArgumentValueError(f"{call}: there is no column {name!r}; the columns are {', '.join(names)}")


def brief_sheet(sheet: Sheet) -> Sheet:
    """Choose the columns for a look at the sheet of some `Results`: what was asked for, and what came of it."""
    index = {name: [row[place] for row in sheet.rows] for place, name in enumerate(sheet.columns)}
    attempts = any(cell != 1 for cell in index["attempt"]) and len(set(index["id"])) < len(sheet.rows)
    names = ["index", *(["repeat"] if any(index["repeat"]) else []), *(["attempt"] if attempts else []), "status"]
    names += [name for name in sheet.columns if name not in FIELDS]
    names += ["duration", *(["error"] if any(index["error"]) else [])]
    return chosen_columns(sheet, names)


def cell_of(row: RecordedRun, name: str) -> Cell:
    """Look up a column of a row."""
    kind, _, rest = name.partition(":")
    if kind == "metric" and rest in row.metrics:
        return row.metrics[rest]
    if kind == "param" and rest in row.params:
        return cast(Cell, row.params[rest])
    if name in _FIELDS:
        return _FIELDS[name](row)
    return cast(Cell, row.params[name]) if name in row.params else row.metrics.get(name)


def _getters(rows: Iterable[RecordedRun]) -> dict[str, Callable[[RecordedRun], Cell]]:
    """Name the columns that rows have."""
    params: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for row in rows:
        params.update(dict.fromkeys(row.params))
        metrics.update(dict.fromkeys(row.metrics))
    names = table_columns(list(params), list(_FIELDS), "param")
    getters = {name: _FIELDS[name] for name in _FIRST}
    getters |= {names[name]: _getter("params", name) for name in params}
    names = table_columns(list(metrics), [*_FIELDS, *names.values()], "metric")
    getters |= {names[name]: _getter("metrics", name) for name in metrics}
    return getters | {name: getter for name, getter in _FIELDS.items() if name not in _FIRST}


def _agrees(row: RecordedRun, wanted: Mapping[str, object]) -> bool:
    return all(cell_of(row, name) == value for name, value in wanted.items())


def _getter(kind: str, name: str) -> Callable[[RecordedRun], Cell]:
    return lambda row: getattr(row, kind).get(name)


def _with_metric(row: RecordedRun, metric: Metric) -> RecordedRun:
    value = metric_of_log(metric, row.log_path)
    others = {name: other for name, other in row.metrics.items() if name != metric.name}
    return replace(row, metrics=others if value is None else {**others, metric.name: value})


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and not is_nothing(cell)
