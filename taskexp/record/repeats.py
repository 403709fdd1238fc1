"""Repeats: which parameters tell one point from another, and which only number its repeats."""

from collections.abc import Iterable

from taskexp.words.outcome import RunResult


def parameters_without_repeat(rows: Iterable[RunResult]) -> list[str]:
    """Name the parameters of runs, without one that is given the number of the repeat."""
    names: dict[str, bool] = {}
    repeated = False
    for row in rows:
        repeated = repeated or row.repeat > 0
        for name, value in row.params.items():
            names[name] = names.get(name, True) and is_repeat(value, row.repeat)
    return [name for name, follows in names.items() if not (follows and repeated)]


def is_repeat(value: object, repeat: int) -> bool:
    """Tell whether a value is the number of the repeat, which is an int and never a bool."""
    return type(value) is int and value == repeat
