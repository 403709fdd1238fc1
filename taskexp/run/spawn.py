"""Spawn: a command becomes a process, in a session of its own. Nothing else in TaskExp starts what goes on for long.

There are two ways. `posix_spawn` costs the driver half the CPU time of `subprocess.Popen` (47 against 111 us here), and
is taken where it can do all that is asked for. Popen does the rest: a folder to start in, a system without a `setsid`
in `posix_spawn`, and every error, so that each is told in the same words.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from taskexp.plan.command import Command
from taskexp.run.descendants import HAS_PROC
from taskexp.run.diagnosis import why_not_started

Helper: TypeAlias = "subprocess.Popen[bytes]"
"""A process of our own, beside those of the runs."""

LOOK_SECONDS = 0.1
"""How long it is believed which descriptors of the driver a program would inherit."""

_PIPE_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores and a program does not, as `restore_signals` of Popen has it."""


class StartError(Exception):
    """The system could not start a command; the message says what and why."""


class BusyError(StartError):
    """The program's file is open for writing; a moment later it may not be.

    A program that was written just now may still be open in another child that is about to exec.
    """


class ShortageError(StartError):
    """The system has no descriptor, process or memory to spare; when another run has ended it may have."""


SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that was started.

    Args:
        pid: its number.
        idle_faults: the most page faults that it has if it is struck before it becomes the program.
    """

    pid: int
    idle_faults: int


class Spawner:
    """Starts commands."""

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, bytes | None], bytes | None] = {}
        self._inheritable: Sequence[int] = ()
        self._looked_at = float("-inf")
        self._has_posix_spawn = HAS_PROC and hasattr(os, "posix_spawn")

    def spawn(self, command: Command, env: Mapping[bytes, bytes], stdin: int, stdout: int, stderr: int) -> Spawned:
        """Start a command with a whole environment.

        Raises:
            StartError: the system could not start it.
        """
        if self._has_posix_spawn and command.cwd is None and min(stdin, stdout, stderr) > 2:
            try:
                return self._by_posix_spawn(command, env, stdin, stdout, stderr)
            except (OSError, ValueError):
                pass  # Popen meets the same and says it; or it can do it
            except NotImplementedError:  # no setsid in this system's
                self._has_posix_spawn = False
        return _by_popen(command, env, stdin, stdout, stderr)

    def _by_posix_spawn(
        self, command: Command, env: Mapping[bytes, bytes], stdin: int, stdout: int, stderr: int
    ) -> Spawned:
        program = self._find(os.fsencode(command.argv[0]), env.get(b"PATH"))
        if program is None:
            raise FileNotFoundError(errno.ENOENT, "no such program")
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate((stdin, stdout, stderr))]
        closing = [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in self._inherited()]
        pid = os.posix_spawn(
            program, command.argv, env, file_actions=[*actions, *closing], setsid=True, setsigdef=_PIPE_SIGNALS
        )
        return Spawned(pid, idle_faults=2)  # it has a stack of its own: one fault, seen in 690 of 690 that were struck

    def _find(self, program: bytes, path: bytes | None) -> bytes | None:
        """Find a program in a PATH; None if it is not there. What is found is remembered while it can be started."""
        if b"/" in program:
            return program
        found = self._found.get((program, path))
        if found is None or not os.access(found, os.X_OK):
            folders = os.fsencode(os.defpath) if path is None else path
            candidates = (os.path.join(folder, program) for folder in folders.split(b":"))
            found = next((each for each in candidates if os.access(each, os.X_OK) and os.path.isfile(each)), None)
            self._found[program, path] = found
        return found

    def _inherited(self) -> Sequence[int]:
        """List the driver's descriptors that a program must not have: those that somebody made inheritable.

        Python's own are not, so there is something only where the driver's parent left it some (`9>&1`, a job server)
        or a library opened it so. To look each time would cost more than the way by `posix_spawn` gains.
        """
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            numbers = (int(name) for name in os.listdir("/proc/self/fd"))
            self._inheritable = [number for number in numbers if number > 2 and _is_inheritable(number)]
        return self._inheritable


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


def _by_popen(command: Command, env: Mapping[bytes, bytes], stdin: int, stdout: int, stderr: int) -> Spawned:
    """Start a command by Popen. No preexec_fn, which would turn vfork into a fork of the whole driver."""
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


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # closed meanwhile: the one that the folder was read with
        return False
