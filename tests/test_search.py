"""Patterns of the user: whatever they are, the loop goes on, and timeouts are on time."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from taskexp import Task, open_results
from taskexp.run import search
from taskexp.run.search import Search
from taskexp.words.outcome import Status

QUIET = {"use_tqdm": False, "ostreams": []}
ENDLESS = "(a+)+$"
LONG = "a" * 64 + "!"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SEARCH_SECONDS", 0.2)


@pytest.mark.fault("U01")
def test_a_metric_that_backtracks_for_ever_is_given_up_and_told_once_while_all_goes_on(capfd, tmp_path) -> None:
    task = Task(["sh", "-c", f"echo value=1; sleep 0.05; echo {LONG}; echo loss=0.5; echo {LONG}"]).repeat(4)
    task.metric("value", rf"value=(\d)|{ENDLESS}").metric("loss", r"loss=([\d.]+)")
    began = time.monotonic()
    results = task.run(max_workers=2, journal=tmp_path / "j", **QUIET)
    assert [(result.status, dict(result.metrics)) for result in results] == [(Status.succeeded, {"loss": 0.5})] * 4
    assert time.monotonic() - began < 30
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning.startswith(r"taskexp: warning: the pattern 'value=(\\d)|(a+)+$' took more than 0.2 s of CPU")
    assert [dict(row.metrics) for row in open_results(tmp_path / "j")] == [{"loss": 0.5}] * 4


@pytest.mark.fault("U01")
def test_a_timeout_is_on_time_while_a_pattern_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SEARCH_SECONDS", 0.8)
    first = Task(["sh", "-c", f"echo {LONG}; sleep 0.01"]).metric("endless", f"({ENDLESS})")
    both = first + Task("sleep 600")
    by_index = {exe.index: time.monotonic() for exe in both.as_completed(max_workers=2, timeout=0.3, **QUIET)}
    assert by_index[1] < by_index[0], "the timeout waited for the pattern"


@pytest.mark.fault("U01")
def test_a_reason_to_retry_that_backtracks_for_ever_is_none(capfd) -> None:
    task = Task(["sh", "-c", f"echo {LONG}; exit 1"]).repeat(2)
    results = task.run(retries=1, retry_on=[ENDLESS, "not there"], **QUIET)
    assert [(result.status, result.attempt) for result in results] == [(Status.failed, 1)] * 2
    assert capfd.readouterr().err.count(f"the pattern '{ENDLESS}' took more than") == 1


@pytest.mark.fault("U01")
@pytest.mark.parametrize(("pattern", "text"), [(ENDLESS, LONG), (r"(a|a)*b", "a" * 64), (r"\s+x", " " * (1 << 20))])
def test_a_pattern_is_bounded_whatever_it_is_and_others_beside_it_are_found(pattern: str, text: str) -> None:
    said: list[str] = []
    searching = Search(said.append)
    try:
        patterns = [re.compile(each) for each in ("^(.)", pattern, "(.)$")]
        assert searching.find(patterns, text, by_line=False) == [[text[0]], None, [text[-1]]]
        assert searching.find(patterns, "xyz\nzyx", by_line=True) == [["x", "z"], None, ["z", "x"]]
        assert len(said) == 1
    finally:
        searching.close()


def test_a_process_that_somebody_kills_is_started_again() -> None:
    searching = Search(pytest.fail)
    try:
        for _ in range(3):
            assert searching.find([re.compile("é(.)")], "é\u2028\n", by_line=False) == [["\u2028"]]
            process = searching._process
            assert process is not None
            os.kill(process.pid, signal.SIGTERM)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    finally:
        searching.close()


def test_a_process_that_somebody_stops_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    searching = Search(said.append)
    try:
        assert searching.find([re.compile("a")], "a", by_line=False) == [["a"]]
        process = searching._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        monkeypatch.setattr(search, "ANSWER_SECONDS", 0.1)
        assert searching.find([re.compile("b")], "b" * (1 << 20), by_line=False) == [None]
        assert len(said) == 1
    finally:
        searching.close()


def test_where_no_process_is_to_be_had_patterns_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise OSError(path)

    monkeypatch.setattr(search, "start_helper", refuse)
    results = Task("echo loss=0.5").metric("loss", r"loss=([\d.]+)").run(**QUIET)
    assert dict(results[0].metrics) == {"loss": 0.5}


def test_flags_of_a_pattern_count_and_debug_prints_nothing(capfd) -> None:
    pattern = re.compile(r"LOSS = ( [\d.]+ )  # told at the end", re.IGNORECASE | re.VERBOSE | re.DEBUG)
    capfd.readouterr()
    task = Task("echo loss=0.5")
    task.metric("loss", pattern)
    assert dict(task.run(**QUIET)[0].metrics) == {"loss": 0.5}
    assert capfd.readouterr() == ("", "")


def test_a_sweep_without_patterns_starts_no_process_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search, "start_helper", lambda path: pytest.fail(path))
    assert Task("false").run(retries=1, retry_on=[1], journal=tmp_path / "j", **QUIET)[0].attempt == 2
