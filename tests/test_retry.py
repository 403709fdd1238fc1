"""Retries: what is tried again and what is not, what is said of it, and that a rest ends when it is no use."""

import asyncio
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import alive, eventually
from hypothesis import given
from hypothesis import strategies as st
from terminal import Terminal
from test_bad_input import assert_refused
from test_slots import QUIET, WAYS, Way, async_parallel, completed, parallel, run, sequential, shell, statuses

from taskexp import ArgumentValueError, RunFailed, RunResult, Status, Task
from taskexp.loop.retry import pause_before

NOTE = re.compile(r"taskexp: index (\d+), attempt (\d+) (.*); attempt (\d+) of at most (\d+) in \d+\.\d s")


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest no longer than 20 ms before the second attempt."""
    monkeypatch.setattr("taskexp.loop.retry.FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def long_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest from 15 to 30 s before each further attempt: longer than any of these tests waits."""
    monkeypatch.setattr("taskexp.loop.retry.FIRST_PAUSE_SECONDS", 1000.0)


@pytest.fixture
def soon() -> Any:
    """Prove that a test did not wait for a long rest to end."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 14


def flaky(folder: Path, failures: int, *values: object) -> Task:
    """A task whose every run fails so many times; the attempts that it was told are lines of the file of its value."""
    return shell(
        f'echo "$TASKEXP_ATTEMPT" >> {folder}/$1; echo "try $(wc -l < {folder}/$1) of $1"; '
        f"[ $(wc -l < {folder}/$1) -gt {failures} ]",
        *values,
    )


def attempts(folder: Path, value: object) -> list[int]:
    return [int(line) for line in (folder / str(value)).read_text().split()]


# ---- the result is that of the last attempt


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", WAYS)
def test_what_fails_twice_and_then_succeeds_is_a_success_at_attempt_three(
    way: Way, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    results = way(flaky(tmp_path, 2, *range(4)), QUIET, retries=2)
    assert sorted(result.index for result in results) == list(range(4))
    assert [(r.status, r.returncode, r.attempt) for r in results] == [(Status.succeeded, 0, 3)] * 4
    assert [attempts(tmp_path, value) for value in range(4)] == [[1, 2, 3]] * 4
    error = capsys.readouterr().err
    assert re.search(r"^100% 4/4 \[.*, retried=8\]$", error, re.MULTILINE)
    assert "taskexp: 0 of 4 runs failed (4 succeeded)\n  4 tried again, 4 of them with success\n" in error


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", WAYS)
def test_what_fails_to_the_last_is_one_failure(way: Way, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = flaky(tmp_path, 99, "a") + flaky(tmp_path, 1, "b") + flaky(tmp_path, 0, "c")
    results = sorted(way(task, QUIET, retries=2), key=lambda result: result.index)
    assert [(r.status, r.attempt) for r in results] == [
        (Status.failed, 3),
        (Status.succeeded, 2),
        (Status.succeeded, 1),
    ]
    assert [attempts(tmp_path, value) for value in "abc"] == [[1, 2, 3], [1, 2], [1]]
    error = capsys.readouterr().err
    assert re.search(r"^100% 3/3 \[.*, failed=1 retried=3\]$", error, re.MULTILINE)
    assert "taskexp: 1 of 3 runs failed (2 succeeded, 1 failed)\n" in error
    assert error.count("index 0, failed: exit code 1 (3 attempts)\n") == 1
    assert "  2 tried again, 1 of them with success\n" in error


@pytest.mark.parametrize("way", WAYS)
def test_without_retries_nothing_is_tried_again(way: Way, tmp_path: Path):
    results = way(flaky(tmp_path, 1, "a"), QUIET)
    assert [(result.status, result.attempt) for result in results] == [(Status.failed, 1)]
    assert attempts(tmp_path, "a") == [1]


@pytest.mark.usefixtures("short_rests")
def test_the_times_and_the_duration_are_those_of_the_last_attempt(tmp_path: Path):
    (result,) = flaky(tmp_path, 1, "a").run(retries=1, **QUIET)
    begun = (tmp_path / "a").stat().st_mtime
    assert abs(result.start_time.timestamp() - begun) < 5
    assert result.start_time <= result.end_time


@pytest.mark.usefixtures("short_rests")
def test_print_status_tells_the_attempt(tmp_path: Path):
    out = io.StringIO()
    for exe in flaky(tmp_path, 1, "a", "b").executable_loop(retries=1):
        exe.execute(**QUIET)
        exe.print_status(ostreams=[out])
    assert out.getvalue() == "index 0 of 2: succeeded, attempt 2\nindex 1 of 2: succeeded, attempt 2\n"


def test_the_bar_of_a_terminal_counts_what_was_tried_again(tmp_path: Path):
    script = tmp_path / "driver.py"
    script.write_text("""
