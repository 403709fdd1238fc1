"""Retry: which runs are tried again, how often, and after how long."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, TypeAlias, cast

from taskexp.plan.values import checked_int
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.outcome import RunResult, Status

Reason: TypeAlias = Status | int | re.Pattern[str]
"""A status, an exit code (-N for signal N), or a regular expression on the last output."""

FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 30.0

MOST_LOSSES = 3
"""How often a run is repeated that is lost with its machine: one that brings machines down must come to an end."""

OnLost: TypeAlias = Literal["retry", "fail"]
"""What becomes of a run that is lost with its machine."""

DEFAULT_REASONS = (Status.failed, Status.timed_out, Status.lost)
_STATUSES = (*DEFAULT_REASONS, Status.not_started)
_GRAMMAR = (
    "retry_on takes statuses ('failed', 'timed_out', 'not_started', 'lost'), exit codes (1 to 255, or -N for death by "
    "signal N) and regular expressions on the last output, one of them or a list"
)


@dataclass(frozen=True, slots=True)
class Retry:
    """The policy of one loop.

    Args:
        retries: how many attempts a run has beyond the first.
        reasons: what one of must hold for a run that did not succeed to be tried again.
        repeats_lost: whether a run that was lost with its machine is tried again, beside the `retries`.
    """

    retries: int = 0
    reasons: tuple[Reason, ...] = DEFAULT_REASONS
    repeats_lost: bool = True

    @property
    def reads_output(self) -> bool:
        """Whether the last output of a run has to be kept."""
        return bool(self.patterns)

    def repeats(self, losses: int) -> bool:
        """Tell whether a run is tried again whose machine was lost, for so many times now."""
        return self.repeats_lost and losses <= MOST_LOSSES

    @property
    def patterns(self) -> list[re.Pattern[str]]:
        """What is searched for in the last output."""
        return [reason for reason in self.reasons if isinstance(reason, re.Pattern)]

    def may_want(self, tries: int, result: RunResult) -> bool:
        """Tell whether there may be a reason to try a run again.

        Args:
            tries: how many attempts it has had.
            result: how its last attempt ended.
        """
        return tries <= self.retries and result.status in _STATUSES

    def wants(self, result: RunResult) -> bool:
        """Tell whether its ending is a reason, whatever it printed."""
        return any(_holds(reason, result) for reason in self.reasons)


def _holds(reason: Reason, result: RunResult) -> bool:
    if isinstance(reason, re.Pattern):
        return False
    if isinstance(reason, Status):
        return result.status is reason
    return result.status is Status.failed and result.returncode == reason


def pause_before(attempt: int) -> float:
    """Choose how many seconds to wait before an attempt (2 is the first retry).

    Exponential backoff with jitter: up to half a second before the second attempt, twice as long before each
    further one, up to 30 s; the second half of that is left to chance, so that runs which failed together do not
    come back together.
    """
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 2, 30), LAST_PAUSE_SECONDS)
    return longest * random.SystemRandom().uniform(0.5, 1.0)  # not the user's own, seeded random numbers


def checked_retry(retries: object, retry_on: object, on_lost: object = "retry") -> Retry:
    """Check what is said to a loop about retries."""
    if on_lost not in ("retry", "fail"):
        raise ArgumentValueError(f"on_lost={on_lost!r} is not known; give 'retry' or 'fail'")
    return replace(_checked_retry(retries, retry_on), repeats_lost=on_lost == "retry")


def _checked_retry(retries: object, retry_on: object) -> Retry:
    number = checked_int(retries, "retries")
    if number < 0:
        raise ArgumentValueError(f"retries={number}: give 0 for none, or how often a run is tried again")
    if retry_on is None:
        return Retry(number)
    if not number:
        raise ArgumentValueError("retry_on without retries has no effect; give retries=1 or more")
    listed: Iterable[object] = [retry_on]
    if isinstance(retry_on, Iterable) and not isinstance(retry_on, str | bytes):
        listed = cast("Iterable[object]", retry_on)
    reasons = tuple(map(_checked_reason, listed))
    if not reasons:
        raise ArgumentValueError(f"retry_on is empty; {_GRAMMAR}")
    return Retry(number, reasons)


def _checked_reason(reason: object) -> Reason:
    if isinstance(reason, str):
        return _checked_status(reason) if reason in list(Status) else _checked_pattern(reason)
    if isinstance(reason, re.Pattern):
        if isinstance(cast("re.Pattern[str] | re.Pattern[bytes]", reason).pattern, str):
            return cast("re.Pattern[str]", reason)
    elif isinstance(reason, int) and not isinstance(reason, bool):
        if -64 <= reason <= 255 and reason:
            return reason
        raise ArgumentValueError(f"retry_on: {reason} is no exit code of a run that failed; {_GRAMMAR}")
    raise ArgumentTypeError(f"retry_on: {reason!r} is no reason; {_GRAMMAR}")


def _checked_status(text: str) -> Status:
    if (status := Status(text)) in _STATUSES:
        return status
    raise ArgumentValueError(f"retry_on: a run that {status} is not tried again; {_GRAMMAR}")


def _checked_pattern(text: str) -> re.Pattern[str]:
    if meant := get_close_matches(text.lower(), list(Status), cutoff=0.76):
        raise ArgumentValueError(
            f"retry_on: {text!r} is no status; write {str(meant[0])!r}, or re.compile({text!r}) if the output says so"
        )
    if not text:
        raise ArgumentValueError(f"retry_on: an empty expression matches everything; {_GRAMMAR}")
    try:
        return re.compile(text, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ArgumentValueError(f"retry_on: {text!r} is no regular expression: {error}; {_GRAMMAR}") from error
