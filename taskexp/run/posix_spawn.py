"""posix_spawn: the C library's own, called without Python's lock.

Whoever starts a process waits until it has become its program: the system suspends the caller meanwhile (vfork), for
0.15 ms on an idle machine and for many times that while other programs want its CPUs. `os.posix_spawn` and Popen hold
Python's lock all that time, and with it the event loop: no line is passed on, no timeout noticed. A call by ctypes lets
go of the lock, so that a thread can start a run while the loop goes on. It can also do what `os.posix_spawn` cannot:
close whatever descriptors the driver has, and start in a folder.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

_ATTRIBUTES_BYTES = 1024
_Actions = ctypes.c_char * 512
_SIGNALS_BYTES = 256
"""More than any C library needs for these (glibc 336, 80 and 128)."""

_SETSIGDEF = 0x04
_SETSID = 0x80
"""Flags of spawn.h; glibc and musl agree."""

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores and a program does not, as `restore_signals` of Popen has it."""


Vector: TypeAlias = "ctypes.Array[ctypes.c_char_p]"
"""Texts as the system takes them, with a null behind the last."""


class Environment:
    """Variables that many programs have in common: to write them anew for each of them took 40 us.

    Args:
        variables: their values by name.
    """

    def __init__(self, variables: Mapping[bytes, bytes]) -> None:
        self.variables = variables
        self._vector = _vector([b"%b=%b" % variable for variable in variables.items()])

    def extended(self, added: Mapping[bytes, bytes]) -> Vector:
        """Return these variables and others, which come before those of the same name; it refers to this object."""
        texts = [b"%b=%b" % variable for variable in added.items()]
        if not self.variables.keys().isdisjoint(added):
            return _vector([*texts, *(b"%b=%b" % each for each in self.variables.items() if each[0] not in added)])
        number = len(self.variables)
        vector = (ctypes.c_char_p * (number + len(texts) + 1))()
        ctypes.memmove(vector, self._vector, number * ctypes.sizeof(ctypes.c_char_p))
        for place, text in enumerate(texts, number):
            vector[place] = text
        return vector


class PosixSpawn:
    """Starts programs, from any thread, each in a session of its own.

    Raises:
        OSError, AttributeError: this system's C library has no such function, or one that can do less.
    """

    def __init__(self) -> None:
        self._spawn = ctypes.CDLL(None).posix_spawn
        libc = ctypes.PyDLL(None)  # whose calls keep Python's lock: none of these waits for anything
        self._begin = libc.posix_spawn_file_actions_init
        self._dup2 = libc.posix_spawn_file_actions_adddup2
        self._chdir = libc.posix_spawn_file_actions_addchdir_np
        self._close_from = libc.posix_spawn_file_actions_addclosefrom_np
        self._end = libc.posix_spawn_file_actions_destroy
        self._attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
        signals = ctypes.create_string_buffer(_SIGNALS_BYTES)
        _check(libc.sigemptyset(signals))
        for number in _IGNORED_BY_PYTHON:
            _check(libc.sigaddset(signals, int(number)))
        _check(libc.posix_spawnattr_init(self._attributes))
        _check(libc.posix_spawnattr_setsigdefault(self._attributes, signals))
        _check(libc.posix_spawnattr_setflags(self._attributes, ctypes.c_short(_SETSID | _SETSIGDEF)))

    def prepare(
        self, program: bytes, argv: Sequence[bytes], env: Vector, streams: Sequence[int], folder: bytes | None
    ) -> "PreparedStart":
        """Prepare the start of a program.

        Args:
            program: the path of its file.
            argv: its arguments, its own name first.
            env: its whole environment.
            streams: the descriptors that become its first ones, 0 and up; none may be one of these. It has no others.
            folder: where it starts; None is where this process is.

        Raises:
            OSError: there is no memory for it.
        """
        actions = _Actions()
        _check(self._begin(actions))
        for number, descriptor in enumerate(streams):
            _check(self._dup2(actions, descriptor, number))
        if folder is not None:
            _check(self._chdir(actions, folder))
        _check(self._close_from(actions, len(streams)))
        pid = ctypes.c_int()
        arguments = ctypes.byref(pid), program, actions, self._attributes, _vector(argv), env
        return PreparedStart(pid, partial(self._spawn, *arguments), partial(self._end, actions))


class PreparedStart:
    """All that is needed to start a program, once. To start it takes hardly anything of Python but the wait.

    Args:
        pid: where its number will stand.
        spawn: starts it.
        release: gives back what was needed.
    """

    __slots__ = ("_pid", "_release", "_spawn")

    def __init__(self, pid: ctypes.c_int, spawn: Callable[[], int], release: Callable[[], object]) -> None:
        self._pid = pid
        self._spawn = spawn
        self._release = release

    def start(self) -> int:
        """Start the program; returns its pid. Raises OSError if the system could not."""
        _check(self._spawn())
        return self._pid.value

    def __del__(self) -> None:
        self._release()


def _vector(texts: Sequence[bytes]) -> Vector:
    return (ctypes.c_char_p * (len(texts) + 1))(*texts)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