from taskexp import Task
exp = Task(["sh", "-c", '[ $1 = 2 ] || [ $TASKEXP_ATTEMPT = 2 ]', "sh"]).arg(None, [0, 1, 2])
for exe in exp.executable_loop(max_workers=3, retries=1):
    exe.execute()
""")
    with Terminal(script) as terminal:
        terminal.read_row("retried=2")
        assert terminal.wait() == 0
        assert "3/3" in terminal.text
        assert "retried=2" in terminal.text
        assert "failed=" not in terminal.text
        assert "  2 tried again, 2 of them with success" in terminal.rows


# ---- what the log says


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", [sequential, parallel, completed, async_parallel])
def test_the_log_has_all_attempts_with_a_line_between_them(way: Way, tmp_path: Path):
    out = io.StringIO()
    way(flaky(tmp_path, 2, "a"), {**QUIET, "ostreams": [out]}, retries=3)
    first, between, second, again, third = out.getvalue().splitlines()
    assert (first, second, third) == ("try 1 of a", "try 2 of a", "try 3 of a")
    assert NOTE.findall(between) == [("0", "1", "failed: exit code 1", "2", "4")]
    assert NOTE.findall(again) == [("0", "2", "failed: exit code 1", "3", "4")]


@pytest.mark.usefixtures("short_rests")
def test_a_block_has_all_attempts_between_what_is_said_before_and_after(tmp_path: Path):
    out = io.StringIO()
    for exe in flaky(tmp_path, 1, *range(5)).executable_loop(max_workers=3, retries=1):
        exe.print_cmd(ostreams=[out])
        exe.execute(ostreams=[out])
        exe.print_status(ostreams=[out])
    lines = out.getvalue().splitlines()
    blocks = [lines[at : at + 5] for at in range(0, 25, 5)]
    for command, first, note, second, status in blocks:
        index = command[-1]
        assert (first, second) == (f"try 1 of {index}", f"try 2 of {index}")
        assert NOTE.fullmatch(note).group(1, 2) == (index, "1")  # type: ignore[union-attr]
        assert status == f"index {index} of 5: succeeded, attempt 2"
    assert sorted(block[0][-1] for block in blocks) == list("01234")


@pytest.mark.usefixtures("short_rests")
def test_lines_stand_behind_the_index_of_the_run_in_all_attempts(tmp_path: Path):
    out = io.StringIO()
    for exe in flaky(tmp_path, 1, *range(3)).executable_loop(max_workers=3, retries=1, output="line"):
        exe.execute(ostreams=[out])
    for index in range(3):
        first, note, second = [line for line in out.getvalue().splitlines() if line.startswith(f"[{index}] ")]
        assert (first, second) == (f"[{index}] try 1 of {index}", f"[{index}] try 2 of {index}")
        assert NOTE.fullmatch(note.removeprefix(f"[{index}] ")).group(1, 2) == (str(index), "1")  # type: ignore[union-attr]
    assert len(out.getvalue().splitlines()) == 9


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", [sequential, parallel, completed])
def test_output_without_a_last_newline_is_not_glued_to_the_next_attempt(way: Way):
    out = io.StringIO()
    way(shell('printf "try $TASKEXP_ATTEMPT"; exit 1', 1), {**QUIET, "ostreams": [out]}, retries=1)
    first, note, second = out.getvalue().splitlines()
    assert (first, second) == ("try 1", "try 2")
    assert NOTE.fullmatch(note)


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", [sequential, parallel, completed])
def test_a_binary_stream_has_the_bytes_of_all_attempts_and_the_line_goes_to_stderr(
    way: Way, capsys: pytest.CaptureFixture[str]
):
    out = io.BytesIO()
    task = shell(r'printf "\377$TASKEXP_ATTEMPT\n"; exit 1', 1)
    way(task, {**QUIET, "ostreams": [out]}, retries=1, use_tqdm=False)
    assert out.getvalue() == b"\xff1\n\xff2\n"
    assert len(NOTE.findall(capsys.readouterr().err)) == 1


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", WAYS)
def test_on_verbose_gets_the_lines_of_all_attempts_and_no_others(way: Way, tmp_path: Path):
    lines: list[str] = []
    execute = {**QUIET, "on_verbose": lambda line, _stream, _when: lines.append(line)}
    way(flaky(tmp_path, 2, "a"), execute, retries=2)
    assert lines == ["try 1 of a\n", "try 2 of a\n", "try 3 of a\n"]


# ---- for which reasons

FIRST_ONLY = "[ $TASKEXP_ATTEMPT = 1 ] || exit 0; "
FLOOD = "head -c 200000 /dev/zero | tr '\\0' x; "
DEFAULT = None


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize(
    ("script", "retry_on", "attempt"),
    [
        ("exit 1", DEFAULT, 2),
        ("kill -9 $$", DEFAULT, 2),
        ("exit 1", "failed", 2),
        ("exit 1", Status.failed, 2),
        ("exit 1", "timed_out", 1),
        ("exit 1", "not_started", 1),
        ("exit 1", "lost", 1),
        ("exit 75", 75, 2),
        ("exit 75", [75], 2),
        ("exit 75", {1, 75}, 2),
        ("exit 1", 75, 1),
        ("exit 255", 255, 2),
        ("kill -9 $$", -9, 2),
        ("kill -9 $$", signal.SIGKILL, 1),
        ("kill -9 $$", 137, 1),
        ("exit 137", -9, 1),
        ("kill -15 $$", -15, 2),
        ("kill -15 $$", -9, 1),
        ("echo connection reset by peer; exit 1", "connection (reset|refused)", 2),
        ("echo connection refused >&2; exit 1", "connection (reset|refused)", 2),
        ("echo connection closed >&2; exit 1", "connection (reset|refused)", 1),
        ("echo CONNECTION; exit 1", re.compile("connection", re.IGNORECASE), 2),
        ("echo CONNECTION; exit 1", re.compile("connection"), 1),
        ("echo a; echo reset; echo b; exit 1", "^reset$", 2),
        ("echo a; echo reset; echo b; exit 1", re.compile("^reset$"), 1),
        ("echo a; echo reset; echo b; exit 1", re.compile("^reset$", re.MULTILINE), 2),
        ("printf 'no newline'; exit 1", "newline$", 2),
        (r"printf '\377 reset\n'; exit 1", "\ufffd reset", 2),
        (FLOOD + "echo reset; exit 1", "reset", 2),
        ("echo reset; " + FLOOD + "exit 1", "reset", 1),
        ("echo reset; head -c 65000 /dev/zero; exit 1", "reset", 2),
        ("kill -9 $$", "no output", 1),
        ("exit 1", ["timed_out", 75, "reset"], 1),
        ("exit 75", ["timed_out", 75, "reset"], 2),
        ("echo reset; exit 1", ["timed_out", 75, re.compile("reset")], 2),
    ],
)
def test_a_run_is_tried_again_for_a_reason_that_was_named(script: str, retry_on: Any, attempt: int):
    for way in (sequential, run):
        (result,) = way(shell(FIRST_ONLY + script, 1), QUIET, retries=3, retry_on=retry_on)
        assert result.attempt == attempt
        assert (result.status is Status.succeeded) == (attempt == 2)


@pytest.mark.usefixtures("short_rests")
def test_the_reasons_may_come_from_a_generator():
    (result,) = shell(FIRST_ONLY + "exit 75", 1).run(retries=3, retry_on=(code for code in (1, 75)), **QUIET)
    assert result.attempt == 2


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize(
    ("retry_on", "attempt"),
    [
        (DEFAULT, 2),
        ("timed_out", 2),
        ("failed", 1),
        (-15, 1),  # the signal was ours
        ("before it hangs", 2),
        ([75, "timed_out"], 2),
    ],
)
def test_a_run_that_timed_out_is_tried_again_for_that_reason(retry_on: Any, attempt: int):
    task = shell(FIRST_ONLY + "echo before it hangs; exec sleep 3600", 1)
    (result,) = task.run(timeout=0.4, ostreams=[], retries=1, retry_on=retry_on)
    assert (result.attempt, result.status) == (attempt, Status.succeeded if attempt == 2 else Status.timed_out)


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize(("retry_on", "attempt"), [(DEFAULT, 1), ("failed", 1), ("not_started", 3)])
def test_a_run_that_could_not_be_started_is_tried_again_if_that_is_a_reason(retry_on: Any, attempt: int):
    (result,) = Task("/no/such/program").run(retries=2, retry_on=retry_on, **QUIET)
    assert (result.attempt, result.status, result.slot) == (attempt, Status.not_started, None)


@pytest.mark.usefixtures("short_rests")
def test_a_program_that_appears_meanwhile_is_started_at_the_next_attempt(tmp_path: Path):
    program = tmp_path / "program"

    class Appearing(io.StringIO):
        def write(self, text: str) -> int:
            if "attempt 2 of" in text:
                program.symlink_to("/bin/true")
            return super().write(text)

    (result,) = Task([str(program)]).run(retries=1, retry_on="not_started", ostreams=[Appearing()])
    assert (result.attempt, result.status, result.slot) == (2, Status.succeeded, 0)


@pytest.mark.usefixtures("short_rests")
def test_only_the_output_of_the_last_attempt_is_searched():
    task = shell("[ $TASKEXP_ATTEMPT = 2 ] || echo reset; exit 1", 1)
    (result,) = task.run(retries=5, retry_on="reset", **QUIET)
    assert result.attempt == 2


@pytest.mark.usefixtures("short_rests")
def test_a_run_that_succeeds_is_not_tried_again_whatever_it_prints():
    (result,) = shell("echo reset", 1).run(retries=5, retry_on=["reset", "failed"], **QUIET)
    assert (result.attempt, result.status) == (1, Status.succeeded)


@pytest.mark.usefixtures("short_rests")
def test_a_run_that_was_interrupted_is_not_tried_again(tmp_path: Path):
    task = flaky(tmp_path, 99, "a").wraps("sh -c '\"$@\"; sleep 3600; exit 1' sh")
    with task.executable_loop(max_workers=2, retries=5, retry_on=["failed", "try"]) as loop:
        exe = next(loop)
        exe.execute(**QUIET)
        eventually((tmp_path / "a").exists, "it never started")
    assert (exe.result.status, exe.result.attempt) == (Status.interrupted, 1)
    assert attempts(tmp_path, "a") == [1]


# ---- the rest


@given(st.integers(2, 10**9))
def test_a_rest_is_between_half_and_all_of_a_limit_that_doubles_up_to_thirty_seconds(attempt: int):
    limit = min(0.5 * 2 ** min(attempt - 2, 64), 30)
    assert limit / 2 <= pause_before(attempt) <= limit


def test_rests_differ_and_leave_the_random_numbers_of_the_user_alone():
    random.seed(1)
    state = random.getstate()
    assert len({pause_before(4) for _ in range(20)}) > 1
    assert random.getstate() == state


def test_a_run_that_rests_holds_no_slot(tmp_path: Path):
    # Run 0 succeeds once run 1 was there; with one slot that is never, unless run 0 gives it back.
    script = f"if [ $1 = 1 ]; then touch {tmp_path}/there; else [ -e {tmp_path}/there ]; fi"
    results = shell(script, 0, 1).run(max_workers=2, slots={"DEVICE": ["a"]}, retries=3, **QUIET)
    assert statuses(results) == [Status.succeeded] * 2
    assert results[0].attempt > 1
    assert [result.devices for result in results] == [{"DEVICE": "a"}] * 2


@pytest.mark.usefixtures("short_rests")
def test_a_run_that_has_rested_goes_before_those_that_wait_for_their_first_attempt(tmp_path: Path):
    log = tmp_path / "log"
    task = shell(f"echo $1 >> {log}; sleep 0.03; [ $1 != 0 ] || [ $TASKEXP_ATTEMPT = 2 ]", *range(30))
    collected = list(task.executable_loop(max_workers=2, retries=1))
    for exe in collected:  # all at once, after the end of the loop
        exe.execute(**QUIET)
    assert [exe.result.status for exe in collected] == [Status.succeeded] * 30
    order = log.read_text().split()
    assert order[30] != "0"
    assert len(order) == 31


@pytest.mark.anyio
@pytest.mark.usefixtures("long_rests", "soon")
async def test_when_everything_fails_no_more_than_twice_as_many_are_on_their_way_as_slots(tmp_path: Path):
    async with flaky(tmp_path, 99, *range(20)).executable_loop(max_workers=2, retries=1) as loop:
        runs: list[asyncio.Task[RunResult]] = []

        async def body() -> None:
            async for exe in loop:
                runs.append(asyncio.create_task(exe.execute(**QUIET)))

        looping = asyncio.create_task(body())
        while len(list(tmp_path.iterdir())) < 4:
            await asyncio.sleep(0.01)
        await asyncio.wait([looping], timeout=0.3)
        assert len(list(tmp_path.iterdir())) == 4
    results = await asyncio.gather(*runs)
    await looping
    assert [(result.status, result.attempt) for result in results] == [(Status.failed, 1)] * 4


def rests(out: io.StringIO) -> Callable[[], bool]:
    """Tell whether a log says that a run rests."""
    return lambda: "; attempt 2 of" in out.getvalue()


@pytest.mark.usefixtures("long_rests", "soon")
@pytest.mark.parametrize("leave", ["break", "close", "with", "raise"])
def test_leaving_the_loop_ends_a_rest_at_once(leave: str, tmp_path: Path):
    out = io.StringIO()

    def body() -> Any:
        loop = flaky(tmp_path, 99, *range(9)).executable_loop(max_workers=2, output="line", retries=5)
        with loop:
            for exe in loop:
                exe.execute(ostreams=[out])
                eventually(rests(out), "it never rested")
                if leave == "raise":
                    raise KeyError("mine")
                if leave == "close":
                    loop.close()
                return exe
        return None

    if leave == "raise":
        with pytest.raises(KeyError, match="mine"):
            body()
    else:
        exe = body()
        assert (exe.result.status, exe.result.attempt, exe.result.slot) == (Status.failed, 1, 0)
    assert attempts(tmp_path, 0) == [1]
    assert out.getvalue().startswith("[0] try 1 of 0\n")


@pytest.mark.usefixtures("long_rests", "soon")
def test_a_break_out_of_as_completed_ends_a_rest_at_once(tmp_path: Path):
    script = f"if [ $1 = 0 ]; then touch {tmp_path}/$1; exit 1; fi; until [ -e {tmp_path}/0 ]; do sleep 0.01; done"
    for exe in shell(script, *range(2)).as_completed(max_workers=2, retries=1, **QUIET):
        assert exe.index == 1
        break


@pytest.mark.anyio
@pytest.mark.usefixtures("long_rests", "soon")
async def test_cancelling_an_execute_ends_its_rest_at_once_and_the_loop_goes_on(tmp_path: Path):
    out = io.StringIO()
    seen = []
    async for exe in flaky(tmp_path, 99, *range(2)).executable_loop(retries=5):
        running = asyncio.create_task(exe.execute(ostreams=[out]))
        while out.getvalue().count("; attempt 2 of") <= exe.index:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        seen.append((exe.result.status, exe.result.attempt))
    assert seen == [(Status.failed, 1)] * 2
    assert [attempts(tmp_path, value) for value in range(2)] == [[1], [1]]


DRIVERS = {
    "sequential": """
