"""The plain loop, one run at a time: the user's own document, and every way out of the loop."""

import ast
import dataclasses
import inspect
import io
import itertools
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import PROGRAMS, alive, children, eventually, run_script

from taskexp import (
    ExecutableLoop,
    ExecutableStateError,
    RunFailed,
    RunResult,
    Status,
    Task,
    TaskExecutable,
    TaskExpError,
    create_log_fd,
)

GRID = list(itertools.product([64, 128, 256], [128, 256, 512], [512, 1024], [True, False]))
ELAPSED = re.compile(r"\d+:\d\d:\d\d(\.\d{6})?\b")


def echo(*values: object) -> Task:
    """A task whose run prints `out <value>`."""
    return Task(["sh", "-c", 'echo "out $1"', "sh"]).arg(None, list(values))


def exits(*codes: int) -> Task:
    return Task(["sh", "-c", 'exit "$1"', "sh"]).arg(None, list(codes))


@pytest.fixture
def marker() -> str:
    """An argument of `sleep` that no other process has."""
    return f"3600.{uuid.uuid4().int}"


# ---- the user's document


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks as the document takes for granted: the benchmark, `python` and `gcc`."""
    benchmarks = tmp_path / "vllm" / "benchmarks"
    benchmarks.mkdir(parents=True)
    (benchmarks / "benchmark_throughput.py").write_text((PROGRAMS / "benchmark_throughput.py").read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python").symlink_to(sys.executable)
    (tools / "gcc").write_text('#!/bin/sh\necho "gcc got $*"\n')
    (tools / "gcc").chmod(stat.S_IRWXU)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def throughput_sweep() -> Task:
    exp = Task("python ./vllm/benchmarks/benchmark_throughput.py")
    exp.fixed("--backend", "vllm")
    exp.fixed("--model", "Llama-2-7b-chat-hf")
    exp.arg("--num-prompts", [64, 128, 256])
    exp.arg("--input-len", [128, 256, 512])
    exp.arg("--output-len", [512, 1024])
    exp.switch("--enable-mytool")
    return exp


def command_of(prompts: int, input_len: int, output_len: int, mytool: bool) -> str:
    flag = " --enable-mytool" if mytool else ""
    return (
        "python ./vllm/benchmarks/benchmark_throughput.py --backend vllm --model Llama-2-7b-chat-hf "
        f"--num-prompts {prompts} --input-len {input_len} --output-len {output_len}{flag}"
    )


def parsed(prompts: int, input_len: int, output_len: int, mytool: bool) -> dict[str, object]:
    return {
        "--backend": "vllm",
        "--model": "Llama-2-7b-chat-hf",
        "--num-prompts": prompts,
        "--input-len": input_len,
        "--output-len": output_len,
        "--enable-mytool": mytool,
    }


def test_the_quick_start_runs_36_combinations_with_each_flag_as_documented(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    exp = throughput_sweep()
    logfile = create_log_fd("throughtput_test", "./build/test_vllm")
    results = []
    for task in exp.executable_loop():
        task.print_cmd(ostreams=[logfile])
        task.execute(ostreams=[logfile])
        logfile.flush()
        task.update_tqdm()
        results.append(task.result)
    logfile.close()

    assert len(exp) == 36
    assert [result.status for result in results] == [Status.succeeded] * 36
    (log,) = (workplace / "build" / "test_vllm" / "throughtput_test").glob("*.log")
    lines = log.read_text().splitlines()
    assert [line for line in lines if line.startswith("python ")] == [command_of(*point) for point in GRID]
    assert [ast.literal_eval(line) for line in lines if line.startswith("{")] == [parsed(*point) for point in GRID]
    assert lines.count("Throughput: 12.34 requests/s") == 36
    screen = capsys.readouterr()
    assert screen.out == ""
    assert "36/36" in screen.err
    assert "\r" not in screen.err


def test_without_a_bar_the_output_is_on_the_screen_and_in_the_log(workplace: Path, capsys: pytest.CaptureFixture[str]):
    exp = throughput_sweep()
    logfile = create_log_fd("throughtput_test", "./build/test_vllm")
    for task in exp.executable_loop(start=32, use_tqdm=False):
        task.print_cmd(ostreams=[sys.stdout, logfile])
        task.execute(ostreams=[sys.stdout, logfile])
        task.print_duration(ostreams=[sys.stdout, logfile])
    logfile.close()

    screen = capsys.readouterr()
    assert screen.err == ""
    lines = screen.out.splitlines()
    assert [line for line in lines if line.startswith("python ")] == [command_of(*point) for point in GRID[32:]]
    assert len([line for line in lines if ELAPSED.match(line)]) == 4
    (log,) = workplace.glob("build/test_vllm/throughtput_test/*.log")
    assert log.read_text().endswith(screen.out)


def test_the_detailed_usage_of_the_document_runs_as_it_is_written(workplace: Path, capsys: pytest.CaptureFixture[str]):
    task = Task("gcc")
    task.fixed("key", "value")
    task.arg("key", [1024, 2048, 4096, 8192, 16384])
    task.switch("-O3")
    task.arg(None, ["-O3", ""])
    with open("myexp.log", "w+") as fout:
        for exe in task.executable_loop():
            exe.execute(ostreams=[sys.stdout, fout])
            fout.flush()

    sizes = [1024, 2048, 4096, 8192, 16384]
    expected = [
        " ".join(["gcc got key value key", str(size), *flags])
        for size in sizes
        for flags in (["-O3", "-O3"], ["-O3"], ["-O3"], [])
    ]
    assert (workplace / "myexp.log").read_text().splitlines() == expected
    assert capsys.readouterr().out.splitlines() == expected
    resumed = []
    for exe in task.executable_loop(start=10):
        exe.execute(ostreams=[sys.stdout])
        resumed.append(exe.index)
    assert resumed == list(range(10, 20))
    assert capsys.readouterr().out.splitlines() == expected[10:]


def test_a_switch_is_the_same_as_a_positional_loop_over_the_flag_and_nothing():
    with_switch, with_arg = Task("gcc").switch("-O3"), Task("gcc").arg(None, ["-O3", ""])
    assert [point.argv for point in with_switch] == [point.argv for point in with_arg] == [["gcc", "-O3"], ["gcc"]]


def test_execute_takes_its_documented_arguments_in_their_order():
    parameters = inspect.signature(TaskExecutable.execute).parameters
    assert list(parameters)[:4] == ["self", "timeout", "ostreams", "on_verbose"]
    assert parameters["timeout"].default == 300
    assert parameters["on_verbose"].default is None
    lines: list[str] = []
    out = io.StringIO()
    for exe in echo(1).executable_loop(0, False):
        exe.execute(20, [out], lambda line, _stream, _when: lines.append(line))
    assert (out.getvalue(), lines) == ("out 1\n", ["out 1\n"])


def test_after_a_run_that_goes_wrong_the_loop_continues_with_the_next():
    program = ["sh", "-c", "case $1 in fail) exit 3;; die) kill -9 $$;; hang) sleep 60;; esac", "sh"]
    results = []
    for exe in Task(program).arg(None, ["fail", "die", "hang", "well"]).executable_loop():
        exe.execute(timeout=0.5, ostreams=[])
        results.append(exe.result)
    assert [result.status for result in results] == ["failed", "failed", "timed_out", "succeeded"]
    assert [result.returncode for result in results] == [3, -9, -15, 0]


# ---- the result


def test_a_result_has_its_documented_fields_with_their_types():
    for exe in Task(["sh", "-c", "exit 0", "sh"]).arg("--n", [7]).switch("--amp").executable_loop():
        returned = exe.execute(ostreams=[])
        result = exe.result
        assert returned is result
        assert isinstance(result, RunResult)
        assert result.status is Status.succeeded
        assert result.status == "succeeded"
        assert isinstance(result.status, str)
        assert result.returncode == 0
        assert result.signal is None
        assert result.error is None
        assert isinstance(result.start_time, datetime)
        assert isinstance(result.end_time, datetime)
        assert result.start_time.tzinfo is not None
        assert result.end_time.tzinfo is not None
        assert isinstance(result.duration, timedelta)
        assert timedelta(0) < result.duration < timedelta(minutes=1)
        assert isinstance(result.max_rss_bytes, int)
        assert result.max_rss_bytes > 100_000
        assert isinstance(result.user_seconds, float)
        assert isinstance(result.system_seconds, float)
        assert dict(result.metrics) == {}
        assert dict(result.params) == {"--n": 7, "--amp": exe.index == 0} == exe.params
        assert list(result.argv) == exe.argv
        assert result.index == exe.index
        assert result.attempt == 1
        assert result.leaked is False
        assert isinstance(result.host, str)
        assert result.host


def test_a_result_is_frozen():
    (exe,) = list(echo(1).executable_loop())
    exe.execute(ostreams=[])
    with pytest.raises(dataclasses.FrozenInstanceError):
        exe.result.returncode = 1  # type: ignore[misc]


def test_a_death_by_signal_is_told_as_subprocess_tells_it():
    (exe,) = list(Task(["sh", "-c", "kill -USR1 $$"]).executable_loop())
    exe.execute(ostreams=[])
    assert exe.result.returncode == -signal.SIGUSR1
    assert exe.result.signal == signal.SIGUSR1


def test_a_missing_program_is_a_value_that_names_the_program():
    out = io.StringIO()
    (exe,) = list(Task("no-such-program-anywhere").executable_loop())
    result = exe.execute(ostreams=[out])
    assert result is not None
    assert result.status is Status.not_started
    assert result.returncode is None
    assert result.error is not None
    assert "no-such-program-anywhere" in result.error
    assert result.error in out.getvalue()


def test_a_run_that_its_timeout_kills_says_so():
    (exe,) = list(Task("sleep 60").executable_loop())
    exe.execute(timeout=0.2, ostreams=[])
    assert exe.result.status is Status.timed_out
    assert exe.result.error is not None
    assert "0.2" in exe.result.error


def test_an_executable_knows_its_command_before_it_runs():
    for exe in Task("true", env={"A": "1"}).arg("--n", [5, 6]).env("B", ["x"]).executable_loop(start=1):
        assert exe.argv == ["true", "--n", "6"]
        assert exe.params == {"--n": 6, "B": "x"}
        assert exe.env == {"A": "1", "B": "x"}
        assert exe.index == 1
        exe.argv.append("--changed")
        assert exe.argv == ["true", "--n", "6"]


def test_executing_twice_raises():
    for exe in echo(1).executable_loop():
        exe.execute(ostreams=[])
        with pytest.raises(ExecutableStateError) as caught:
            exe.execute(ostreams=[])
        assert isinstance(caught.value, TaskExpError)
        assert exe.result.status is Status.succeeded


def test_reading_the_result_before_execute_raises():
    for exe in echo(1).executable_loop():
        with pytest.raises(ExecutableStateError):
            _ = exe.result
        with pytest.raises(ExecutableStateError):
            exe.wait()


def test_check_raises_run_failed_with_the_result():
    seen = []
    with pytest.raises(RunFailed) as caught:  # noqa: PT012 - the loop is the one statement
        for exe in exits(0, 3, 0).executable_loop():
            seen.append(exe.index)
            exe.execute(ostreams=[], check=True)
    assert seen == [0, 1]
    assert caught.value.result.index == 1
    assert caught.value.result.returncode == 3
    assert "3" in str(caught.value)


def test_a_run_failed_that_the_body_catches_does_not_end_the_loop():
    seen = []
    for exe in exits(3, 0).executable_loop():
        if exe.index == 0:
            with pytest.raises(RunFailed) as caught:
                exe.execute(ostreams=[], check=True)
            assert caught.value.result is exe.result
        else:
            exe.execute(ostreams=[], check=True)
        seen.append(exe.result.returncode)
    assert seen == [3, 0]


def test_on_verbose_is_called_in_the_callers_thread_with_line_stream_and_time():
    calls: list[tuple[str, str, datetime, int]] = []
    program = ["sh", "-c", "echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three"]
    for exe in Task(program).executable_loop():
        exe.execute(
            ostreams=[],
            on_verbose=lambda line, stream, when: calls.append((line, stream.name, when, threading.get_ident())),
        )
    assert [call[:2] for call in calls] == [("one\n", "stdout"), ("two\n", "stderr"), ("three", "stdout")]
    assert {call[3] for call in calls} == {threading.get_ident()}
    assert all(call[2].tzinfo is not None for call in calls)
    assert [call[2] for call in calls] == sorted(call[2] for call in calls)


def test_on_verbose_is_called_while_the_program_still_runs(tmp_path: Path):
    go = tmp_path / "go"
    program = ["sh", "-c", f"echo ready; until [ -e {go} ]; do sleep 0.01; done; echo gone"]
    lines: list[str] = []

    def answer(line: str, _stream: object, _when: object) -> None:
        lines.append(line)
        go.touch()

    for exe in Task(program).executable_loop():
        exe.execute(timeout=30, ostreams=[], on_verbose=answer)
        assert exe.result.status is Status.succeeded
    assert lines == ["ready\n", "gone\n"]


def test_a_callback_that_exits_the_program_stops_the_run(marker: str):
    def leave(_line: str, _stream: object, _when: object) -> None:
        raise SystemExit(9)

    with pytest.raises(SystemExit, match="9"):  # noqa: PT012 - the loop is the one statement
        for exe in Task(["sh", "-c", f"echo ready; sleep {marker}"]).executable_loop():
            exe.execute(ostreams=[], on_verbose=leave)
    assert alive(marker) == []


# ---- what is printed


def test_print_cmd_writes_one_line_that_can_be_pasted():
    out = io.StringIO()
    task = Task(["sh", "-c", 'printf "%s|" "$A" "$@"', "sh"], env={"A": "it's"}).arg(None, ["a b", "$HOME", "", "'"])
    for exe in task.executable_loop():
        exe.print_cmd(ostreams=[out])
        exe.execute(ostreams=[])
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    for value, line, point in zip(["a b", "$HOME", "", "'"], lines, task, strict=True):
        assert line.endswith(shlex.join(point.argv))
        pasted = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        assert pasted == "it's|" + (f"{value}|" if value else "")


def test_print_cmd_keeps_control_characters_on_its_one_line():
    out = io.StringIO()
    for exe in Task(["printf", "%s", "a\nb\x1b[2J\t"]).executable_loop():
        exe.print_cmd(ostreams=[out])
    line = out.getvalue()
    assert line.count("\n") == 1
    assert not set(line[:-1]) & set(map(chr, range(32)))
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout == b"a\nb\x1b[2J\t"


def test_print_duration_begins_with_the_duration_of_the_run():
    out = io.StringIO()
    for exe in echo(1).executable_loop():
        exe.execute(ostreams=[])
        exe.print_duration(ostreams=[out])
        assert out.getvalue().startswith(str(exe.result.duration))
    assert out.getvalue().count("\n") == 1


def test_print_status_writes_one_line_with_index_and_total():
    out = io.StringIO()
    for exe in exits(0, 1, 0).executable_loop(start=1):
        exe.print_status(ostreams=[out])
        exe.execute(ostreams=[])
        exe.print_status(ostreams=[out])
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    for line, (index, state) in zip(
        lines, [(1, "pending"), (1, "failed"), (2, "pending"), (2, "succeeded")], strict=True
    ):
        assert re.search(rf"\b{index}\b.*\b3\b", line)
        assert state in line


def test_update_tqdm_may_be_called_twice_or_never_and_writes_a_plain_line_where_asked(
    capsys: pytest.CaptureFixture[str],
):
    out = io.StringIO()
    for exe in exits(0, 1, 0).executable_loop():
        exe.execute(ostreams=[])
        if exe.index != 2:
            exe.update_tqdm(ostreams=[out])
            exe.update_tqdm()
    lines = out.getvalue().splitlines()
    assert ["1/3" in lines[0], "2/3" in lines[1], len(lines)] == [True, True, 2]
    assert "failed=1" in lines[1]
    assert "\r" not in out.getvalue()
    error = capsys.readouterr().err
    assert "3/3" in error
    assert "failed=1" in error


def test_what_is_printed_and_put_out_stands_in_the_order_of_the_calls():
    out = io.StringIO()
    for exe in echo("a", "b").executable_loop():
        exe.print_status(ostreams=[out])
        exe.print_cmd(ostreams=[out])
        exe.execute(ostreams=[out])
        exe.print_duration(ostreams=[out])
    kinds = [line.split()[0] if not ELAPSED.match(line) else "elapsed" for line in out.getvalue().splitlines()]
    assert kinds == ["index", "sh", "out", "elapsed"] * 2


def test_without_tqdm_nothing_is_on_stderr(capsys: pytest.CaptureFixture[str]):
    for exe in echo(1, 2).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[])
        exe.update_tqdm()
    assert capsys.readouterr().err == ""


def test_skipped_points_count_in_the_bar_to_the_last_n_of_total(capsys: pytest.CaptureFixture[str]):
    ran = []
    for exe in echo(*range(6)).executable_loop():
        if exe.params["arg1"] % 2:
            continue
        exe.execute(ostreams=[])
        ran.append(exe.index)
    assert ran == [0, 2, 4]
    assert "6/6" in capsys.readouterr().err


def test_the_bar_of_a_broken_loop_tells_how_far_it_came(capsys: pytest.CaptureFixture[str]):
    for exe in echo(*range(6)).executable_loop(start=2):
        exe.execute(ostreams=[])
        if exe.index == 3:
            break
    assert "4/6" in capsys.readouterr().err


# ---- ways out of the loop


def test_start_begins_at_the_index_of_the_full_grid():
    task = Task("true").arg("-a", range(4)).arg("-b", range(5))
    seen = [(exe.index, exe.params) for exe in task.executable_loop(start=17)]
    assert seen == [(17, {"-a": 3, "-b": 2}), (18, {"-a": 3, "-b": 3}), (19, {"-a": 3, "-b": 4})]


@pytest.mark.fault("X07")
def test_a_huge_grid_hands_out_its_first_executable_at_once():
    task = Task("true")
    for axis in range(12):
        task.arg(f"-{axis}", range(10))
    for exe in task.executable_loop(start=10**11):
        exe.execute(ostreams=[])
        assert exe.index == 10**11
        assert exe.params["-0"] == 1
        break


def test_later_calls_of_the_builder_do_not_change_a_loop_that_has_begun():
    task = echo(1, 2)
    seen = []
    for exe in task.executable_loop():
        task.fixed("--late", 1)
        seen.append(exe.argv[-1])
    assert seen == ["1", "2"]


def test_a_body_that_breaks_ends_the_loop_and_its_runs():
    seen = []
    for exe in echo(*range(5)).executable_loop():
        exe.execute(ostreams=[])
        seen.append(exe.index)
        if exe.index == 1:
            break
    assert seen == [0, 1]
    assert not children()


@pytest.mark.fault("A10")
def test_an_error_in_the_body_arrives_as_it_was_raised():
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:  # noqa: PT012 - the loop is the one statement
        for exe in echo(*range(5)).executable_loop():
            exe.execute(ostreams=[])
            raise error
    assert caught.value is error


def test_an_error_of_the_body_can_be_caught_around_the_loop_and_a_new_loop_works():
    try:
        for exe in echo(1).executable_loop():
            raise KeyError(exe.index)
    except KeyError:
        out = io.StringIO()
        for exe in echo(2).executable_loop():
            exe.execute(ostreams=[out])
    assert out.getvalue() == "out 2\n"


def test_loops_nest():
    out = io.StringIO()
    for outer in echo("A", "B").executable_loop():
        outer.execute(ostreams=[out])
        for inner in echo("a", "b").executable_loop():
            inner.execute(ostreams=[out])
    assert out.getvalue().split()[1::2] == ["A", "a", "b", "B", "a", "b"]


@pytest.mark.parametrize("lengths", [(2, 3), (3, 2), (2, 2)])
def test_two_interleaved_loops_may_end_in_either_order(lengths: tuple[int, int]):
    before = signal.getsignal(signal.SIGINT)
    out = io.StringIO()
    first, second = (echo(*range(length)).executable_loop() for length in lengths)
    for one, other in zip(first, second, strict=False):
        one.execute(ostreams=[out])
        other.execute(ostreams=[out])
        assert signal.getsignal(signal.SIGINT) is not before
    assert out.getvalue().split()[1::2] == ["0", "0", "1", "1"]
    for left in (first, second):
        for exe in left:
            exe.execute(ostreams=[out])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_handler_is_restored_only_when_the_last_of_two_loops_has_ended(order: tuple[int, int]):
    before = signal.getsignal(signal.SIGINT)
    loops = [echo(1).executable_loop(), echo(2).executable_loop()]
    for loop in loops:
        next(loop).execute(ostreams=[])
    loops[order[0]].close()
    assert signal.getsignal(signal.SIGINT) is not before
    loops[order[1]].close()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.fault("A05")
def test_a_loop_runs_in_a_thread_that_is_not_the_main_one():
    before = signal.getsignal(signal.SIGINT)
    out, handlers, failures = io.StringIO(), [], []

    def sweep() -> None:
        try:
            for exe in echo(1, 2, 3).executable_loop():
                exe.execute(ostreams=[out])
                handlers.append(signal.getsignal(signal.SIGINT))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=sweep)
    thread.start()
    thread.join(60)
    assert failures == []
    assert out.getvalue() == "out 1\nout 2\nout 3\n"
    assert handlers == [before] * 3


@pytest.mark.fault("P16", "A08")
def test_two_threads_may_each_run_a_loop_at_the_same_time():
    outs = [io.StringIO(), io.StringIO()]

    def sweep(name: str, out: io.StringIO) -> None:
        for exe in echo(*(f"{name}{i}" for i in range(20))).executable_loop():
            exe.execute(ostreams=[out])

    threads = [threading.Thread(target=sweep, args=pair) for pair in zip("ab", outs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name, out in zip("ab", outs, strict=True):
        assert out.getvalue() == "".join(f"out {name}{i}\n" for i in range(20))


def leave_at_the_end(task: Task) -> None:
    for exe in task.executable_loop():
        exe.execute(ostreams=[])


def leave_by_break(task: Task) -> None:
    for exe in task.executable_loop():
        exe.execute(ostreams=[])
        break


def leave_by_return(task: Task) -> RunResult | None:
    for exe in task.executable_loop():
        return exe.execute(ostreams=[])
    return None


def leave_by_an_error(task: Task) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the loop is the one statement
        for exe in task.executable_loop():
            exe.execute(ostreams=[])
            raise ZeroDivisionError


def leave_by_exit(task: Task) -> None:
    with pytest.raises(SystemExit):  # noqa: PT012 - the loop is the one statement
        for exe in task.executable_loop():
            exe.execute(ostreams=[])
            sys.exit(3)


def leave_by_an_interrupt_of_the_body(task: Task) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the loop is the one statement
        for exe in task.executable_loop():
            exe.execute(ostreams=[])
            raise KeyboardInterrupt


def leave_by_a_check(task: Task) -> None:
    with pytest.raises(RunFailed):  # noqa: PT012 - the loop is the one statement
        for exe in task.executable_loop():
            exe.execute(ostreams=[], check=True)


def leave_by_close(task: Task) -> None:
    loop = task.executable_loop()
    next(loop).execute(ostreams=[])
    loop.close()
    loop.close()


def leave_a_with_block(task: Task) -> None:
    with task.executable_loop() as loop:
        for exe in loop:
            exe.execute(ostreams=[])
            break


def leave_by_dropping_a_generator(task: Task) -> None:
    def mine() -> Iterator[TaskExecutable]:
        yield from task.executable_loop()

    next(mine()).execute(ostreams=[])


@pytest.mark.fault("A06")
@pytest.mark.parametrize(
    "leave",
    [
        leave_at_the_end,
        leave_by_break,
        leave_by_return,
        leave_by_an_error,
        leave_by_exit,
        leave_by_an_interrupt_of_the_body,
        leave_by_a_check,
        leave_by_close,
        leave_a_with_block,
        leave_by_dropping_a_generator,
    ],
)
def test_the_users_own_handlers_are_back_after(leave: Callable[[Task], object]):
    def mine(_number: int, _frame: object) -> None: ...

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, mine) for number in numbers]
    try:
        leave(exits(1, 0))
        assert [signal.getsignal(number) for number in numbers] == [mine, mine]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


# ---- executables that outlive their step


def test_executables_collected_in_a_list_run_after_the_normal_end_of_the_loop():
    out = io.StringIO()
    collected = list(echo(*range(4)).executable_loop())
    for exe in reversed(collected):
        result = exe.execute(ostreams=[out])
        assert result is not None
        assert result.status is Status.succeeded
        exe.print_status(ostreams=[out])
    assert [exe.result.index for exe in collected] == [0, 1, 2, 3]
    assert re.findall(r"out (\d)", out.getvalue()) == ["3", "2", "1", "0"]


def break_out(loop: ExecutableLoop) -> None:
    for _ in loop:
        break
    loop.close()


def drop(loop: ExecutableLoop) -> None:
    del loop


@pytest.mark.parametrize("end", [ExecutableLoop.close, break_out, drop])
@pytest.mark.parametrize("max_workers", [1, 2])
def test_an_executable_of_a_loop_that_was_stopped_gives_interrupted_and_starts_nothing(
    tmp_path: Path, end: Callable[[ExecutableLoop], None], max_workers: int
):
    loops = [Task(["touch"]).arg(None, [tmp_path / "a", tmp_path / "b"]).executable_loop(max_workers=max_workers)]
    exe = next(loops[0])
    end(loops.pop())
    exe.execute(ostreams=[])
    assert exe.result.status is Status.interrupted
    assert exe.wait().returncode is None
    assert exe.result.error
    assert list(tmp_path.iterdir()) == []


def test_a_dropped_loop_closes_although_an_executable_of_it_is_still_named(marker: str):
    before = signal.getsignal(signal.SIGINT)
    for exe in Task("sleep").arg(None, [marker]).executable_loop(max_workers=2):
        exe.execute(ostreams=[])
        eventually(lambda: bool(alive(marker)), "it never started")
        break
    assert alive(marker) == []
    assert signal.getsignal(signal.SIGINT) is before
    assert exe.result.status is Status.interrupted


def test_a_loop_that_was_never_iterated_leaves_nothing():
    loop = echo(1).executable_loop()
    loop.close()
    assert list(loop) == []
    del loop
    echo(1).executable_loop()


# ---- whole scripts


def test_at_the_end_a_summary_on_stderr_names_the_runs_that_failed(tmp_path: Path):
    done = run_script(
        """
