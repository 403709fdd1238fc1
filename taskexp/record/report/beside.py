"""Beside: a comparison of two sweeps as plain values, and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from taskexp.record.report.comparison import Comparison, Facets, Pair, overall
from taskexp.record.report.content import json_cell
from taskexp.record.report.page import make_page

SCRIPTS = ("values.js", "theme.js", "comparison.js")


def comparison_content(folders: Sequence[Path], comparison: Comparison, confidence: float) -> dict[str, object]:
    """Write a comparison as values that JSON has."""
    first, second = folders
    return {
        "a": str(first),
        "b": str(second),
        "confidence": confidence,
        "differing": {name: {"a": json_cell(a), "b": json_cell(b)} for name, (a, b) in comparison.differing.items()},
        "metrics": {
            name: {"ratio": overall(pairs), "points": [_pair(pair) for pair in pairs]}
            for name, pairs in comparison.pairs.items()
        },
        "only_a": [_facets(point) for point in comparison.only_first],
        "only_b": [_facets(point) for point in comparison.only_second],
    }


def make_comparison_page(folders: Sequence[Path], comparison: Comparison, confidence: float) -> str:
    """Make the page of a comparison. Raises MissingExtraError without plotly."""
    first, second = folders
    title = f"{second.name} compared with {first.name}"
    return make_page(title, comparison_content(folders, comparison, confidence), SCRIPTS)


def _pair(pair: Pair) -> Mapping[str, object]:
    ratio = pair.ratio
    low, high = (None, None) if ratio is None or ratio.interval is None else ratio.interval
    return {
        "params": _facets(pair.point),
        "a": None if pair.first is None else asdict(pair.first),
        "b": None if pair.second is None else asdict(pair.second),
        "ratio": None if ratio is None else ratio.value,
        "low": low,
        "high": high,
        "differs": ratio is not None and ratio.is_clear,
    }


def _facets(point: Facets) -> dict[str, object]:
    return {name: json_cell(value) for name, value in point.items()}
