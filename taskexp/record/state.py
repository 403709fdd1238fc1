"""State: how far a sweep is: what its journal counts, who drives it, and what runs now."""

from dataclasses import dataclass
from pathlib import Path

from taskexp.engines.slurm.depot import kept_counts
from taskexp.record.journal.glance import Glance, read_glance
from taskexp.record.journal.lock import Holder, read_living_holder
from taskexp.record.sweepjson import read_sweepjson
from taskexp.run.descendants import leaders_of

CUT_OFF = "cut off"
"""What is said of a run whose driver died while it ran."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a sweep is at one moment.

    Attributes:
        glance: what the journal has.
        driver: who runs the sweep; None if nobody does.
        points: how many points it has; None if nobody wrote that down.
        kept: how many runs a driver that has ended left with Slurm: how many wait, run and have ended there.
        pids: the processes of what runs, by index and attempt, as far as they can be seen from here.
    """

    glance: Glance
    driver: Holder | None
    points: int | None
    kept: tuple[int, int, int]
    pids: dict[tuple[int, int], int]

    @property
    def cut_off(self) -> int:
        """How many runs have no outcome because their driver died."""
        return max(0, self.glance.buried + (0 if self.driver else len(self.glance.open_runs)) - sum(self.kept))

    @property
    def counts(self) -> dict[str, int]:
        """The runs that are over, by status."""
        counts = {str(status): count for status, count in self.glance.counts.items()}
        return counts | ({CUT_OFF: self.cut_off} if self.cut_off else {})


def read_state(folder: Path) -> State:
    """Look how far a sweep is. Raises JournalError."""
    before = find_driver(folder)
    glance = read_glance(folder)
    driver = before and find_driver(folder)  # one that ends meanwhile has left nothing open
    if before and not driver:
        glance = read_glance(folder)
    kept = (0, 0, 0) if driver else kept_counts(folder)
    return State(glance, driver, _read_points(folder), kept, find_pids(driver))


def find_driver(folder: Path) -> Holder | None:
    """Find who runs the sweep of a journal now."""
    return read_living_holder(folder)


def find_pids(driver: Holder | None) -> dict[tuple[int, int], int]:
    """Find the processes of a driver's runs, by index and attempt."""
    if driver is None or not driver.driver.is_visible:
        return {}
    return leaders_of(driver.driver.pid, driver.driver.start_ticks)


def _read_points(folder: Path) -> int | None:
    """Read how many points the sweep has, where the command that runs it wrote that down."""
    try:
        points = read_sweepjson(folder).get("points")
    except (OSError, ValueError):
        return None
    return points if isinstance(points, int) and not isinstance(points, bool) and points >= 0 else None
