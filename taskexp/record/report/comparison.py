"""Comparison: two sweeps side by side, point by point.

A point is what the runs of a sweep were asked: the program, the parameters, the added environment and the folder, but
not the number of the repeat or a seed. Points are the same if they agree in all of that which varies in one of the
sweeps. What varies in neither is the same for all points of a sweep; where it differs between the two, as it does for
two programs that were measured in the same way, it is what is compared, and is told.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from taskexp.plan.values import text_of
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.report.ratio import Ratio, Sample, make_sample, ratio_of
from taskexp.record.report.survey import Measure, Survey, make_survey, measured
from taskexp.record.table import Cell
from taskexp.words.errors import ArgumentValueError
from taskexp.words.outcome import Status

Facets: TypeAlias = Mapping[str, Cell]
"""What a run was asked, by name: the parameters and, with names of their own, all else."""

PROGRAM, FOLDER = "(program)", "(folder)"
_ID = "…"


@dataclass(frozen=True, slots=True)
class Pair:
    """One point in both sweeps, and what was measured there; None without a run that succeeded and has a value."""

    point: Facets
    first: Sample | None
    second: Sample | None
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sweeps side by side.

    Attributes:
        pairs: by measure, the points that are in both, in the order of the first sweep.
        only_first: the points that the second has not.
        only_second: the points that the first has not.
        differing: what is one thing in all of the first and another in all of the second, with both.
    """

    pairs: Mapping[str, Sequence[Pair]]
    only_first: Sequence[Facets]
    only_second: Sequence[Facets]
    differing: Mapping[str, tuple[Cell, Cell]]


def compare(
    first: Sequence[RecordedRun], second: Sequence[RecordedRun], metrics: Sequence[str], confidence: float
) -> Comparison:
    """Compare the runs of two sweeps.

    Args:
        first: the runs of the one; ratios are relative to it.
        second: those of the other.
        metrics: which measures; none are all metrics that both have, or the duration if there is none.
        confidence: how probable it is that an interval holds the true ratio: 0.95.

    Raises:
        ArgumentValueError: there is no such measure, or no point is in both.
    """
    survey = make_survey([*first, *second])
    measures = _chosen(survey, first, second, metrics)
    sides = [_Side(first, survey), _Side(second, survey)]
    names = _matching(*sides)
    before, after = (side.points(names) for side in sides)
    shown = _varying([*before.values(), *after.values()], names)
    common = [key for key in before if key in after]
    return Comparison(
        pairs={
            measure.name: [_pair(before[key], after[key], measure, shown, confidence) for key in common]
            for measure in measures
        },
        only_first=[_shown(runs, shown) for key, runs in before.items() if key not in after],
        only_second=[_shown(runs, shown) for key, runs in after.items() if key not in before],
        differing=_differing(sides, names),
    )


def overall(pairs: Iterable[Pair]) -> float | None:
    """Return the geometric mean of the ratios of several points; None if none has one."""
    logarithms = [math.log(pair.ratio.value) for pair in pairs if pair.ratio is not None]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else None


# ---- which points are the same

_Key: TypeAlias = tuple[object, ...]
_Asked: TypeAlias = tuple[Facets, RecordedRun]


class _Side:
    """The runs of one sweep with what each was asked."""

    def __init__(self, rows: Sequence[RecordedRun], survey: Survey) -> None:
        names = [each.option for each in survey.parameters if not each.is_repeat]
        repeats = [each.option for each in survey.parameters if each.is_repeat]
        self.asked: list[_Asked] = [(_facets(row, names, repeats), row) for row in rows]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for facets, _ in self.asked for name in facets))

    def points(self, names: Sequence[str]) -> dict[_Key, list[_Asked]]:
        """Gather the runs that agree in some facets."""
        found: dict[_Key, list[_Asked]] = {}
        for facets, row in self.asked:
            found.setdefault(tuple(_likeness(facets.get(name)) for name in names), []).append((facets, row))
        return found

    def values(self, name: str) -> dict[object, Cell]:
        return {_likeness(facets.get(name)): facets.get(name) for facets, _ in self.asked}


