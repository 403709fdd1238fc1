"""How a command becomes a process: what it inherits, how it is found, and that every way to start one does the same."""

import asyncio
import os
import signal
import stat
import sys
import threading
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from conftest import run_script

from taskexp import RunResult, Task
from taskexp.plan.command import Command
from taskexp.run import spawn, watch
from taskexp.run.engine import Attempt, Limits
from taskexp.run.local import LocalEngine
from taskexp.run.output import RunOutput
from taskexp.run.taps import StandardStream
from taskexp.words.outcome import Ending

QUIET = {"use_tqdm": False, "ostreams": []}


@pytest.fixture(params=["posix_spawn", "posix_spawn aside", "popen"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start everything in one of the ways; that Popen or posix_spawn is another would be noticed."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("started in the other way")

    if request.param == "popen":
        monkeypatch.setattr(spawn, "HAS_PROC", False)
        monkeypatch.setattr(spawn.PreparedStart, "start", refuse)
    else:
        monkeypatch.setattr(spawn.subprocess, "Popen", refuse)
        monkeypatch.setattr(LocalEngine, "_is_idle", lambda _: request.param != "posix_spawn aside")


def output_of(task: Task) -> list[str]:
    lines: list[str] = []
    (result,) = task.run(**QUIET, on_verbose=lambda line, *_: lines.append(line.rstrip("\n")))
    assert result.status == "succeeded", result.describe()
    return lines


@pytest.mark.usefixtures("way")
def test_a_program_has_its_three_streams_and_no_other_descriptor() -> None:
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        assert output_of(Task(["sh", "-c", "cd /proc/$$/fd && echo *"])) == ["0 1 2 3"]  # 3 is the folder
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.usefixtures("way")
def test_a_descriptor_that_becomes_inheritable_later_is_not_inherited() -> None:
    reader, writer = os.pipe()
    try:
        loop = Task(["sh", "-c", "cd /proc/$$/fd && echo *"]).repeat(2).executable_loop(use_tqdm=False)
        seen: list[str] = []
        for exe in loop:
            exe.execute(ostreams=[], on_verbose=lambda line, *_: seen.append(line))
            os.set_inheritable(writer, True)
        assert seen == ["0 1 2 3\n"] * 2
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.fault("P14", "P21")
@pytest.mark.usefixtures("way")
def test_a_program_leads_a_session_and_is_deaf_to_no_signal_that_python_ignores() -> None:
    lines = output_of(Task(["sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat; grep SigIgn /proc/$$/status"]))
    pid, group, session = lines[0].split()
    assert pid == group == session
    ignored = int(lines[1].split()[1], 16)
    assert not any(ignored >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))


@pytest.mark.fault("X09")
@pytest.mark.usefixtures("way")
def test_a_program_is_looked_for_in_the_path_of_its_task(tmp_path: Path) -> None:
    for folder, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "my-tool"
        program.write_text(f"#!/bin/sh\necho {folder}\n")
        program.chmod(mode)
    (tmp_path / "d" / "my-tool").mkdir(parents=True)
    path = ":".join(str(tmp_path / folder) for folder in ("missing", "d", "a", "b", "c"))
    assert output_of(Task("my-tool", env={"PATH": f"{path}:{os.environ['PATH']}"})) == ["b"]


def test_a_program_that_is_taken_away_and_comes_back_elsewhere_is_found_again(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = tmp_path / "a" / "my-tool", tmp_path / "b" / "my-tool"
    first.write_text("#!/bin/sh\nexit 0\n")
    first.chmod(0o755)
    results: list[RunResult] = []
    task = Task("my-tool", env={"PATH": f"{tmp_path}/a:{tmp_path}/b:{os.environ['PATH']}"}).repeat(3)
    for exe in task.executable_loop(use_tqdm=False):
        results.append(exe.execute(ostreams=[]))
        if exe.index == 0:
            first.rename(second)
        elif exe.index == 1:
            second.unlink()
    assert [str(result.status) for result in results] == ["succeeded", "succeeded", "not_started"]
    assert "no program 'my-tool' on PATH" in (results[2].error or "")


def test_a_change_of_the_environment_is_seen_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for exe in Task(["sh", "-c", "echo ${COLOUR-none}"]).repeat(3).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[], on_verbose=lambda line, *_: seen.append(line.strip()))
        if exe.index == 0:
            monkeypatch.setenv("COLOUR", "réd")
        else:
            monkeypatch.delenv("COLOUR", raising=False)
    assert seen == ["none", "réd", "none"]


def test_the_environment_is_the_same_where_python_hides_its_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = spawn.driver_environ()
    monkeypatch.setattr(os.environ, "_data", None, raising=False)
    assert expected == {os.fsencode(name): value for name, value in expected.items()}
    monkeypatch.undo()
    monkeypatch.setattr(spawn.os, "environ", dict(os.environ))  # has no dict behind it
    assert spawn.driver_environ() == expected


@pytest.mark.usefixtures("way")
def test_a_program_starts_in_its_folder_and_its_relative_path_begins_there(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "bin").mkdir(parents=True)
        program = tmp_path / folder / "bin" / "my-tool"
        program.write_text(f"#!/bin/sh\necho {folder}; pwd\n")
        program.chmod(0o755)
    assert output_of(Task("bin/my-tool", cwd=tmp_path / "there")) == ["there", str(tmp_path / "there")]


def test_a_relative_folder_in_path_begins_where_the_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "bin").mkdir(parents=True)
        program = tmp_path / folder / "bin" / "my-tool"
        program.write_text(f"#!/bin/sh\necho {folder}\n")
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    assert output_of(Task("my-tool", cwd=tmp_path / "there", env={"PATH": f"bin:{os.environ['PATH']}"})) == ["there"]


