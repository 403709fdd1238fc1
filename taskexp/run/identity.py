"""Identity: which process a driver is, so that a later one with its number, here or elsewhere, is not taken for it."""

import os
import socket
from dataclasses import dataclass

from taskexp.run.descendants import HAS_PROC, boot_id, pid_namespace, start_ticks


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one driver from all others.

    Args:
        host: the name of the machine.
        pid: its number.
        start_ticks: when it was started, in clock ticks since boot; 0 where the system does not say.
        boot_id: which boot of the machine that was; "" where the system does not say.
        pid_namespace: where its number counts: containers have namespaces of their own; 0 where there are none.
    """

    host: str
    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: int

    @property
    def is_ours(self) -> bool:
        """Whether it is this very process."""
        return self == own_identity()

    @property
    def is_visible(self) -> bool:
        """Whether its number means something here: it ran on this machine, in this boot and in this container."""
        here = own_identity()
        there = (self.host, self.boot_id, self.pid_namespace)
        return HAS_PROC and there == (here.host, here.boot_id, here.pid_namespace)

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be dead."""
        return self.is_visible and start_ticks(self.pid) != self.start_ticks


def own_identity() -> Identity:
    """Say who this process is."""
    pid = os.getpid()
    return Identity(socket.gethostname(), pid, start_ticks(pid) or 0, boot_id(), pid_namespace())
