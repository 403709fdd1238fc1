"""Moment: the time of day, as this machine's clock on the wall has it."""

from datetime import UTC, datetime, tzinfo
from time import time as wall_clock

_zone_of_second: tuple[int, tzinfo] = (-1, UTC)
"""A second, and the offset from UTC in it."""


def local_now() -> datetime:
    """Tell the time of day, with its offset from UTC.

    The offset is looked up once a second, for it changes with none but a whole one; to look it up each time took 4 %
    of the time of a sweep of short runs.
    """
    global _zone_of_second
    reading = wall_clock()
    second, zone = _zone_of_second
    if int(reading) != second:
        zone = datetime.fromtimestamp(reading).astimezone().tzinfo or UTC
        _zone_of_second = int(reading), zone
    return datetime.fromtimestamp(reading, zone)
