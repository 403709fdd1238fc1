"""Permutation: a random order of 0 to n-1, computed per index, never listed.

A Feistel network (Luby and Rackoff, 1988) is a bijection of pairs, whatever function its rounds use. Here
a pair is the two digits of an index in a square that just holds n; what falls beyond n is sent through
again until it falls inside (cycle walking: Black and Rogaway, 2002), once or twice for all but tiny n. The
rounds are keyed BLAKE2b, so a seed gives the same order on every machine and in every Python.
"""

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from math import isqrt
from typing import Any

ROUNDS = 12
"""With 12, and the swap of `_step`, all orders of up to 6 numbers are equally likely (chi-square over seeds)."""


class Permutation:
    """A random order of 0 to size-1.

    Args:
        size: how many numbers, at least 1.
        key: what it is for and by which seed: another key gives another order.
    """

    def __init__(self, size: int, key: str) -> None:
        self.size = size
        self._side = isqrt(size - 1) + 1  # side * side >= size
        self._bytes = (self._side.bit_length() + 7) // 8
        secret = blake2b(key.encode(), digest_size=32).digest()
        self._swap = secret[0] & 1 if size > 1 else 0
        # Eight bytes more than a digit has: what `%` then favours is less than 1 in 2^64.
        self._rounds: list[Callable[[bytes], Any]] = [
            partial(blake2b, key=secret, digest_size=min(self._bytes + 8, 64), salt=bytes([number]))
            for number in range(ROUNDS)
        ]

    def __getitem__(self, place: int) -> int:
        """Return the number that stands at `place`."""
        number = self._step(place)
        while number >= self.size:
            number = self._step(number)
        return number

    def _step(self, number: int) -> int:
        left, right = divmod(number, self._side)
        for scramble in self._rounds:
            noise = int.from_bytes(scramble(right.to_bytes(self._bytes, "big")).digest(), "big")
            left, right = right, (left + noise) % self._side
        number = left * self._side + right
        # Rounds alone reach only one half of the orders, the even ones or the odd ones: 0 and 1 may change places.
        return number ^ self._swap if number < 2 else number
