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
from collections.abc import Sequence

_ATTRIBUTES_BYTES = 1024
_ACTIONS_BYTES = 512
_SIGNALS_BYTES = 256
"""More than any C library needs for these (glibc 336, 80 and 128)."""

_SETSIGDEF = 0x04
_SETSID = 0x80
"""Flags of spawn.h; glibc and musl agree."""

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores and a program does not, as `restore_signals` of Popen has it."""


class PosixSpawn:
    """Starts programs, from any thread, each in a session of its own.

    Raises:
        OSError, AttributeError: this system's C library has no such function, or one that can do less.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self._spawn = libc.posix_spawn
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

    def start(
        self, program: bytes, argv: Sequence[bytes], env: Sequence[bytes], streams: Sequence[int], folder: bytes | None
    ) -> int:
        """Start a program; returns its pid.

        Args:
            program: the path of its file.
            argv: its arguments, its own name first.
            env: its whole environment, `NAME=value` each.
            streams: the descriptors that become its first ones, 0 and up; none may be one of these. It has no others.
            folder: where it starts; None is where this process is.

        Raises:
            OSError: the system could not start it.
        """
        actions = ctypes.create_string_buffer(_ACTIONS_BYTES)
        _check(self._begin(actions))
        try:
            for number, descriptor in enumerate(streams):
                _check(self._dup2(actions, descriptor, number))
            if folder is not None:
                _check(self._chdir(actions, folder))
            _check(self._close_from(actions, len(streams)))
            pid = ctypes.c_int()
            _check(self._spawn(ctypes.byref(pid), program, actions, self._attributes, _vector(argv), _vector(env)))
        finally:
            self._end(actions)
        return pid.value


def _vector(texts: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(texts) + 1))(*texts)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
