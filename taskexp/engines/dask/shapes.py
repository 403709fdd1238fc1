"""Shapes: what is used of Dask's objects, with types; its own are few and partial."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Thread(Protocol):
    """The event loop of a client, in a thread of its own."""

    asyncio_loop: asyncio.AbstractEventLoop


class Task(Protocol):
    """What a client has of a task: as long as it has it, the scheduler keeps it."""

    def release(self) -> None:
        """Want it no more; what runs of it is cancelled."""
        ...


class ClientShape(Protocol):
    """A client of Dask's; `distributed.Client`."""

    id: str
    status: str
    loop: Thread
    scheduler: Any
    """Whatever is called on it is asked of the scheduler."""

    def close(self) -> None: ...  # noqa: D102 - as in Dask, and so below
    def map(self, function: Callable[..., object], values: Sequence[object], **how: object) -> Sequence[Task]: ...  # noqa: D102
    def register_plugin(self, plugin: object) -> object: ...  # noqa: D102
    def run(self, function: Callable[[], object], **how: object) -> Mapping[str, Any]: ...  # noqa: D102
    def subscribe_topic(self, topic: str, hear: Callable[[Any], object]) -> None: ...  # noqa: D102
    def sync(self, function: Callable[..., Any], **arguments: object) -> Any: ...  # noqa: D102
    def unsubscribe_topic(self, topic: str) -> None: ...  # noqa: D102
    def wait_for_workers(self, number: int, timeout: float) -> None: ...  # noqa: D102


class SchedulerShape(Protocol):
    """A scheduler of Dask's, seen by its plugin; `distributed.Scheduler`."""

    handlers: dict[str, Callable[..., Any]]
    stream_handlers: dict[str, Callable[..., Any]]
    clients: Mapping[str, object]
    tasks: Mapping[str, Any]
    workers: Mapping[str, Any]

    async def broadcast(self, *, msg: Mapping[str, object], on_error: str) -> Mapping[str, Any]: ...  # noqa: D102
    def client_send(self, client: str, msg: Mapping[str, object]) -> None: ...  # noqa: D102
    def worker_send(self, worker: str, msg: Mapping[str, object]) -> None: ...  # noqa: D102


class WorkerShape(Protocol):
    """A worker of Dask's, seen by its plugin; `distributed.Worker`."""

    address: str
    name: object
    handlers: dict[str, Callable[..., Any]]
    stream_handlers: dict[str, Callable[..., Any]]
    scheduler: Any
    """Whatever is called on it is asked of the scheduler."""
    state: Any

    def batched_send(self, msg: Mapping[str, object]) -> None: ...  # noqa: D102
