"""Wreckage: what the benchmarks that kill drivers share, to tell what is lost, done twice or left behind."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from taskexp import RecordedRun, Status, open_results


def compare(folder: Path, points: int, is_over: Callable[[RecordedRun], bool], counts: "Counter[str]") -> None:
    """Count what is wrong with one sweep, whose journal is FOLDER/journal.

    Every run has said what it does in FOLDER/points/INDEX: `s` when it started, `2` when it did so while an attempt
    before it still ran.

    Args:
        folder: where all of it is.
        points: how many there are.
        is_over: tells whether a run does not run again after that.
        counts: what to add to.
    """
    over: Counter[int] = Counter()
    attempts: Counter[int] = Counter()
    succeeded: set[int] = set()
    for row in open_results(folder / "journal", attempts=True):
        attempts[row.index] += 1
        over[row.index] += is_over(row)
        if row.status is Status.succeeded:
            succeeded.add(row.index)
        counts["attempts cut off"] += not is_over(row)
    for point in range(points):
        path = folder / "points" / str(point)
        told = path.read_text() if path.exists() else ""
        counts["runs started"] += told.count("s")
        # One that timed out may not have come to say anything.
        counts["runs lost"] += over[point] == 0 or (point in succeeded and "s" not in told)
        counts["runs recorded twice"] += over[point] > 1
        counts["runs started without a record"] += told.count("s") > attempts[point]
        counts["attempts at the same time"] += told.count("2")


def running(marker: str) -> int:
    """Count the processes that have the marker on their command line, but for drivers."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:  # it has ended
            continue
        found += marker.encode() in line and b"driver.py" not in line
    return found


def left_after(marker: str, seconds: float) -> int:
    """Count the processes that are left after so many seconds; returns at once when there are none."""
    deadline = time.monotonic() + seconds
    while (left := running(marker)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def tell(counts: "Counter[str]", *names: str) -> None:
    """Print a line for each of the counts."""
    for name in names:
        print(f"{name:42} {counts[name]:7}")
