"""Ledger: what the scheduler knows of our attempts, so that each is started once.

Dask runs a task again when its worker dies, and when a result is lost that nobody has fetched yet. A command must not
be started twice. So whoever waits for an attempt that Dask takes up again is told that it is lost, and the worker that
gets it is told to refuse it, on the same ordered stream and ahead of the task. Reports of the workers pass through
here; nothing is kept of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed import SchedulerPlugin

from taskexp.engines.dask.order import LEDGER, Word, topic_of, write_words
from taskexp.engines.dask.shapes import SchedulerShape

SETTLE_SECONDS = 10.0
"""How long the runs of clients that are gone have to be stopped."""


@dataclass(slots=True, eq=False)
class Held:
    """An attempt, as long as its task may be run.

    Args:
        is_given: whether a worker has it, or had it; else it was stopped before, and none will.
        worker: the name of whom it was given to; others may have taken it over before it began.
        host: where that is.
    """

    is_given: bool
    worker: str = ""
    host: str = ""
    consumed_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Ledger(SchedulerPlugin):
    """The scheduler's side; one for all clients."""

    name = LEDGER
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Begin to answer."""
        self._scheduler: SchedulerShape = scheduler
        self._held: dict[str, Held] = {}
        self._clients: dict[str, str] = {}
        self._scheduler.handlers |= {
            "taskexp_enter": self.enter,
            "taskexp_leave": self.leave,
            "taskexp_survey": self.survey,
            "taskexp_settle": self.settle,
            "taskexp_stop": self.stop,
            "taskexp_consume": self.consume,
            "taskexp_credit": self.credit,
        }
        self._scheduler.stream_handlers["taskexp-report"] = self.report

    # ---- what clients ask

    def enter(self, topic: str, client: str) -> None:
        """Learn whose a topic is."""
        self._clients[topic] = client

    def leave(self, topic: str) -> None:
        """Forget a topic; its client has let go of all its attempts."""
        self._clients.pop(topic, None)

    def survey(self) -> list[dict[str, Any]]:
        """List the workers, and what they have to give."""
        return [
            {"address": each.address, "host": each.host, "threads": each.nthreads, "resources": dict(each.resources)}
            for each in self._scheduler.workers.values()
        ]

    async def settle(self, topic: str = "") -> int:
        """Wait until nothing runs any more of a topic, or of any client that is gone; returns how much still does."""
        deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while (left := await self._living(topic)) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        return left

    async def _living(self, topic: str) -> int:
        answers = await self._scheduler.broadcast(msg={"op": "taskexp_living"}, on_error="ignore")
        topics = [place[0] for keys in answers.values() for key in keys if (place := topic_of(key)) is not None]
        return len([each for each in topics if each == topic or not self._has_client(each)])

    def _has_client(self, topic: str) -> bool:
        return self._clients.get(topic) in self._scheduler.clients

    def stop(self, keys: Sequence[str], kill: bool = False) -> list[bool]:
        """Have attempts stopped; tells of each whether a worker has it. What nobody has is refused from now on."""
        return [self._stop(key, kill) for key in keys]

    def _stop(self, key: str, kill: bool) -> bool:
        held = self._held.setdefault(key, Held(is_given=False))
        task = self._scheduler.tasks.get(key)
        if held.is_given and task is not None and task.processing_on is not None:
            order = {"op": "taskexp-stop", "key": key, "kill": kill}
            self._scheduler.worker_send(task.processing_on.address, order)
        return held.is_given

    def consume(self, key: str, upto: int) -> None:
        """Learn how many bytes of an attempt's output the client has done with."""
        if held := self._held.get(key):
            held.consumed_bytes = upto
            held.changed.set()

    # ---- what workers ask and tell

    async def credit(self, key: str, upto: int) -> None:
        """Wait until the client has done with so many bytes of an attempt, or wants no more."""
        while (held := self._held.get(key)) is not None and held.consumed_bytes < upto:
            held.changed.clear()
            await held.changed.wait()

    def report(self, topic: str, message: bytes, worker: str = "") -> None:
        """Pass a message on to its client."""
        self._send(topic, message)

    # ---- what happens

    def transition(self, key: Any, start: str, finish: str, *args: Any, **facts: Any) -> None:
        """Learn how far a task is; tasks of others pass by."""
        if (place := topic_of(key)) is None:
            return
        held = self._held.get(key)
        match finish:
            case "processing" if held is None:
                given = self._scheduler.tasks[key].processing_on
                self._held[key] = Held(is_given=True, worker=str(given.name), host=given.host)
            case "processing":
                self._refuse(key)
            case "waiting" | "queued" | "no-worker" if held is not None and held.is_given:
                self._tell(place[0], ("lost", place[1], held.worker, held.host))
            case "erred" if "exception_text" in facts:
                self._tell(place[0], ("erred", place[1], str(facts["exception_text"])))
            case "erred" if held is not None:  # nothing was raised: too many workers were lost with it
                self._tell(place[0], ("lost", place[1], held.worker, held.host))
            case "forgotten" if held is not None:
                del self._held[key]
                held.changed.set()
            case _:
                return

    def _refuse(self, key: str) -> None:
        task = self._scheduler.tasks[key]
        if task.processing_on is not None:
            self._scheduler.worker_send(task.processing_on.address, {"op": "taskexp-refuse", "key": key})

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Tell everybody that there is more room."""
        self._tell_room()

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        """Tell everybody that there is less room."""
        self._tell_room()

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Forget the topics of a client; the scheduler has released its tasks, and the workers kill what they run."""
        for topic in [topic for topic, owner in self._clients.items() if owner == client]:
            del self._clients[topic]

    def _tell_room(self) -> None:
        for topic in self._clients:
            self._tell(topic, ("room", 0))

    def _tell(self, topic: str, word: Word) -> None:
        self._send(topic, write_words([word]))

    def _send(self, topic: str, message: bytes) -> None:
        if (client := self._clients.get(topic)) is not None:
            self._scheduler.client_send(client, {"op": "event", "topic": topic, "event": message})
