"""Braces: bash's brace expansion of one word, its outermost groups kept apart and not expanded into each other.

The rules are bash's, to the letter (braces.c of bash 5.2): `{a,b}` and `{1..5}` are groups, `${` begins none, a
pair of braces with neither comma nor `..` is text, and so is one that is not closed. Two differences: a
sequence may be longer than bash can count, and the backslash and the backquote of `{Z..a}` are text.

A word is read in time proportional to its length, whatever braces it has: which brace closes which group is
found in one pass from the right. Nothing is expanded before its size is known.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, product
from math import prod
from typing import TypeAlias

from taskexp.plan.quoting import PLAIN
from taskexp.plan.values import count
from taskexp.words.errors import ArgumentValueError

MOST_ALTERNATIVES = 1_000_000
"""A group that has to be written out may have this many alternatives."""
MOST_CHARACTERS = 50_000_000
"""And so many characters in all of them."""
DEEPEST = 100
"""Groups within groups."""

_COMMAS = re.compile(r"\\.|,", re.DOTALL)
_EVENT = re.compile(r"\$\{|\.(?=\.(?!\}))|[{},]")  # two dots right before the end of a group make no sequence
_NUMBERS = re.compile(r"([+-]?[0-9]{1,4000})\.\.([+-]?[0-9]{1,4000})(?:\.\.([+-]?[0-9]{1,4000}))?")
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.([+-]?[0-9]{1,4000}))?")


@dataclass(frozen=True, slots=True)
class Group:
    """An outermost pair of braces.

    Args:
        text: as it was written.
        alternatives: what may stand for it, quotes as they were written; numbers without padding are a range.
    """

    text: str
    alternatives: Sequence[str] | range


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A sequence of numbers, padded with zeros to a width; 0 is no padding."""

    range: range
    width: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """A list of alternatives, each a text with nodes in it."""

    alternatives: tuple[tuple["_Node", ...], ...]


_Node: TypeAlias = str | _Numbers | _Choice


def parse_braces(text: str, marks: str, where: str) -> list[str | Group]:
    """Part a word into its texts and its groups, in the order in which they stand.

    Args:
        text: one word, with its quotes.
        marks: what `quoting.mark` says of its characters.
        where: what an error begins with.

    Raises:
        ArgumentValueError: a group is too large to be written out, or too deep.
    """
    reader = _Reader(text, marks, where)
    pieces: list[str | Group] = []
    for node, begin, end in reader.read(0, len(text)):
        pieces.append(node if isinstance(node, str) else _group(node, text[begin:end], where))
    return pieces


class _Reader:
    """Finds the groups of a word: an *event* is a character, outside quotes, that matters to braces."""

    def __init__(self, text: str, marks: str, where: str) -> None:
        self._text, self._where = text, where
        plain = "".join(each if mark == PLAIN else "\0" for each, mark in zip(text, marks, strict=True))
        found = list(_EVENT.finditer(plain))
        self._places = [each.start() for each in found]
        self._events = [each.group() for each in found]
        # Bash looks for this comma with an eye for backslashes, and none for quotes or inner braces.
        self._commas = [each.start() for each in _COMMAS.finditer(text) if each.group() == ","]
        self._closing, self._ends = _match(self._events)

    def read(self, begin: int, end: int, depth: int = 0) -> list[tuple[_Node, int, int]]:
        """Read a part of the word as nodes, each with where it begins and ends."""
        nodes: list[tuple[_Node, int, int]] = []
        event, level, text_begin, done = bisect_left(self._places, begin), 0, begin, begin
        while event < len(self._places) and (place := self._places[event]) < end:
            what = self._events[event]
            if what == "{" and not level and (last := self._group_end(event, done, end)) is not None:
                after = self._places[last] + 1
                if (node := self._node(event, last, depth)) is not None:
                    nodes += [(self._text[text_begin:place], text_begin, place), (node, place, after)]
                    text_begin = after
                event, done = last + 1, after
                continue
            level = _level_behind(what, level)
            event += 1
        nodes.append((self._text[text_begin:end], text_begin, end))
        return [each for each in nodes if each[0] != ""]

    def _group_end(self, event: int, begin: int, end: int) -> int | None:
        """Find the event that closes the group which begins at an event; None if it is no group."""
        place, last = self._places[event], self._ends[event + 1]
        if last is None or self._places[last] >= end:
            return None
        # Bash's care for `{}` (find's, xargs') and for a lone brace, at the beginning of what is left of the word.
        is_alone = place == begin or self._text[place - 1] in " \t\n"
        return None if is_alone and self._text[place + 1] in " \t\n}" else last

    def _node(self, event: int, last: int, depth: int) -> _Node | None:
        """Read a group; None for a sequence that is none, which bash takes as text with all that is in it."""
        if depth == DEEPEST:
            raise ArgumentValueError(
                f"{self._where}: braces stand more than {DEEPEST} deep in each other; write fewer, or quote them"
            )
        begin, end = self._places[event] + 1, self._places[last]
        comma = bisect_left(self._commas, begin)
        if comma == len(self._commas) or self._commas[comma] > end:
            return _sequence(self._text[begin:end])
        bounds = [begin - 1, *self._separators(event, last), end]
        parts = [(left + 1, right) for left, right in pairwise(bounds)]
        return _Choice(tuple(tuple(node for node, *_ in self.read(*part, depth + 1)) for part in parts))

    def _separators(self, event: int, last: int) -> list[int]:
        """Find the commas of a group that are in no group within."""
        found: list[int] = []
        event += 1
        while event < last:
            what = self._events[event]
            if what == ",":
                found.append(self._places[event])
            closing = self._closing[event + 1] if what in ("{", "${") else None
            event = event + 1 if closing is None else closing + 1
        return found


