"""Course: how far a loop has come on its route, and the points that `where` lets through."""

import time

from taskexp.plan.point import Point
from taskexp.plan.route import Route

SEEK_SECONDS = 0.02
"""How long to look for the next point that `where` lets through before others have their turn."""


class Course:
    """A place on a route that moves forward. It belongs to one thread at a time.

    Args:
        route: which points are visited, and in which order.
    """

    def __init__(self, route: Route) -> None:
        self._points = route.points
        self._route = route
        self._step = route.first_step
        self._found: Point | None = None
        self.is_filtered = route.points.is_filtered

    @property
    def exhausted(self) -> bool:
        """Whether there is no further point."""
        return self._found is None and self._step >= self._route.step_count

    def seek(self) -> tuple[bool, int]:
        """Look for the next point that is let through, for a moment.

        Returns:
            Whether there is nothing more to look for (it is found, or there is none), and how many were dropped.
        """
        dropped, deadline = 0, time.monotonic() + SEEK_SECONDS
        while self.is_filtered and not self.exhausted and self._found is None:
            if time.monotonic() >= deadline:
                return False, dropped
            point = self._next()
            if point.admitted():
                self._found = point
            else:
                dropped += 1
        return True, dropped

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
