"""Runs that cannot start: each says what is wrong, where the user looks, and the loop goes on."""

import errno
import io
import math
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import run_script

from taskexp import RunFailed, Task

# A word of a command line may be as long as 32 pages, its NUL included.
LONGEST_WORD = 32 * resource.getpagesize() - 1
SCRIPT = "#!/bin/sh\necho repaired\n"


class Fault:
    """A task that cannot start, and what makes it able to."""

    def __init__(self, task: Task, repair: Callable[[], object]):
        self.task = task
        self.repair = repair


def write_program(path: Path, text: str = SCRIPT, mode: int = 0o755) -> Path:
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def broken_program(folder: Path, text: str, mode: int = 0o755) -> Fault:
    program = write_program(folder / "program", text, mode)
    return Fault(Task([str(program)]), lambda: write_program(program))


def missing_file(folder, _):
    return Fault(Task([str(folder / "program")]), lambda: write_program(folder / "program"))


def missing_on_path(folder, _):
    return Fault(
        Task(["program"], env={"PATH": f"{folder}:{os.environ['PATH']}"}), lambda: write_program(folder / "program")
    )


def folder_on_path(folder, _):
    program = folder / "program"
    program.mkdir()
    task = Task(["program"], env={"PATH": f"{folder}:{os.environ['PATH']}"})
    return Fault(task, lambda: (program.rmdir(), write_program(program)))


def not_executable(folder, _):
    return broken_program(folder, SCRIPT, 0o644)


def missing_interpreter(folder, _):
    return broken_program(folder, "#!/no/such/interpreter -x\n")


def interpreter_with_a_carriage_return(folder, _):
    return broken_program(folder, SCRIPT.replace("\n", "\r\n"))


def no_interpreter_line(folder, _):
    return broken_program(folder, "echo repaired\n")


def empty_program(folder, _):
    return broken_program(folder, "")


def folder_as_program(folder, _):
    program = folder / "program"
    program.mkdir()
    return Fault(Task([str(program)]), lambda: (program.rmdir(), write_program(program)))


def missing_cwd(folder, _):
    cwd = folder / "cwd"
    return Fault(Task("echo repaired", cwd=cwd), cwd.mkdir)


def cwd_is_a_file(folder, _):
    cwd = folder / "cwd"
    cwd.touch()
    return Fault(Task("echo repaired", cwd=cwd), lambda: (cwd.unlink(), cwd.mkdir()))


def program_relative_to_cwd(folder, _):
    return Fault(Task(["./program"], cwd=folder), lambda: write_program(folder / "program"))


def missing_stdin(folder, _):
    return Fault(Task("cat", stdin=folder / "input"), lambda: (folder / "input").write_text("repaired\n"))


def text_file_busy(folder, stack):
    program = folder / "program"
    shutil.copy(shutil.which("echo"), program)
    writer = stack.enter_context(program.open("r+b"))
    if start_error(program) != errno.ETXTBSY:
        pytest.skip("this kernel starts programs that are open for writing")
    return Fault(Task([str(program), "repaired"]), writer.close)


def start_error(program):
    try:
        subprocess.run([program], check=False, stdout=subprocess.DEVNULL)
    except OSError as error:
        return error.errno
    return None


FAULTS = {
    missing_file: ["No such file or directory", "/program' does not exist"],
    missing_on_path: ["No such file or directory", "no program 'program' on PATH"],
    folder_on_path: ["no program 'program' on PATH"],
    not_executable: ["Permission denied", "/program' is not executable; chmod +x"],
    missing_interpreter: ["No such file", "interpreter '/no/such/interpreter' of", "/program' cannot be run"],
    interpreter_with_a_carriage_return: ["No such file", r"interpreter '/bin/sh\r' of", "carriage return"],
    no_interpreter_line: ["Exec format error", "/program' has no #! line"],
    empty_program: ["Exec format error", "/program' has no #! line"],
    folder_as_program: ["Permission denied", "/program' is a folder"],
    missing_cwd: ["No such file or directory", "working directory", "/cwd' does not exist"],
    cwd_is_a_file: ["Not a directory", "working directory", "/cwd' is not a folder"],
    program_relative_to_cwd: ["No such file or directory", "/./program' does not exist"],
    missing_stdin: ["No such file or directory", "stdin", "/input'"],
    text_file_busy: ["Text file busy", "/program' is open for writing"],
}


