"""Pool: the runs that were asked for, until they are over: those that wait, those that run, those that rest.

A run rests after an attempt that failed, before it is tried again. It holds no slot meanwhile, so that others
run; and when everything fails, no more than twice as many runs are on their way as there are slots.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol, TypeAlias

from taskexp.loop.refusal import Refusal
from taskexp.loop.run import Run
from taskexp.loop.slots import Slots

Work: TypeAlias = Coroutine[Any, Any, float | None]
"""What is done for a run; it gives the seconds to rest before the next attempt, None if the run is over."""

MOST_VACATED = 1000
"""How many runs may have ended and wait to be recorded before no new one starts."""


class Owner(Protocol):
    """What the pool asks of the sweep that it belongs to."""

    @property
    def on_hold(self) -> bool:
        """Whether nothing starts at this moment; `Pool.fill` follows when that is over."""
        ...

    def attempt(self, run: Run, slot: int) -> Work:
        """Take a run through one attempt."""
        ...

    def conclude(self, run: Run) -> Coroutine[Any, Any, None]:
        """End a run as its last attempt ended."""
        ...

    def drop(self, run: Run, why: str) -> None:
        """End a run that did not start."""
        ...

    def break_off(self, run: Run) -> None:
        """Stop a run that is going on."""
        ...

    def over(self, run: Run, task: "asyncio.Task[float | None]") -> None:
        """Learn that the work of a run is done; it may have failed, or been cancelled with the event loop."""
        ...

    def released(self) -> None:
        """Learn that there is room again, or that nothing runs any more."""
        ...


class Pool:
    """The runs of one sweep. All but `load`, `has_room` and `enter` belong to the event loop's thread.

    Args:
        slots: how many run at once.
        owner: the sweep.
        refusal: tells why nothing starts any more.
        rests_alone: whether nothing else starts while a run rests: where output is written as it comes, an attempt
            of another run must not stand between two of one.
    """

    def __init__(self, slots: Slots, owner: Owner, refusal: Refusal, *, rests_alone: bool) -> None:
        self._rests_alone = rests_alone
        self.load = 0
        """The number of runs that were asked for and are not over."""
        self._slots = slots
        self._owner = owner
        self._refusal = refusal
        self._lock = threading.Lock()
        self._held: dict[Run, int] = {}
        self._vacated = 0
        self._waiting: deque[Run] = deque()
        self._tasks: dict[Run, asyncio.Task[float | None]] = {}
        self._resting: dict[Run, asyncio.TimerHandle] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more run that was asked for would find a slot."""
        width = self._slots.width
        if self._rests_alone:
            return self.load < width
        on_their_way = self.load - self._vacated
        return on_their_way - len(self._resting) < width and on_their_way < 2 * width and self._vacated < MOST_VACATED

    def enter(self) -> None:
        """Count a run that was asked for; `launch` follows."""
        with self._lock:
            self.load += 1

    def launch(self, run: Run) -> None:
        """Start a run as soon as there is a slot."""
        if (why := self._refusal.why) is not None:
            self._drop(run, why)
            self._owner.released()
        else:
            self._waiting.append(run)
            self.fill()

    def fill(self) -> None:
        """Give the slots that are free to the runs that wait."""
        while self._waiting and self._slots.free and not self._owner.on_hold and self._refusal.why is None:
            run, slot = self._waiting.popleft(), self._slots.take()
            self._held[run] = slot
            self._begin(run, self._owner.attempt(run, slot))

    def vacate(self, run: Run) -> None:
        """Let another run have a slot whose run has ended, and has yet to be recorded; not where each runs alone."""
        if not self._rests_alone:
            self._vacated += 1
            self._slots.give_back(self._held.pop(run))
            self.fill()
            self._owner.released()

    def stop(self, run: Run) -> None:
        """Stop one run."""
        if run in self._waiting:
            self._waiting.remove(run)
            self._drop(run, "it was cancelled before it could start")
            self._owner.released()
        elif run in self._resting:
            self._cut_rest(run)
        elif run in self._tasks:
            self._owner.break_off(run)

    def stop_waiting(self, why: str) -> None:
        """End what does not run at this moment."""
        while self._waiting:
            self._drop(self._waiting.popleft(), why)
        for run in list(self._resting):
            self._cut_rest(run)

    def stop_running(self) -> None:
        """Stop what runs."""
        for run in self._tasks:
            self._owner.break_off(run)

    def _begin(self, run: Run, work: Work, *, in_slot: bool = True) -> None:
        self._tasks[run] = task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(partial(self._end, run, in_slot))

    def _end(self, run: Run, in_slot: bool, task: "asyncio.Task[float | None]") -> None:
        """Give the slot back, however the work came to its end, and let the run rest, or be over."""
        del self._tasks[run]
        if (slot := self._held.pop(run, None)) is not None:
            self._slots.give_back(slot)
        elif in_slot:
            self._vacated -= 1
        pause = None if task.cancelled() or task.exception() is not None else task.result()
        if pause is None:
            try:
                self._owner.over(run, task)
            finally:
                self._leave(run)
        else:
            self._resting[run] = task.get_loop().call_later(pause, self._wake, run)
            if run.unwanted or self._refusal.why is not None:
                self._cut_rest(run)
        self.fill()
        self._owner.released()

    def _wake(self, run: Run) -> None:
        """Let a run that has rested go before those that have not had their first attempt."""
        del self._resting[run]
        self._waiting.appendleft(run)
        self.fill()

    def _cut_rest(self, run: Run) -> None:
        self._resting.pop(run).cancel()
        self._begin(run, self._owner.conclude(run), in_slot=False)

    def _drop(self, run: Run, why: str) -> None:
        """End a run that waits: as one that did not start, or as its last attempt ended."""
        if run.tries:
            self._begin(run, self._owner.conclude(run), in_slot=False)
            return
        self._owner.drop(run, why)
        self._leave(run)

    def _leave(self, run: Run) -> None:
        with self._lock:
            self.load -= 1
        run.left = True
