"""Conduct: a sweep is run to its end, its journal is kept, and the user is told."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskexp.cli.look.results import brief_sheet
from taskexp.cli.recall import remember
from taskexp.cli.sweep import Sweep
from taskexp.cli.table import colours, write_table
from taskexp.cli.teller import Teller
from taskexp.loop.loop import CompletedRuns
from taskexp.record.journal.database import FILE_NAME
from taskexp.record.journal.glance import read_glance
from taskexp.record.journal.lock import check_free
from taskexp.record.results import open_results
from taskexp.record.table import Sheet
from taskexp.run.cells import terminal_size
from taskexp.run.outlet import terminal_device
from taskexp.words.counting import counted
from taskexp.words.errors import JournalError
from taskexp.words.outcome import Status

FAILED = 1
ROWS = 40
"""How many rows of the results are written at the end on a terminal."""
MOST_ROWS = 1000
"""Where there are more results, none is written at the end."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown of a sweep.

    Args:
        json: whether one object at the end is all that stdout gets.
        quiet: whether only what went wrong is told.
        verbose: whether stdout gets the output of the runs.
    """

    json: bool
    quiet: bool
    verbose: bool


def add_showing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says what is shown."""
    parser.add_argument("--json", action="store_true", help="at the end, one object with the counts and the results")
    much = parser.add_mutually_exclusive_group()
    much.add_argument("-v", "--verbose", action="store_true", help="write the output of each run to stdout")
    much.add_argument("-q", "--quiet", action="store_true", help="no bar and no table; what fails is told")


def showing_of(namespace: argparse.Namespace) -> Showing:
    """Read what is to be shown."""
    return Showing(namespace.json, namespace.quiet, namespace.verbose)


def conduct(sweep: Sweep, folder: Path, showing: Showing) -> int:
    """Run a sweep with its journal in a folder.

    Returns:
        0 if all runs succeeded, 1 if some did not or could not be recorded.

    Raises:
        ArgumentTypeError, ArgumentValueError, JournalError: it could not begin; nothing was started.
        KeyboardInterrupt, SystemExit: it was interrupted; everything is stopped.
    """
    on_terminal = terminal_device(sys.stderr) is not None
    loop = sweep.as_completed(
        folder,
        ostreams=[sys.stdout] if showing.verbose and not showing.json else [],
        use_tqdm=on_terminal and not showing.quiet,
        show_runs=True,
    )
    check_free(folder)
    remember(sweep, folder)
    if not showing.quiet:
        _announce(folder, sweep.options.get("rerun"))
    teller = Teller(
        loop.notify,
        sweep.route.step_count - sweep.route.first_step,
        colour=colours(sys.stderr),
        tells_all=not (on_terminal or showing.quiet),
    )
    counts: Counter[Status] = Counter()
    is_recorded = _run(loop, teller, counts)
    _report(folder, showing, counts)
    return FAILED if counts.keys() - {Status.succeeded, Status.interrupted} or not is_recorded else 0


def _run(loop: CompletedRuns, teller: Teller, counts: Counter[Status]) -> bool:
    """Take the runs as they end, and count how they ended; False if not all could be recorded, which the loop tells."""
    try:
        with loop:
            for executable in loop:
                counts[executable.result.status] += 1
                teller.tell(executable, counts.total())
    except JournalError:
        if not counts:  # it could not even begin
            raise
        return False
    return True


def _announce(folder: Path, rerun: object) -> None:
    """Say in one line where the runs are recorded, and what is there already."""
    recorded = _recorded(folder).get(Status.succeeded, 0)
    were = f"{counted(recorded, 'run')} succeeded there before and"
    if not recorded:
        told = f"recording in {_short(folder)}"
    elif rerun == "all":
        told = f"recording in {_short(folder)}; {were} will run again (--rerun all)"
    else:
        told = f"going on in {_short(folder)}; {were} will not run again (--rerun all runs everything)"
    print(f"taskexp: {told}", file=sys.stderr)


def _report(folder: Path, showing: Showing, counts: Counter[Status]) -> None:
    """Write the results of the journal, and where they are."""
    if showing.json:
        rows = [json.loads(line) for line in open_results(folder).to_jsonl().splitlines()]
        print(json.dumps({"folder": str(folder), "counts": dict(counts), "results": rows}))
    elif not showing.quiet:
        _write_table(folder)
        print(f"taskexp: {_ran(counts)}; taskexp results {_short(folder)} has all", file=sys.stderr)


def _write_table(folder: Path) -> None:
    """Write the results as a table, of a long one the beginning."""
    if sum(_recorded(folder).values()) > MOST_ROWS:
        return  # to read them all would take longer than anybody looks at them
    on_terminal = terminal_device(sys.stdout) is not None
    columns, rows = brief_sheet(open_results(folder).sheet())
    shown = rows[: ROWS if on_terminal else MOST_ROWS]
    width = terminal_size(sys.stdout).columns if on_terminal else None
    print(write_table(Sheet(columns, shown), width, colour=colours(sys.stdout)), end="")
    if len(shown) < len(rows):
        print(f"... and {counted(len(rows) - len(shown), 'more row', 'more rows')}")
    sys.stdout.flush()


def _recorded(folder: Path) -> Mapping[Status, int]:
    """Count the runs that a journal knows, by status."""
    return read_glance(folder).counts if (folder / FILE_NAME).exists() else {}


def _ran(counts: Counter[Status]) -> str:
    if not counts:
        return "nothing was left to run"
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    return f"{counted(counts.total(), 'run')} ended: {told}"


def _short(folder: Path) -> str:
    """Write a folder as it is typed from here."""
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)
