"""Parts: what a spec is made of; where a value goes, and which values it takes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from taskexp.plan.values import Value, checked_text, text_of
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

RESERVED = frozenset(("TASKEXP_INDEX", "TASKEXP_SLOT", "TASKEXP_ATTEMPT", "TASKEXP_CPUS", "TASKEXP_RUN"))
"""Variables that every run has from its loop."""


class Kind(Enum):
    """Where a part's value goes."""

    OPTION = "option"
    POSITIONAL = "positional"
    SWITCH = "switch"
    ENV = "env"
    REPEAT = "repeat"
    PIECE = "piece"
    """Within a word that a template makes."""
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes, and the name it has in `params`.

    Args:
        kind: option, positional, switch, environment variable, a piece of a template's word, or nowhere: the number
            of a repeat.
        key: the option, flag or variable; "" for a positional, for a piece without one, and for a repeat.
        name: its name in `params`, unique in the spec; "" for a repeat and a template, which are no parameters.
        is_secret: whether the value may be passed to a run, and nowhere be written.
    """

    kind: Kind
    key: str
    name: str
    is_secret: bool = False

    def words(self, value: Value) -> list[str]:
        """Write the value as the arguments it adds: none, one or two."""
        if self.kind is Kind.SWITCH:
            return [self.key] if value else []
        if self.kind in (Kind.ENV, Kind.REPEAT, Kind.PIECE) or value is None:
            return []
        text = text_of(value)
        if self.kind is Kind.POSITIONAL:
            return [text] if text else []
        return [self.key + text] if self.key.endswith("=") else [self.key, text]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same in every run."""

    place: Place
    value: Value


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that a function of the point gives, when the command is made."""

    place: Place
    function: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values that a loop goes through.

    Args:
        place: where they go.
        values: at least one.
        dimension: the number of the loop, the slowest is 0; axes that advance together share one.
    """

    place: Place
    values: Sequence[Value]
    dimension: int


@dataclass(frozen=True, slots=True)
class Template:
    """One word that is made of texts and of the values of loops.

    Args:
        pieces: the texts, and the places of the axes whose values stand between them.
        is_script: whether the word is a shell's script, whose loops are told by their names and not by the word.
    """

    pieces: tuple[str | Place, ...]
    is_script: bool = False

    @property
    def place(self) -> Place:
        """No place of a value: the axes of its pieces have their own."""
        return _TEMPLATE

    @property
    def axes(self) -> list[Place]:
        """The places of its axes."""
        return [piece for piece in self.pieces if isinstance(piece, Place)]

    @property
    def content(self) -> str:
        """Its texts and the names of its axes."""
        return "\0".join(f"@{each.name}" if isinstance(each, Place) else f"={each}" for each in self.pieces)

    def words(self, values: Mapping[str, Value]) -> list[str]:
        """Write the word; none if it has no text at all and every value is None."""
        texts = [piece if isinstance(piece, str) else values[piece.name] for piece in self.pieces]
        if all(text is None for text in texts):
            return []
        return ["".join("" if text is None else text_of(text) for text in texts)]


_TEMPLATE = Place(Kind.TEMPLATE, "", "")

Part: TypeAlias = Constant | Computed | Axis | Template


@dataclass(frozen=True, slots=True)
class Sample:
    """A random choice among the points of the loops that stand before it.

    Args:
        count: how many points.
        seed: which choice.
        dimensions: how many loops stand before it.
    """

    count: int
    seed: int
    dimensions: int


def checked_key(key: object, call: str) -> str | None:
    """Refuse what cannot be an option; None is a positional."""
    if key is None:
        return None
    if not isinstance(key, str):
        raise ArgumentTypeError(
            f"{call}: the key is a str such as '--n', or None for a positional, not {type(key).__name__} ({key!r})"
        )
    if not key:
        raise ArgumentValueError(f"{call}: the key is empty; use None for a positional argument")
    return checked_text(key, f"{call}({key!r})")


def checked_env_name(name: object, where: str) -> str:
    """Refuse what cannot name an environment variable."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"{where}: the name of a variable is a str, not {type(name).__name__} ({name!r})")
    if not name or re.search(r"[=\0]", name):
        raise ArgumentValueError(
            f"{where}: {name!r} cannot name an environment variable; it is empty or has '=' or NUL"
        )
    return checked_text(name, where)


def checked_own_name(name: object, where: str) -> str:
    """Refuse what cannot name an environment variable of the user's: every loop sets some."""
    checked = checked_env_name(name, where)
    if checked in RESERVED:
        cure = "write slots={'TASKEXP_CPUS': [...]}" if checked == "TASKEXP_CPUS" else "use another name"
        raise ArgumentValueError(f"{where}: {checked} is set by every loop; {cure}")
    return checked


def switch_flag(values: Sequence[Value]) -> str | None:
    """Return the flag if the two values are a flag and ""."""
    if isinstance(values, range) or len(values) != 2 or "" not in values:
        return None
    flag = values[0] or values[1]
    return flag if isinstance(flag, str) and flag else None


def content_of(value: Value) -> str:
    """Write a value as content: None, which has no text, is told apart from every text."""
    return "-" if value is None else "=" + text_of(value)
