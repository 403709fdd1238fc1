"""Halt: when a sweep gives up or has enough, what happens to what runs, and that the loop ends as always."""

import asyncio
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import alive, children
from test_bad_input import assert_refused
from test_slots import ONE_BY_ONE, QUIET, THREE_AT_ONCE, WAYS, Way, parallel, run, sequential, shell, statuses

from taskexp import RunResult, Status, Task

GRAMMAR = ["WHEN,WHAT=N", "'now'", "'soon'", "'fail'", "'success'", "10%", "'soon,fail=3' for example"]


@pytest.fixture
def marker() -> str:
    """An argument of `sleep` that no other process has."""
    return f"3600.{uuid.uuid4().int}"


@pytest.fixture
def stderr(tmp_path: Path) -> Path:
    return tmp_path / "stderr"


def saying(stderr: Path, way: Way, *arguments: Any, **loop: Any) -> list[RunResult]:
    """Let stderr be a file meanwhile, so that the runs can see what is said there, and wait for it."""
    with stderr.open("w", buffering=1) as file, redirect_stderr(file):
        return way(*arguments, **loop)


def wait_for(condition: str) -> str:
    return f"until {condition}; do sleep 0.01; done"


def indices(results: list[RunResult]) -> list[int]:
    return sorted(result.index for result in results)


