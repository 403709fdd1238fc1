"""The driver's own death: nothing that it ran outlives it, and nobody else is harmed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import PROGRAMS, alive, children, cmdline, run_script
from conftest import eventually as eventually_within
from hypothesis import given
from hypothesis import strategies as st

from taskexp import Task
from taskexp.run import watchdog
from taskexp.run.descendants import HAS_PROC
from taskexp.run.spawn import Spawner
from taskexp.run.watchdog import Watchdog
from taskexp.run.watchdog_process import Register

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="looks at processes in /proc")

SYNC = """
import os, sys, taskexp
{before}
exp = taskexp.Task({command!r}).repeat(2)
for exe in exp.executable_loop(max_workers=2, use_tqdm=False):
    {body}
    exe.execute(timeout=None, ostreams=[])
"""

ASYNC = """
import asyncio, os, sys, taskexp
{before}
exp = taskexp.Task({command!r}).repeat(2)
async def main():
    async with asyncio.TaskGroup() as group:
        async for exe in exp.executable_loop(max_workers=2, use_tqdm=False):
            {body}
            group.create_task(exe.execute(timeout=None, ostreams=[]))
asyncio.run(main())
"""


eventually = partial(eventually_within, seconds=40)  # twenty interpreters start at once on a busy machine


@pytest.fixture
def marker(tmp_path: Path) -> str:
    return f"marker-{tmp_path.name}-{os.getpid()}"


@pytest.fixture
def keeper() -> Iterator[Watchdog]:
    """A watchdog of this very process."""
    watchdog = Watchdog(Spawner())
    yield watchdog
    watchdog.close()


@contextmanager
def driver(
    folder: Path, command: list[str], template: str = SYNC, *, body: str = "pass", before: str = ""
) -> Iterator["subprocess.Popen[str]"]:
    """A driver with two runs of a command that goes on until it is killed."""
    script = folder / "driver.py"
    script.write_text(template.format(command=command, body=body, before=before))
    with subprocess.Popen([sys.executable, script], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def stubborn(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *arguments]


def wait_for(number: int, marker: str) -> None:
    eventually(lambda: len(alive(marker)) == number, lambda: f"{len(alive(marker))} processes, not {number}")


def watchdogs(process: int) -> list[int]:
    """Return the watchdogs of a driver."""
    return [pid for pid in alive("watchdog_process") if f"\0{process}\0".encode() in cmdline(pid)]


def watchdog_of(process: "subprocess.Popen[Any]") -> int:
    """Return the one watchdog of a driver; a process that has just been started has no command line yet."""
    eventually(lambda: watchdogs(process.pid) != [], "no watchdog")
    [own] = watchdogs(process.pid)
    return own


def assert_all_gone(process: "subprocess.Popen[str]", marker: str) -> None:
    eventually(lambda: not alive(marker), lambda: f"left behind: {[cmdline(pid) for pid in alive(marker)]}")
    eventually(lambda: not watchdogs(process.pid), "the watchdog is left")


# ---- the trees


@pytest.mark.fault("P08")
@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(("program", "processes"), [("setsid", 3), ("tree", 14), ("deaf", 1)])
def test_no_tree_outlives_a_driver_that_is_killed(program, processes, template, tmp_path, marker):
    arguments = {"setsid": ["", "quiet"][:0], "tree": ["2", "3"], "deaf": ["1000"]}[program]
    with driver(tmp_path, stubborn(program, marker, *arguments), template) as process:
        wait_for(2 * processes, marker)
        process.kill()
        assert_all_gone(process, marker)


@pytest.mark.fault("P08")
def test_a_tree_is_gone_within_a_second_after_its_driver(tmp_path, marker):
    """A generous second: the machine may be busy with other tests. Deaf programs take the whole grace."""
    with driver(tmp_path, stubborn("deaf", marker)) as process:
        wait_for(2, marker)
        watchdog_of(process)
        process.kill()
        killed = time.monotonic()
        assert_all_gone(process, marker)
        assert time.monotonic() - killed < 20


def test_what_has_no_marker_is_found_by_its_group_and_its_parent(tmp_path, marker):
    script = tmp_path / "sheds.py"
    script.write_text(f"""
