"""Metric: a number that a program prints, and where it stands in its lines."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

Take: TypeAlias = Literal["first", "last", "min", "max"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number in the output.

    Args:
        name: what it is called in results.
        pattern: searched for in every line of stdout and stderr; its first group is the number.
        take: which of several numbers counts.
    """

    name: str
    pattern: re.Pattern[str]
    take: Take


def checked_metric(name: object, pattern: object, take: object) -> Metric:
    """Check what is said about a metric."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"metric: the name is a str, not {type(name).__name__} ({name!r})")
    if not name or "\0" in name:
        raise ArgumentValueError(f"metric: {name!r} is no name; give a word such as 'throughput'")
    compiled = _checked_pattern(name, pattern)
    if not compiled.groups:
        raise ArgumentValueError(
            f"metric({name!r}): {compiled.pattern!r} has no group; put the number in one, such as r'loss=([\\d.]+)'"
        )
    if take not in ("first", "last", "min", "max"):
        raise ArgumentValueError(f"metric({name!r}): take={take!r} is not known; give 'first', 'last', 'min' or 'max'")
    return Metric(name, compiled, take)


def _checked_pattern(name: str, pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(cast("re.Pattern[str]", pattern).pattern, str):
        return cast("re.Pattern[str]", pattern)
    if not isinstance(pattern, str):
        raise ArgumentTypeError(f"metric({name!r}): the pattern is a regular expression, a str, not {pattern!r}")
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ArgumentValueError(
            f"metric({name!r}): {pattern!r} is no regular expression: {error}; escape what is meant literally"
        ) from error
