"""Conduct: a sweep is run to its end, its journal is kept, and the user is told."""

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from taskexp.cli.recall import remember
from taskexp.cli.sweep import Sweep
from taskexp.cli.table import colours, write_table
from taskexp.cli.teller import Teller
from taskexp.cli.text import divert, say, write_out
from taskexp.loop.loop import CompletedRuns
from taskexp.record.journal.glance import read_glance, read_statuses
from taskexp.record.results import Results, brief_sheet, open_results
from taskexp.record.table import Sheet
from taskexp.run.cells import terminal_size
from taskexp.run.outlet import terminal_device
from taskexp.words.counting import counted
from taskexp.words.errors import ArgumentValueError, EngineError, JournalError
from taskexp.words.outcome import Status

FAILED = 1
ROWS = 40
"""How many rows of the results are written at the end on a terminal."""
MOST_ROWS = 1000
"""Where there are more results, none is written at the end."""
LONGEST_LINE = 500
"""How many characters of a failed run's last lines are told off a terminal."""

_GOOD = {Status.succeeded, Status.interrupted}
"""What is no failure: without a signal, only a `halt` interrupts."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown of a sweep.

    Args:
        json: whether one object at the end is all that stdout gets.
        quiet: whether only what went wrong is told.
        verbose: whether stdout gets the output of the runs.
        detach: whether the sweep is left to Slurm once all of it is submitted.
    """

    json: bool
    quiet: bool
    verbose: bool
    detach: bool