import os, subprocess, sys, time
plain = [sys.executable, "-c", "import time; time.sleep(1000)", {marker!r}]
subprocess.Popen(plain, env={{}})
subprocess.Popen(plain, env={{}}, start_new_session=True)
time.sleep(1000)
""")
    with driver(tmp_path, ["env", "-i", sys.executable, str(script), marker]) as process:
        wait_for(6, marker)
        process.kill()
        assert_all_gone(process, marker)


def test_what_was_stopped_is_killed_too(tmp_path, marker):
    with driver(tmp_path, stubborn("silent", marker, "1000")) as process:
        wait_for(2, marker)
        for pid in alive(marker):
            os.kill(pid, signal.SIGSTOP)
        process.kill()
        assert_all_gone(process, marker)


def test_a_driver_that_leaves_without_a_word_leaves_nothing_running(tmp_path, marker):
    with driver(tmp_path, stubborn("silent", marker, "1000"), body="exe.index and os._exit(3)") as process:
        assert process.wait(20) == 3
        assert_all_gone(process, marker)


def test_a_run_that_was_not_told_of_goes_on_and_one_that_is_over_does_not():
    """Several threads start runs, so that the seventh may be told of before the fifth."""
    register = Register(b"12.34-ab.")
    register.take(b"+4 100 5 5\n+7 200 5 5\n+8 300 5 5\n-7\n-4\n")
    assert [number for number in range(12) if register.is_marked([b"12.34-ab.%d" % number])] == [5, 6, 8, 9, 10, 11]
    assert not register.is_marked([b"12.34-ef.9", b"12.34-ab.", b"12.34-ab.9x", b""])
    assert register.is_marked([b"1.2-cd.3", b"12.34-ab.8"])
    assert list(register.groups.values()) == [(300, 5)]
    register.take(b"+5 400 5 10\n~8\n")
    assert [number for number in range(12) if register.is_marked([b"12.34-ab.%d" % number])] == [5, 8, 10, 11]
    assert list(register.groups.values()) == [(400, 5)]


def test_what_is_told_has_the_least_number_that_is_not(keeper, monkeypatch):
    told: list[bytes] = []
    monkeypatch.setattr(keeper, "_is_alive", lambda: True)
    monkeypatch.setattr(keeper, "tell", told.append)
    first, second, third, fourth = (keeper.take_on() for _ in range(4))
    third.started(30, 1)
    first.started(10, 1)
    second.over()  # it could not be started
    fourth.started(40, 1)
    third.over()
    third.over()
    assert told == [b"+3 30 1 1\n", b"+1 10 1 2\n", b"+4 40 1 5\n", b"-3\n"]


LATE = """
import os, signal, subprocess, sys, time
from taskexp.run.spawn import Spawner
from taskexp.run.watchdog import Watchdog
keeper = Watchdog(Spawner())
keeper.take_on().started(os.getpid(), 0)
late = f"sleep 0.2; TASKEXP_RUN={keeper.mark()}2 exec sleep {sys.argv[1]}"
quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
subprocess.Popen(["sh", "-c", late, sys.argv[1]], start_new_session=True, **quiet)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_its_driver_was_killed_in_the_middle_of_starting_is_found_when_it_is_there(tmp_path):
    """Until its exec is done nothing tells that a child is a run: it still has the driver's own environment."""
    seconds = f"1000.{os.getpid()}"
    assert run_script(LATE, tmp_path, seconds).returncode == -signal.SIGKILL
    assert alive(seconds)
    eventually(lambda: not alive(seconds), "the run is left")


@given(st.lists(st.tuples(st.sampled_from("+~-"), st.integers(1, 9))), st.integers(1, 9))
def test_what_is_told_means_the_same_in_any_pieces(said, size):
    lines = "".join(
        f"{verb}{number} {number * 100} 5 {number + 1}\n" if verb == "+" else f"{verb}{number}\n"
        for verb, number in said
    )
    whole, pieces = Register(b"m."), Register(b"m.")
    whole.take(lines.encode())
    for place in range(0, len(lines), size):
        pieces.take(lines[place : place + size].encode())
    assert pieces.groups == whole.groups
    marks = [[f"m.{number}".encode()] for number in range(12)]
    assert [pieces.is_marked(each) for each in marks] == [whole.is_marked(each) for each in marks]


# ---- nobody else


