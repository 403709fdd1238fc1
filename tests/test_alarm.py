"""The alarm that ends runs in time: one timer for all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from taskexp.run.alarm import Alarm
from taskexp.run.clock import Clock


class Sleeper:
    """Notes when it was woken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.woken: list[float] = []
        self.is_awake = asyncio.Event()

    def wake(self) -> None:
        self.woken.append(self._clock.now())
        self.is_awake.set()


def run(act: Callable[[Clock, Alarm], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = Clock()
        await asyncio.wait_for(act(clock, Alarm(asyncio.get_running_loop(), clock)), 30)

    asyncio.run(main())


def test_each_is_woken_once_and_never_too_early_in_whichever_order_they_were_set() -> None:
    async def act(clock: Clock, alarm: Alarm) -> None:
        now = clock.now()
        times = {Sleeper(clock): now + seconds for seconds in (0.09, 0.01, 0.05, 0.01)}
        for sleeper, due in times.items():
            alarm.set(sleeper, due)
        for sleeper in times:
            await sleeper.is_awake.wait()
        await asyncio.sleep(0.02)
        for sleeper, due in times.items():
            (woken,) = sleeper.woken
            assert woken >= due

    run(act)


def test_who_is_cleared_sleeps_and_who_is_set_anew_is_woken_at_the_last_time() -> None:
    async def act(clock: Clock, alarm: Alarm) -> None:
        cleared, moved, last = Sleeper(clock), Sleeper(clock), Sleeper(clock)
        alarm.set(cleared, clock.now() + 0.01)
        alarm.set(moved, clock.now() + 0.01)
        alarm.clear(cleared)
        later = clock.now() + 0.06
        alarm.set(moved, later)
        alarm.set(last, later + 0.02)
        await last.is_awake.wait()
        assert cleared.woken == []
        (woken,) = moved.woken
        assert woken >= later

    run(act)


def test_while_the_clock_is_held_nobody_is_woken() -> None:
    async def act(clock: Clock, alarm: Alarm) -> None:
        sleeper, due = Sleeper(clock), clock.now() + 0.03
        alarm.set(sleeper, due)
        clock.hold()
        began = time.monotonic()
        while time.monotonic() - began < 0.15:
            await asyncio.sleep(0.01)
            assert sleeper.woken == []
        clock.go_on()
        await sleeper.is_awake.wait()
        assert sleeper.woken[0] >= due

    run(act)


def test_one_timer_of_the_event_loop_serves_all_and_none_is_left() -> None:
    async def act(clock: Clock, alarm: Alarm) -> None:
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        call_later = loop.call_later

        def counted(delay: float, *arguments: object) -> asyncio.TimerHandle:
            timers.append(delay)
            return call_later(delay, *arguments)  # type: ignore[arg-type]

        loop.call_later = counted  # type: ignore[method-assign, assignment]
        sleepers = [Sleeper(clock) for _ in range(1000)]
        for number, sleeper in enumerate(sleepers):
            alarm.set(sleeper, clock.now() + 60 + number)
        for sleeper in sleepers:
            alarm.clear(sleeper)
        assert len(timers) == 1
        alarm.close()
        sleeper = Sleeper(clock)
        alarm.set(sleeper, clock.now() + 0.01)  # and it goes on after that
        await sleeper.is_awake.wait()

    run(act)
