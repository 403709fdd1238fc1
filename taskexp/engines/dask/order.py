"""Order: what the client, the scheduler and the workers tell each other, as plain values.

The key of an attempt is `TOPIC-NUMBER`: the topic is one engine of one driver. What goes to the client is a list of
words, each with the number of its attempt:

    ("started", number, time, pid, host, worker)
    ("output", number, "stdout" or "stderr", the bytes as Latin-1)
    ("ended", number, the ending as JSON)
    ("lost", number, worker, host)
    ("erred", number, why)
    ("room", 0)

Such a list is sent as JSON, so that the scheduler passes it on unread. To read it runs nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from taskexp.plan.command import Command
from taskexp.run.engine import Limits
from taskexp.words.version import __version__

Word: TypeAlias = tuple[Any, ...]

LEDGER = "taskexp-ledger"
"""The name of the plugin of the scheduler."""

OUTPOST = "taskexp-outpost"
"""The name of the plugin of the workers."""

PREFIX = "taskexp-"
"""How all topics begin."""

WINDOW_BYTES = 1 << 20
"""How much output of a run may be on its way: beyond that its program is held, as by a pipe that is full."""


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt on its way to a worker.

    Args:
        topic: whose it is.
        number: its number there.
        command: what to start; its folder and the path of its stdin are absolute.
        limits: when it is stopped.
        environ: the variables that it has beside those of the command.
        gpus: how many GPUs it has to itself.
        is_urgent: whether nothing may be left to do until its end is known; else that may wait for other words.
        version: the TaskExp that asks; a worker of another one refuses.
    """

    topic: str
    number: int
    command: Command
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    gpus: int = 0
    is_urgent: bool = True
    version: str = __version__

    @property
    def key(self) -> str:
        """What the scheduler knows it by."""
        return f"{self.topic}-{self.number}"


def topic_of(key: object) -> tuple[str, int] | None:
    """Take a key apart; None for a task of somebody else."""
    if not isinstance(key, str) or not key.startswith(PREFIX):
        return None
    topic, _, number = key.rpartition("-")
    return (topic, int(number)) if number.isdecimal() else None


def write_words(words: Sequence[Word]) -> bytes:
    """Write a message."""
    return json.dumps(words, ensure_ascii=False).encode("utf-8", "surrogatepass")  # as json.loads reads it


def read_words(message: bytes) -> Sequence[Word]:
    """Read a message."""
    return cast("Sequence[Word]", json.loads(message))
