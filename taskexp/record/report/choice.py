"""Choice: which plots are drawn of some runs, and with which axes, until somebody chooses others."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskexp.record.report.survey import Measure, Parameter, Survey

ALL_OTHERS = "*"
"""A line for each combination of all the other parameters."""

MOST_LINES = 8
"""How many lines can be told apart: as many as the palette has colours."""

_MOST_CELLS = 60
_MOST_DIMENSIONS = 10
_METRICS_ALONGSIDE = 3


@dataclass(frozen=True, slots=True)
class Lines:
    """A measure against a parameter; `by` has a line per value: a parameter, `ALL_OTHERS`, or "" for one line."""

    x: str
    y: str
    by: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The mean of a measure, as a colour, over two parameters."""

    x: str
    y: str
    z: str


@dataclass(frozen=True, slots=True)
class Parallel:
    """Each run as a line through parameters and measures, coloured by one of them."""

    dimensions: Sequence[str]
    colour: str


@dataclass(frozen=True, slots=True)
class Pareto:
    """Two measures, and which end of each is the better one."""

    x: str
    y: str
    x_prefers_less: bool
    y_prefers_less: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What is drawn; None is not, for want of what it would show.

    Attributes:
        lines: a measure against a parameter.
        heat_map: a measure over two parameters.
        parallel: all that varies and is measured, at once.
        pareto: one measure against another, with the runs that none is better than in both.
        distribution: the measure whose distribution is drawn.
    """

    lines: Lines | None
    heat_map: HeatMap | None
    parallel: Parallel | None
    pareto: Pareto | None
    distribution: str


def choose(survey: Survey) -> Choice:
    """Choose the plots from what varies and what is measured."""
    axes, metrics = survey.axes, survey.metrics
    main = survey.measures[0]
    return Choice(
        lines=_lines(survey, axes, main),
        heat_map=_heat_map(axes, main),
        parallel=_parallel(axes, metrics, main),
        pareto=_pareto(survey.measures) if metrics else None,
        distribution="duration",
    )


def _lines(survey: Survey, axes: Sequence[Parameter], main: Measure) -> Lines | None:
    """Put the number with the most values along x, for want of one what has the most values."""
    if not axes:
        return None
    x = max(axes, key=lambda axis: (axis.kind == "number", len(axis.levels)))
    others = [axis for axis in axes if axis is not x]
    if not others:
        return Lines(x.name, main.name, "")
    if survey.combinations([axis.name for axis in others]) <= MOST_LINES:
        return Lines(x.name, main.name, others[0].name if len(others) == 1 else ALL_OTHERS)
    few = [axis for axis in others if len(axis.levels) <= MOST_LINES]
    return Lines(x.name, main.name, max(few, key=lambda axis: len(axis.levels)).name if few else "")


def _heat_map(axes: Sequence[Parameter], main: Measure) -> HeatMap | None:
    wide = sorted((axis for axis in axes if len(axis.levels) <= _MOST_CELLS), key=lambda axis: -len(axis.levels))
    return HeatMap(wide[0].name, wide[1].name, main.name) if len(wide) > 1 else None


def _parallel(axes: Sequence[Parameter], metrics: Sequence[Measure], main: Measure) -> Parallel | None:
    measured = [measure.name for measure in metrics[:_METRICS_ALONGSIDE]] or [main.name]
    dimensions = [axis.name for axis in axes][: _MOST_DIMENSIONS - len(measured)] + measured
    return Parallel(dimensions, measured[0]) if len(axes) > 1 else None


def _pareto(measures: Sequence[Measure]) -> Pareto:
    y, x = measures[0], measures[1]
    return Pareto(x.name, y.name, x.prefers_less, y.prefers_less)
