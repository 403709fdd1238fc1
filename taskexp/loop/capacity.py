"""Capacity: how many runs of a sweep go on at once, and why they are fewer than were asked for."""

from collections.abc import Iterator

from taskexp.loop.options import LoopOptions
from taskexp.run.engine import Engine
from taskexp.run.room import descriptor_limit, fitting, needed


class Capacity:
    """What the slots, the engine and the limits of this process leave of `max_workers`.

    Args:
        options: how many were asked for.
        engine: how many it has room for, which may change.
    """

    def __init__(self, options: LoopOptions, engine: Engine) -> None:
        self._options = options
        self._engine = engine

    @property
    def width(self) -> int:
        """How many runs may go on at once now; once the engine is open."""
        return fitting(self._options.width(self._engine))

    def warnings(self) -> Iterator[str]:
        """Say why they are fewer than were asked for."""
        asked = self._options.max_workers
        if asked is None:
            return
        wanted = self._options.width(self._engine)
        if wanted < asked:
            slots = "there is 1 slot" if wanted == 1 else f"there are {wanted} slots"
            yield f"max_workers={asked}, but {slots}: {wanted} at a time"
        if (width := fitting(wanted)) < wanted:
            yield (
                f"warning: only {descriptor_limit()} files may be open: {width} runs at a time, "
                f"not {wanted}; `ulimit -n {needed(wanted)}` allows for more"
            )
