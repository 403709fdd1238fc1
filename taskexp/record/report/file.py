"""File: the report of a sweep as one file, as far as the sweep is."""

from collections.abc import Sequence
from pathlib import Path

from taskexp.record.journal.drivers import read_drivers
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.report.content import make_content
from taskexp.record.report.facts import tell_facts
from taskexp.record.report.page import FILE_SCRIPTS, make_page
from taskexp.record.state import read_state


def make_report(folder: Path, rows: Sequence[RecordedRun], title: str | None = None) -> str:
    """Make the page of some runs of a sweep.

    Args:
        folder: the journal that they are from.
        rows: the runs.
        title: of the page; the name of the folder if None.

    Raises:
        JournalError: the journal cannot be read.
        MissingExtraError: plotly is not installed.
    """
    facts = tell_facts(folder, read_drivers(folder), rows)
    state = read_state(folder)
    told = {"points": state.points, "running": [run.index for run in state.glance.open_runs] if state.driver else []}
    content = {**make_content(rows).as_json(), "facts": facts, "state": told}
    return make_page(title or folder.name, content, FILE_SCRIPTS)