def test_what_a_run_left_on_purpose_lives_on(tmp_path, marker):
    """The first run ends and leaves two daemons; the second goes on when the driver is killed."""
    command = [
        "sh",
        "-c",
        'test $TASKEXP_INDEX = 1 && exec "$@"; exec "$@" 0 quiet',
        "sh",
        *stubborn("setsid", marker),
    ]
    with driver(tmp_path, command, body="exe.index and first.wait()\n    first = exe") as process:
        wait_for(5, marker)
        daemons = [pid for pid in alive(marker) if b"quiet" in cmdline(pid)]
        assert len(daemons) == 2
        process.kill()
        eventually(lambda: not watchdogs(process.pid), "the watchdog is left")
        assert sorted(alive(marker)) == sorted(daemons)
        for pid in daemons:
            os.kill(pid, signal.SIGKILL)
    wait_for(0, marker)


def test_a_watchdog_whose_driver_lives_stops_nothing_though_its_pipe_is_closed(keeper):
    run = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        keeper.take_on().started(run.pid, 0)
        for end in keeper._ends or ():
            os.close(end)
        keeper._ends = None
        eventually(lambda: "pidfd" in str(targets(keeper._pid)), "it does not watch yet")
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(0.2)
        assert keeper._is_alive()
    finally:
        run.kill()
        run.wait()


# ---- what runs leave on purpose


@pytest.mark.fault("P06")
def test_what_left_its_run_is_named_at_the_end_of_the_loop(marker, capsys):
    Task(stubborn("setsid", marker, "0", "quiet")).run(use_tqdm=False, ostreams=[])
    daemons = sorted(alive(marker))
    assert len(daemons) == 2
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    named = ", ".join(f"{pid} {Path(sys.executable).name}" for pid in daemons)
    assert f"taskexp: warning: 2 processes that left their runs go on: {named}\n" in capsys.readouterr().err
    wait_for(0, marker)


def test_what_the_runs_of_another_loop_left_is_not_named_again(marker, capsys):
    for command in (stubborn("setsid", marker, "0", "quiet"), ["true"]):
        Task(command).run(use_tqdm=False, ostreams=[])
    assert capsys.readouterr().err.count("go on") == 1
    for pid in alive(marker):
        os.kill(pid, signal.SIGKILL)
    wait_for(0, marker)


# ---- the watchdog itself


@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_driver_that_ends_in_order_leaves_no_watchdog(template, tmp_path):
    text = template.format(command=["true"], body="pass", before="")
    text += "\nprint(open(f'/proc/self/task/{os.getpid()}/children').read().split())"
    done = run_script(text, tmp_path)
    assert done.stdout == "[]\n", done.stderr


def test_there_is_one_watchdog_per_loop_and_it_ends_with_it():
    seen: list[int] = []
    for exe in Task("true").repeat(3).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[])
        eventually(lambda: watchdogs(os.getpid()) != [], "no watchdog")
        seen += watchdogs(os.getpid())
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert not children()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP])
def test_a_signal_that_is_meant_for_the_driver_does_not_end_the_watchdog(number, tmp_path, marker):
    with driver(tmp_path, stubborn("silent", marker, "1000")) as process:
        wait_for(2, marker)
        own = watchdog_of(process)
        eventually(lambda: is_deaf_to(own, number), "it hears the signal")
        assert os.getsid(own) == own
        os.kill(own, number)
        process.kill()
        assert_all_gone(process, marker)


def is_deaf_to(pid: int, number: int) -> bool:
    ignored = Path(f"/proc/{pid}/status").read_text().split("SigIgn:")[1].split()[0]
    return bool(int(ignored, 16) >> (number - 1) & 1)


def test_a_watchdog_that_has_died_is_replaced_and_knows_what_goes_on(tmp_path, marker):
    """The second run waits until the first watchdog is dead; the one that it starts knows the first run, too."""
    body = 'exe.index and [os.read(0, 1), setattr(taskexp.run.watchdog, "LOOK_SECONDS", 0)]'
    command = ["env", "-u", "TASKEXP_RUN", *stubborn("silent", marker, "1000")]
    before = "import taskexp.run.watchdog; taskexp.run.watchdog.LOOK_SECONDS = 0"
    script = tmp_path / "driver.py"
    script.write_text(SYNC.format(command=command, body=body, before=before))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE) as process:
        wait_for(1, marker)
        first = watchdog_of(process)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not watchdogs(process.pid), "it is not dead")
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()
        wait_for(2, marker)
        eventually(lambda: watchdogs(process.pid) not in ([], [first]), "no other watchdog")
        process.kill()
        eventually(lambda: not alive(marker), "left behind")


