"""Survey: what there is to look at in some runs: which parameters vary, and which numbers were measured."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, cast

from taskexp.record.journal.reader import RecordedRun
from taskexp.record.order import number_of
from taskexp.record.repeats import is_repeat
from taskexp.record.table import Cell, table_columns

Kind: TypeAlias = Literal["number", "flag", "text"]

RUN_MEASURES = ("duration", "cpu", "memory")
"""What is measured of every run: its duration and CPU time in seconds, its peak memory in MiB."""

RUN_COLUMNS = ("id", "index", "repeat", "attempt", "status", *RUN_MEASURES, "start", "slot", "host", "error")
"""What is known of every run beside its parameters and metrics."""

MOST_LEVELS = 40
"""A text with more values than this is a name, not an axis."""

_FEW = 12
_WIDE = 50.0
"""From which ratio of its largest to its smallest value a parameter is looked at on a logarithmic scale."""

_SEED = re.compile(r"(^|[^a-z])(random[-_]?)?seed=?$", re.IGNORECASE)
_LESS_IS_MORE = re.compile(
    r"loss|err(or)?s?\b|error|perplexity|latency|time|duration|seconds?|msec|usec|\b[mun]?s(ec)?\b|_[mun]s\b|\bt?tft|tpot"
    r"|itl\b|p9\d|rss|memory|bytes|size|cost|energy|watts|joules|miss(es)?|mse|mae|stall|overhead",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the runs.

    Attributes:
        name: what its column is called.
        option: what it is called in `params`, which another column may be called, too.
        kind: "number" (text such as "1e-3" included), "flag" (on or off) or "text".
        levels: its different values: numbers by size, others in the order of the runs; None where a run has none.
        is_repeat: whether it only numbers repeats: the number of the repeat, or a seed.
        is_name: whether it names the run: it holds the run's id, or has too many values to be compared.
    """

    name: str
    option: str
    kind: Kind
    levels: Sequence[Cell]
    is_repeat: bool
    is_name: bool

    @property
    def varies(self) -> bool:
        """Whether it has more than one value."""
        return len(self.levels) > 1

    @property
    def is_axis(self) -> bool:
        """Whether runs can be compared along it."""
        return self.varies and not self.is_repeat and not self.is_name

    @property
    def is_wide(self) -> bool:
        """Whether its values are better seen on a logarithmic scale."""
        numbers = [number_of(level) for level in self.levels] if self.kind == "number" else []
        found = [number for number in numbers if number is not None]
        return len(found) > 2 and min(found) > 0 and max(found) / min(found) >= _WIDE


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that was measured in each run.

    Attributes:
        name: what its column is called; `duration`, `cpu` and `memory` are those of every run.
        metric: what it is called in `metrics`; None if it is measured of every run.
        prefers_less: whether less is better, as far as its name tells.
    """

    name: str
    metric: str | None
    prefers_less: bool


@dataclass(frozen=True)
class Survey:
    """What there is in some runs.

    Attributes:
        parameters: in the order of the calls that made them.
        measures: metrics first, in the order in which they appear.
        points: the values of the axes of each run, to see which of them belong together.
    """

    parameters: Sequence[Parameter]
    measures: Sequence[Measure]
    points: Sequence[Mapping[str, Cell]]

    @cached_property
    def axes(self) -> list[Parameter]:
        """The parameters along which runs can be compared, without those that only follow from others.

        A parameter that is computed from others, or advances together with one, tells no two points apart that
        the others do not: taking those with few values first, it adds nothing.
        """
        kept: list[Parameter] = []
        count = 1
        for parameter in sorted((each for each in self.parameters if each.is_axis), key=lambda each: len(each.levels)):
            more = self.combinations([each.name for each in (*kept, parameter)])
            may_follow = parameter.kind == "text" or len(parameter.levels) <= _FEW
            if more > count or not may_follow:
                kept.append(parameter)
                count = more
        return [each for each in self.parameters if each in kept]

    @property
    def metrics(self) -> list[Measure]:
        """The measures that were read from the output."""
        return [each for each in self.measures if each.metric is not None]

    def combinations(self, names: Sequence[str]) -> int:
        """Count the different values that some axes have together."""
        return len({tuple(map(_likeness, (point.get(name) for name in names))) for point in self.points})


def make_survey(rows: Sequence[RecordedRun]) -> Survey:
    """Look what there is in some runs."""
    options = list(dict.fromkeys(option for row in rows for option in row.params))
    names = table_columns(options, RUN_COLUMNS, "param")
    repeated = any(row.repeat for row in rows)
    parameters = [_parameter(names[option], option, rows, repeated=repeated) for option in options]
    axes = {each.name: each.option for each in parameters if each.is_axis}
    points = [{name: cast(Cell, row.params.get(option)) for name, option in axes.items()} for row in rows]
    return Survey(parameters, _measures(rows, [*RUN_COLUMNS, *names.values()]), points)


def measured(row: RecordedRun, measure: Measure) -> float | None:
    """Look up what was measured of a run; None if it has no value."""
    if measure.metric is not None:
        return row.metrics.get(measure.metric)
    if measure.name == "duration":
        return row.duration.total_seconds()
    if measure.name == "cpu":
        return None if row.user_seconds is None else row.user_seconds + (row.system_seconds or 0.0)
    return None if row.max_rss_bytes is None else row.max_rss_bytes / (1 << 20)


def prefers_less(name: str) -> bool:
    """Guess from its name whether less of a measure is better: a loss, a time, a size."""
    return _LESS_IS_MORE.search(name) is not None


def _parameter(name: str, option: str, rows: Sequence[RecordedRun], *, repeated: bool) -> Parameter:
    cells = [cast(Cell, row.params.get(option)) for row in rows]
    levels = list({_likeness(cell): cell for cell in cells}.values())
    kind = _kind(levels)
    if kind == "number":
        levels.sort(key=lambda level: math.inf if (number := number_of(level)) is None else number)
    numbers_repeats = repeated and all(map(is_repeat, cells, (row.repeat for row in rows)))
    holds_id = any(isinstance(cell, str) and row.id in cell for cell, row in zip(cells, rows, strict=True))
    return Parameter(
        name,
        option,
        kind,
        levels,
        is_repeat=numbers_repeats or (kind == "number" and _SEED.search(option) is not None),
        is_name=holds_id or (kind == "text" and len(levels) > MOST_LEVELS),
    )


def _kind(levels: Iterable[Cell]) -> Kind:
    there = [level for level in levels if level is not None]
    if there and all(isinstance(level, bool) for level in there):
        return "flag"
    is_number = there and all(not isinstance(level, bool) and number_of(level) is not None for level in there)
    return "number" if is_number else "text"


def _measures(rows: Sequence[RecordedRun], taken: Sequence[str]) -> list[Measure]:
    found = dict.fromkeys(name for row in rows for name, value in row.metrics.items() if math.isfinite(value))
    names = table_columns(list(found), taken, "metric")
    metrics = [Measure(names[metric], metric, prefers_less(metric)) for metric in found]
    return [*metrics, *(Measure(name, None, True) for name in RUN_MEASURES)]


def _likeness(cell: Cell) -> object:
    """Tell 1 and True apart, which are equal."""
    return type(cell), cell
