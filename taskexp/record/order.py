"""Order: which of two cells comes first, and how rows are put into an order by several columns."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from taskexp.record.table import Cell

Row = TypeVar("Row")
Key: TypeAlias = tuple[Callable[[Row], Cell], bool]
"""How a column of a row is looked up, and whether the largest come first."""


def ordered(rows: Iterable[Row], keys: Sequence[Key[Row]]) -> list[Row]:
    """Put rows into an order, by the first key first; equal ones stay in theirs, and what has no value comes last."""
    result = list(rows)
    for cell_of, descending in reversed(keys):
        with_value = [row for row in result if not is_nothing(cell_of(row))]
        without = [row for row in result if is_nothing(cell_of(row))]
        result = sorted(with_value, key=lambda row: _place(cell_of(row)), reverse=descending) + without
    return result


def is_nothing(cell: Cell) -> bool:
    """Tell whether a cell has no value: it is None or NaN."""
    return cell is None or cell != cell


def number_of(cell: Cell) -> float | None:
    """Return the number that a cell is or, as text such as "1e-3" from a command line, looks like."""
    if isinstance(cell, int | float):
        return cell
    if not isinstance(cell, str):
        return None
    for kind in (int, float):  # an int is exact, however long
        try:
            number = kind(cell)
        except ValueError:
            continue
        return None if number != number else number  # "nan" is a word here: no order has a place for it
    return None


def _place(cell: Cell) -> tuple[int, object]:
    """Order numbers by value and before text, so that a column of both can be sorted."""
    number = number_of(cell)
    return (1, str(cell)) if number is None else (0, number)
