"""Outpost: what a worker does with an attempt; the same local engine runs it there that would run it here.

So a run on a worker has its timeouts, its tree stopped, its usage counted as anywhere. Output goes to the client in
batches; a client that cannot follow holds the program.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from distributed import WorkerPlugin, get_worker

from taskexp.engines.dask.order import OUTPOST, WINDOW_BYTES, Order, Word, write_words
from taskexp.engines.dask.shapes import WorkerShape
from taskexp.engines.place import placed
from taskexp.engines.plain import write_ending
from taskexp.run.devices import GPUS
from taskexp.run.engine import Attempt
from taskexp.run.local import LocalEngine
from taskexp.run.taps import StreamName
from taskexp.words.moment import local_now
from taskexp.words.outcome import Ending, Status
from taskexp.words.version import __version__

BATCH_SECONDS = 0.02
"""How long output waits for more at the most; after a silence, the first of it does not wait."""

BATCH_BYTES = 1 << 16
"""How much of it is sent at once."""

STOPPED = "it was stopped before it could start"


async def perform(order: Order) -> None:
    """Run an attempt on the worker that this task has come to; what comes of it goes by messages, nothing stays."""
    outpost: object = cast(Any, get_worker()).plugins[OUTPOST]
    if not isinstance(outpost, Outpost):
        raise TypeError(f"the worker's plugin {OUTPOST} is not ours but {outpost!r}")
    await outpost.perform(order)


class Outpost(WorkerPlugin):
    """The worker's side; one for all clients."""

    name = OUTPOST
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Begin to take attempts."""
        self._worker: WorkerShape = worker
        self._engine = LocalEngine()
        self._host = socket.gethostname()
        self._attempts: dict[str, Attempt] = {}
        self._stopped: set[str] = set()
        self._refused: set[str] = set()
        self._mails: dict[str, Mail] = {}
        self._gpus = _gpus_of(worker)
        self._worker.stream_handlers["taskexp-stop"] = self.stop
        self._worker.stream_handlers["taskexp-refuse"] = self.refuse
        self._worker.handlers["taskexp_living"] = self.living

    def teardown(self, worker: Any) -> None:
        """Leave nothing running: the worker closes, or has lost its scheduler."""
        self._engine.destroy()
        self._engine.close()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Kill what nobody wants any more: its client is gone."""
        if finish in ("cancelled", "released", "forgotten") and key in self._attempts:
            self.stop(key, kill=True)

    def stop(self, key: str, kill: bool = False) -> None:
        """End an attempt, gracefully or at once; one that has not begun is not started."""
        attempt = self._attempts.get(key)
        if attempt is not None or key in self._worker.state.tasks:
            self._stopped.add(key)
        if attempt is None:
            return
        if kill:
            self._engine.strike(attempt)
        else:
            self._engine.stop(attempt)

    def refuse(self, key: str) -> None:
        """Learn of an attempt that will come, and was somewhere else before."""
        self._refused.add(key)

    def living(self) -> list[str]:
        """List the attempts that are here."""
        return list(self._attempts)

    async def perform(self, order: Order) -> None:
        """Run an attempt, unless it was somewhere else before."""
        if order.key in self._refused:
            self._refused.discard(order.key)
            return
        mail = self._mails.setdefault(order.topic, Mail(self._worker, order.topic))
        with self._holding(order) as devices:
            ending = await self._run(order, devices, mail)
        if ending.status is Status.not_started:
            ending = replace(ending, error=f"{ending.error} (on {self._host})")
        ending = replace(ending, worker=str(self._worker.name), devices=devices)
        mail.end(order.number, ending, at_once=order.is_urgent)

    @contextmanager
    def _holding(self, order: Order) -> Generator[Mapping[str, str]]:
        """Keep what an attempt has while it is here; its devices, above all."""
        numbers, self._gpus = self._gpus[: order.gpus], self._gpus[order.gpus :]
        devices = {GPUS: ",".join(numbers)} if order.gpus else {}
        report = partial(self._report_start, order)
        environ = {**order.environ, **devices}
        self._attempts[order.key] = Attempt(placed(order.command), order.limits, environ, on_start=report)
        try:
            yield devices
        finally:
            del self._attempts[order.key]
            self._stopped.discard(order.key)
            self._gpus = sorted([*self._gpus, *numbers])

    def _report_start(self, order: Order, pid: int) -> None:
        now = local_now().isoformat()
        name = str(self._worker.name)
        self._mails[order.topic].post(("started", order.number, now, pid, self._host, name))

    async def _run(self, order: Order, devices: Mapping[str, str], mail: "Mail") -> Ending:
        name = str(self._worker.name)  # the words of `perform` say where
        if order.version != __version__:
            why = f"the worker {name} has TaskExp {__version__}, and the driver has {order.version}"
            return Ending.unstarted(Status.not_started, why, self._host, name)
        if len(devices.get(GPUS, "").split(",")) < order.gpus:
            why = f"the worker {name} has not the GPUs that it said; look at its {GPUS}"
            return Ending.unstarted(Status.not_started, why, self._host, name)
        if order.key in self._stopped:
            return Ending.unstarted(Status.interrupted, STOPPED, self._host, name)
        output = SentOutput(order, mail, self._worker)
        try:
            return await self._engine.run(self._attempts[order.key], output)
        finally:
            output.close()


