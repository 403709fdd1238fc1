"""Spawn: a command becomes a process, in a session of its own. Nothing else in TaskExp starts what goes on for long.

There are two ways. The C library's `posix_spawn` costs the driver half the CPU time of `subprocess.Popen`, and the
driver goes on while it waits. Popen does the rest: where `posix_spawn` can do less, and every error, so that each is
told in the same words.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeAlias, cast

from taskexp.plan.command import Command
from taskexp.run.descendants import HAS_PROC
from taskexp.run.diagnosis import why_not_started
from taskexp.run.posix_spawn import Environment, PosixSpawn, PreparedStart

Helper: TypeAlias = "subprocess.Popen[bytes]"
"""A process of our own, beside those of the runs."""


class StartError(Exception):
    """The system could not start a command; the message says what and why."""


class BusyError(StartError):
    """The program's file is open for writing; a moment later it may not be.

    A program that was written just now may still be open in another child that is about to exec.
    """


class ShortageError(StartError):
    """The system has no descriptor, process or memory to spare; when another run has ended it may have."""


SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


class Spawned(NamedTuple):
    """A process that was started.

    Attributes:
        pid: its number.
        idle_faults: the most page faults that it has if it is struck before it becomes the program.
    """

    pid: int
    idle_faults: int


class Spawner:
    """Starts commands, from any thread."""

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, bytes | None], bytes] = {}
        self._posix_spawn = _posix_spawn()
        self._environment = Environment({})
        """The driver's, as it was lately."""

    def spawn(self, command: Command, environ: Mapping[bytes, bytes], streams: tuple[int, int, int]) -> Spawned:
        """Start a command in an environment, with descriptors for stdin, stdout and stderr. Raises StartError."""
        return self.prepare(command, environ, {}, streams).start()

    def prepare(
        self,
        command: Command,
        environ: Mapping[bytes, bytes],
        added: Mapping[bytes, bytes],
        streams: tuple[int, int, int],
    ) -> "Start":
        """Prepare the start of a command.

        Args:
            command: its words and its folder; what else it asks for is the caller's to prepare.
            environ: the driver's environment.
            added: what it has beside that, or instead.
            streams: the descriptors of its stdin, stdout and stderr.
        """
        prepared: PreparedStart | None = None
        if self._posix_spawn is not None and min(streams) > 2:
            with suppress(OSError):  # Popen meets the same and says it; or it can do it
                prepared = self._prepared(self._posix_spawn, command, environ, added, streams)
        return Start(prepared, partial(_by_popen, command, environ, added, streams))

    def _prepared(
        self,
        posix_spawn: PosixSpawn,
        command: Command,
        environ: Mapping[bytes, bytes],
        added: Mapping[bytes, bytes],
        streams: tuple[int, int, int],
    ) -> PreparedStart | None:
        argv = [os.fsencode(word) for word in command.argv]
        program = self._find(argv[0], added.get(b"PATH", environ.get(b"PATH")))
        if program is None:
            return None
        environment = self._environment
        if environment.variables != environ:
            environment = self._environment = Environment(environ)
        folder = None if command.cwd is None else os.fsencode(command.cwd)
        return posix_spawn.prepare(program, argv, environment.extended(added), streams, folder)

    def _find(self, program: bytes, path: bytes | None) -> bytes | None:
        """Find a program in a PATH; None if it is not there. What is found is remembered while it can be started.

        None, too, if that depends on the folder that it is looked for in: a PATH may have relative ones.
        """
        if b"/" in program:
            return program
        found = self._found.get((program, path))
        if found is not None and os.access(found, os.X_OK):
            return found
        for folder in (os.fsencode(os.defpath) if path is None else path).split(b":"):
            candidate = os.path.join(folder, program)
            if not os.path.isabs(candidate):
                return None
            if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                self._found[program, path] = candidate
                return candidate
        return None


class Start:
    """A command that is about to be started.

    Args:
        prepared: the quick way, where there is one.
        otherwise: the other way.
    """

    __slots__ = ("_otherwise", "_prepared")

    def __init__(self, prepared: PreparedStart | None, otherwise: Callable[[], Spawned]) -> None:
        self._prepared = prepared
        self._otherwise = otherwise

    def start(self) -> Spawned:
        """Start it; any thread. Raises StartError if the system could not."""
        if self._prepared is not None:
            with suppress(OSError):  # Popen meets the same and says it
                pid = self._prepared.start()
                return Spawned(pid, idle_faults=2)  # it has a stack: one fault, seen in 690 of 690 that were struck
        return self._otherwise()


def _posix_spawn() -> PosixSpawn | None:
    """Return the C library's; None where it cannot do all that is asked for."""
    try:
        return PosixSpawn() if HAS_PROC else None
    except (OSError, AttributeError):
        return None


def start_helper(path: str) -> Helper:
    """Start a program of our own that needs Python alone, with a pipe to it and one from it. Raises OSError."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )


def driver_environ() -> dict[bytes, bytes]:
    """Copy this process's environment as it is now.

    From the dict behind `os.environ`, where it can be had: `os.environ` itself decodes and encodes every name and every
    value on the way, which took 60 us a run.
    """
    behind = getattr(os.environ, "_data", None)
    if isinstance(behind, dict) and isinstance(next(iter(cast("dict[object, object]", behind)), b""), bytes):
        return dict(cast("dict[bytes, bytes]", behind))
    return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}


def start_error(error: OSError, told: str) -> StartError:
    """Make the error of a command that could not be started of what the system said."""
    if error.errno in SHORTAGES:
        return ShortageError(told)
    return BusyError(told) if error.errno == errno.ETXTBSY else StartError(told)


def _by_popen(
    command: Command, environ: Mapping[bytes, bytes], added: Mapping[bytes, bytes], streams: tuple[int, int, int]
) -> Spawned:
    """Start a command by Popen. No preexec_fn, which would turn vfork into a fork of the whole driver."""
    stdin, stdout, stderr = streams
    env = {**environ, **added}
    try:
        popen = subprocess.Popen(
            command.argv,
            env=env,
            cwd=command.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        texts = {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
        raise start_error(error, why_not_started(command, texts, error)) from error
    except (ValueError, TypeError) as error:
        raise StartError(f"could not start {command.argv[0]!r}: {error}") from error
    popen.returncode = 0  # it is waited for elsewhere; Popen would do so, too, when it is dropped, and warn
    return Spawned(popen.pid, idle_faults=0)
