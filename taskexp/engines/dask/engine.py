"""Engine: the runs of a loop on the workers of a Dask cluster.

Dask chooses the worker; all else is said in `order`. Its client has an event loop in a thread of its own, so what
comes from there is carried over to the loop's, a batch at a time.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future as ThreadFuture
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any

from taskexp.engines.dask.contact import Cluster, check_room, fit_out, reach, room, warnings_about
from taskexp.engines.dask.flight import Flight
from taskexp.engines.dask.order import PREFIX, Order, Word, read_words
from taskexp.engines.dask.outpost import STOPPED, perform
from taskexp.engines.dask.shapes import Task
from taskexp.engines.place import from_here
from taskexp.engines.plain import read_ending
from taskexp.engines.remote import RemoteEngine
from taskexp.run.clock import Clock
from taskexp.run.engine import Attempt, Output
from taskexp.words.errors import EngineError
from taskexp.words.outcome import Ending, Status

LOOK_SECONDS = 0.1
"""How often it is looked whether the scheduler is still there."""

SEND_SECONDS = 0.05
"""How long an attempt waits for others, to be sent with them, while more than enough wait at the workers.

Much of what a run costs the scheduler is what its messages cost.
"""

STOCK = 48
"""How many attempts wait at the workers and the scheduler at the least: the more, the fewer messages bring them."""

STOP_AGAIN_SECONDS = 1.0
"""After how long the order to stop is repeated: what waits at one worker may be on its way to another."""

ANSWER_SECONDS = 15.0
"""How long a worker has, beyond the grace, to say that a run was stopped; and a scheduler to answer."""


class DaskEngine(RemoteEngine):
    """Runs commands on a Dask cluster.

    Args:
        contact: an Address, or a Client or a Cluster of the user's.
        resources: what each run takes of its worker.
    """

    def __init__(self, contact: object, resources: Mapping[str, float]) -> None:
        self.warnings: Sequence[str] = ()
        self.failure: EngineError | None = None
        self.clock = Clock()
        self.holds_alone = False
        self._contact = contact
        self._resources = resources
        self._numbers = count()
        self._topic = PREFIX + secrets.token_hex(8)
        self._flights: dict[int, Flight] = {}
        self._tasks: dict[int, Task] = {}
        self._outbox: list[Flight] = []
        self._done: list[Task] = []
        """What has ended and is not let go of yet."""
        self._submitting: asyncio.TimerHandle | None = None
        self._cluster: Cluster | None = None
        self._room = 1
        self._changed: Callable[[], object] = _nothing
        self._opening = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The one that runs are awaited on."""

    # ---- life

    def open(self, changed: Callable[[], object]) -> None:
        """Connect; see `Engine.open`. Raises EngineError."""
        self._changed = changed
        with self._opening:
            if self._cluster is None:
                self._connect()

    def _connect(self) -> None:
        cluster = reach(self._contact)
        try:
            fit_out(cluster)
            client = cluster.client
            client.sync(client.scheduler.taskexp_enter, topic=self._topic, client=client.id)
            client.subscribe_topic(self._topic, self._hear)
            workers = client.sync(client.scheduler.taskexp_survey)
            check_room(cluster, workers, self._resources)
            # What a driver that was killed has left behind is not to meet what now begins.
            client.sync(client.scheduler.taskexp_settle)
        except BaseException:
            if cluster.is_ours:
                cluster.client.close()
            raise
        self.warnings = warnings_about(cluster.address)
        self._room = room(workers, self._resources)
        self._cluster = cluster
        self.failure = None
        self._spawn(self._watch(cluster))

    def width(self, wanted: int | None) -> int:
        """As many as are wanted, with a stock beyond what runs at once at the most; see `Engine.width`.

        What waits at its worker can start there at once. Much more would only make the scheduler slower.
        """
        most = self._room + max(self._room, STOCK)
        return max(1, min(wanted or most, most))

    def close(self) -> None:
        """Let go of the cluster; see `Engine.close`."""
        with self._opening:
            cluster, self._cluster = self._cluster, None
            left, self._done = [*self._done, *self._tasks.values()], []
            self._tasks.clear()
            if cluster is None:
                return
            _carry(cluster.client.loop.asyncio_loop, _release, left)
            with suppress(OSError, RuntimeError, TimeoutError, ValueError):  # there may be nobody to take leave of
                cluster.client.unsubscribe_topic(self._topic)
            if cluster.is_ours:
                cluster.client.close()

    # ---- runs

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command on some worker; see `Engine.run`."""
        try:
            flight = await self._send(attempt, output)
        except EngineError as error:
            return Ending.displaced(str(error))
        number = flight.order.number
        try:
            while True:
                try:
                    return await asyncio.shield(flight.ending)
                except asyncio.CancelledError:
                    if flight.ending.done():
                        raise
                    self.stop(attempt)
        finally:
            del self._flights[number]
            if (task := self._tasks.pop(number, None)) is not None:
                self._done.append(task)
                self._submit_soon()

    async def _send(self, attempt: Attempt, output: Output) -> Flight:
        """Hand an attempt to the scheduler. Raises EngineError."""
        self._loop = asyncio.get_running_loop()
        if self.failure is not None:
            raise self.failure
        if self._cluster is None:  # a run after the end of the loop
            await asyncio.get_running_loop().run_in_executor(None, self.open, self._changed)
        gpus = int(self._resources.get("GPU", 0))
        command = from_here(attempt.command)
        is_urgent = len(self._flights) <= self._room
        order = Order(self._topic, next(self._numbers), command, attempt.limits, attempt.environ, gpus, is_urgent)
        flight = self._flights[order.number] = Flight(order, attempt, output, self._consume)
        self._outbox.append(flight)
        self._submit_soon()
        return flight

    def _submit_soon(self) -> None:
        """Submit when that pays: at once if the workers might have nothing to do, else once half the stock is gone."""
        loop = asyncio.get_running_loop()
        is_due = bool(self._outbox) and len(self._outbox) >= self._stock // 2
        if self._submitting is not None:
            if not is_due or self._submitting.when() <= loop.time():
                return
            self._submitting.cancel()
        self._submitting = loop.call_later(0 if is_due else SEND_SECONDS, self._submit)

    @property
    def _stock(self) -> int:
        """How many attempts wait at the workers and the scheduler."""
        return max(0, len(self._flights) - len(self._outbox) - self._room)

    def _submit(self) -> None:
        """Hand what was asked for meanwhile to the scheduler, and let go of what has ended."""
        self._submitting = None
        done, self._done = self._done, []
        flights, self._outbox = [flight for flight in self._outbox if not flight.ending.done()], []
        if self._cluster is None:
            return
        _carry(self._cluster.client.loop.asyncio_loop, _release, done)  # from here, each would wake that thread
        if not flights:
            return
        orders = [flight.order for flight in flights]
        tasks = self._cluster.client.map(
            perform,
            orders,
            key=[order.key for order in orders],
            pure=False,
            retries=0,
            resources=dict(self._resources) or None,
        )
        self._tasks.update((order.number, task) for order, task in zip(orders, tasks, strict=True))

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        flight = next((each for each in self._flights.values() if each.attempt is attempt), None)
        if flight is None or flight.is_unwanted:
            return
        flight.is_unwanted = True
        patience = attempt.limits.grace + ANSWER_SECONDS
        why = f"{attempt.command.argv[0]} was stopped, and its worker does not say how it ended"
        flight.loop.call_later(patience, flight.lose, why)
        self._order_stop(flight)

    def _order_stop(self, flight: Flight) -> None:
        if flight.ending.done():
            return
        if flight in self._outbox:
            flight.refuse(Status.interrupted, STOPPED)
        elif (answer := self._ask("taskexp_stop", keys=[flight.order.key])) is not None:
            answer.add_done_callback(lambda done: _carry(flight.loop, self._learn_stop, flight, done))
            flight.loop.call_later(STOP_AGAIN_SECONDS, self._order_stop, flight)

    def _learn_stop(self, flight: Flight, done: "ThreadFuture[Any]") -> None:
        """Learn whether a worker had what was to be stopped."""
        if done.cancelled() or done.exception() is not None:
            return  # the scheduler is gone: whoever looks for it will say so
        if done.result() == [False]:
            flight.refuse(Status.interrupted, STOPPED)

    def kill(self) -> None:
        """Kill everything at once; see `Engine.kill`."""
        self._ask("taskexp_stop", keys=[flight.order.key for flight in list(self._flights.values())], kill=True)

    def destroy(self) -> None:
        """Kill everything and wait until it is gone; see `Engine.destroy`."""
        self.kill()
        if (answer := self._ask("taskexp_settle", topic=self._topic)) is not None:
            with suppress(TimeoutError, OSError):
                answer.result(ANSWER_SECONDS)

    # ---- what comes from the cluster; in the client's thread

    def _hear(self, message: bytes) -> None:
        words = read_words(message)
        if words[0][0] == "room":
            self._spawn(self._look_for_room())
        elif self._loop is not None:
            _carry(self._loop, self._take, words)

    async def _look_for_room(self) -> None:
        if (cluster := self._cluster) is not None:
            self._room = room(await cluster.client.scheduler.taskexp_survey(), self._resources)
            self._changed()

    async def _watch(self, cluster: Cluster) -> None:
        """Wait until the scheduler is gone, or we are."""
        while self._cluster is cluster:
            if cluster.client.status != "running":
                self._fail(cluster)
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _fail(self, cluster: Cluster) -> None:
        self.failure = EngineError(
            f"the scheduler at {cluster.name} is lost, and what ran there with it; start it and the sweep again"
        )
        for flight in list(self._flights.values()):
            _carry(flight.loop, flight.lose, f"the scheduler at {cluster.name} is lost")
        self._changed()

    # ---- what is made of it; on the loop's thread

    def _take(self, words: Sequence[Word]) -> None:
        for kind, number, *facts in words:
            flight = self._flights.get(number)
            if flight is None or flight.ending.done():
                continue
            match kind:
                case "started":
                    when, pid, host, worker = facts
                    flight.begin(datetime.fromisoformat(when), pid, host, worker)
                case "output":
                    stream, text = facts
                    flight.take(stream, text.encode("latin-1"))
                case "ended":
                    flight.end(read_ending(facts[0]))
                case "lost":
                    flight.lose_worker(*facts)
                case _:
                    flight.refuse(Status.not_started, f"Dask could not bring it to a worker: {facts[0]}")

    # ---- the rest

    @property
    def _living_cluster(self) -> Cluster:
        if self._cluster is None:
            raise AssertionError("not open")
        return self._cluster

    def _consume(self, key: str, upto: int) -> None:
        self._ask("taskexp_consume", key=key, upto=upto)

    def _ask(self, what: str, **arguments: object) -> "ThreadFuture[Any] | None":
        """Ask the scheduler for something, from any thread; None if there is none."""
        cluster = self._cluster
        if cluster is None or cluster.client.status != "running":
            return None
        return self._spawn(getattr(cluster.client.scheduler, what)(**arguments))

    def _spawn(self, work: Any) -> "ThreadFuture[Any]":
        """Have something done in the client's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._living_cluster.client.loop.asyncio_loop)


def _carry(loop: asyncio.AbstractEventLoop, act: Callable[..., object], *arguments: object) -> None:
    """Have something done on the loop's thread; in vain if it is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act, *arguments)


def _release(tasks: Sequence[Task]) -> None:
    for task in tasks:
        task.release()


def _nothing() -> None:
    return