@pytest.mark.usefixtures("way")
def test_runs_beside_each_other_get_their_own_pipes_and_what_they_print_is_whole() -> None:
    task = Task(["sh", "-c", 'echo "$0"; echo "$0" >&2; cd /proc/$$/fd && echo *']).arg(None, range(60))
    seen: dict[int, list[tuple[str, str]]] = {index: [] for index in range(60)}

    def keep(index: int, line: str, stream: StandardStream, _: datetime) -> None:
        seen[index].append((stream.name, line))

    for exe in task.executable_loop(use_tqdm=False, max_workers=6):
        exe.execute(ostreams=[], on_verbose=partial(keep, exe.index))
    for index, lines in seen.items():
        assert [line for stream, line in lines if stream == "stderr"] == [f"{index}\n"]
        assert [line for stream, line in lines if stream == "stdout"] == [f"{index}\n", "0 1 2 3\n"]


@pytest.mark.parametrize("end", ["stop", "kill", "destroy", "cancel"])
def test_a_run_that_is_ended_while_it_is_being_started_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    began, let_go = threading.Event(), threading.Event()
    start = spawn.PreparedStart.start
    pids: list[int] = []

    def start_and_wait(prepared: spawn.PreparedStart) -> int:
        pids.append(start(prepared))
        began.set()
        assert let_go.wait(30)
        return pids[-1]

    async def two_runs() -> Ending:
        engine, output, limits = LocalEngine(), RunOutput(), Limits(grace=30)
        beside = Attempt(Command(("sleep", "1000")), limits)
        first = asyncio.create_task(engine.run(beside, output))
        await asyncio.sleep(0)
        monkeypatch.setattr(spawn.PreparedStart, "start", start_and_wait)
        attempt = Attempt(Command(("sleep", "1000")), limits)
        second = asyncio.create_task(engine.run(attempt, output))
        assert await asyncio.to_thread(began.wait, 30)
        if end == "destroy":  # waits for what is being started
            threading.Timer(0.1, let_go.set).start()
        ends = {"stop": lambda: engine.stop(attempt), "cancel": second.cancel}
        (ends[end] if end in ends else getattr(engine, end))()
        let_go.set()
        ending = await second
        engine.stop(beside)
        await first
        engine.close()
        return ending

    ending = asyncio.run(two_runs())
    assert ending.status == ("failed" if end == "kill" else "interrupted")
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.usefixtures("way")
def test_a_variable_of_a_run_stands_in_the_place_of_the_drivers_and_not_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLOUR", "red")
    monkeypatch.setenv("SHAPE", "round")
    told = [sys.executable, "-I", "-S", "-c", "print(open('/proc/self/environ').read())"]
    for value in ("blue", "green"):
        (environ,) = output_of(Task(told).env("COLOUR", value).env("SIZE", value))
        variables = environ.rstrip("\0").split("\0")
        assert [each for each in variables if each.startswith("COLOUR=")] == [f"COLOUR={value}"]
        assert {"SHAPE=round", f"SIZE={value}"} <= set(variables)
        assert len(variables) == len({each.split("=")[0] for each in variables})


def test_a_driver_whose_standard_streams_are_closed_starts_runs(tmp_path: Path) -> None:
    script = """
import os, sys
from taskexp import Task
out = os.dup(1)
for descriptor in (0, 1, 2):
    os.close(descriptor)
sys.stdin = sys.stdout = sys.stderr = None
results = Task(["sh", "-c", "cat; echo to stdout; echo to stderr >&2"]).repeat(3).run(
    use_tqdm=False, ostreams=[open(sys.argv[1], "wb")], max_workers=3
)
os.write(out, " ".join(result.status for result in results).encode())
"""
    done = run_script(script, tmp_path, str(tmp_path / "log"))
    assert done.stdout == "succeeded succeeded succeeded"
    assert sorted((tmp_path / "log").read_text().split("\n")) == ["", *["to stderr"] * 3, *["to stdout"] * 3]


@pytest.mark.parametrize("workers", [1, 4])
def test_where_there_is_no_epoll_the_event_loop_watches_the_runs(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(watch, "HAS_EPOLL", False)
    lines: list[str] = []
    task = Task([sys.executable, "-c", "print('x' * 100_000); print('end')"]).repeat(8)
    results = task.run(**QUIET, max_workers=workers, on_verbose=lambda line, *_: lines.append(line))
    assert [str(result.status) for result in results] == ["succeeded"] * 8
    assert sorted(set(lines)) == ["end\n", "x" * 100_000 + "\n"]


def test_a_program_may_be_a_file_without_the_right_to_be_read(tmp_path: Path) -> None:
    program = tmp_path / "secret-tool"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(stat.S_IXUSR)
    assert [str(result.status) for result in Task([str(program)]).run(**QUIET)] == ["succeeded"]
