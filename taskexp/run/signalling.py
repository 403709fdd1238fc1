"""Signalling: a signal to a group or to one process, and never to one that has taken the number of another."""

import os

from taskexp.run.descendants import Process, is_alive

TYPE_CHECKING = False  # as in `typing`, whose import alone takes its time

if TYPE_CHECKING:
    import signal
else:  # the part of it in C, for the watchdog; see there
    import _signal as signal

HAS_PIDFD = hasattr(os, "pidfd_open")


def signal_group(group: int, number: int) -> bool:
    """Signal a group, but never everybody (1), nor ourselves (0 or our own group); returns whether there is one."""
    if group <= 1 or group == os.getpgrp():
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # no longer ours to signal; macOS says so of a group of zombies, too
        return False
    return True


def signal_process(process: Process, number: int) -> None:
    """Signal one process through a pidfd, so that a reuse of its pid is never hit."""
    descriptor = open_pidfd(process.pid)
    if descriptor < 0:
        return
    try:
        if is_alive(process):
            signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):  # gone, or no longer ours to signal
        return
    finally:
        os.close(descriptor)


def open_pidfd(pid: int) -> int:
    """Open a pidfd; -1 where the system has none to give."""
    if not HAS_PIDFD:
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:  # ENOSYS in an old kernel, EPERM in a strict container, ESRCH for what is gone
        return -1
