"""Arrival: waits for work that may take its time, on a thread that still hears signals or on an event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from taskexp.run.strand import THREAD_PREFIX

SIGNAL_POLL_SECONDS = 0.1
"""How long the main thread may stay deaf to a signal."""


def arrival_of(work: Callable[[], None]) -> None:
    """Do work in a thread of its own and wait for it; whoever is interrupted meanwhile leaves it to its end."""
    done = _begin(work)
    arrived = threading.Event()
    done.add_done_callback(lambda _: arrived.set())
    while not arrived.wait(SIGNAL_POLL_SECONDS):
        pass
    done.result()


async def arrival_aside(work: Callable[[], None]) -> None:
    """The same on the event loop, without holding it."""
    done, loop, arrived = _begin(work), asyncio.get_running_loop(), asyncio.Event()

    def arrive(_: Future[None]) -> None:
        with suppress(RuntimeError):  # the event loop has closed: nobody waits any more
            loop.call_soon_threadsafe(arrived.set)

    done.add_done_callback(arrive)
    await arrived.wait()
    done.result()


def _begin(work: Callable[[], None]) -> Future[None]:
    done: Future[None] = Future()

    def act() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=act, name=THREAD_PREFIX + "engine", daemon=True).start()
    return done
