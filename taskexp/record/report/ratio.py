"""Ratio: how two samples compare: the ratio of their means with a confidence interval."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from taskexp.record.report.student import t_quantile


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of a measure in repeats of one point.

    Attributes:
        n: how many there are.
        mean: their arithmetic mean.
        std: their sample standard deviation (of n-1); None for a single value.
    """

    n: int
    mean: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of two means.

    Attributes:
        value: the second mean divided by the first.
        interval: the ends of its confidence interval; None if one of the samples has a single value.
    """

    value: float
    interval: tuple[float, float] | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 1, so that the means differ."""
        return self.interval is not None and not self.interval[0] <= 1 <= self.interval[1]


def make_sample(values: Sequence[float]) -> Sample | None:
    """Fold values; None for none. What is not finite is left out."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return Sample(len(finite), statistics.fmean(finite), statistics.stdev(finite) if len(finite) > 1 else None)


def ratio_of(first: Sample, second: Sample, confidence: float) -> Ratio | None:
    """Compare two independent samples; None unless both means are positive, since else a ratio says nothing.

    The interval is symmetric for the logarithm of the ratio, whose variance is that of the delta method,
    s1²/(n1 m1²) + s2²/(n2 m2²) (Casella and Berger, Statistical Inference, 5.5.4), with the quantile of the t
    distribution at the degrees of freedom of Welch and Satterthwaite (B. L. Welch, Biometrika 34, 1947), which does
    not take the two variances for equal.
    """
    if first.mean <= 0 or second.mean <= 0:
        return None
    value = second.mean / first.mean
    if first.std is None or second.std is None:
        return Ratio(value, None)
    parts = [(each.n, (each.std or 0.0) ** 2 / (each.n * each.mean**2)) for each in (first, second)]
    variance = sum(part for _, part in parts)
    if variance == 0:
        return Ratio(value, (value, value))
    degrees = variance**2 / sum(part**2 / (n - 1) for n, part in parts)
    reach = t_quantile((1 + confidence) / 2, degrees) * math.sqrt(variance)
    return Ratio(value, (value * math.exp(-reach), value * math.exp(reach)))
