"""Room: how many runs at once the descriptors of this process allow.

A run that meets the limit itself waits until there is room (`ShortageError`). What else a loop opens (a log, a file for
long output, the journal) must not meet it, so some descriptors are left free, and no more runs go on at once than fit.
The limit is left as it is: it belongs to the user's program, and what is raised for the driver is raised for every run,
of which some (`select`, loops over all descriptors) cannot bear that.
"""

import os
import resource

RUN_DESCRIPTORS = 6
"""What a run needs at the most: two pipes, the process itself, its log, the spooled output, its stdin."""

LOOP_DESCRIPTORS = 16
"""What a loop needs beside its runs: its event loop, its journal, the watchdog, the pipes of what is being started."""

SPARE_DESCRIPTORS = 32
"""What is left free, or a quarter of a lower limit."""


def descriptor_limit() -> int | None:
    """Return how many descriptors this process may have; None where there is no limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def is_spare(descriptor: int) -> bool:
    """Tell whether a descriptor that was just opened is one of the last, which are not for runs."""
    limit = descriptor_limit()
    return limit is not None and descriptor >= limit - _spare(limit)


def fitting(runs: int) -> int:
    """Return how many of so many runs fit at once, at least one."""
    limit = descriptor_limit()
    if limit is None or runs * RUN_DESCRIPTORS <= (limit - _spare(limit)) // 2:
        return runs  # without a look at how many are taken
    free = limit - _spare(limit) - len(os.listdir("/dev/fd")) - LOOP_DESCRIPTORS
    return max(1, min(runs, free // RUN_DESCRIPTORS))


def needed(runs: int) -> int:
    """Return a limit that is enough for so many runs at once."""
    return runs * RUN_DESCRIPTORS + len(os.listdir("/dev/fd")) + LOOP_DESCRIPTORS + SPARE_DESCRIPTORS


def _spare(limit: int) -> int:
    return min(SPARE_DESCRIPTORS, limit // 4)