@pytest.mark.fault("X01", "P23")
@pytest.mark.parametrize("max_workers", [1, 2])
@pytest.mark.parametrize(("build", "told"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_run_that_cannot_start_says_why_and_the_loop_goes_on(build, told, max_workers, tmp_path):
    log, raw = io.StringIO(), io.BytesIO()
    with ExitStack() as stack:
        fault = build(tmp_path, stack)
        results = []
        for exe in fault.task.env("TRY", [1, 2]).executable_loop(use_tqdm=False, max_workers=max_workers):
            exe.print_cmd(ostreams=[log])
            exe.execute(timeout=60, ostreams=[log, raw])
            results.append(exe.result)
            if exe.index == 0:
                fault.repair()
    broken, repaired = results
    assert broken.status == "not_started"
    assert broken.returncode is None
    assert repr(broken.argv[0]) in broken.error
    for words in told:
        assert words in broken.error
    assert repaired.status == "succeeded"
    lines = log.getvalue().splitlines()
    assert len(lines) == 4
    assert "TRY=1" in lines[0]
    assert broken.error in lines[1]
    assert "TRY=2" in lines[2]
    assert lines[3] == "repaired"
    assert raw.getvalue() == b"repaired\n"


def test_a_run_that_did_not_start_has_no_usage_and_took_no_time():
    (result,) = Task("taskexp-no-such-program").fixed("--n", 1).run(ostreams=[], use_tqdm=False)
    assert (result.returncode, result.signal, result.max_rss_bytes, result.user_seconds) == (None, None, None, None)
    assert result.duration == timedelta(0)
    assert result.start_time.tzinfo is not None
    assert result.end_time >= result.start_time
    assert (result.argv, result.params) == (["taskexp-no-such-program", "--n", "1"], {"--n": 1})
    assert (result.index, result.attempt, result.leaked, bool(result.host)) == (0, 1, False, True)


@pytest.mark.fault("X03")
def test_a_word_of_the_greatest_length_is_passed_and_a_longer_one_is_named_with_its_option():
    task = Task("true").arg("--text", ["x" * LONGEST_WORD, "x" * (LONGEST_WORD + 1), "x"])
    passed, refused, short = task.run(ostreams=[], use_tqdm=False)
    assert (passed.status, refused.status, short.status) == ("succeeded", "not_started", "succeeded")
    assert "Argument list too long" in refused.error
    assert "--text" in refused.error
    assert f"{LONGEST_WORD + 1} bytes" in refused.error
    assert str(LONGEST_WORD) in refused.error
    assert len(refused.error) < 500


@pytest.mark.fault("X03")
def test_a_variable_that_is_too_long_is_named():
    refused, passed = Task("true").env("BIG", ["x" * LONGEST_WORD, "x"]).run(ostreams=[], use_tqdm=False)
    assert (refused.status, passed.status) == ("not_started", "succeeded")
    assert "Argument list too long" in refused.error
    assert "BIG" in refused.error


@pytest.mark.fault("X03")
def test_many_words_that_are_too_long_together_are_counted():
    limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if limit in (resource.RLIM_INFINITY, -1) or limit > 1 << 28:
        pytest.skip("the arguments of a command have no small limit here")
    words = math.ceil(max(limit, 1 << 22) / 100_000)
    (refused,) = Task(["true", *["x" * 100_000] * words]).run(ostreams=[], use_tqdm=False)
    assert refused.status == "not_started"
    assert "Argument list too long" in refused.error
    assert "together" in refused.error


def test_check_raises_for_a_run_that_did_not_start():
    for exe in Task("taskexp-no-such-program").executable_loop(use_tqdm=False):
        with pytest.raises(RunFailed, match="no program 'taskexp-no-such-program' on PATH") as caught:
            exe.execute(ostreams=[], check=True)
        assert caught.value.result is exe.result


@pytest.mark.anyio
async def test_in_async_code_a_run_that_cannot_start_is_a_result_too(tmp_path):
    task = Task("true").env("PATH", [str(tmp_path), os.environ["PATH"]])
    log, results = io.StringIO(), []
    async for exe in task.executable_loop(use_tqdm=False):
        results.append(await exe.execute(ostreams=[log]))
    assert [result.status for result in results] == ["not_started", "succeeded"]
    assert results[0].error in log.getvalue()


SWEEP = """
import sys
from taskexp import Task
task = Task("echo ran", env={"WHY": "two words"}).env("PATH", ["/taskexp/nowhere", sys.argv[1]])
for exe in task.executable_loop(use_tqdm=False, max_workers=int(sys.argv[2])):
    exe.execute(ostreams=STREAMS)
"""


@pytest.mark.parametrize("max_workers", ["1", "2"])
def test_the_end_of_a_script_names_what_did_not_start_with_its_command(max_workers, tmp_path):
    script = SWEEP.replace("STREAMS", "None")
    done = run_script(script, tmp_path, os.environ["PATH"], max_workers)
    assert done.returncode == 0
    told, ran = done.stdout.splitlines()
    assert "no program 'echo' on PATH" in told
    assert ran == "ran"
    assert "1 of 2 runs" in done.stderr
    assert "index 0, not_started: could not start 'echo'" in done.stderr
    assert "WHY='two words' PATH=/taskexp/nowhere echo ran\n" in done.stderr
    assert "index 1, " not in done.stderr


def test_without_a_text_stream_it_is_told_on_stderr_when_it_happens(tmp_path):
    script = SWEEP.replace("STREAMS", "[sys.stdout.buffer]") + "    print(exe.index, file=sys.stderr, flush=True)\n"
    done = run_script(script, tmp_path, os.environ["PATH"], "1")
    assert done.stdout == "ran\n"
    head, _, summary = done.stderr.partition("1 of 2 runs")
    assert "index 0 not started: could not start 'echo'" in head
    assert "index 0" in summary
