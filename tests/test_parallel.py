"""The plain loop with several workers: whole blocks, exact concurrency, nothing left running."""

import io
import itertools
import re
import shlex
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import alive, children, eventually, open_descriptors, run_script

from taskexp import ExecutableStateError, RunFailed, RunResult, Status, Task

ELAPSED = re.compile(r"\d+:\d\d:\d\d(\.\d{6})?\b")


def shell(script: str, *values: object) -> Task:
    """A task that runs a shell script once per value, which it sees as $1."""
    return Task(["sh", "-c", script, "sh"]).arg(None, list(values))


def wait_for(path: str) -> str:
    return f"until [ -e {path} ]; do sleep 0.01; done"


def most_at_once(log: Path) -> int:
    """Read the most runs at a time from lines that the children appended."""
    steps = [1 if line.startswith("start") else -1 for line in log.read_text().splitlines()]
    return max(itertools.accumulate(steps))


def batched(lines: list[str], size: int) -> list[list[str]]:
    return [lines[at : at + size] for at in range(0, len(lines), size)]


@pytest.fixture
def marker() -> str:
    """An argument of `sleep` that no other process has."""
    return f"3600.{uuid.uuid4().int}"


class GatedStream(io.StringIO):
    """A stream whose every write waits until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.gate.wait(60)
        return super().write(text)


# ---- blocks


def test_the_documented_body_unchanged_gives_whole_blocks_in_order_of_completion(tmp_path: Path):
    # A run ends only when the block of the next index stands in the log: so each block was flushed, and
    # the order of completion is the opposite of the order of the loop.
    path = tmp_path / "log"
    (tmp_path / "begun").mkdir()
    script = (
        f"echo first $1; touch {tmp_path}/begun/$1; until [ $(ls {tmp_path}/begun | wc -l) = 4 ]; do sleep 0.01; done; "
        f'echo second $1 >&2; until [ $1 = 3 ] || grep -q "index $(($1 + 1)) .*succeeded" {path}; do sleep 0.01; done; '
        "printf 'third %s' $1"
    )
    task = shell(script, *range(4))
    with path.open("w") as log:
        for exe in task.executable_loop(max_workers=4):
            exe.print_cmd(ostreams=[log])
            exe.execute(timeout=60, ostreams=[log])
            exe.print_duration(ostreams=[log])
            exe.print_status(ostreams=[log])
            exe.update_tqdm()
    lines = path.read_text().splitlines()
    assert len(lines) == 24
    for block, index in zip(batched(lines, 6), [3, 2, 1, 0], strict=True):
        command, first, second, third, duration, status = block
        assert command == shlex.join(task[index].argv)
        assert {first, second, third} == {f"first {index}", f"second {index}", f"third {index}"}
        assert ELAPSED.match(duration)
        assert re.search(rf"\b{index}\b.*\b4\b.*succeeded", status)


def test_blocks_of_many_chatty_runs_are_never_mixed():
    out = io.StringIO()
    task = shell('for n in 1 2 3 4 5; do echo "line $1 $n"; done', *range(60))
    for exe in task.executable_loop(max_workers=6):
        exe.print_cmd(ostreams=[out])
        exe.execute(ostreams=[out])
        exe.print_duration(ostreams=[out])
    blocks = batched(out.getvalue().splitlines(), 7)
    indices = [int(block[1].split()[1]) for block in blocks]
    assert sorted(indices) == list(range(60))
    for index, block in zip(indices, blocks, strict=True):
        assert block[0] == shlex.join(task[index].argv)
        assert block[1:6] == [f"line {index} {n}" for n in range(1, 6)]
        assert ELAPSED.match(block[6])


def test_text_and_binary_streams_each_get_the_whole_block_in_their_own_kind(tmp_path: Path):
    text, binary = io.StringIO(), io.BytesIO()
    path = tmp_path / "log"
    task = shell(r"printf 'run %s \377\303\251\r\n' $1; printf end", *range(8))
    with path.open("wb") as file:
        streams = [text, binary, file]
        for exe in task.executable_loop(max_workers=4):
            exe.print_status(ostreams=streams)
            exe.execute(ostreams=streams)
            exe.print_cmd(ostreams=streams)
    assert path.read_bytes() == binary.getvalue()
    blocks = re.findall(rb"index (\d) of 8[^\n]*\nrun (\d) \xff\xc3\xa9\r\nend\n?(sh -c [^\n]*)\n", binary.getvalue())
    assert sorted(blocks) == [(b"%d" % i, b"%d" % i, shlex.join(task[i].argv).encode()) for i in range(8)]
    texts = re.findall(r"index (\d) of 8[^\n]*\nrun (\d) \ufffdé\r?\nend\n(sh -c [^\n]*)\n", text.getvalue())
    assert sorted(texts) == [(str(i), str(i), shlex.join(task[i].argv)) for i in range(8)]


def test_what_an_executable_said_that_never_ran_is_written_when_the_body_moves_on():
    out = io.StringIO()
    for exe in shell("echo out $1", *range(4)).executable_loop(max_workers=2):
        exe.print_status(ostreams=[out])
        if exe.index == 1:
            eventually(lambda: "index 0" in out.getvalue(), "it was held back")
            assert "index 1" not in out.getvalue()
    assert re.findall(r"index (\d)", out.getvalue()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("leave", ["break", "raise"])
def test_what_the_last_executable_said_comes_out_when_the_loop_is_left(leave: str):
    out = io.StringIO()

    def body() -> None:
        for exe in shell("echo", 1, 2).executable_loop(max_workers=2):
            exe.print_status(ostreams=[out])
            if leave == "break":
                break
            raise KeyError(exe.index)

    if leave == "raise":
        with pytest.raises(KeyError):
            body()
    else:
        body()
    assert out.getvalue().startswith("index 0 of 2")


def test_the_block_of_a_run_that_a_break_stopped_comes_out_too(marker: str):
    out = io.StringIO()
    for exe in shell(f"echo ready; sleep {marker}", 1).executable_loop(max_workers=2):
        exe.print_status(ostreams=[out])
        exe.execute(ostreams=[out])
        eventually(lambda: len(alive(marker)) == 2, "it never started")
        break
    assert out.getvalue().startswith("index 0 of 1")
    assert "ready\n" in out.getvalue()


@pytest.mark.fault("S16")
def test_large_outputs_stay_whole_and_the_memory_flat(tmp_path: Path):
    script = """
