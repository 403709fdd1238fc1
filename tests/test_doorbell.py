"""The doorbell: nothing that a thread rings for is lost, and a loop that has closed says so."""

import asyncio
import threading

import pytest

from taskexp.run.doorbell import Doorbell


@pytest.mark.anyio
async def test_all_that_threads_ring_for_is_done_each_thread_in_its_order():
    doorbell, seen, done = Doorbell(asyncio.get_running_loop()), [], asyncio.Event()

    def ring_often(name: int) -> None:
        for number in range(2000):
            doorbell.ring(lambda number=number: seen.append((name, number)))

    threads = [threading.Thread(target=ring_often, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    doorbell.ring(done.set)
    await done.wait()
    for name in range(4):
        assert [number for each, number in seen if each == name] == list(range(2000))


@pytest.mark.anyio
async def test_what_is_rung_for_while_the_loop_answers_is_done_too():
    doorbell, done = Doorbell(asyncio.get_running_loop()), asyncio.Event()
    doorbell.ring(lambda: doorbell.ring(done.set))
    await asyncio.wait_for(done.wait(), 30)


@pytest.mark.anyio
async def test_an_act_that_fails_is_told_and_keeps_no_other_from_its_turn():
    loop, told, done = asyncio.get_running_loop(), [], asyncio.Event()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    doorbell = Doorbell(loop)
    error = ValueError("of this act alone")

    def fail() -> None:
        raise error

    doorbell.ring(fail)
    doorbell.ring(done.set)
    await asyncio.wait_for(done.wait(), 30)
    assert told == [error]


def test_a_closed_loop_is_told_of_though_it_never_answered():
    loop = asyncio.new_event_loop()
    doorbell = Doorbell(loop)
    doorbell.ring(lambda: None)
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        doorbell.ring(lambda: None)
