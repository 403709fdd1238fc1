"""Course: how far a loop has come on its route, and the points on it that are to run."""

import time
from collections.abc import Collection
from typing import NamedTuple

from taskexp.plan.point import Point
from taskexp.plan.route import Route

SEEK_SECONDS = 0.02
"""How long to look for the next point that `where` lets through before others have their turn."""

STEPS_PER_LOOK = 64
"""How many recorded points are passed over, at 3 us each, between two looks at the clock."""


class Sought(NamedTuple):
    """What came of a look for the next point.

    Attributes:
        settled: whether there is nothing more to look for: it is found, or there is none.
        dropped: how many points `where` did not let through.
        recorded: how many points do not run again.
    """

    settled: bool
    dropped: int
    recorded: int


class Course:
    """A place on a route that moves forward. It belongs to one thread at a time.

    Args:
        route: which points are visited, and in which order.
    """

    def __init__(self, route: Route) -> None:
        self.recorded: Collection[bytes] = ()
        """The fingerprints of points that do not run again."""
        self.passed_over: dict[bytes, int] | None = None
        """Where such points stand in the grid, if anybody wants to know."""
        self._points = route.points
        self._route = route
        self._step = route.first_step
        self._found: Point | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether some points may not be handed out."""
        return bool(self.recorded) or self._points.is_filtered

    @property
    def exhausted(self) -> bool:
        """Whether there is no further point."""
        return self._found is None and self._step >= self._route.step_count

    def seek(self) -> "Sought":
        """Look for the next point that is to run, for a moment."""
        if self.recorded and not self._points.is_filtered:
            return self._pass_recorded()
        dropped, recorded, deadline = 0, 0, time.monotonic() + SEEK_SECONDS
        while self.is_filtered and not self.exhausted and self._found is None:
            if time.monotonic() >= deadline:
                return Sought(False, dropped, recorded)
            point = self._next()
            if not point.admitted():
                dropped += 1
            elif self.recorded and point.fingerprint in self.recorded:
                recorded += 1
                if self.passed_over is not None:
                    self.passed_over[point.fingerprint] = point.index
            else:
                self._found = point
        return Sought(True, dropped, recorded)

    def _pass_recorded(self) -> "Sought":
        """Pass over points that are recorded, for a moment: the same as `seek`, without making the points."""
        recorded, deadline = 0, time.monotonic() + SEEK_SECONDS
        known, passed_over = self.recorded, self.passed_over
        index_of, fingerprint_of = self._route.index, self._points.fingerprint
        while self._found is None and self._step < self._route.step_count:
            if not recorded % STEPS_PER_LOOK and time.monotonic() >= deadline:
                return Sought(False, 0, recorded)
            index = index_of(self._step)
            self._step += 1
            fingerprint = fingerprint_of(index)
            if fingerprint not in known:
                self._found = self._points[index]
            else:
                recorded += 1
                if passed_over is not None:
                    passed_over[fingerprint] = index
        return Sought(True, 0, recorded)

    def take(self) -> Point | None:
        """Take the next point, the one that was found where points are filtered; None after the last."""
        if self.is_filtered:
            found, self._found = self._found, None
            return found
        return None if self.exhausted else self._next()

    def _next(self) -> Point:
        point = self._points[self._route.index(self._step)]
        self._step += 1
        return point