import sys
from taskexp import Task

def peak_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

def sweep(lines, log):
    task = Task(["sh", "-c", 'yes "run $1 says what it has to say, line after line" | head -n ' + str(lines), "sh"])
    for exe in task.arg(None, range(6)).executable_loop(max_workers=3):
        exe.print_status(ostreams=[log])
        exe.execute(ostreams=[log])

with open("warm-up.log", "w") as log:
    sweep(10, log)
before = peak_kb()
with open("large.log", "w") as log:
    sweep(150_000, log)
print(peak_kb() - before)
"""
    done = run_script(script, tmp_path)
    assert done.returncode == 0, done.stderr
    log = tmp_path / "large.log"
    assert log.stat().st_size > 40_000_000
    with log.open() as lines:
        groups = [(line, sum(1 for _ in same)) for line, same in itertools.groupby(lines)]
    assert len(groups) == 12
    for (status, one), (line, count) in batched(groups, 2):  # type: ignore[arg-type]
        assert (one, count) == (1, 150_000)
        assert re.findall(r"index (\d)", status) == re.findall(r"run (\d)", line)
    assert int(done.stdout) < 40_000, f"{done.stdout} kB more for 7 MB per run"


# ---- lines


def test_lines_of_output_line_come_while_the_run_goes_on_each_behind_its_index(tmp_path: Path):
    out = io.StringIO()
    go = tmp_path / "go"
    task = shell(f"echo ready; {wait_for(str(go))}; echo over >&2; printf end", "a", "b")
    for exe in task.executable_loop(max_workers=2, output="line"):
        exe.print_status(ostreams=[out])
        exe.execute(timeout=60, ostreams=[out])
        exe.print_duration(ostreams=[out])
        if exe.index == 1:
            eventually(lambda: {"[0] ready", "[1] ready"} <= set(out.getvalue().splitlines()), "no line came")
            go.touch()
    lines = out.getvalue().splitlines()
    assert out.getvalue().endswith("\n")
    for index in (0, 1):
        mine = [line.removeprefix(f"[{index}] ") for line in lines if line.startswith(f"[{index}] ")]
        assert mine[0].startswith(f"index {index} of 2")
        assert sorted(mine[1:4]) == ["end", "over", "ready"]
        assert ELAPSED.match(mine[4])
    assert len(lines) == 10


def test_output_line_prefixes_every_line_of_binary_streams_too():
    out = io.BytesIO()
    for exe in shell(r"printf 'a \377\nb\n\nc'", "x", "y").executable_loop(max_workers=2, output="line"):
        exe.execute(ostreams=[out])
    lines = out.getvalue().split(b"\n")
    for prefix in (b"[0] ", b"[1] "):
        assert [line for line in lines if line.startswith(prefix)] == [
            prefix + rest for rest in (b"a \xff", b"b", b"", b"c")
        ]


# ---- how many at once


@pytest.mark.parametrize("workers", [2, 5])
def test_never_more_than_max_workers_run_at_once(tmp_path: Path, workers: int):
    log = tmp_path / "steps"
    for exe in shell(f"echo start >> {log}; sleep 0.03; echo end >> {log}", *range(20)).executable_loop(
        max_workers=workers
    ):
        exe.execute(ostreams=[])
    assert len(log.read_text().splitlines()) == 40
    assert most_at_once(log) <= workers


def test_never_fewer_than_max_workers_run_while_work_waits(tmp_path: Path):
    # Run 0 keeps its slot to the last; the others only end when three of them run at once.
    here, last = tmp_path / "here", tmp_path / "last"
    here.mkdir()
    script = (
        f"if [ $1 = 0 ]; then {wait_for(str(last))}; exit; fi; group=$((($1 - 1) / 3)); touch {here}/$group.$1; "
        f"until [ $(ls {here} | grep -c ^$group) = 3 ]; do sleep 0.01; done; [ $1 = 9 ] && touch {last} || true"
    )
    results = shell(script, *range(10)).run(max_workers=4, timeout=60, ostreams=[])
    assert [result.status for result in results] == [Status.succeeded] * 10


def test_a_slot_is_free_when_an_executable_is_yielded(tmp_path: Path):
    for exe in shell(f"touch {tmp_path}/$1; {wait_for(f'{tmp_path}/go.$1')}", *range(4)).executable_loop(max_workers=2):
        exe.execute(timeout=60, ostreams=[])
        eventually((tmp_path / str(exe.index)).exists, "it was yielded without a free slot")
        if exe.index:
            (tmp_path / f"go.{exe.index - 1}").touch()
        if exe.index == 3:
            (tmp_path / "go.3").touch()


def test_execute_returns_none_at_once_and_result_waits(tmp_path: Path):
    go = tmp_path / "go"
    for exe in shell(wait_for(str(go)), 1).executable_loop(max_workers=2):
        assert exe.execute(timeout=60, ostreams=[]) is None
        assert not go.exists()
        threading.Timer(0.05, go.touch).start()
        result = exe.result
        assert isinstance(result, RunResult)
        assert result.status is Status.succeeded
        assert go.exists()
        assert exe.wait() is result


def test_a_body_that_reads_the_result_is_sequential(tmp_path: Path):
    log = tmp_path / "steps"
    codes = []
    for exe in shell(f"echo start >> {log}; echo end >> {log}; exit $1", *range(6)).executable_loop(max_workers=3):
        exe.execute(ostreams=[])
        codes.append(exe.wait().returncode)
    assert codes == list(range(6))
    assert most_at_once(log) == 1


def test_the_loop_waits_for_all_runs_before_it_ends(tmp_path: Path):
    for exe in shell(f"sleep 0.1; touch {tmp_path}/$1", *range(5)).executable_loop(max_workers=5):
        exe.execute(ostreams=[])
    assert len(list(tmp_path.iterdir())) == 5
    assert not children()


def test_an_executable_runs_once_in_parallel_too():
    for exe in shell("true", 1).executable_loop(max_workers=2):
        with pytest.raises(ExecutableStateError):
            _ = exe.result
        exe.execute(ostreams=[])
        with pytest.raises(ExecutableStateError):
            exe.execute(ostreams=[])


def test_executables_executed_after_the_end_of_a_parallel_loop_keep_to_its_slots(tmp_path: Path):
    log = tmp_path / "steps"
    task = shell(f"echo start >> {log}; sleep 0.02; echo end >> {log}; echo out $1", *range(9))
    out = io.StringIO()
    collected = list(task.executable_loop(max_workers=3))
    for exe in collected:
        exe.print_status(ostreams=[out])
        assert exe.execute(ostreams=[out]) is None
    assert [exe.result.status for exe in collected] == [Status.succeeded] * 9
    assert most_at_once(log) <= 3
    eventually(lambda: len(out.getvalue().splitlines()) == 18, "a block is missing")
    blocks = batched(out.getvalue().splitlines(), 2)
    assert all(re.findall(r"index (\d)", head) == re.findall(r"out (\d)", body) for head, body in blocks)


# ---- ends


def test_check_raises_at_the_next_step_after_the_rest_is_stopped(tmp_path: Path, marker: str):
    ready = tmp_path / "ready"
    seen = []
    script = f"if [ $1 = 1 ]; then touch {ready}; exec sleep {marker}; fi; {wait_for(str(ready))}; exit 3"
    with pytest.raises(RunFailed) as caught:  # noqa: PT012 - the loop is the one statement
        for exe in shell(script, *range(50)).executable_loop(max_workers=2):
            seen.append(exe)
            exe.execute(ostreams=[], check=True)
    assert caught.value.result.index == 0
    assert caught.value.result.returncode == 3
    assert len(seen) < 4
    assert alive(marker) == []
    assert seen[1].result.status is Status.interrupted


def test_a_check_that_fails_in_the_last_run_raises_at_the_end():
    seen = []
    with pytest.raises(RunFailed) as caught:  # noqa: PT012 - the loop is the one statement
        for exe in shell("exit $1", 0, 0, 5).executable_loop(max_workers=8):
            seen.append(exe.index)
            exe.execute(ostreams=[], check=True)
    assert seen == [0, 1, 2]
    assert caught.value.result.index == 2


def leave_by_break(task: Task, started: Callable[[], bool]) -> None:
    for exe in task.executable_loop(max_workers=3):
        exe.execute(ostreams=[])
        if exe.index == 2:
            eventually(started, "they never started")
            break


def leave_by_an_error(task: Task, started: Callable[[], bool]) -> None:
    with pytest.raises(ValueError, match="mine"):  # noqa: PT012 - the loop is the one statement
        for exe in task.executable_loop(max_workers=3):
            exe.execute(ostreams=[])
            if exe.index == 2:
                eventually(started, "they never started")
                raise ValueError("mine")


def leave_by_close(task: Task, started: Callable[[], bool]) -> None:
    loop = task.executable_loop(max_workers=3)
    for _ in range(3):
        next(loop).execute(ostreams=[])
    eventually(started, "they never started")
    loop.close()
    assert list(loop) == []


def leave_a_with_block(task: Task, started: Callable[[], bool]) -> None:
    with task.executable_loop(max_workers=3) as loop:
        for exe in loop:
            exe.execute(ostreams=[])
            if exe.index == 2:
                eventually(started, "they never started")
                break


def leave_as_completed(task: Task, started: Callable[[], bool]) -> None:
    with task.as_completed(max_workers=4, ostreams=[]) as completed:
        for exe in completed:
            assert exe.index == 3
            eventually(started, "they never started")
            break


@pytest.mark.fault("A03")
@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_an_error, leave_by_close, leave_a_with_block, leave_as_completed]
)
def test_what_runs_is_stopped_by(leave: Callable[[Task, Callable[[], bool]], None], marker: str):
    task = shell(f"[ $1 = 3 ] && exit; sleep {marker} & wait", *range(10))
    leave(task, lambda: len(alive(marker)) >= 6)  # three shells and their sleeps
    assert alive(marker) == []
    assert not children()


def test_more_runs_than_slots_may_wait_after_the_end_of_the_loop(tmp_path: Path, marker: str):
    collected = list(shell(f"touch {tmp_path}/$1; exec sleep {marker}", *range(6)).executable_loop(max_workers=2))
    for exe in collected:
        exe.execute(ostreams=[], timeout=0.3)
    results = [exe.result for exe in collected]
    assert [result.status for result in results] == [Status.timed_out] * 6
    assert len(list(tmp_path.iterdir())) == 6
    assert alive(marker) == []


def test_runs_that_do_not_succeed_do_not_end_the_loop(capsys: pytest.CaptureFixture[str]):
    task = Task(["sh", "-c", "exit $1", "sh"]).arg(None, [0, 1, 0, 2])
    for exe in task.executable_loop(max_workers=2):
        exe.execute(ostreams=[])
    error = capsys.readouterr().err
    assert "4/4" in error
    assert "failed=2" in error
    assert shlex.join(task[3].argv) in error


# ---- as_completed and run


def test_as_completed_hands_out_finished_runs_in_order_of_completion(tmp_path: Path):
    script = f"[ $1 = 3 ] || {wait_for(f'{tmp_path}/$(($1 + 1))')}"
    order = []
    for exe in shell(script, *range(4)).as_completed(max_workers=4, timeout=60, ostreams=[]):
        assert exe.result.status is Status.succeeded
        order.append(exe.index)
        (tmp_path / str(exe.index)).touch()
    assert order == [3, 2, 1, 0]


def test_as_completed_writes_each_output_as_one_block():
    out = io.StringIO()
    done = list(shell("echo a $1; echo b $1", *range(20)).as_completed(max_workers=5, ostreams=[out]))
    blocks = batched(out.getvalue().splitlines(), 2)
    assert [first.split()[1] for first, _ in blocks] == [second.split()[1] for _, second in blocks]
    assert sorted(exe.index for exe in done) == list(range(20))


def test_run_returns_the_results_in_index_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    script = f"[ $1 = 3 ] || {wait_for(f'{tmp_path}/$(($1 + 1))')}; touch {tmp_path}/$1; echo out; exit $1"
    results = shell(script, *range(4)).run(max_workers=4, timeout=60)
    assert [(result.index, result.returncode) for result in results] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    screen = capsys.readouterr()
    assert screen.out == "out\n" * 4
    assert "4/4" in screen.err


def test_run_defaults_to_one_at_a_time_without_a_timeout(tmp_path: Path):
    log = tmp_path / "steps"
    results = shell(f"echo start >> {log}; echo end >> {log}", *range(5)).run(ostreams=[])
    assert len(results) == 5
    assert most_at_once(log) == 1


def test_run_with_check_raises_the_first_failure_and_stops_the_rest(tmp_path: Path, marker: str):
    ready = tmp_path / "ready"
    script = f"if [ $1 = 1 ]; then touch {ready}; exec sleep {marker}; fi; {wait_for(str(ready))}; exit 3"
    with pytest.raises(RunFailed) as caught:
        shell(script, *range(9)).run(max_workers=2, ostreams=[], check=True)
    assert caught.value.result.returncode == 3
    assert alive(marker) == []


# ---- user code


def test_a_blocked_stream_holds_up_neither_the_timeouts_nor_the_blocks_of_other_runs():
    blocked, out = GatedStream(), io.StringIO()
    task = shell("if [ $1 = 1 ]; then echo before; exec sleep 60; fi; echo out $1", *range(4))
    collected = []
    for exe in task.executable_loop(max_workers=4):
        exe.execute(timeout=0.3 if exe.index == 1 else 60, ostreams=[blocked if exe.index == 0 else out])
        collected.append(exe)
        if exe.index == 3:
            assert blocked.entered.wait(30)
            assert collected[1].result.status is Status.timed_out
            eventually(lambda: "out 2\n" in out.getvalue() and "before\n" in out.getvalue(), "a block never came")
            assert blocked.getvalue() == ""
            blocked.gate.set()
    assert blocked.getvalue() == "out 0\n"
    assert out.getvalue().endswith("out 3\n")


def test_a_slow_stream_loses_nothing():
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            threading.Event().wait(0.002)
            return super().write(text)

    out = Slow()
    for exe in shell('for n in 1 2 3; do echo "$1 $n"; done', *range(20)).executable_loop(max_workers=4):
        exe.execute(ostreams=[out])
    groups = [[*group] for _, group in itertools.groupby(out.getvalue().splitlines(), key=lambda line: line.split()[0])]
    assert sorted(groups) == sorted([f"{i} 1", f"{i} 2", f"{i} 3"] for i in range(20))


def test_a_stream_that_raises_costs_that_stream_and_no_run(capsys: pytest.CaptureFixture[str]):
    closed, out = io.StringIO(), io.StringIO()
    closed.close()
    for exe in shell("echo out $1", *range(6)).executable_loop(max_workers=3):
        exe.print_status(ostreams=[closed, out])
        exe.execute(ostreams=[closed, out])
        assert exe.index is not None
    assert len(re.findall("^out", out.getvalue(), re.MULTILINE)) == 6
    assert capsys.readouterr().err.count("warning") == 1


@pytest.mark.fault("O06")
def test_callbacks_come_in_one_thread_never_two_at_once():
    threads, inside, overlaps, lines = set(), [], [], []

    def note(line: str, _stream: object, _when: object) -> None:
        threads.add(threading.get_ident())
        if inside:
            overlaps.append(line)
        inside.append(line)
        threading.Event().wait(0.001)
        inside.pop()
        lines.append(line)

    for exe in shell("for n in 1 2 3 4 5; do echo $1 $n; done", *range(12)).executable_loop(max_workers=4):
        exe.execute(ostreams=[], on_verbose=note)
    assert overlaps == []
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    assert sorted(lines) == sorted(f"{i} {n}\n" for i in range(12) for n in range(1, 6))
    for i in range(12):
        assert [line for line in lines if line.startswith(f"{i} ")] == [f"{i} {n}\n" for n in range(1, 6)]


def test_a_callback_that_raises_is_told_with_its_traceback_and_the_runs_go_on(capsys: pytest.CaptureFixture[str]):
    def fail(_line: str, _stream: object, _when: object) -> None:
        raise LookupError("mine")

    results = shell("echo a; echo b", 1).run(max_workers=2, ostreams=[], on_verbose=fail)
    assert [result.status for result in results] == [Status.succeeded]
    error = capsys.readouterr().err
    assert error.count("LookupError: mine") == 1
    assert "in fail" in error


@pytest.mark.fault("O05")
def test_a_sweep_inside_a_callback_does_not_wait_for_itself():
    inner = []

    def sweep(_line: str, _stream: object, _when: object) -> None:
        inner.extend(result.status for result in shell("echo in", 1, 2).run(max_workers=2, ostreams=[]))

    results = shell("echo out", 1, 2, 3).run(max_workers=2, ostreams=[], on_verbose=sweep)
    assert [result.status for result in results] == [Status.succeeded] * 3
    assert inner == [Status.succeeded] * 6


def test_a_result_can_be_awaited_from_another_thread(tmp_path: Path):
    go, results = tmp_path / "go", []
    for exe in shell(wait_for(str(go)), 1).executable_loop(max_workers=2):
        exe.execute(timeout=60, ostreams=[])
        thread = threading.Thread(target=lambda exe=exe: results.append(exe.result.status))
        thread.start()
        go.touch()
        thread.join(60)
    assert results == [Status.succeeded]


# ---- nothing grows


@pytest.mark.fault("X06")
def test_a_thousand_points_grow_neither_descriptors_nor_threads_nor_zombies():
    readings = []
    for exe in Task("/bin/true").arg(None, range(1000)).executable_loop(max_workers=8, use_tqdm=False):
        exe.execute(ostreams=[])
        if exe.index % 100 == 99:
            readings.append((open_descriptors(), threading.active_count(), len(children())))
    descriptors, threads, processes = zip(*readings, strict=True)
    assert len(readings) == 10
    # Eight runs hold at most a few descriptors each; more than that would be growth.
    assert max(descriptors) <= min(descriptors) + 8 * 6
    assert max(threads) <= min(threads) + 2
    assert max(processes) <= 8


@pytest.mark.fault("X06")
def test_a_thousand_runs_all_succeed_and_are_counted(capsys: pytest.CaptureFixture[str]):
    descriptors = open_descriptors()
    results = Task("/bin/true").arg(None, range(300)).run(max_workers=8, ostreams=[])
    assert [result.index for result in results] == list(range(300))
    assert {result.status for result in results} == {Status.succeeded}
    assert "300/300" in capsys.readouterr().err
    assert open_descriptors() <= descriptors


@pytest.mark.fault("A11")
def test_an_interpreter_that_ends_in_the_middle_of_a_parallel_loop_leaves_nothing(tmp_path: Path, marker: str):
    done = run_script(
        f"""
from taskexp import Task
for exe in Task("sleep").arg(None, ["{marker}"] * 4).executable_loop(max_workers=4, use_tqdm=False):
    exe.execute(grace=0.5)
    if exe.index == 3:
        raise ValueError("mine")
""",
        tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "ValueError: mine" in done.stderr
    assert "ignored" not in done.stderr
    assert alive(marker) == []


def test_a_run_that_was_started_after_the_end_of_the_loop_does_not_outlive_the_program(tmp_path: Path, marker: str):
    done = run_script(
        f"""
from taskexp import Task
collected = list(Task("sleep").arg(None, ["{marker}", 1]).executable_loop(max_workers=2, use_tqdm=False))
collected[0].execute(grace=0.5)
""",
        tmp_path,
        timeout=30,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert alive(marker) == []
