"""The catalogue of faults is whole: every entry is shown by a test or says why not, and README tells of all."""

import ast
from collections import Counter
from pathlib import Path

from faults import marks, read_catalogue, shown_by, table

FAULTS = [fault for theme in read_catalogue() for fault in theme.faults]


def test_every_fault_is_shown_by_a_test_or_says_why_not() -> None:
    shown = shown_by()
    assert [fault.number for fault in FAULTS if not (shown.get(fault.number) or fault.untested)] == []


def test_every_mark_names_a_fault_of_the_catalogue() -> None:
    numbers = {fault.number for fault in FAULTS}
    assert {number: tests for number, tests in shown_by().items() if number not in numbers} == {}


def test_faults_are_numbered_without_a_gap_and_in_order() -> None:
    for theme in read_catalogue():
        assert [fault.number for fault in theme.faults] == [
            f"{theme.letter}{place:02}" for place in range(1, len(theme.faults) + 1)
        ]


def test_every_fault_says_what_happens_and_what_is_done_about_it() -> None:
    assert [fault.number for fault in FAULTS if not (fault.fault.endswith(".") and fault.answer.endswith("."))] == []
    assert [number for number, count in Counter(fault.fault for fault in FAULTS).items() if count > 1] == []


def test_the_table_of_readme_is_that_of_the_catalogue() -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert table() in text, "run python tests/faults.py, and put what it writes into README"


def test_a_mark_is_found_at_every_kind_of_test() -> None:
    text = """
@pytest.mark.fault("S01", "S02")
@pytest.mark.anyio
async def test_one(): ...
class TestMore:
    @pytest.mark.fault("P01")
    def test_two(self): ...
@pytest.mark.skip("S03")
def test_three(): ...
"""
    assert list(marks(ast.parse(text))) == [("test_one", "S01"), ("test_one", "S02"), ("test_two", "P01")]