def add_showing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says what is shown."""
    parser.add_argument("--json", action="store_true", help="at the end, one object with the counts and the results")
    parser.add_argument(
        "--detach", action="store_true", help="with --engine sbatch: end when all is submitted; resume takes in results"
    )
    much = parser.add_mutually_exclusive_group()
    much.add_argument("-v", "--verbose", action="store_true", help="write the output of each run to stdout")
    much.add_argument("-q", "--quiet", action="store_true", help="no bar and no table; what fails is told")


def showing_of(namespace: argparse.Namespace) -> Showing:
    """Read what is to be shown."""
    return Showing(namespace.json, namespace.quiet, namespace.verbose, namespace.detach)


def conduct(sweep: Sweep, folder: Path, showing: Showing) -> int:
    """Run a sweep with its journal in a folder.

    Returns:
        0 if all runs succeeded, those recorded before included; 1 if some did not or could not be recorded.

    Raises:
        ArgumentTypeError, ArgumentValueError, EngineError, JournalError: it could not begin; nothing was started.
        KeyboardInterrupt, SystemExit: it was interrupted; everything is stopped.
    """
    if showing.detach and not str(sweep.options.get("engine", "local")).startswith("sbatch"):
        raise ArgumentValueError("--detach leaves the runs to Slurm, which engine='sbatch' does; add --engine sbatch")
    on_terminal = terminal_device(sys.stderr) is not None
    with sweep.as_completed(
        folder,
        ostreams=[sys.stdout] if showing.verbose and not showing.json else [],
        use_tqdm=on_terminal and not showing.quiet,
        show_runs=True,
        notices=False,
    ) as loop:
        loop.open()
        remember(sweep, folder)
        if not showing.quiet:
            loop.notify(f"taskexp: {_beginning(sweep, folder)}")
        if showing.detach and loop.hand_over():
            _leave(folder)
        counts: Counter[Status] = Counter()
        is_recorded = _run(loop, _teller(sweep, loop, showing, on_terminal=on_terminal), counts)
    is_good = is_recorded and not counts.keys() - _GOOD and not _kept_failure(sweep, folder)
    is_written = showing.quiet or _report(sweep, folder, showing, counts)
    return 0 if is_good and is_written else FAILED


def _leave(folder: Path) -> NoReturn:
    """End this program as it stands: an end in order would cancel the jobs. The journal survives worse."""
    say(f"taskexp: Slurm has the rest; taskexp status {_short(folder)} says how far it is, taskexp resume takes it in")
    sys.stdout.flush()
    os._exit(0)


def _teller(sweep: Sweep, loop: CompletedRuns, showing: Showing, *, on_terminal: bool) -> Teller:
    return Teller(
        loop.notify,
        sweep.route.step_count - sweep.route.first_step,
        colour=colours(sys.stderr),
        tells_all=not (on_terminal or showing.quiet),
        shows_lines=not showing.verbose,
        width=terminal_size(sys.stderr).columns if on_terminal else LONGEST_LINE,
    )


def _run(loop: CompletedRuns, teller: Teller, counts: Counter[Status]) -> bool:
    """Take the runs as they end, and count how they ended; False if not all could be recorded, which the loop tells."""
    try:
        for executable in loop:
            counts[executable.result.status] += 1
            teller.tell(executable, counts.total())
    except (EngineError, JournalError):
        return False
    return True


# ---- what is said


def _beginning(sweep: Sweep, folder: Path) -> str:
    """Say where the runs are recorded, and which of them are there already."""
    statuses = [status for fingerprint, status in read_statuses(folder) if _is_own(sweep, fingerprint)]
    recorded = statuses.count(Status.succeeded)
    were = f"{counted(recorded, 'run')} succeeded there before and"
    if not recorded:
        return f"recording in {_short(folder)}"
    if sweep.options.get("rerun") == "all":
        return f"recording in {_short(folder)}; {were} will run again (--rerun all)"
    return f"going on in {_short(folder)}; {were} will not run again (--rerun all runs everything)"


def _kept_failure(sweep: Sweep, folder: Path) -> bool:
    """Tell whether a recorded run that did not succeed was kept as it is, since `rerun` did not name its status."""
    if sweep.options.get("rerun") in (None, "all"):
        return False
    return any(status not in _GOOD for fingerprint, status in read_statuses(folder) if _is_own(sweep, fingerprint))


def _report(sweep: Sweep, folder: Path, showing: Showing, counts: Counter[Status]) -> bool:
    """Write the results of the sweep, and where they are; False if that failed."""
    try:
        _write_results(sweep, folder, counts) if showing.json else _write_table(sweep, folder)
        sys.stdout.flush()
    except OSError as error:
        divert(sys.stdout)
        if not isinstance(error, BrokenPipeError):  # else whoever read us has seen enough
            say(f"taskexp: error: the results cannot be written: {error}; they are in {folder}")
            return False
    if not showing.json:
        say(f"taskexp: {_ran(counts)}; taskexp results {_short(folder)} has all")
    return True


def _write_results(sweep: Sweep, folder: Path, counts: Counter[Status]) -> None:
    rows = [json.loads(line) for line in _results(sweep, folder).to_jsonl().splitlines()]
    print(json.dumps({"folder": str(folder), "counts": dict(counts), "results": rows}))


def _write_table(sweep: Sweep, folder: Path) -> None:
    """Write the results as a table, of a long one the beginning."""
    if sum(read_glance(folder).counts.values()) > MOST_ROWS:
        return  # to read them all would take longer than anybody looks at them
    on_terminal = terminal_device(sys.stdout) is not None
    columns, rows = brief_sheet(_results(sweep, folder).sheet())
    shown = rows[: ROWS if on_terminal else MOST_ROWS]
    width = terminal_size(sys.stdout).columns if on_terminal else None
    write_out(write_table(Sheet(columns, shown), width, colour=colours(sys.stdout)))
    if len(shown) < len(rows):
        print(f"... and {counted(len(rows) - len(shown), 'more row')}")


def _results(sweep: Sweep, folder: Path) -> Results:
    """Open the results of the sweep's own points; its journal may hold more."""
    return open_results(folder).filter(lambda row: _is_own(sweep, row.fingerprint))


def _is_own(sweep: Sweep, fingerprint: bytes) -> bool:
    return sweep.fingerprints is None or fingerprint in sweep.fingerprints


def _ran(counts: Counter[Status]) -> str:
    if not counts:
        return "nothing was left to run"
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    return f"{counted(counts.total(), 'run')} ended: {told}"


def _short(folder: Path) -> str:
    """Write a folder as it is typed from here."""
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)
