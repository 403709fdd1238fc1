"""Moment: the time of day, as this machine's clock on the wall has it."""

import time
from datetime import UTC, datetime, tzinfo

ZONE_SECONDS = 1.0
"""How long the offset from UTC is taken to be what it was. To ask the system for it each time took 4 % of the time of
a sweep of short runs. Whatever the offset, the moment is the right one."""

_zone: tzinfo = UTC
_asked_at = float("-inf")


def local_now() -> datetime:
    """Tell the time of day, with its offset from UTC."""
    global _zone, _asked_at
    clock = time.monotonic()
    if clock - _asked_at >= ZONE_SECONDS:
        _zone = datetime.now().astimezone().tzinfo or UTC
        _asked_at = clock
    return datetime.now(_zone)
