"""Sweep: what a table asks for, as a task, the options of its loop, and the folder of its journal."""

import hashlib
import os
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from taskexp.cli.sweepfile import Table
from taskexp.engines.address import Tls
from taskexp.engines.resolve import with_tls
from taskexp.loop.loop import CompletedRuns
from taskexp.plan.route import Route
from taskexp.run.devices import gpu_slots
from taskexp.task import Task
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

JOURNALS = Path(".taskexp")
"""Where the journals of sweeps are that were given no folder."""

_EXECUTE = ("timeout", "idle_timeout", "grace")
_LOOP = ("max_workers", "order", "seed", "start", "retries", "retry_on", "halt", "resources", "on_lost")
_TLS = ("tls_ca_file", "tls_cert", "tls_key")
_ROUTE = ("order", "seed", "start")
_NAME_LENGTH = 32

MOST_LISTED = 100_000
"""A sweep of more points is not listed to tell its runs from others in its journal; that takes about a second."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was asked for.

    Args:
        table: what was asked for; see `sweepfile`.
        source: what errors name: the file, or the command line.
        file: the sweep file, if there is one.
    """

    table: Table
    source: str
    file: Path | None = None

    @cached_property
    def task(self) -> Task:
        """What is to be run. Raises ArgumentTypeError or ArgumentValueError, with the source."""
        with self._told():
            return _build(self.table)

    @property
    def options(self) -> Table:
        """How it is to be run."""
        return cast(Table, self.table.get("options", {}))

    @property
    def folder(self) -> Path:
        """The journal's: the one that was asked for, or one that is named by the command or the file."""
        directory = self.options.get("dir")
        if directory == "":
            with self._told():
                raise ArgumentValueError("dir is empty; give the path of a folder, or leave it out")
        try:
            return Path(directory or JOURNALS / self._name()).absolute()
        except FileNotFoundError:
            raise ArgumentValueError("the current folder is not there any more; go to another one") from None

    @cached_property
    def loop_options(self) -> Mapping[str, Any]:
        """The arguments of `as_completed`."""
        with self._told():
            options = {name: self.options[name] for name in (*_LOOP, *_EXECUTE) if name in self.options}
            options |= {"shard": self._shard(), "rerun": self.options.get("rerun"), "engine": self._engine()}
            if options["engine"] != "local":
                options.setdefault("max_workers", None)
            if slots := self._slots():
                options["slots"] = slots
                options.setdefault("max_workers", len(next(iter(slots.values()))))
            return options

    @cached_property
    def route(self) -> Route:
        """The points that its loop goes to, in order."""
        options = {name: self.options[name] for name in _ROUTE if name in self.options}
        task = self.task
        with self._told():
            return task.route(shard=self._shard(), **options)

    @property
    def secret_values(self) -> set[str]:
        """What is not to be written, as far as it stands in the task."""
        return self.route.points.secret_values

    @cached_property
    def fingerprints(self) -> frozenset[bytes] | None:
        """The points that its loop goes to, as a journal knows them; None where they are too many to be listed."""
        steps = range(self.route.first_step, self.route.step_count)
        if self.route.step_count - self.route.first_step > MOST_LISTED:
            return None
        return frozenset(self.route.points[self.route.index(step)].fingerprint for step in steps)

    def check(self) -> None:
        """Look whether it could run, on a machine that has GPUs if it wants some.

        Raises:
            ArgumentTypeError, ArgumentValueError, JournalError: it could not.
        """
        options = {name: value for name, value in self.options.items() if (name, value) != ("gpus", "auto")}
        elsewhere = replace(self, table={**self.table, "options": options})
        elsewhere.as_completed(self.folder, ostreams=[]).close()

    def as_completed(self, folder: Path, **showing: Any) -> CompletedRuns:
        """Make its loop, recorded in a folder. Raises as `Task.as_completed` does."""
        task, options = self.task, self.loop_options
        with self._told():
            return task.as_completed(journal=folder, **options, **showing)

    def _name(self) -> str:
        """Name the folder so that the same command, or the same file, finds it again."""
        known_by = str(self.file.absolute()) if self.file else f"{self.table['command']}\0{self.table.get('shell')}"
        digest = hashlib.blake2b(known_by.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        return f"{self.file.stem if self.file else _slug(self.table['command'])}-{digest}"

    def _shard(self) -> tuple[int, int] | None:
        if (shard := self.options.get("shard")) is None:
            return None
        if (match := re.fullmatch(r"\s*(\d{1,999})\s*/\s*(\d{1,999})\s*", shard, re.ASCII)) is None:
            raise ArgumentValueError(f"shard={shard!r} is no part of a sweep; write K/N, part K of N from 1, as in 1/4")
        part, parts = map(int, match.groups())
        if not 1 <= part <= parts:
            raise ArgumentValueError(f"shard={shard!r} is out of range; of N parts, K is 1 to N")
        return part - 1, parts

    def _engine(self) -> object:
        """Read where it is run; certificates belong to an address."""
        engine = self.options.get("engine", "local")
        files = [self.options.get(name) for name in _TLS]
        if not any(files):
            return engine
        if missing := [name for name, file in zip(_TLS, files, strict=True) if not file]:
            raise ArgumentValueError(f"{missing[0]} is missing; TLS needs {', '.join(_TLS)}")
        return with_tls(engine, Tls(*map(str, files)))

    def _slots(self) -> Mapping[str, Any]:
        slots: dict[str, Any] = {}
        if (gpus := self.options.get("gpus")) is not None:
            slots |= gpu_slots() if gpus == "auto" else {"CUDA_VISIBLE_DEVICES": _listed(gpus)}
        more = cast("dict[str, Any]", self.options.get("slots", {}))
        if twice := slots.keys() & more.keys():
            raise ArgumentValueError(f"gpus and slots both give {twice.pop()}; say it once")
        return slots | more

    @contextmanager
    def _told(self) -> Generator[None]:
        """Say in which file a mistake is; on the command line it is before everybody's eyes."""
        try:
            yield
        except (ArgumentTypeError, ArgumentValueError) as error:
            if self.file is None:
                raise
            raise type(error)(f"{self.source}: {error}") from error


def _build(table: Table) -> Task:
    """Make the task; loops in the order of the table's keys, those of the command first."""
    stdin = table.get("stdin")
    task = Task.from_command(
        table["command"],
        shell=table.get("shell", False),
        cwd=table.get("cwd"),
        stdin=None if stdin is None else Path(stdin),
        secret_env=table.get("secret_env"),
        live=table.get("live", False),
    )
    for key, value in table.items():
        if (build := _BUILDERS.get(key)) is not None:
            build(task, value)
    return task


def _add_fixed(task: Task, values: Table) -> None:
    for key, value in values.items():
        task.fixed(key, value)


def _add_args(task: Task, values: Table) -> None:
    for key, value in values.items():
        task.arg(key, value)


def _add_switches(task: Task, flags: list[Any]) -> None:
    for flag in flags:
        task.switch(flag)


def _add_env(task: Task, values: Table) -> None:
    for name, value in values.items():
        task.env(name, [value] if isinstance(value, int | float) else value)


def _add_zips(task: Task, zips: list[Any]) -> None:
    for axes in zips:
        task.zip({key: value for key, value in axes.items() if key != "env"}, env=axes.get("env"))


def _add_metrics(task: Task, metrics: Table) -> None:
    for name, pattern in metrics.items():
        if isinstance(pattern, dict):
            said = _only(cast(Table, pattern), f"metrics: {name!r}", "pattern", "take")
            task.metric(name, said["pattern"], take=said.get("take", "last"))
        else:
            task.metric(name, pattern)


def _add_repeat(task: Task, repeat: Any) -> None:
    said = _only(cast(Table, repeat), "repeat", "n", "key") if isinstance(repeat, dict) else {"n": repeat}
    task.repeat(said["n"], said.get("key"))


def _add_sample(task: Task, sample: Any) -> None:
    said = _only(cast(Table, sample), "sample", "n", "seed") if isinstance(sample, dict) else {"n": sample}
    task.sample(said["n"], said.get("seed", 0))


_BUILDERS: Mapping[str, Callable[[Task, Any], None]] = {
    "fixed": _add_fixed,
    "args": _add_args,
    "switches": _add_switches,
    "env": _add_env,
    "zip": _add_zips,
    "metrics": _add_metrics,
    "repeat": _add_repeat,
    "sample": _add_sample,
}


def _only(table: Table, where: str, *known: str) -> Table:
    if strange := [name for name in table if name not in known]:
        raise ArgumentValueError(f"{where}: {strange[0]!r} is not known; the keys are {', '.join(known)}")
    if known[0] not in table:
        raise ArgumentValueError(f"{where}: {known[0]!r} is missing; give it")
    return table


def _listed(gpus: object) -> list[str]:
    numbers = gpus.split(",") if isinstance(gpus, str) else cast("list[object]", gpus)
    if not (listed := [str(number).strip() for number in numbers]) or "" in listed:
        raise ArgumentValueError(f"gpus={gpus!r} names no GPUs; give 'auto' or a list such as 0,1")
    return listed


def _slug(command: str) -> str:
    """Make a name for a folder of the first words of a command, up to its first option or loop."""
    words = takewhile(lambda word: not re.match("-|.*{", word), command.split())
    names = [os.path.basename(word.rstrip("/")) for word in words]
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(names))[:_NAME_LENGTH].strip("-.") or "sweep"
