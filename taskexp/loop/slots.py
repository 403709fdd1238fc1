"""Slots: what each of the commands that run at once has for itself."""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from taskexp.plan.parts import RESERVED, checked_env_name
from taskexp.plan.values import checked_values, text_of
from taskexp.run.devices import CPUS, parse_cpus
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

_LISTS = (CPUS, "CUDA_VISIBLE_DEVICES")
"""Variables whose values list devices: two values may not name the same one."""


class Slots:
    """The slots of a loop: each has a number, and the values of some variables that no other has meanwhile.

    Args:
        environs: the variables of each slot; empty where slots are nothing but numbers.
        width: how many there are; it may change while some are taken.
    """

    def __init__(self, environs: Sequence[Mapping[str, str]], width: int) -> None:
        self.width = width
        self._environs = environs
        self._returned: list[int] = []
        self._untouched = 0
        self._taken = 0

    @property
    def free(self) -> bool:
        """Whether one can be taken."""
        return self._taken < self.width

    def take(self) -> int:
        """Take the lowest number that is free."""
        self._taken += 1
        if self._returned:
            return heapq.heappop(self._returned)
        self._untouched += 1
        return self._untouched - 1

    def give_back(self, number: int) -> None:
        """Let another run have the slot."""
        self._taken -= 1
        heapq.heappush(self._returned, number)

    def environ(self, number: int) -> Mapping[str, str]:
        """Return the variables of a slot."""
        return self._environs[number] if self._environs else {}


def checked_slots(slots: object, taken: Collection[str] = ()) -> tuple[Mapping[str, str], ...]:
    """Check a dict of variables and their values, one per slot; returns the variables of each slot.

    Args:
        slots: what was said to a loop; None is nothing.
        taken: variables that the tasks set themselves.
    """
    if slots is None:
        return ()
    if not isinstance(slots, Mapping):
        raise ArgumentTypeError(
            f"slots is a dict of variables and lists such as {{'CUDA_VISIBLE_DEVICES': ['0', '1']}}, not {slots!r}"
        )
    columns = {
        checked_env_name(name, "slots"): _checked_column(name, values)
        for name, values in cast("Mapping[object, object]", slots).items()
    }
    if clash := [name for name in columns if name in taken or name in RESERVED - {CPUS}]:
        setter = "the task" if clash[0] in taken else "every loop"
        raise ArgumentValueError(f"slots: {clash[0]} is set by {setter}, too; let only one of them set it")
    if not columns:
        raise ArgumentValueError("slots is empty; give a variable and one value per slot, or None")
    if len({len(column) for column in columns.values()}) > 1:
        told = ", ".join(f"{name} has {len(column)}" for name, column in columns.items())
        raise ArgumentValueError(f"slots: every variable has one value per slot, but {told}; give lists of one length")
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _checked_column(name: object, values: object) -> list[str]:
    where = f"slots[{name!r}]"
    checked = checked_values(values, where)
    if None in checked:
        raise ArgumentValueError(f"{where}: None is no value of an environment variable; give a str or a number")
    texts = [text_of(value) for value in checked]
    owned = [sorted(parse_cpus(text, where)) if name == CPUS else _devices(name, text) for text in texts]
    uses = Counter(device for devices in owned for device in devices)
    if twice := [device for device, number in uses.items() if number > 1]:
        raise ArgumentValueError(f"{where}: {twice[0]!r} stands in it twice; no two slots share a value, remove one")
    return texts


def _devices(name: object, text: str) -> list[str]:
    return [device.strip() for device in text.split(",")] if name in _LISTS else [text]