def _level_behind(what: str, level: int) -> int:
    """Count how deep in `${` the search for a group is; a brace outside of it was no group and counts for nothing."""
    if what == "${" or (what == "{" and level):
        return level + 1
    return level - 1 if what == "}" and level else level


def _match(events: Sequence[str]) -> tuple[list[int | None], list[int | None]]:
    """Find, for a search that begins at each event, the first `}` that it has no `{` for, and the end of a group.

    The end of a group is such a `}` with a comma or `..` before it, outside inner braces. One without is skipped.
    """
    size = len(events)
    closing: list[int | None] = [None] * (size + 1)
    ends: list[int | None] = [None] * (size + 1)
    parted = [False] * (size + 1)
    for event in range(size - 1, -1, -1):
        follower: int | None = event + 1
        if events[event] == "}":
            closing[event] = event
        elif events[event] in ("{", "${"):
            inner = closing[event + 1]
            follower = None if inner is None else inner + 1
        if events[event] != "}" and follower is not None:
            closing[event] = closing[follower]
            parted[event] = parted[follower] or events[event] in (",", ".")
        last = closing[event]
        if last is not None:
            ends[event] = last if parted[event] else ends[last + 1]
    return closing, ends


def _sequence(text: str) -> _Node | None:
    """Read the inside of braces as a sequence; None if it is none."""
    if numbers := _NUMBERS.fullmatch(text):
        first, last, step = numbers.groups()
        width = max(map(len, (first, last))) if _is_padded(first) or _is_padded(last) else 0
        return _Numbers(_steps(int(first), int(last), step), width)
    if letters := _LETTERS.fullmatch(text):
        first, last, step = letters.groups()
        # Two characters between Z and a are quotes; here they are text.
        return _Choice(tuple((_escape(chr(code)),) for code in _steps(ord(first), ord(last), step)))
    return None


def _steps(first: int, last: int, step: str | None) -> range:
    size = abs(int(step or 1)) or 1
    return range(first, last + 1, size) if first <= last else range(first, last - 1, -size)


def _is_padded(number: str) -> bool:
    return re.match(r"-?0.", number) is not None


def _escape(character: str) -> str:
    return f"\\{character}" if character in "\\`" else character


def _group(node: _Numbers | _Choice, text: str, where: str) -> Group:
    """Write an outermost group out, unless it is a range."""
    if isinstance(node, _Numbers) and not node.width:
        return Group(text, node.range)
    number, characters = _measure((node,))
    if number > MOST_ALTERNATIVES or characters > MOST_CHARACTERS:
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        told = number if number < 10**18 else "more than 10^18"
        raise ArgumentValueError(
            f"{where}: {shown} has {told} alternatives, which have to be written out; the most is "
            f"{MOST_ALTERNATIVES} with {MOST_CHARACTERS} characters. Numbers without zeros in front, {{1..9999999}}, "
            "and groups that stand beside each other, {a,b}{c,d}, may be as many as you like"
        )
    return Group(text, tuple(_expand((node,))))


def _measure(nodes: Sequence[_Node]) -> tuple[int, int]:
    """Count the alternatives of a text with groups, and their characters or a few more, without making them."""
    sizes = [_measure_node(node) for node in nodes]
    number = prod(size for size, _ in sizes)
    return number, sum(number // size * characters for size, characters in sizes)


def _measure_node(node: _Node) -> tuple[int, int]:
    if isinstance(node, str):
        return 1, len(node)
    if isinstance(node, _Numbers):
        number = count(node.range)
        return number, number * max(node.width, len(str(node.range[0])), len(str(node.range[-1])))
    sizes = [_measure(alternative) for alternative in node.alternatives]
    return sum(number for number, _ in sizes), sum(characters for _, characters in sizes)


def _expand(nodes: Sequence[_Node]) -> list[str]:
    """Make all alternatives of a text with groups, in bash's order: the last group varies fastest."""
    return ["".join(chosen) for chosen in product(*map(_expand_node, nodes))]


def _expand_node(node: _Node) -> Sequence[str]:
    if isinstance(node, str):
        return (node,)
    if isinstance(node, _Numbers):
        return [f"{number:0{node.width}d}" for number in node.range]
    return list(chain.from_iterable(map(_expand, node.alternatives)))
