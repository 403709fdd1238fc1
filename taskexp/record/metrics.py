"""Metrics: numbers read from what programs print, while they run or from their saved logs."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from taskexp.plan.metric import Metric, Take
from taskexp.run.lines import TextLines, split_lines
from taskexp.run.strand import Executor, Strand
from taskexp.run.taps import StreamName

READ_BYTES = 1 << 20


class Gauge:
    """Reads one metric, line by line.

    Args:
        metric: what to read.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self.value: float | None = None

    def read(self, line: str) -> None:
        """Look for the number in a line; what is no number is passed over."""
        if self.value is not None and self._metric.take == "first":
            return
        if (match := self._metric.pattern.search(line)) is None:
            return
        try:
            number = float(match[1])
        except (TypeError, ValueError):  # the group took no part, or holds no number
            return
        self.value = _taken(self._metric.take, self.value, number)


class MetricTap:
    """Reads the metrics of one attempt; a tap of its output.

    Args:
        metrics: what to read.
        executor: where lines are looked at.
    """

    def __init__(self, metrics: Sequence[Metric], executor: Executor) -> None:
        self.strand = Strand(executor)
        self._gauges = {metric.name: Gauge(metric) for metric in metrics}

    @property
    def values(self) -> dict[str, float]:
        """What was found, by name."""
        return {name: gauge.value for name, gauge in self._gauges.items() if gauge.value is not None}

    def push(self, stream: StreamName, data: str) -> None:
        """Take a block of lines."""
        self.strand.put(lambda: self._read(split_lines(data)), len(data))

    def note(self, line: str) -> None:
        """Nothing: metrics are in the lines of the program alone."""

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            for gauge in self._gauges.values():
                gauge.read(line.removesuffix("\n"))


def metric_of_log(metric: Metric, path: Path) -> float | None:
    """Read a metric from a saved log; None if it is not in there, or there is no log."""
    gauge, lines = Gauge(metric), TextLines()
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                _read_blocks(gauge, lines.push(chunk))
    except OSError:  # the attempt did not start, or its log was thrown away
        return None
    _read_blocks(gauge, [lines.finish()])
    return gauge.value


def _read_blocks(gauge: Gauge, blocks: Iterable[str]) -> None:
    for block in blocks:
        for line in split_lines(block):
            gauge.read(line.removesuffix("\n"))


def _taken(take: Take, before: float | None, number: float) -> float:
    if before is None or take == "last" or math.isnan(before):
        return number
    if math.isnan(number):
        return before
    return min(before, number) if take == "min" else max(before, number)