class SentOutput:
    """The output of an attempt, on its way to the client.

    Args:
        order: the attempt.
        mail: what carries it.
        worker: asks the scheduler how far the client is.
    """

    def __init__(self, order: Order, mail: "Mail", worker: WorkerShape) -> None:
        self._order = order
        self._mail = mail
        self._worker = worker
        self._sent = 0
        self._consumed = 0
        self._waiting: asyncio.Task[None] | None = None

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Send a chunk; False asks for a pause until `when_drained` calls."""
        self._sent += len(chunk)
        self._mail.post(("output", self._order.number, stream, chunk.decode("latin-1")), len(chunk))
        return self._sent - self._consumed < WINDOW_BYTES

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the client has done with half of what is on its way."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.ensure_future(self._wait(callback))

    async def _wait(self, callback: Callable[[], object]) -> None:
        upto = self._sent - WINDOW_BYTES // 2
        await self._worker.scheduler.taskexp_credit(key=self._order.key, upto=upto)
        self._consumed = upto
        callback()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._waiting is not None:
            self._waiting.cancel()


class Mail:
    """Messages to one client, in batches.

    Args:
        worker: sends them.
        topic: whose they are.
    """

    def __init__(self, worker: WorkerShape, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._words: list[Word] = []
        self._bytes = 0
        self._sent_at = float("-inf")
        self._timer: asyncio.Handle | None = None

    def post(self, word: Word, size: int = 0) -> None:
        """Send a word soon; with the next ones, if they come at once."""
        self._words.append(word)
        self._bytes += size
        if self._bytes >= BATCH_BYTES:
            self._send()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            due = (self._sent_at if size else loop.time()) + BATCH_SECONDS
            self._timer = loop.call_soon(self._send) if due <= loop.time() else loop.call_at(due, self._send)

    def end(self, number: int, ending: Ending, at_once: bool) -> None:
        """Send how an attempt ended: at once, or soon with what else there is."""
        self.post(("ended", number, write_ending(ending)), 1)
        if at_once:
            self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        words = self._words
        self._words, self._bytes = [], 0
        self._sent_at = asyncio.get_running_loop().time()
        if words:
            message = write_words(words)
            self._worker.batched_send({"op": "taskexp-report", "topic": self._topic, "message": message})


def _gpus_of(worker: WorkerShape) -> list[str]:
    """List the GPUs that a worker gives to runs: those that it sees, as many as it says that it has."""
    number = int(worker.state.total_resources.get("GPU", 0))
    listed = os.environ.get(GPUS)
    return (listed.split(",") if listed else list(map(str, range(number))))[:number]