def started(folder: Path) -> list[int]:
    """Read which runs have made a file named by their index."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def fails_among_three(folder: Path, others: str, code: int = 1) -> Task:
    """Twenty runs, of which the first ends with a code once three have begun; the others do something else."""
    return shell(
        f"touch {folder}/$1; "
        f"if [ $1 = 0 ]; then {wait_for(f'[ -e {folder}/1 -a -e {folder}/2 ]')}; exit {code}; fi; {others}",
        *range(20),
    )


# ---- now and soon


@pytest.mark.parametrize(("halt", "code"), [("now,fail=1", 1), ("now,success=1", 0)])
@pytest.mark.parametrize("way", THREE_AT_ONCE)
def test_now_stops_what_runs_and_starts_nothing_more(
    way: Way, halt: str, code: int, tmp_path: Path, marker: str, stderr: Path
):
    task = fails_among_three(tmp_path, f"sleep {marker} & wait", code)
    results = sorted(saying(stderr, way, task, QUIET, halt=halt), key=lambda result: result.index)
    assert statuses(results) == [Status.failed if code else Status.succeeded, Status.interrupted, Status.interrupted]
    assert indices(results) == [0, 1, 2]
    assert started(tmp_path) == [0, 1, 2]
    assert not alive(marker)
    assert not children()
    said = stderr.read_text()
    assert f"taskexp: halt='{halt}' was reached; nothing more starts, running runs are stopped\n" in said
    assert f"  halt='{halt}' was reached; 17 more were not run\n" in said
    counted = "1 failed, 2 interrupted" if code else "1 succeeded, 2 interrupted"
    assert f"taskexp: {code} of 3 runs failed ({counted})\n" in said
    assert "3/20" in said


@pytest.mark.parametrize(("halt", "code"), [("soon,fail=1", 1), ("soon,success=1", 0)])
@pytest.mark.parametrize("way", THREE_AT_ONCE)
def test_soon_lets_what_runs_come_to_its_end_and_starts_nothing_more(
    way: Way, halt: str, code: int, tmp_path: Path, stderr: Path
):
    # The others end when the halt is announced: they run on until then, and then end by themselves.
    others = f"{wait_for(f'grep -q nothing.more.starts {stderr}')}; exit 5"
    task = fails_among_three(tmp_path, others, code)
    results = sorted(saying(stderr, way, task, QUIET, halt=halt), key=lambda result: result.index)
    assert [(r.index, r.status, r.returncode) for r in results] == [
        (0, Status.failed if code else Status.succeeded, code),
        (1, Status.failed, 5),
        (2, Status.failed, 5),
    ]
    assert started(tmp_path) == [0, 1, 2]
    said = stderr.read_text()
    assert said.count(f"taskexp: halt='{halt}' was reached; nothing more starts, running runs end by themselves\n") == 1
    assert f"  halt='{halt}' was reached; 17 more were not run\n" in said


@pytest.mark.parametrize(
    ("halt", "number"),
    [
        ("now,fail=1", 2),
        ("soon,fail=1", 2),
        ("now,fail=3", 6),
        ("soon,fail=3", 6),
        ("soon,fail=10%", 4),  # of 20 points
        ("now,fail=10%", 4),
        ("soon,fail=11%", 6),  # 2.2 of 20
        ("soon,fail=0.1%", 2),
        ("now,success=1", 1),
        ("soon,success=2", 3),
        ("soon,success=50%", 19),
        (" soon , fail = 3 ", 6),
        ("now,fail=1\n", 2),
        ("now,fail=03", 6),
        ("soon,fail=11", 20),  # only ten fail
        ("soon,fail=100%", 20),
        (None, 20),
    ],
)
def test_one_by_one_the_loop_ends_with_the_run_that_is_enough(
    halt: str | None, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for way in ONE_BY_ONE:
        folder = tmp_path / way.__name__
        folder.mkdir()
        results = way(shell(f"touch {folder}/$1; exit $(($1 % 2))", *range(20)), QUIET, halt=halt)
        assert indices(results) == list(range(number))
        assert started(folder) == list(range(number))
        assert statuses(results) == ([Status.succeeded, Status.failed] * 10)[:number]
        said = capsys.readouterr().err
        assert f"{number}/20" in said
        assert ("was reached" in said) == (number < 20)
        assert (f"was reached; {20 - number} more were not run" in said) == (number < 20)


@pytest.mark.parametrize("way", THREE_AT_ONCE)
def test_in_parallel_no_more_runs_than_were_on_their_way_follow_the_third_failure(way: Way, tmp_path: Path):
    results = way(shell(f"touch {tmp_path}/$1; exit 1", *range(40)), QUIET, halt="soon,fail=3")
    # One more may have been handed out already, and was executed when it was too late.
    ran = [result for result in results if result.status is not Status.interrupted]
    assert {result.status for result in ran} == {Status.failed}
    assert 3 <= len(ran) <= 5
    assert started(tmp_path) == indices(ran) == list(range(len(ran)))
    assert len(results) <= len(ran) + 1


@pytest.mark.parametrize("way", WAYS)
def test_by_default_nothing_ends_a_loop_early(way: Way, capsys: pytest.CaptureFixture[str]):
    results = way(shell("exit 1", *range(12)), QUIET)
    assert indices(results) == list(range(12))
    assert statuses(results) == [Status.failed] * 12
    assert "halt" not in capsys.readouterr().err


@pytest.mark.parametrize("way", WAYS)
def test_a_halt_that_is_never_reached_changes_nothing(way: Way, capsys: pytest.CaptureFixture[str]):
    results = way(shell("exit 0", *range(6)), QUIET, halt="now,fail=1", use_tqdm=False)
    assert indices(results) == list(range(6))
    assert capsys.readouterr().err == ""


def test_a_halt_with_the_very_last_run_leaves_nothing_not_run(capsys: pytest.CaptureFixture[str]):
    assert len(shell("exit $1", 0, 0, 1).run(halt="now,fail=1", **QUIET)) == 3
    assert "was reached; 0 more were not run" in capsys.readouterr().err


# ---- the loop ends as after its last point


def test_the_body_goes_on_behind_a_loop_that_halts(tmp_path: Path):
    passed = []
    with shell(f"touch {tmp_path}/$1; exit 1", *range(9)).executable_loop(halt="soon,fail=2") as loop:
        for exe in loop:
            exe.execute(**QUIET)
            passed.append(exe.index)
        else:
            passed.append("else")
        assert list(loop) == []
    assert passed == [0, 1, "else"]


@pytest.mark.parametrize("halt", ["now,fail=1", "soon,fail=1"])
def test_what_waits_for_a_slot_is_interrupted_with_the_reason(halt: str, tmp_path: Path):
    held = []
    for exe in shell(f"touch {tmp_path}/$1; exit 1", *range(9)).executable_loop(max_workers=2, halt=halt):
        held.append(exe)
        if exe.index == 5:
            for one in held:
                one.execute(**QUIET)
    results = [exe.result for exe in held]
    assert indices(results) == list(range(6))
    assert started(tmp_path) in ([0], [1], [0, 1])  # one had begun when the other had failed, or had not
    for result in results[2:]:
        assert (result.status, result.slot, result.attempt) == (Status.interrupted, None, 1)
        assert result.error == f"halt='{halt}' was reached before it could start"


def test_an_executable_that_is_executed_after_the_halt_does_not_start(tmp_path: Path):
    kept = []
    for exe in shell(f"touch {tmp_path}/$1; exit 1", *range(9)).executable_loop(halt="soon,fail=1"):
        kept.append(exe)
        if exe.index == 1:
            exe.execute(**QUIET)
    assert [exe.index for exe in kept] == [0, 1]
    result = kept[0].execute(**QUIET)
    assert (result.status, result.slot) == (Status.interrupted, None)
    assert "halt='soon,fail=1' was reached" in result.error
    assert started(tmp_path) == [1]


@pytest.mark.anyio
async def test_what_is_awaited_behind_the_loop_is_interrupted_too(tmp_path: Path):
    task = shell(f"touch {tmp_path}/$1; exit 1", *range(6))
    collected = [exe async for exe in task.executable_loop(halt="now,fail=2")]
    results = await asyncio.gather(*(exe.execute(**QUIET) for exe in collected))
    assert statuses(results) == [Status.failed] * 2 + [Status.interrupted] * 4
    assert started(tmp_path) == [0, 1]


# ---- what counts


@pytest.mark.parametrize("way", [sequential, parallel, run])
def test_a_run_that_could_not_be_started_counts_as_a_failure(way: Way):
    results = way(Task("/no/such/program").repeat(30), QUIET, halt="soon,fail=2")
    ran = [result for result in results if result.status is not Status.interrupted]
    assert {result.status for result in ran} == {Status.not_started}
    assert 2 <= len(ran) <= 4


def test_a_run_that_timed_out_counts_as_a_failure():
    results = Task("sleep 3600").repeat(9).run(halt="soon,fail=2", timeout=0.2, ostreams=[])
    assert statuses(results) == [Status.timed_out] * 2


def test_points_that_the_body_skips_count_as_nothing():
    ran = []
    for exe in shell("exit 1", *range(9)).executable_loop(halt="soon,fail=2"):
        if exe.index % 3 == 2:
            exe.execute(**QUIET)
            ran.append(exe.index)
    assert ran == [2, 5]


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_a_percentage_is_one_of_the_points_that_where_leaves(way: Way):
    task = Task("false").arg(None, range(60)).where(lambda p: p["arg1"] >= 40)
    assert indices(way(task, QUIET, halt="soon,fail=10%")) == [40, 41]


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_a_percentage_is_one_of_the_points_of_the_shard(way: Way):
    assert indices(way(Task("false").repeat(40), QUIET, halt="soon,fail=10%", shard=(1, 2))) == [1, 3]


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_a_percentage_is_one_of_the_points_from_the_start_on(way: Way):
    assert indices(way(Task("false").repeat(100), QUIET, halt="soon,fail=10%", start=80)) == [80, 81]


# ---- together with retries


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest no longer than 20 ms before the second attempt."""
    monkeypatch.setattr("taskexp.loop.retry.FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def long_rests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rest from 15 to 30 s before each further attempt, and prove that no test waits for that."""
    monkeypatch.setattr("taskexp.loop.retry.FIRST_PAUSE_SECONDS", 1000.0)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 14


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", WAYS)
def test_attempts_that_are_followed_by_another_count_as_nothing(way: Way):
    results = way(shell("[ $TASKEXP_ATTEMPT = 2 ]", *range(6)), QUIET, halt="now,fail=1", retries=1)
    assert sorted(statuses(results)) == [Status.succeeded] * 6
    assert {result.attempt for result in results} == {2}


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", [sequential, parallel])
def test_a_last_attempt_that_fails_counts_once(way: Way, tmp_path: Path):
    script = f"echo x >> {tmp_path}/$1; [ $1 != 0 -a $1 != 4 ]"
    results = way(shell(script, *range(30)), QUIET, halt="soon,fail=2", retries=2)
    failed = [(result.index, result.attempt) for result in results if result.status is Status.failed]
    assert failed == [(0, 3), (4, 3)]
    assert len((tmp_path / "4").read_text().split()) == 3
    assert way is parallel or len(results) == 5


@pytest.mark.usefixtures("long_rests")
@pytest.mark.parametrize("halt", ["now,fail=1", "soon,fail=1"])
@pytest.mark.parametrize("way", THREE_AT_ONCE)
def test_a_run_that_rests_when_the_sweep_halts_ends_as_its_last_attempt_did(
    way: Way, halt: str, tmp_path: Path, stderr: Path
):
    # Run 1 fails for good once run 0 rests.
    script = (
        f"echo $TASKEXP_ATTEMPT >> {tmp_path}/$1; [ $1 = 0 ] && exit 1; "
        f"{wait_for(f'grep -q index.0,.attempt.1 {stderr}')}; exit 9"
    )
    results = saying(stderr, way, shell(script, 0, 1), QUIET, halt=halt, retries=5, retry_on=1)
    assert sorted((r.index, r.status, r.returncode, r.attempt) for r in results) == [
        (0, Status.failed, 1, 1),
        (1, Status.failed, 9, 1),
    ]
    assert (tmp_path / "0").read_text() == "1\n"
    assert "taskexp: 2 of 2 runs failed (2 failed)\n" in stderr.read_text()


@pytest.mark.usefixtures("long_rests")
def test_an_attempt_that_fails_while_soon_waits_for_it_is_the_last(tmp_path: Path, stderr: Path):
    others = f"{wait_for(f'grep -q nothing.more.starts {stderr}')}; exit 1"
    task = fails_among_three(tmp_path, others, 9)
    results = saying(stderr, parallel, task, QUIET, halt="soon,fail=1", retries=5, retry_on=1)
    assert [(r.status, r.returncode, r.attempt) for r in results] == [
        (Status.failed, 9, 1),
        (Status.failed, 1, 1),
        (Status.failed, 1, 1),
    ]
    said = stderr.read_text()
    assert "attempt 2 of" not in said
    assert "retried" not in said


# ---- the summary


def test_the_summary_of_a_halt_names_the_failures_and_what_was_left(capsys: pytest.CaptureFixture[str]):
    shell("exit $1", 0, 0, 3, 0).run(halt="soon,fail=1", use_tqdm=False, **QUIET)
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"taskexp: halt='soon,fail=1' was reached; nothing more starts, running runs end by themselves\n"
        r"taskexp: 1 of 3 runs failed \(2 succeeded, 1 failed\)\n"
        r"  index 2, failed: exit code 3\n"
        r"    sh -c 'exit \$1' sh 3\n"
        r"  halt='soon,fail=1' was reached; 1 more were not run\n"
        r"  \d+\.\d s of CPU in all(, largest peak memory .*)?\n",
        said,
    ), said


