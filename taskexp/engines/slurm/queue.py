"""Queue: what Slurm says of the jobs that were submitted."""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from taskexp.engines.slurm.tools import call
from taskexp.words.errors import EngineError
from taskexp.words.outcome import Ending, Status

REFRESH_SECONDS = 2.0
"""How often the controller is asked, at the most: it serves many."""

ABSENT = "ABSENT"
"""What is said of a job that the controller does not know any more."""

MOST_NAMED = 500
"""How many jobs are named in one command."""

_LIVING = frozenset(
    ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
)


class Queue:
    """The states of the elements of some arrays, as they were a moment ago."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._states: dict[tuple[str, int], str] = {}
        self._numbers: dict[str, str] = {}
        self._known: set[str] = set()

    def refresh(self, jobs: Collection[str]) -> None:
        """Ask for the states of arrays; waits for the controller."""
        try:
            answer = call("squeue", "-h", "-r", "-t", "all", "-o", "%F|%K|%T|%j", f"--name={','.join(sorted(jobs))}")
        except EngineError:
            return
        if answer.returncode:  # the controller is busy or away: what was known stands
            return
        states: dict[tuple[str, int], str] = {}
        for line in answer.stdout.splitlines():
            number, element, state, job = line.split("|", 3)
            self._numbers[job] = number
            if element.isdecimal():
                states[job, int(element)] = state
        self._states, self._known = states, set(jobs)
        self._asked_at = time.monotonic()

    @property
    def is_old(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() - self._asked_at >= REFRESH_SECONDS

    def may_run(self, job: str, element: int) -> bool:
        """Tell whether a job may still run, as far as is known."""
        return job not in self._known or self.state(job, element) in _LIVING

    def state(self, job: str, element: int) -> str:
        """Say what was said last of a job."""
        return self._states.get((job, element), ABSENT)

    def cancel(self, elements: Sequence[tuple[str, int]], *options: str) -> None:
        """Have elements of arrays cancelled, or signalled; waits for the controller."""
        if missing := {job for job, _ in elements} - self._numbers.keys():
            self.refresh(self._known | missing)
        named = [f"{self._numbers[job]}_{number}" for job, number in elements if job in self._numbers]
        for at in range(0, len(named), MOST_NAMED):
            call("scancel", *options, *named[at : at + MOST_NAMED])


def verdict_on(state: str, ending: Ending) -> Ending:
    """Judge a run that Slurm has stopped, not the loop."""
    why = f"Slurm ended its job: {state}"
    if state == "CANCELLED":
        return replace(ending, error=why)
    if state in ("TIMEOUT", "DEADLINE"):
        return replace(ending, status=Status.timed_out, error=f"{why}, by the time limit of the job")
    return replace(ending, status=Status.lost, error=why, place_lost=True)
