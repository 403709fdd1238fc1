"""Halt: when a sweep gives up, or has found enough."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.outcome import Status

_FORM = re.compile(r"\s*(now|soon)\s*,\s*(fail|success)\s*=\s*(\d+(?:\.\d+)?)\s*(%?)\s*", re.ASCII)
_GRAMMAR = (
    "write WHEN,WHAT=N: WHEN is 'now' (running runs are stopped) or 'soon' (they end by themselves), WHAT is 'fail' or "
    "'success', N is a count from 1 or a percentage of the points such as 10%; 'soon,fail=3' for example"
)


@dataclass(frozen=True, slots=True)
class Halt:
    """The policy of one loop.

    Args:
        text: as it was asked for.
        at_once: whether running runs are stopped, too.
        counted: which runs are counted: those that succeed, or all others.
        limit: how many of them are enough; a percentage of the points, or a count.
        is_percentage: which of the two.
    """

    text: str
    at_once: bool
    counted: Literal["fail", "success"]
    limit: float
    is_percentage: bool

    @property
    def reason(self) -> str:
        """Why a sweep gives up, in words."""
        return f"halt={self.text!r} was reached"

    def reached(self, counts: Counter[Status], total: int) -> bool:
        """Tell whether it is time.

        Args:
            counts: the runs that have ended, by status.
            total: the points of the loop, as far as it is known how many `where` drops.
        """
        succeeded = counts[Status.succeeded]
        number = succeeded if self.counted == "success" else counts.total() - succeeded
        limit = math.ceil(total * self.limit / 100) if self.is_percentage else self.limit
        return number >= max(limit, 1)


def checked_halt(halt: object) -> Halt | None:
    """Read `halt="soon,fail=10%"`; None is never."""
    if halt is None:
        return None
    if not isinstance(halt, str):
        raise ArgumentTypeError(f"halt is a str, not {type(halt).__name__} ({halt!r}); {_GRAMMAR}")
    if (match := _FORM.fullmatch(halt)) is None:
        raise ArgumentValueError(f"halt={halt!r} cannot be read; {_GRAMMAR}")
    when, what, number, percent = match.groups()
    limit = float(number)
    if limit <= 0 or (percent and limit > 100) or (not percent and not limit.is_integer()):
        raise ArgumentValueError(f"halt={halt!r}: {number}{percent} is out of range; {_GRAMMAR}")
    return Halt(halt.strip(), when == "now", "fail" if what == "fail" else "success", limit, bool(percent))