def test_a_watchdog_that_takes_nothing_holds_up_no_run_and_is_told_later(keeper):
    with subprocess.Popen(["true"]) as run:
        wards = [keeper.take_on() for _ in range(20_000)]
        wards[0].started(run.pid, 0)
        own = keeper._pid
        os.kill(own, signal.SIGSTOP)
        for ward in wards:
            ward.started(run.pid, 0)
            ward.over()
            ward.over()
        assert 0 < len(keeper._unsent) < watchdog.MOST_UNSENT
        os.kill(own, signal.SIGCONT)

        def is_told() -> bool:
            keeper.tell(b"")
            return not keeper._unsent

        eventually(is_told, "it is not told")


def test_a_watchdog_that_never_takes_anything_again_is_replaced(keeper, monkeypatch):
    monkeypatch.setattr(watchdog, "MOST_UNSENT", 1000)
    keeper.take_on().started(os.getpid(), 0)
    own = keeper._pid
    os.kill(own, signal.SIGSTOP)
    for _ in range(20_000):
        ward = keeper.take_on()
        ward.started(os.getpid(), 0)
        ward.over()
        if watchdogs_differ := keeper._pid != own:
            break
    assert watchdogs_differ
    assert own not in children()


def test_a_sweep_goes_on_where_no_watchdog_can_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    results = Task("true").repeat(3).run(use_tqdm=False)
    assert [result.status for result in results] == ["succeeded"] * 3


@pytest.mark.parametrize("executable", ["", None])
def test_a_program_that_is_not_python_is_not_started_as_one(executable, keeper, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    keeper.take_on().started(os.getpid(), 0)
    assert not watchdogs(os.getpid())


# ---- its descriptors


def test_the_watchdog_holds_nothing_of_the_drivers(tmp_path, marker):
    """Not its stdout, which who reads it would wait for, and nothing that somebody made inheritable."""
    before = "os.set_inheritable(os.open('driver.py', os.O_RDONLY), True)"
    with driver(tmp_path, stubborn("silent", marker, "1000"), before=before) as process:
        wait_for(2, marker)
        own = watchdog_of(process)
        eventually(lambda: "pidfd" in str(targets(own)), lambda: f"{targets(own)}")
        held = {number: target for number, target in targets(own).items() if "pidfd" not in target}
        assert held.pop(0).startswith("pipe:")
        assert held == {1: "/dev/null", 2: "/dev/null"}
        assert os.readlink(f"/proc/{own}/cwd") == "/"
        process.kill()
        assert_all_gone(process, marker)


def targets(pid: int) -> dict[int, str]:
    """Return what the descriptors of a process stand for."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found[int(path.name)] = os.readlink(path)
    return found


def test_no_run_inherits_the_pipe():
    task = Task(
        [
            sys.executable,
            "-c",
            "import os; print(sorted(os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))",
        ]
    )
    told: list[str] = []
    for exe in task.repeat(2).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[], on_verbose=lambda line, *_: told.append(line))
    assert told == ["['0', '1', '2'] 4\n"] * 2  # the fourth is that of the folder


def test_a_fork_of_the_driver_lets_go_of_the_pipe(keeper):
    keeper.take_on().started(os.getpid(), 0)
    ends = keeper._ends
    assert ends is not None
    pipe = os.readlink(f"/proc/self/fd/{ends[1]}")
    if not (child := os.fork()):
        os._exit(pipe in targets(os.getpid()).values())
    assert os.waitpid(child, 0)[1] == 0
    assert pipe in targets(os.getpid()).values()
    assert keeper._is_alive()


def test_a_fork_that_lives_on_does_not_keep_the_runs_alive(tmp_path, marker):
    body = (
        "exe.index or multiprocessing.get_context('fork').Process(target=time.sleep, args=(3,), daemon=False).start()"
    )
    before = "import multiprocessing, time"
    with driver(tmp_path, stubborn("silent", marker, "1000"), body=body, before=before) as process:
        wait_for(2, marker)
        process.kill()
        assert_all_gone(process, marker)
