"""The catalogue of faults: what is in it, which tests show it, and the table that README has of it.

`python tests/faults.py` writes the table; `python tests/faults.py S01` names the tests of an entry.
"""

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """One entry: what happens, what TaskExp does about it, why no test shows it or a part of it (mostly empty)."""

    number: str
    fault: str
    answer: str
    untested: str = ""


@dataclass(frozen=True)
class Theme:
    """Entries whose numbers begin with one letter."""

    letter: str
    title: str
    promise: str
    faults: tuple[Fault, ...]


def read_catalogue() -> list[Theme]:
    tables = tomllib.loads((TESTS / "faults.toml").read_text(encoding="utf-8"))
    themes = tables.pop("theme")
    faults = [Fault(number, **entry) for number, entry in tables.items()]
    return [
        Theme(letter, **theme, faults=tuple(fault for fault in faults if fault.number[0] == letter))
        for letter, theme in themes.items()
    ]


def shown_by() -> Mapping[str, list[str]]:
    """List, by the number of a fault, the tests that are marked with it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.glob("test_*.py")):
        for test, number in marks(ast.parse(path.read_text(encoding="utf-8"))):
            found[number].append(f"{path.name}::{test}")
    return found


def marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name the tests of a file with the faults that they are marked with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    yield from ((node.name, ast.literal_eval(number)) for number in mark.args)


def table() -> str:
    """Write the table of README: a row per theme, and under it what is shown by no test."""
    rows = ["| | what TaskExp does | faults |", "| --- | --- | --- |"]
    rows += [f"| {theme.title} | {theme.promise} | {_numbers(theme)} |" for theme in read_catalogue()]
    rest = [f"- {each.number} ({each.fault.removesuffix('.')}): {each.untested}." for each in _untested()]
    return "\n".join([*rows, "", "No test shows, or not as a whole:", "", *rest, ""])


def _untested() -> list[Fault]:
    return [fault for theme in read_catalogue() for fault in theme.faults if fault.untested]


def _numbers(theme: Theme) -> str:
    return f"{theme.faults[0].number} to {theme.faults[-1].number}"


if __name__ == "__main__":
    wanted = sys.argv[1:]
    print("\n".join(test for number in wanted for test in shown_by()[number]) if wanted else table(), end="\n")
