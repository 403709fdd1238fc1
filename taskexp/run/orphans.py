"""Orphans: what a driver that died left running on this machine, found and stopped.

A driver that is killed with SIGKILL stops nothing. Its runs carry its number in their marker, so that all of them
are found, with what they started, also those that it had no time to record.
"""

import signal
import socket
import time

from taskexp.run.descendants import HAS_PROC, Process, boot_id, marked_by
from taskexp.run.process import signal_process

GRACE_SECONDS = 2.0
"""How long they have between SIGTERM and SIGKILL."""

KILL_SECONDS = 2.0


def stop_orphans(host: str, pid: int, start_ticks: int, boot: str) -> str | None:
    """Stop what a dead driver left running; says in words what was found, None if there is nothing to say.

    Args:
        host: where the driver ran.
        pid: its number.
        start_ticks: when it was started, in clock ticks since boot.
        boot: which boot of the machine that was.
    """
    if host != socket.gethostname():
        return f"warning: the last driver died on {host} (pid {pid}); look there for what it may have left running"
    if not HAS_PROC:
        return f"warning: the last driver (pid {pid}) died; this system does not tell what it may have left running"
    if boot != boot_id():
        return None
    left = marked_by(pid, start_ticks)
    if not left:
        return None
    pids = ", ".join(str(process.pid) for process in left[:5]) + (", ..." if len(left) > 5 else "")
    gone = _stop(pid, start_ticks, left)
    did = "stopped" if gone else "warning: could not stop"
    return f"{did} {len(left)} processes that the last driver (pid {pid}) left running when it died ({pids})"


def _stop(driver: int, since_ticks: int, left: list[Process]) -> bool:
    _signal_all(left, signal.SIGTERM, signal.SIGCONT)
    if _gone(driver, since_ticks, GRACE_SECONDS):
        return True
    deadline = time.monotonic() + KILL_SECONDS
    while left := marked_by(driver, since_ticks):
        if time.monotonic() > deadline:
            return False
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.02)
    return True


def _signal_all(processes: list[Process], *numbers: int) -> None:
    for number in numbers:
        for process in processes:
            signal_process(process, number)


def _gone(driver: int, since_ticks: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while marked_by(driver, since_ticks):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