# ---- mistakes


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    ("kind", "halt"),
    [
        *[
            ("value", text)
            for text in (
                "", " ", "now", "soon", "fail=1", "now,fail", "now,fail=", "now,fail=0", "now,fail=0%", "now,fail=101%",
                "now,fail=1.5", "now,fail=-1", "now,fail=+1", "now,fail=1e3", "now,fail=one", "now,fail=%",
                "now,fail=1%%", "now;fail=1", "now fail=1", "now,fail:1", "later,fail=1", "now,failed=1", "now,fails=1",
                "now,done=1", "NOW,fail=1", "now,fail=1,", "now,fail=1,success=2", "now,fail=\u0663", "never",
                "fail=1,now", "now,fail=1 %x",
            )
        ],
        *[("type", other) for other in (3, 0, 1.5, True, False, b"now,fail=1", ["now,fail=1"], ("now", "fail", 1), {})],
    ],
    ids=repr,
)  # fmt: skip
def test_a_halt_that_cannot_be_read_is_refused_with_the_grammar_before_anything_starts(
    kind: str, halt: object, tmp_path: Path
):
    trace = tmp_path / "started"
    task = Task(["touch", str(trace)])
    for way in (task.executable_loop, task.as_completed, task.run):
        assert_refused(kind, partial(way, halt=halt), "halt", repr(halt), *GRAMMAR)  # type: ignore[call-overload]
    assert not trace.exists()
