"""Values: what may stand on a command line or in the environment, and how it is written there.

A value is checked and brought to its plain type where the grid is defined, so that no run can fail
later for a value that the system would refuse.
"""

import numbers
import operator
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import SupportsIndex, TypeAlias, cast

from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

Value: TypeAlias = str | int | float | bool | os.PathLike[str] | None
"""A value of an option: text, a number, a bool, a path, or None to leave the option out."""


def checked_value(value: object, where: str) -> Value:
    """Bring `value` to its plain type, or say what is wrong with it.

    Numbers of other libraries (numpy's, say) become int or float: by their text, so that a float32 of
    0.1 stays 0.1.
    """
    kind = type(value).__name__
    if isinstance(value, str):
        return checked_text(str.__str__(value), where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return _written_int(int(value), where)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value) if isinstance(value, float) else float(str(value))
    if isinstance(value, os.PathLike):
        path = cast("os.PathLike[str]", value)
        if isinstance(text := os.fspath(path), str):
            checked_text(text, where)
            return path
    raise ArgumentTypeError(
        f"{where}: a value is a str, int, float, bool, path or None, not {kind} ({value!r}); "
        "convert it with str() first"
    )


def checked_text(text: str, where: str) -> str:
    """Refuse text that no command line can carry."""
    if "\0" in text:
        raise ArgumentValueError(f"{where}: {text!r} has a NUL character, which no command line can carry; remove it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ArgumentValueError(
            f"{where}: {text!r} cannot be encoded as {sys.getfilesystemencoding()}; remove its lone surrogates, "
            "or run Python with a UTF-8 locale"
        ) from None
    return text


def checked_values(values: object, where: str) -> Sequence[Value]:
    """Check the values of an axis; a range stays lazy, all else becomes a tuple."""
    if isinstance(values, str | bytes):
        raise ArgumentTypeError(f"{where}: the values are a list, not one {type(values).__name__}; write [{values!r}]")
    if isinstance(values, range):
        if values:
            return values
    elif isinstance(values, Collection) or (hasattr(values, "__len__") and hasattr(values, "__iter__")):
        if checked := tuple(checked_value(value, where) for value in cast(Iterable[object], values)):
            return checked
    else:
        raise ArgumentTypeError(
            f"{where}: the values are a sized iterable such as a list or a range, not {type(values).__name__}; "
            "put them into a list"
        )
    raise ArgumentValueError(f"{where}: the list of values is empty; give at least one value")


def text_of(value: Value) -> str:
    """Write a value as it stands on the command line; None has no text and is left out by the caller."""
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def count(values: Sequence[Value]) -> int:
    """Count the values of an axis; a range may be longer than `len` can say."""
    return (values[-1] - values[0]) // values.step + 1 if isinstance(values, range) else len(values)


def checked_int(value: object, name: str) -> int:
    """Bring an integer of whatever library to an int; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ArgumentTypeError(f"{name} is an int, not {type(value).__name__} ({value!r})")
    return operator.index(value)


def _written_int(value: int, where: str) -> int:
    try:
        str(value)
    except ValueError as error:
        raise ArgumentValueError(f"{where}: the int is too long to be written: {error}; give it as a str") from None
    return value
