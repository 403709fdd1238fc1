"""Depot: the files by which a driver and the jobs of its runs speak, on a file system that both see.

Each run has a name, the beginning of its point's fingerprint and the number of its attempt, and up to four files:

    NAME.order    what is to be run; written by the driver before the job is submitted
    NAME.begun    who has it; made by whoever is first, so that it is started once, or never
    NAME.output   what it printed so far, in pieces with their streams
    NAME.ended    how it ended; there as a whole or not at all

A driver that has recorded the end removes them. What is there when a driver comes is what another one left behind: it
takes that over. Nobody but the user can read them, since an order holds the environment with its secrets.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskexp.engines.plain import read_command, read_ending, read_limits, write_command, write_ending, write_limits
from taskexp.plan.command import Command
from taskexp.run.engine import Limits
from taskexp.run.taps import STREAM_NAMES, StreamName
from taskexp.words.errors import EngineError
from taskexp.words.outcome import Ending
from taskexp.words.version import __version__

FOLDER = "jobs"
"""Where the files are, in the folder of a journal."""

_HEAD = struct.Struct(">BI")
"""What stands before a piece of output: the number of its stream, and its length."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run, as its job needs it.

    Args:
        job: the name of the array that it was submitted with.
        element: its number there.
        command: what to start; its folder and the path of its stdin are absolute.
        limits: when it is stopped.
        environ: the variables that it has beside those of the command.
        version: the TaskExp that asks.
    """

    job: str
    element: int
    command: Command
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = __version__


class Depot:
    """The files of the runs of one sweep.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, kind: str) -> Path:
        """Name a file of a run: kind is "order", "begun", "output" or "ended"."""
        return self.folder / f"{name}.{kind}"

    def make(self) -> None:
        """Make the folder. Raises EngineError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(f"{self.folder} cannot be made: {error.strerror}; give a journal that can be") from error

    def names(self, kind: str) -> set[str]:
        """List the runs that have a file of a kind."""
        try:
            return {
                entry.name.removesuffix(f".{kind}") for entry in os.scandir(self.folder) if entry.name.endswith(kind)
            }
        except FileNotFoundError:
            return set()

    def put_order(self, name: str, order: Order) -> None:
        """Write what is to be run."""
        facts = {"job": order.job, "element": order.element, "environ": dict(order.environ), "version": order.version}
        facts |= {"command": write_command(order.command), "limits": write_limits(order.limits)}
        _write_whole(self.path(name, "order"), json.dumps(facts))

    def order(self, name: str) -> Order:
        """Read what is to be run. Raises EngineError."""
        path = self.path(name, "order")
        try:
            facts: dict[str, Any] = json.loads(path.read_text())
            if (version := facts["version"]) != __version__:
                raise EngineError(
                    f"{path}: the run was begun with TaskExp {version}, and this is {__version__}; use that one"
                )
            command, limits = read_command(facts["command"]), read_limits(facts["limits"])
            return Order(str(facts["job"]), int(facts["element"]), command, limits, facts["environ"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EngineError(
                f"{path}: this is no order of a run: {error!r}; remove it, and the run begins anew"
            ) from error

    def claim(self, name: str, who: str) -> bool:
        """Take a run; False if somebody has it."""
        try:
            descriptor = os.open(self.path(name, "begun"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as file:
            file.write(who)
        return True

    def put_ending(self, name: str, ending: Ending) -> None:
        """Write how a run ended."""
        _write_whole(self.path(name, "ended"), write_ending(ending))

    def ending(self, name: str) -> Ending | None:
        """Read how a run ended; None if it has not."""
        path = self.path(name, "ended")
        try:
            return read_ending(path.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            return Ending.displaced(f"{path}: this is no record of an end: {error!r}")

    def open_output(self, name: str) -> "OutputFile":
        """Open the file that a run's output goes to; for its job."""
        return OutputFile(self.path(name, "output"))

    def read_output(self, name: str, offset: int, most: int) -> Iterator[tuple[StreamName, bytes, int]]:
        """Read what was printed from an offset on: stream, piece, and the offset behind it; `most` bytes or so."""
        try:
            file = self.path(name, "output").open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(offset)
            read = 0
            while read < most and len(head := file.read(_HEAD.size)) == _HEAD.size:
                number, length = _HEAD.unpack(head)
                piece = file.read(length)
                if len(piece) < length:  # it is being written
                    return
                read += length
                offset += _HEAD.size + length
                yield STREAM_NAMES[number], piece, offset

    def remove(self, name: str) -> None:
        """Remove the files of a run, its order last: as long as that is there, the run is known."""
        for kind in ("output", "begun", "ended", "order"):
            self.path(name, kind).unlink(missing_ok=True)


class OutputFile:
    """The file of a run's output; an `Output` that never asks for a pause."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Write a piece."""
        rest = memoryview(_HEAD.pack(STREAM_NAMES.index(stream), len(chunk)) + chunk)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return True

    def when_drained(self, callback: object) -> None:
        """Never needed: there is always room."""
        raise AssertionError("no pause was asked for")

    def close(self) -> None:
        """See it to the disk: the record of the end is to follow."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def kept_runs(journal: Path) -> set[str]:
    """List the runs of a journal that are with Slurm, by name."""
    return Depot(journal / FOLDER).names("order")


def kept_counts(journal: Path) -> tuple[int, int, int]:
    """Count the runs of a journal that wait with Slurm, run there, and have ended there."""
    depot = Depot(journal / FOLDER)
    ordered, begun, ended = (depot.names(kind) for kind in ("order", "begun", "ended"))
    return len(ordered - begun), len(ordered & begun - ended), len(ordered & ended)


def _write_whole(path: Path, content: str) -> None:
    """Write a file that is there as a whole or not at all, also after a power cut."""
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
