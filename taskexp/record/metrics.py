"""Metrics: numbers read from what programs print, while they run or from their saved logs."""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from taskexp.plan.metric import Metric, Take
from taskexp.record.plainfile import open_plain
from taskexp.run.lines import TextLines, split_lines
from taskexp.run.search import Search
from taskexp.run.strand import Strand
from taskexp.run.taps import StreamName

READ_BYTES = 1 << 20


class Gauge:
    """Reads one metric, line by line.

    Args:
        metric: what to read.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._is_given_up = False
        self.value: float | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """What is searched for."""
        return self._metric.pattern

    @property
    def is_settled(self) -> bool:
        """Whether no further line can change the value."""
        return self._is_given_up or (self.value is not None and self._metric.take == "first")

    def read(self, line: str) -> None:
        """Look for the number in a line; what is no number is passed over."""
        if self.is_settled or (match := self.pattern.search(line)) is None:
            return
        self.take(match[1])

    def take(self, text: str | None) -> None:
        """Take what stands where the number is expected; what is no number is passed over."""
        if self.is_settled or text is None:  # the group took no part
            return
        try:
            number = float(text)
        except ValueError:
            return
        self.value = _taken(self._metric.take, self.value, number)

    def give_up(self) -> None:
        """Have no value: not all of the output could be searched, so any would be a guess."""
        self.value, self._is_given_up = None, True


class MetricTap:
    """Reads the metrics of one attempt; a tap of its output.

    Args:
        metrics: what to read.
        search: looks at the lines.
    """

    def __init__(self, metrics: Sequence[Metric], search: Search) -> None:
        self.strand = Strand(search.executor)
        self._search = search
        self._gauges = {metric.name: Gauge(metric) for metric in metrics}

    @property
    def values(self) -> dict[str, float]:
        """What was found, by name."""
        return {name: gauge.value for name, gauge in self._gauges.items() if gauge.value is not None}

    def push(self, stream: StreamName, data: str) -> None:
        """Take a block of lines."""
        self.strand.put(lambda: self._read(data), len(data))

    def note(self, line: str) -> None:
        """Nothing: metrics are in the lines of the program alone."""

    def _read(self, text: str) -> None:
        gauges = [gauge for gauge in self._gauges.values() if not gauge.is_settled]
        patterns = [gauge.pattern for gauge in gauges]
        for gauge, found in zip(gauges, self._search.find(patterns, text, by_line=True), strict=True):
            if found is None:
                gauge.give_up()
                continue
            for each in found:
                gauge.take(each)


def metric_of_log(metric: Metric, path: Path) -> float | None:
    """Read a metric from a saved log; None if it is not in there, or there is no log."""
    gauge, lines = Gauge(metric), TextLines()
    try:
        with open_plain(path) as file:
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
