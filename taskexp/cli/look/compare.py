"""Compare: two sweeps side by side, with the ratio of what was measured at each point."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskexp.cli.look.dashes import accept_dashes
from taskexp.cli.look.folder import find_journal
from taskexp.cli.look.results import write_file
from taskexp.cli.table import colours, write_table
from taskexp.cli.text import write_out
from taskexp.record.excerpt import printable
from taskexp.record.report.beside import comparison_content, make_comparison_page
from taskexp.record.report.comparison import Comparison, Facets, Pair, compare, overall
from taskexp.record.results import open_results
from taskexp.record.table import Cell, Sheet, shown
from taskexp.run.cells import terminal_size
from taskexp.words.counting import counted
from taskexp.words.errors import ArgumentValueError

EXAMPLE = "  taskexp compare before after --metric throughput"

_MOST_TOLD = 10
"""How many of the points that are in one of the sweeps alone are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    parser.add_argument("first", metavar="DIR_A", help="the journal of the sweep that is compared with")
    parser.add_argument("second", metavar="DIR_B", help="the journal of the other; ratios are B divided by A")
    metric = parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="which metric, or duration, cpu or memory (default: all metrics that both have)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="of the intervals (default: 0.95), from the repeats"
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object")
    parser.add_argument("-o", "--output", metavar="FILE", help="write a page to a file instead")
    accept_dashes(parser, [metric], ["--metric"])


def main(arguments: argparse.Namespace) -> int:
    """Write the comparison. Raises ArgumentValueError, JournalError, MissingExtraError."""
    if not 0 < arguments.confidence < 1:
        raise ArgumentValueError(
            f"--confidence: {arguments.confidence} is not between 0 and 1; give 0.95, for instance"
        )
    folders = [find_journal(arguments.first), find_journal(arguments.second)]
    first, second = (list(iter(open_results(folder))) for folder in folders)
    comparison = compare(first, second, arguments.metric, arguments.confidence)
    if arguments.output is not None:
        page = make_comparison_page(folders, comparison, arguments.confidence)
        write_file(arguments.output, page)
        print(f"taskexp: {printable(arguments.output)}: {_summary(comparison)}", file=sys.stderr)
    elif arguments.json:
        write_out(json.dumps(comparison_content(folders, comparison, arguments.confidence)) + "\n")
    else:
        write_out("".join(f"{line}\n" for line in _lines(folders, comparison, arguments.confidence)))
    return 0


def _lines(folders: Sequence[Path], comparison: Comparison, confidence: float) -> Iterator[str]:
    yield from (f"{name}: {printable(str(folder))}" for name, folder in zip("AB", folders, strict=True))
    for name, (ours, theirs) in comparison.differing.items():
        yield printable(f"{name}: {shown(ours) or 'none'} in A, {shown(theirs) or 'none'} in B")
    width = terminal_size(sys.stdout).columns if sys.stdout.isatty() else None
    for metric, pairs in comparison.pairs.items():
        yield ""
        yield printable(metric)
        yield from write_table(_sheet(pairs, confidence), width, colour=colours(sys.stdout)).splitlines()
        if (mean := overall(pairs)) is not None and len(pairs) > 1:
            clear = sum(pair.ratio is not None and pair.ratio.is_clear for pair in pairs)
            told = f"{clear} of {len(pairs)} clearly differ, those without ~"
            yield f"ratio over all: {mean:.4g} (geometric mean); {told}"
    for name, points in (("A", comparison.only_first), ("B", comparison.only_second)):
        yield from _alone(name, points)


def _sheet(pairs: Sequence[Pair], confidence: float) -> Sheet:
    names = list(dict.fromkeys(name for pair in pairs for name in pair.point))
    interval = f"{confidence * 100:.4g}% interval"
    columns = [*names, "n A", "mean A", "n B", "mean B", "ratio", interval]
    return Sheet(columns, [_row(pair, names) for pair in pairs])


def _row(pair: Pair, names: Sequence[str]) -> list[Cell]:
    first, second, ratio = pair.first, pair.second, pair.ratio
    numbers: list[Cell] = []
    for sample in (first, second):
        numbers += [0 if sample is None else sample.n, None if sample is None else sample.mean]
    interval = None
    if ratio is not None and ratio.interval is not None:
        low, high = ratio.interval
        interval = f"{low:.4g} to {high:.4g}{'' if ratio.is_clear else ' ~'}"
    return [*(pair.point.get(name) for name in names), *numbers, None if ratio is None else ratio.value, interval]


def _alone(name: str, points: Sequence[Facets]) -> Iterator[str]:
    """Name the points that are in one sweep alone."""
    if not points:
        return
    yield ""
    yield f"{counted(len(points), 'point')} only in {name}:"
    for point in points[:_MOST_TOLD]:
        yield printable("  " + " ".join(f"{key}={shown(value)}" for key, value in point.items()))
    if len(points) > _MOST_TOLD:
        yield f"  ... and {len(points) - _MOST_TOLD} more"


def _summary(comparison: Comparison) -> str:
    pairs = next(iter(comparison.pairs.values()))
    alone = f"{len(comparison.only_first)} only in A, {len(comparison.only_second)} only in B"
    return f"{counted(len(pairs), 'point')} in both, {alone}"