def _matching(first: _Side, second: _Side) -> list[str]:
    """Name what varies, by which points are matched. Raises ArgumentValueError if no point is in both."""
    every = dict.fromkeys([*first.names, *second.names])
    names = [name for name in every if len(first.values(name)) > 1 or len(second.values(name)) > 1]
    if not first.points(names).keys() & second.points(names).keys():
        raise ArgumentValueError(
            "compare: no point is in both sweeps; compare sweeps of the same parameters and values"
        )
    return names


def _facets(row: RecordedRun, names: Iterable[str], repeats: Iterable[str]) -> dict[str, Cell]:
    asked: dict[str, Cell] = {}
    for name in names:
        value = cast(Cell, row.params.get(name))
        asked[name] = value.replace(row.id, _ID) if isinstance(value, str) else value
    asked |= {f"${name}": value.replace(row.id, _ID) for name, value in row.env.items() if name not in row.params}
    return {**asked, FOLDER: row.cwd, PROGRAM: _program(row, repeats)}


def _program(row: RecordedRun, repeats: Iterable[str]) -> str:
    """Write the words of a command that are not values of its parameters."""
    given = {name: text_of(value) for name, value in row.params.items() if isinstance(value, str | int | float)}
    dropped = {*row.params, *repeats, *given.values(), *(f"{name}{text}" for name, text in given.items())}
    words = [word.replace(row.id, _ID) for word in row.argv[1:] if word not in dropped]
    return " ".join([*row.argv[:1], *words])


def _likeness(cell: Cell) -> object:
    """Tell 1 and True apart, which are equal."""
    return type(cell), cell


def _varying(points: Iterable[Sequence[_Asked]], names: Sequence[str]) -> list[str]:
    """Choose what tells the points from each other; of what else they are made is the same everywhere."""
    seen = [runs[0][0] for runs in points]

    def told_apart(names: Sequence[str]) -> int:
        return len({tuple(_likeness(facets.get(name)) for name in names) for facets in seen})

    varying = [name for name in names if told_apart([name]) > 1]
    # With a shell the whole line is one word, which says again what the parameters say.
    parameters = [name for name in varying if name != PROGRAM]
    return parameters if told_apart(parameters) == told_apart(varying) else varying


def _differing(sides: Sequence[_Side], names: Sequence[str]) -> dict[str, tuple[Cell, Cell]]:
    """Find what differs between two sweeps beside what their points are matched by."""
    found: dict[str, tuple[Cell, Cell]] = {}
    first, second = sides
    for name in dict.fromkeys([*first.names, *second.names]):
        ours, theirs = first.values(name), second.values(name)
        if name not in names and ours.keys() != theirs.keys():
            found[name] = (next(iter(ours.values())), next(iter(theirs.values())))
    return found


# ---- what was measured


def _chosen(
    survey: Survey, first: Sequence[RecordedRun], second: Sequence[RecordedRun], metrics: Sequence[str]
) -> list[Measure]:
    named = {measure.name: measure for measure in survey.measures}
    for name in metrics:
        if name not in named:
            raise ArgumentValueError(f"compare: there is no metric {name!r}; there are {', '.join(named)}")
    if metrics:
        return [named[name] for name in dict.fromkeys(metrics)]
    both = [
        each
        for each in survey.metrics
        if all(any(each.metric in row.metrics for row in rows) for rows in (first, second))
    ]
    return both or [named["duration"]]


def _pair(
    first: Sequence[_Asked], second: Sequence[_Asked], measure: Measure, shown: Sequence[str], confidence: float
) -> Pair:
    one, other = (make_sample(_values(runs, measure)) for runs in (first, second))
    ratio = None if one is None or other is None else ratio_of(one, other, confidence)
    return Pair(_shown(first, shown), one, other, ratio)


def _values(runs: Sequence[_Asked], measure: Measure) -> list[float]:
    values = [measured(row, measure) for _, row in runs if row.status is Status.succeeded]
    return [value for value in values if value is not None]


def _shown(runs: Sequence[_Asked], names: Sequence[str]) -> Facets:
    facets = runs[0][0]
    return {name: facets[name] for name in names if name in facets}
