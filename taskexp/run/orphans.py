"""Orphans: what a driver that died left running on this machine, found and stopped; and what runs left, named.

A driver that is killed with SIGKILL stops nothing. Its runs carry its mark in their markers, so that all of them
are found, with what they started, also those that it had no time to record.
"""

import signal
import socket
import time
from collections.abc import Mapping

from taskexp.run.cells import single_row
from taskexp.run.descendants import Process, boot_id, marked_by
from taskexp.run.identity import Identity
from taskexp.run.signalling import signal_process
from taskexp.words.counting import counted

GRACE_SECONDS = 2.0
"""How long they have between SIGTERM and SIGKILL."""

KILL_SECONDS = 2.0


def stop_orphans(driver: Identity) -> str | None:
    """Stop what a dead driver left running; says in words what was found, None if there is nothing to say."""
    if driver.is_ours:  # an earlier loop of ours, whose runs have ended and could not be recorded
        return None
    if driver.host == socket.gethostname() and driver.boot_id != boot_id():
        return None  # nothing outlives a reboot
    if not driver.is_visible:
        died = f"warning: the last driver (pid {driver.pid} on {driver.host}) died"
        return f"{died}, and what it may have left running cannot be seen from here; look there"
    left = marked_by(driver.pid, driver.start_ticks)
    if not left:
        return None
    pids = ", ".join(str(process.pid) for process in left[:5]) + (", ..." if len(left) > 5 else "")
    did = "stopped" if _stop(driver, left) else "warning: could not stop"
    what = counted(len(left), "process", "processes")
    return f"{did} {what} that the last driver (pid {driver.pid}) left running when it died ({pids})"


def say_strays(strays: Mapping[int, str]) -> str | None:
    """Say what runs that ended by themselves left running in sessions of their own; None if there is nothing to say.

    It is not stopped: a program that makes itself a session wants to live on, as a server does.

    Args:
        strays: the names of the programs by the numbers of the processes.
    """
    if not strays:
        return None
    named = [f"{pid} {single_row(name)}" for pid, name in strays.items()]
    listed = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
    what = counted(len(named), "process that left its run goes", "processes that left their runs go")
    return f"warning: {what} on: {listed}"


def _stop(driver: Identity, left: list[Process]) -> bool:
    _signal_all(left, signal.SIGTERM, signal.SIGCONT)
    if _gone(driver, GRACE_SECONDS):
        return True
    deadline = time.monotonic() + KILL_SECONDS
    while left := marked_by(driver.pid, driver.start_ticks):
        if time.monotonic() > deadline:
            return False
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.02)
    return True


def _signal_all(processes: list[Process], *numbers: int) -> None:
    for number in numbers:
        for process in processes:
            signal_process(process, number)


def _gone(driver: Identity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while marked_by(driver.pid, driver.start_ticks):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
