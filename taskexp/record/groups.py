"""Groups: recorded runs that agree in some columns, folded to one row each."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from taskexp.record.journal.reader import RecordedRun
from taskexp.record.table import Cell, Sheet, Table, table_columns
from taskexp.words.outcome import Status

CellOf: TypeAlias = Callable[[RecordedRun, str], Cell]
_MEASURES = ("mean", "std", "min", "max")


@dataclass(frozen=True, slots=True)
class Fold:
    """What several values of a metric come to.

    Attributes:
        n: how many values there are.
        mean: their arithmetic mean.
        std: their sample standard deviation (of n-1); None for a single value.
        min: the smallest.
        max: the largest.
    """

    n: int
    mean: float
    std: float | None
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that agree in some columns.

    Attributes:
        key: these columns and their values.
        rows: all the runs, whether they succeeded or not.
        n: how many succeeded; these are folded.
        metrics: by name, what the values of the metric come to; `duration` in seconds is among them (a metric that is
            called so, too, is `metric:duration`).
    """

    key: Mapping[str, Cell]
    rows: Sequence[RecordedRun]
    n: int
    metrics: Mapping[str, Fold]


class Groups(Table):
    """Groups in the order of their first runs; each iteration reads the runs again.

    Args:
        rows: the runs.
        names: the columns in which the runs of a group agree.
        cell_of: looks up a column of a run.
    """

    def __init__(self, rows: Iterable[RecordedRun], names: Sequence[str], cell_of: CellOf) -> None:
        self._rows = rows
        self._names = names
        self._cell_of = cell_of

    def __iter__(self) -> Iterator[Group]:
        groups: dict[tuple[object, ...], list[RecordedRun]] = {}
        for row in self._rows:
            values = [self._cell_of(row, name) for name in self._names]
            groups.setdefault(tuple(map(_likeness, values)), []).append(row)
        for rows in groups.values():
            yield _group({name: self._cell_of(rows[0], name) for name in self._names}, rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Groups by {', '.join(self._names)}>"

    def sheet(self) -> Sheet:
        """Read the groups, with columns for what they agree in, for n, and for four measures per metric."""
        groups = list(iter(self))
        metrics = list(dict.fromkeys(name for group in groups for name in group.metrics))
        columns = [*self._names, "n", *(f"{name} {measure}" for name in metrics for measure in _MEASURES)]
        return Sheet(columns, [[*group.key.values(), group.n, *_measured(group, metrics)] for group in groups])


def _likeness(cell: Cell) -> object:
    """Tell 1, 1.0 and True apart, which are equal; NaN is like itself."""
    return type(cell), cell if cell == cell else None


def _measured(group: Group, metrics: Sequence[str]) -> list[Cell]:
    folds = [group.metrics.get(name) for name in metrics]
    return [getattr(fold, measure, None) for fold in folds for measure in _MEASURES]


def _group(key: Mapping[str, Cell], rows: Sequence[RecordedRun]) -> Group:
    succeeded = [row for row in rows if row.status is Status.succeeded]
    names = list(dict.fromkeys(name for row in succeeded for name in row.metrics))
    shown = table_columns(names, ["duration"], "metric")
    folds = {shown[name]: _fold([row.metrics[name] for row in succeeded if name in row.metrics]) for name in names}
    if succeeded:
        folds["duration"] = _fold([row.duration.total_seconds() for row in succeeded])
    return Group(key, rows, len(succeeded), folds)


def _fold(values: Sequence[float]) -> Fold:
    import statistics  # it loads decimal and fractions, which most sweeps do not need

    if all(map(math.isfinite, values)):
        mean = statistics.fmean(values)
        std = statistics.stdev(values) if len(values) > 1 else None
    else:  # the measures of a set with NaN or an infinity are not numbers, and statistics would raise
        mean, std = math.fsum(values) / len(values) if not _mixed(values) else math.nan, math.nan
    return Fold(len(values), mean, std, min(values), max(values))


def _mixed(values: Sequence[float]) -> bool:
    return math.inf in values and -math.inf in values
