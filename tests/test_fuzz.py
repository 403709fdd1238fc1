"""Whatever is parsed may be anything: it is understood, or refused in words; nothing crashes, nothing hangs."""

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parsers import TEXTS, check, read_table, tables, texts

EXAMPLES = int(os.environ.get("TASKEXP_FUZZ_EXAMPLES", "80"))
"""How many texts each parser is given; `benchmarks/fuzz.py` gives them many more."""

LONGEST = timedelta(seconds=5)
"""How long one text may take on a busy machine: none takes more than milliseconds."""

fuzzed = settings(max_examples=EXAMPLES, deadline=LONGEST, suppress_health_check=list(HealthCheck))


@pytest.mark.fault("U02")
@pytest.mark.filterwarnings("ignore:Possible (nested set|set)", "ignore:Flags not at")
@pytest.mark.parametrize("name", TEXTS)
@fuzzed
@given(data=st.data())
def test_any_text_is_understood_or_refused_in_words(name: str, data: st.DataObject) -> None:
    check(TEXTS[name], data.draw(texts(name)))


@pytest.mark.fault("U02")
@fuzzed
@given(table=tables())
def test_any_table_is_a_sweep_or_is_refused_in_words(table: dict[str, object]) -> None:
    check(read_table, table)


DEEP = 100_000


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("read_line", "{" * DEEP + "a,b" + "}" * DEEP),
        ("read_line", "'" * DEEP),
        ("read_line", "{1..3}" * 1000),
        ("read_toml", "command = " + "[" * DEEP),
        ("read_toml", "command = 'a'\nmax_workers = " + "9" * 5000),
        ("read_toml", "command = 'a'\nshard = '" + "9" * 5000 + "/1'"),
        ("read_toml", "a." * 2000 + "b = 1"),
        ("read_halt", "now,fail=" + "9" * 5000),
        ("read_halt", " " * DEEP + "now"),
        ("read_metric", "(" * 5000 + "a" + ")" * 5000),
        ("read_metric", "(a{1,4294967295}){1,4294967295}"),
        ("read_retry", "(" * DEEP),
        ("read_cpus", "0-" + "9" * 30),
        ("read_cpus", "0-99999999999"),
    ],
    ids=lambda value: value if len(value) < 20 else value[:20].strip(),
)
def test_what_is_too_deep_or_too_large_is_understood_or_refused_soon(name: str, text: str) -> None:
    check(TEXTS[name], text)