for exe in exp.executable_loop(**loop):
    exe.execute()
print("loop over", flush=True)
""",
    "parallel": """
for exe in exp.executable_loop(max_workers=2, output="line", **loop):
    exe.execute()
print("loop over", flush=True)
""",
    "run": """
exp.run(**loop)
print("loop over", flush=True)
""",
    "async": """
import asyncio
async def main():
    async for exe in exp.executable_loop(**loop):
        await exe.execute()
    print("loop over", flush=True)
asyncio.run(main())
""",
}


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("number", "code", "raised"), [(signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_ends_a_rest_at_once_and_leaves_nothing(
    driver: str, number: int, code: int, raised: str, tmp_path: Path
):
    marker = f"marker-{tmp_path.name}-{os.getpid()}"
    script = tmp_path / "driver.py"
    script.write_text(f"""
import taskexp.loop.retry
from taskexp import Task
taskexp.loop.retry.FIRST_PAUSE_SECONDS = 1000.0
exp = Task(["sh", "-c", "echo $1 >> {tmp_path}/log; exit 1", "{marker}"]).arg(None, [0])
loop = {{"use_tqdm": False, "retries": 5}}
{DRIVERS[driver]}
""")
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert NOTE.search(process.stdout.readline())
            process.send_signal(number)
            printed, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code
    assert "loop over" not in printed
    assert raised in error
    assert (tmp_path / "log").read_text() == "0\n"
    assert alive(marker) == []


# ---- check


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("way", [*WAYS])
def test_check_raises_after_the_last_attempt_only(way: Way, tmp_path: Path):
    execute = {**QUIET, "check": True}
    assert statuses(way(flaky(tmp_path, 2, "a"), execute, retries=2)) == [Status.succeeded]
    with pytest.raises((RunFailed, ExceptionGroup)) as caught:
        way(flaky(tmp_path, 99, "b"), execute, retries=2)
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, RunFailed)
    assert (error.result.status, error.result.attempt) == (Status.failed, 3)
    assert attempts(tmp_path, "b") == [1, 2, 3]


@pytest.mark.usefixtures("short_rests")
def test_a_loop_that_check_stops_tries_nothing_again(tmp_path: Path):
    # Run 1 fails while run 0, whose failure is final, is waited for.
    script = f"if [ $1 = 0 ]; then until [ -e {tmp_path}/1 ]; do sleep 0.01; done; exit 9; fi; touch {tmp_path}/$1"
    with pytest.raises(RunFailed) as caught:
        shell(script + "; exec sleep 3600", 0, 1).run(max_workers=2, retries=3, retry_on=1, check=True, **QUIET)
    assert caught.value.result.index == 0


# ---- mistakes


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        ("value", {"retries": -1}, ["retries=-1", "0 for none"]),
        ("type", {"retries": 1.5}, ["retries is an int", "float (1.5)"]),
        ("type", {"retries": "2"}, ["retries is an int", "str ('2')"]),
        ("type", {"retries": True}, ["retries is an int", "bool"]),
        ("type", {"retries": None}, ["retries is an int", "NoneType"]),
        ("value", {"retry_on": "failed"}, ["retry_on without retries", "retries=1"]),
        ("value", {"retry_on": "failed", "retries": 0}, ["retry_on without retries", "retries=1"]),
        *[
            (kind, {"retries": 1, "retry_on": reason}, ["retry_on", *told, "'timed_out'", "-N for death by signal N"])
            for kind, reason, told in [
                ("value", [], ["empty"]),
                ("value", (), ["empty"]),
                ("value", "", ["empty expression"]),
                ("value", [""], ["empty expression"]),
                ("type", object(), ["object", "no reason"]),
                ("type", 1.5, ["1.5", "no reason"]),
                ("type", [1.5], ["1.5", "no reason"]),
                ("type", [None], ["None", "no reason"]),
                ("type", [["failed"]], ["['failed']", "no reason"]),
                ("type", True, ["True", "no reason"]),
                ("type", [False], ["False", "no reason"]),
                ("value", 0, ["0 is no exit code"]),
                ("value", 256, ["256 is no exit code"]),
                ("value", -65, ["-65 is no exit code"]),
                ("value", ["failed", 256], ["256 is no exit code"]),
                ("value", "succeeded", ["succeeded", "not tried again"]),
                ("value", "interrupted", ["interrupted", "not tried again"]),
                ("value", Status.succeeded, ["succeeded", "not tried again"]),
                ("value", "(", ["'('", "no regular expression"]),
                ("value", ["failed", "[a"], ["'[a'", "no regular expression"]),
                ("type", re.compile(b"reset"), ["b'reset'", "no reason"]),
                ("type", b"reset", ["b'reset'", "no reason"]),
                ("type", [b"reset"], ["b'reset'", "no reason"]),
            ]
        ],
    ],
)
def test_retries_that_make_no_sense_are_refused_before_anything_starts(
    kind: str, arguments: dict[str, Any], told: list[str], tmp_path: Path
):
    trace = tmp_path / "started"
    task = Task(["touch", str(trace)])
    for way in (task.executable_loop, task.as_completed, task.run):
        assert_refused(kind, partial(way, **arguments), *told)
    assert not trace.exists()


@pytest.mark.parametrize("typed", ["timeout", "Failed", "time_out", "not started", "failure"])
def test_a_mistyped_status_is_no_regular_expression(typed: str):
    with pytest.raises(ArgumentValueError, match=r"is no status; write '[a-z_]+', or re.compile"):
        Task("true").run(retries=1, retry_on=typed)
    assert Task("true").run(retries=1, retry_on=re.compile(typed), ostreams=[])[0].status is Status.succeeded


@pytest.mark.parametrize("way", ["run", "as_completed"])
def test_one_at_a_time_no_other_run_comes_between_the_attempts_of_one(way: str):
    log = io.StringIO()
    task = shell("echo run $1 try $TASKEXP_ATTEMPT; test $TASKEXP_ATTEMPT = 2", 0, 1)
    assert [*getattr(task, way)(ostreams=[log], use_tqdm=False, retries=1)]
    said = [line for line in log.getvalue().splitlines() if line.startswith("run")]
    assert said == ["run 0 try 1", "run 0 try 2", "run 1 try 1", "run 1 try 2"]
