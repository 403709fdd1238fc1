"""Rerun: which of the recorded runs run again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.outcome import Status

UNFINISHED = frozenset((Status.interrupted,))
"""What has no outcome of its own: it always runs again."""

_GRAMMAR = (
    "rerun takes 'all', a status ('failed', 'timed_out', 'not_started', 'lost', 'succeeded') or a list of them; "
    "None is all but 'succeeded'"
)


@dataclass(frozen=True, slots=True)
class Rerun:
    """The choice for one sweep.

    Args:
        statuses: runs that ended so run again.
    """

    statuses: frozenset[Status]

    @property
    def kept(self) -> frozenset[Status]:
        """Runs that ended so are not run again."""
        return frozenset(Status) - self.statuses - UNFINISHED


DEFAULT = Rerun(frozenset(Status) - {Status.succeeded})
EVERYTHING = Rerun(frozenset(Status))


def checked_rerun(rerun: object) -> Rerun:
    """Check what is said to a loop about runs that are recorded."""
    if rerun is None:
        return DEFAULT
    if rerun == "all":
        return EVERYTHING
    if not isinstance(rerun, Iterable):
        raise ArgumentTypeError(f"rerun: {rerun!r} is no status; {_GRAMMAR}")
    listed = [rerun] if isinstance(rerun, str) else list(cast("Iterable[object]", rerun))
    for status in listed:
        if not isinstance(status, str):
            raise ArgumentTypeError(f"rerun: {status!r} is no status; {_GRAMMAR}")
        if status not in list(Status):
            raise ArgumentValueError(f"rerun: {status!r} is no status; {_GRAMMAR}")
    return Rerun(frozenset(Status(cast(str, status)) for status in listed))
