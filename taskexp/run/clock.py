"""Clock: the seconds that the runs could use. While the driver is stopped by Ctrl-Z, so are they, and so is this."""

import time


class Clock:
    """Monotonic seconds, without those for which it was held."""

    def __init__(self) -> None:
        self._held_at: float | None = None
        self._lost = 0.0

    def now(self) -> float:
        """Tell the time, in seconds since some moment; from any thread."""
        held_at = self._held_at
        return (time.monotonic() if held_at is None else held_at) - self._lost

    @property
    def is_held(self) -> bool:
        """Whether it stands still."""
        return self._held_at is not None

    def hold(self) -> None:
        """Stand still; nothing more if it does."""
        if self._held_at is None:
            self._held_at = time.monotonic()

    def go_on(self) -> None:
        """Go on with the time that it stands at."""
        if self._held_at is not None:
            # In this order another thread sees it go too far back for a moment, which ends nothing too early.
            self._lost += time.monotonic() - self._held_at
            self._held_at = None