from taskexp import Task
for exe in Task(["sh", "-c", 'exit "$1"', "sh"]).arg(None, [0, 3, 0, 4]).executable_loop():
    exe.execute()
""",
        tmp_path,
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert "2 of 4" in done.stderr
    lines = [line.strip() for line in done.stderr.splitlines()]
    for code in (3, 4):
        command = shlex.join(["sh", "-c", 'exit "$1"', "sh", str(code)])
        place = lines.index(command)
        assert str(code) in lines[place - 1]
    assert any("4/4" in line and "failed=2" in line for line in lines)


def test_a_loop_without_failures_ends_without_a_summary(tmp_path: Path):
    done = run_script(
        "from taskexp import Task\nfor exe in Task('true').executable_loop(use_tqdm=False):\n    exe.execute()\n",
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.fault("A11")
@pytest.mark.parametrize("max_workers", [1, 4])
def test_sys_exit_in_the_body_keeps_its_code_and_leaves_nothing(tmp_path: Path, marker: str, max_workers: int):
    done = run_script(
        f"""
import sys
from taskexp import Task
for exe in Task("sleep").arg(None, ["0", "{marker}"]).executable_loop(max_workers={max_workers}, use_tqdm=False):
    exe.execute(timeout=1 if {max_workers} == 1 else None, grace=0.2)
    if exe.index == 1 or {max_workers} == 1:
        sys.exit(7)
""",
        tmp_path,
    )
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert [line for line in done.stderr.splitlines() if "interrupted" not in line and "sleep" not in line] == []
    assert alive(marker) == []


def test_a_loop_kept_by_a_global_name_is_ended_at_the_end_of_the_program(tmp_path: Path, marker: str):
    done = run_script(
        f"""
from taskexp import Task
loop = Task("sleep").arg(None, ["{marker}", 1]).executable_loop(max_workers=2, use_tqdm=False)
exe = next(loop)
exe.execute(grace=0.2)
raise ValueError("mine")
""",
        tmp_path,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "ValueError: mine" in done.stderr
    assert "ignored" not in done.stderr
    assert alive(marker) == []


def test_an_uncaught_error_in_the_body_is_the_only_traceback(tmp_path: Path):
    done = run_script(
        """
from taskexp import Task
for exe in Task("true").arg("-n", [1, 2]).executable_loop(use_tqdm=False):
    exe.execute()
    raise ValueError("mine")
""",
        tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.rstrip().endswith("ValueError: mine")
