"""Route: which points a loop visits and in which order, computed per step, never listed.

Three numberings meet here. An *index* counts the points of the full grid. A *position* counts what the
loop visits (all points, or what samples leave) in the order that was chosen. A *step* counts the
positions of one shard, from 0; without shards it is the position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, cast

from taskexp.plan.permutation import Permutation
from taskexp.plan.points import Points
from taskexp.plan.values import checked_int
from taskexp.plan.visits import Visits
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

Order: TypeAlias = Literal["loop", "shuffle", "interleave"]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one loop through the points.

    Args:
        points: the full grid.
        order: "loop" is the order of the builder's calls; "shuffle" a random one; "interleave" runs every
            point once before any point runs again (round r of the repeats before round r+1).
        seed: which random order.
        start: the position to begin at.
        shard: (k, n) is part k of n, from 0: every n-th position from k on; None is all.
    """

    points: Points
    order: Order = "loop"
    seed: int = 0
    start: int = 0
    shard: tuple[int, int] | None = None
    first_step: int = field(init=False)
    step_count: int = field(init=False)
    """The number of the shard's positions, those before the start included."""
    _sequence: "_Sequence" = field(init=False)
    _part: int = field(init=False)
    _parts: int = field(init=False)

    def __post_init__(self) -> None:
        sequence = _make_sequence(self.points, self.order, checked_int(self.seed, "seed"))
        size = sequence.size
        start = checked_int(self.start, "start")
        part, parts = checked_shard(self.shard)
        if not 0 <= start < size:
            raise ArgumentValueError(f"start={start} is outside the loop of {size} points; give 0 to {size - 1}")
        object.__setattr__(self, "shard", (part, parts))
        object.__setattr__(self, "_part", part)
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_sequence", sequence)
        object.__setattr__(self, "first_step", _steps_before(start, part, parts))
        object.__setattr__(self, "step_count", _steps_before(size, part, parts))

    def index(self, step: int) -> int:
        """Return the index, in the full grid, of the point that is visited at a step."""
        return self._sequence.index(self._part + step * self._parts)


def checked_shard(shard: object) -> tuple[int, int]:
    """Check (k, n): part k of n, counted from 0; None is the one part of one."""
    if shard is None:
        return 0, 1
    if not isinstance(shard, Sequence) or isinstance(shard, str | bytes) or len(cast("Sequence[object]", shard)) != 2:
        raise ArgumentTypeError(
            f"shard is a pair (k, n), part k of n counted from 0, not {shard!r}; write shard=(0, 4)"
        )
    part, parts = (checked_int(number, "shard") for number in cast("Sequence[object]", shard))
    if not 0 <= part < parts:
        raise ArgumentValueError(f"shard=({part}, {parts}) is out of range; of n parts, k is 0 to n-1")
    return part, parts


def _steps_before(position: int, part: int, parts: int) -> int:
    """Count a shard's positions before a position."""
    return max(0, -((part - position) // parts))


class _Sequence(Protocol):
    size: int

    def index(self, position: int) -> int: ...


def _make_sequence(points: Points, order: object, seed: int) -> _Sequence:
    visits = [Visits(grid) for grid in points.grids]
    match order:
        case "loop":
            return visits[0] if len(visits) == 1 else _InLoopOrder(visits)
        case "shuffle":
            return _Shuffled(_InLoopOrder(visits), seed)
        case "interleave":
            return _Interleaved(visits)
        case _:
            raise ArgumentValueError(f"order={order!r} is not known; give 'loop', 'shuffle' or 'interleave'")


class _InLoopOrder:
    """One grid behind the other, each in the order of its loops."""

    def __init__(self, visits: Sequence[Visits]) -> None:
        self._visits = visits
        self.size = sum(each.size for each in visits)

    def index(self, position: int) -> int:
        for each in self._visits:
            if position < each.size:
                return each.index(position)
            position -= each.size
        raise AssertionError("a position outside the loop")


class _Shuffled:
    """A random order of another sequence."""

    def __init__(self, ordered: _InLoopOrder, seed: int) -> None:
        self._ordered = ordered
        self._permutation = Permutation(ordered.size, f"shuffle {seed}")
        self.size = ordered.size

    def index(self, position: int) -> int:
        return self._ordered.index(self._permutation[position])


class _Interleaved:
    """Round by round: every grid's points once, then those that repeat a second time, and so on."""

    def __init__(self, visits: Sequence[Visits]) -> None:
        for each in visits:
            each.check_rounds()
        self._visits = visits
        self.size = sum(each.size for each in visits)
        self._ends = sorted({each.rounds for each in visits})

    def index(self, position: int) -> int:
        begin = 0
        for end in self._ends:  # from one of these rounds to the next, the same grids take part in every round
            taking_part = [each for each in self._visits if each.rounds >= end]
            round_size = sum(each.round_size for each in taking_part)
            if position < round_size * (end - begin):
                return self._index_in_round(taking_part, begin + position // round_size, position % round_size)
            position -= round_size * (end - begin)
            begin = end
        raise AssertionError("a position outside the loop")

    def _index_in_round(self, taking_part: Sequence[Visits], number: int, place: int) -> int:
        for each in taking_part:
            if place < each.round_size:
                return each.index_in_round(number, place)
            place -= each.round_size
        raise AssertionError("a place outside the round")
