"""The journal: what is recorded, who may record, and what is found again in a grid that has changed."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from conftest import alive, eventually, run_script

from taskexp import ArgumentTypeError, ArgumentValueError, JournalError, Task, TaskExpError, open_results
from taskexp.record.journal.database import make, migrate
from taskexp.record.journal.schema import VERSION

WAYS = ["one at a time", "parallel", "as_completed", "run"]


def touches(folder: Path, *values: object) -> Task:
    """A task whose runs append their value to a file: what ran, and how often."""
    return Task(["sh", "-c", 'echo $1 >> "$0"', str(folder / "ran")]).arg(None, list(values))


def ran(folder: Path) -> list[str]:
    """Return what ran since the last look."""
    path = folder / "ran"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return sorted(lines)


def sweep(task: Task, way: str, **options: object) -> None:
    if way == "one at a time":
        for exe in task.executable_loop(use_tqdm=False, **options):
            exe.execute(ostreams=[])
    elif way == "parallel":
        for exe in task.executable_loop(use_tqdm=False, max_workers=3, **options):
            exe.execute(ostreams=[])
    elif way == "as_completed":
        for exe in task.as_completed(use_tqdm=False, max_workers=3, ostreams=[], **options):
            assert exe.result.status
    else:
        task.run(use_tqdm=False, max_workers=3, ostreams=[], **options)


def read(folder: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{folder}/journal.sqlite?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


# ---- going on where it was


@pytest.mark.parametrize("way", WAYS)
def test_what_succeeded_is_not_run_again(way: str, tmp_path: Path):
    journal = tmp_path / "journal"
    sweep(touches(tmp_path, "a", "b", "c"), way, journal=journal)
    assert ran(tmp_path) == ["a", "b", "c"]
    sweep(touches(tmp_path, "a", "b", "c"), way, journal=journal)
    assert ran(tmp_path) == []


@pytest.mark.fault("J12")
@pytest.mark.parametrize("way", WAYS)
def test_a_grid_that_was_widened_and_reordered_runs_only_what_is_new(way: str, tmp_path: Path):
    journal = tmp_path / "journal"
    task = touches(tmp_path, "a", "b")
    task.arg("--n", [1, 2])
    sweep(task, way, journal=journal)
    assert ran(tmp_path) == ["a", "a", "b", "b"]
    wider = (
        Task(["sh", "-c", 'echo $1 >> "$0"', str(tmp_path / "ran")]).arg(None, ["c", "b", "a"]).arg("--n", [2, 1, 3])
    )
    sweep(wider, way, journal=journal, order="shuffle", seed=5)
    assert ran(tmp_path) == ["a", "b", "c", "c", "c"]


@pytest.mark.anyio
async def test_an_async_loop_goes_on_where_it_was(tmp_path: Path):
    journal = tmp_path / "journal"
    for expected in (["a", "b"], []):
        async for exe in touches(tmp_path, "a", "b").executable_loop(use_tqdm=False, journal=journal):
            await exe.execute(ostreams=[])
        assert ran(tmp_path) == expected
    async for exe in touches(tmp_path, "a", "b", "c").as_completed(use_tqdm=False, journal=journal, ostreams=[]):
        assert exe.result.params == {"arg1": "c"}


def test_run_returns_the_recorded_results_too_with_their_places_in_the_new_grid(tmp_path: Path):
    journal = tmp_path / "journal"
    first = touches(tmp_path, "a", "b").run(use_tqdm=False, ostreams=[], journal=journal)
    second = touches(tmp_path, "c", "b", "a").run(use_tqdm=False, ostreams=[], journal=journal)
    assert [(result.index, result.params["arg1"]) for result in second] == [(0, "c"), (1, "b"), (2, "a")]
    assert second[2].start_time == first[0].start_time
    assert second[2].duration == first[0].duration


def test_a_run_that_the_body_skips_is_not_recorded(tmp_path: Path):
    journal = tmp_path / "journal"
    for exe in touches(tmp_path, "a", "b").executable_loop(use_tqdm=False, journal=journal):
        if exe.index == 1:
            exe.execute(ostreams=[])
    sweep(touches(tmp_path, "a", "b"), "run", journal=journal)
    assert ran(tmp_path) == ["a", "b"]


def test_identical_points_are_runs_of_their_own(tmp_path: Path):
    journal = tmp_path / "journal"
    sweep(touches(tmp_path, "a", "a"), "run", journal=journal)
    assert ran(tmp_path) == ["a", "a"]
    sweep(touches(tmp_path, "a", "a", "a"), "run", journal=journal)
    assert ran(tmp_path) == ["a"]


def test_repeats_that_are_added_run_and_those_that_are_there_do_not(tmp_path: Path):
    journal = tmp_path / "journal"
    sweep(touches(tmp_path, "a"), "run", journal=journal)
    sweep(touches(tmp_path, "a").repeat(3), "run", journal=journal)
    assert ran(tmp_path) == ["a", "a", "a"]
    assert sorted(row.repeat for row in open_results(journal)) == [0, 1, 2]


@pytest.mark.fault("J12")
def test_what_decides_is_the_content_and_no_computed_value_slot_or_index(tmp_path: Path):
    journal = tmp_path / "journal"
    task = touches(tmp_path, "a", "b").fixed("--out", lambda p: f"{p.index}-{uuid.uuid4()}")
    sweep(task, "run", journal=journal, slots={"DEVICE": ["0", "1"]})
    sweep(task, "run", journal=journal, slots={"DEVICE": ["2", "3"]})
    assert ran(tmp_path) == ["a", "b"]
    other = touches(tmp_path, "a", "b").env("MODE", "fast")
    sweep(other, "run", journal=journal)
    assert ran(tmp_path) == ["a", "b"]


def test_where_and_samples_go_together_with_a_journal(tmp_path: Path):
    journal = tmp_path / "journal"
    values = [str(number) for number in range(12)]
    sweep(touches(tmp_path, *values).sample(5, seed=1), "run", journal=journal)
    drawn = ran(tmp_path)
    assert len(drawn) == 5
    sweep(touches(tmp_path, *values).where(lambda p: int(p["arg1"]) < 9), "run", journal=journal)
    assert ran(tmp_path) == sorted(value for value in values[:9] if value not in drawn)


# ---- which runs run again


@pytest.fixture
def mixed(tmp_path: Path) -> Task:
    """A task with runs of four fates."""
    script = 'echo $1 >> "$0"; case $1 in bad) exit 3;; slow) sleep 3600;; esac; echo done'
    task = Task(["sh", "-c", script, str(tmp_path / "ran")]).arg(None, ["good", "bad", "slow", "gone"])
    return task.fixed("--x", lambda p: 1 / 0 if p["arg1"] == "gone" else 1)


@pytest.mark.parametrize(
    ("rerun", "again"),
    [
        (None, ["bad", "slow"]),
        ("failed", ["bad"]),
        (["failed", "timed_out"], ["bad", "slow"]),
        (["succeeded"], ["good"]),
        ([], []),
        ("all", ["bad", "good", "slow"]),
    ],
)
def test_rerun_says_which_runs_run_again(rerun: object, again: list[str], mixed: Task, tmp_path: Path):
    journal = tmp_path / "journal"
    options = {"use_tqdm": False, "ostreams": [], "max_workers": 4, "timeout": 2.0, "grace": 0.1}
    first = mixed.run(journal=journal, **options)
    assert [str(result.status) for result in first] == ["succeeded", "failed", "timed_out", "not_started"]
    assert ran(tmp_path) == ["bad", "good", "slow"]
    second = mixed.run(journal=journal, rerun=rerun, **options)
    assert ran(tmp_path) == again
    assert [str(result.status) for result in second] == ["succeeded", "failed", "timed_out", "not_started"]
    assert [result.attempt for result in second][:3] == [1 + (name in again) for name in ("good", "bad", "slow")]


@pytest.mark.fault("T09")
def test_runs_that_were_stopped_run_again_whatever_rerun_says(tmp_path: Path):
    journal = tmp_path / "journal"
    task = touches(tmp_path, "a", "b", "c")
    task.run(use_tqdm=False, ostreams=[], journal=journal, halt="soon,success=1")
    assert ran(tmp_path) == ["a"]
    stubborn = Task(["sh", "-c", 'echo x >> "$0"; exec sleep 3600', str(tmp_path / "ran")])
    with stubborn.executable_loop(use_tqdm=False, max_workers=2, journal=journal) as loop:
        next(loop).execute(ostreams=[], grace=1)
        eventually(lambda: (tmp_path / "ran").exists(), "it did not start")
    assert [str(row.status) for row in open_results(journal)] == ["succeeded", "interrupted"]
    ran(tmp_path)
    with stubborn.executable_loop(use_tqdm=False, max_workers=2, journal=journal, rerun=[]) as loop:
        next(loop).execute(ostreams=[], grace=1)
        eventually(lambda: (tmp_path / "ran").exists(), "it did not start again")


# ---- what is recorded


def test_a_row_tells_what_was_asked_for_when_where_and_by_whom(tmp_path: Path):
    folder = tmp_path / "deep" / "journal"
    script = f"""
import sys
from taskexp import Task
task = Task(["sh", "-c", "echo out; echo err >&2; exit $1", "sh"], env={{"MODE": "fast"}}, cwd="/")
task.arg(None, [0, 7]).repeat(2).metric("n", r"(\\d+)")
task.run(use_tqdm=False, ostreams=[], journal={str(folder)!r}, slots={{"DEVICE": ["5"]}})
"""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "script.py").write_text(script)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", str(tmp_path), "add", "script.py"], check=True)
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-qm", "x"], check=True)
    assert run_script(script, tmp_path, "argument").returncode == 0
    ((start, end, host, path, arguments, cwd, commit, dirty, python, version),) = read(
        folder,
        "SELECT start_time, end_time, host, script, arguments, cwd, git_commit, git_dirty, python, taskexp FROM driver",
    )
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert (host, commit, dirty) == (socket.gethostname(), head.stdout.strip(), 0)
    assert list(map(json.loads, (path, arguments, cwd))) == [str(tmp_path / "script.py"), ["argument"], str(tmp_path)]
    assert python == ".".join(map(str, sys.version_info[:3]))
    assert version
    assert start < end
    rows = list(open_results(folder))
    assert [(row.index, row.repeat, row.returncode) for row in rows] == [(0, 0, 0), (1, 1, 0), (2, 0, 7), (3, 1, 7)]
    row = rows[3]
    assert (row.params, row.argv[-1], row.env, row.cwd) == ({"arg1": 7}, "7", {"MODE": "fast"}, "/")
    assert (row.slot, row.devices, row.attempt) == (0, {"DEVICE": "5"}, 1)
    assert row.duration.total_seconds() > 0
    assert row.max_rss_bytes
    assert row.pid
    assert row.log_path.read_text() in ("out\nerr\n", "err\nout\n")


@pytest.mark.fault("J18", "U05")
def test_the_folder_is_private_and_so_is_all_in_it(tmp_path: Path):
    folder = tmp_path / "journal"
    before = os.umask(0)
    try:
        sweep(touches(tmp_path, "a"), "run", journal=folder)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert read(folder, "PRAGMA journal_mode") == [("wal",)]


def test_a_run_is_recorded_before_it_starts_and_its_log_can_be_read_while_it_runs(tmp_path: Path):
    folder, gate = tmp_path / "journal", tmp_path / "gate"
    task = Task(["sh", "-c", f"echo first; echo second >&2; until [ -e {gate} ]; do sleep 0.01; done; echo last"])
    with task.executable_loop(use_tqdm=False, max_workers=2, journal=folder) as loop:
        exe = next(loop)
        exe.execute(ostreams=[])
        eventually(lambda: any((folder / "logs").glob("*.log")), "no log")
        (log,) = (folder / "logs").glob("*.log")
        eventually(lambda: sorted(log.read_text().split()) == ["first", "second"], "the log does not grow")
        assert read(folder, "SELECT status, end_time FROM attempt") == [(None, None)]
        assert list(open_results(folder)) == []
        gate.touch()
        assert exe.result.status == "succeeded"
        assert read(folder, "SELECT status FROM attempt") == [("succeeded",)]
        assert log.read_text().endswith("last\n")


@pytest.mark.fault("S08")
def test_a_log_holds_the_bytes_as_they_came_and_tears_no_line(tmp_path: Path):
    program = (
        "import os, threading\n"
        "def say(fd, byte):\n"
        "    for n in range(3000):\n"
        "        os.write(fd, byte * 40); os.write(fd, byte * 40 + b'\\n')\n"
        "threads = [threading.Thread(target=say, args=case) for case in ((1, b'\\xff'), (2, b'b'))]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "os.write(1, b'no end')\n"
    )
    folder = tmp_path / "journal"
    (result,) = Task([sys.executable, "-c", program]).run(use_tqdm=False, ostreams=[], journal=folder)
    assert result.status == "succeeded"
    (row,) = open_results(folder)
    lines = row.log_path.read_bytes().split(b"\n")
    assert sorted(set(lines)) == [b"b" * 80, b"no end", b"\xff" * 80]
    assert lines.count(b"b" * 80) == lines.count(b"\xff" * 80) == 3000


def test_every_attempt_has_its_own_row_and_its_own_log(tmp_path: Path):
    folder = tmp_path / "journal"
    task = Task(["sh", "-c", "echo attempt $TASKEXP_ATTEMPT; test $TASKEXP_ATTEMPT = 3"])
    (result,) = task.run(use_tqdm=False, ostreams=[], journal=folder, retries=1)
    assert (result.status, result.attempt) == ("failed", 2)
    (result,) = task.run(use_tqdm=False, ostreams=[], journal=folder, retries=1)
    assert (result.status, result.attempt) == ("succeeded", 3)
    rows = list(open_results(folder, attempts=True))
    assert [(row.attempt, str(row.status)) for row in rows] == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert [row.log_path.read_text() for row in rows] == ["attempt 1\n", "attempt 2\n", "attempt 3\n"]
    assert [row.attempt for row in open_results(folder)] == [3]


@pytest.mark.fault("B05")
def test_recorded_runs_count_as_done_on_the_bar_and_are_told(tmp_path: Path):
    script = f"""
from taskexp import Task
Task("true").arg(None, [1, 2, 3]).run(ostreams=[], journal={str(tmp_path / "journal")!r})
"""
    first, second = run_script(script, tmp_path), run_script(script, tmp_path)
    assert "recorded" not in first.stderr
    assert "3/3" in second.stderr
    assert "taskexp: 3 runs are recorded and were not run again" in second.stderr


@pytest.mark.fault("J17")
def test_an_index_beyond_the_integers_of_sqlite_is_kept(tmp_path: Path):
    task = Task("true").arg("--a", range(10**15)).arg("--b", range(10**15))
    task.run(use_tqdm=False, ostreams=[], journal=tmp_path / "j", start=10**30 - 2)
    assert [row.index for row in open_results(tmp_path / "j")] == [10**30 - 2, 10**30 - 1]


# ---- secrets


@pytest.mark.fault("J18")
def test_secrets_reach_the_run_and_are_written_nowhere(tmp_path: Path):
    folder = tmp_path / "journal"
    script = """
import sys
from taskexp import Task
names = ["HF_TOKEN", "db_password_file", "MINE"]
check = f"import os, sys; sys.exit(sum(os.environ[n].startswith('hunt' + 'er') for n in {names}) != 3)"
env = {"HF_TOKEN": "hunter-one", "db_password_file": "hunter-two"}
task = Task([sys.executable, "-c", check], env=env, secret_env=["MI*"])
task.env("MINE", ["hunter-three", "hunter-four"])
for exe in task.executable_loop(journal=sys.argv[1]):
    exe.print_cmd()
    exe.execute()
    assert exe.env["MINE"].startswith("hunter"), exe.env
    assert exe.result.status == "succeeded"
    print(repr(exe))
"""
    done = run_script(script, tmp_path, str(folder))
    assert done.returncode == 0, done.stderr
    assert "hunter" not in done.stdout + done.stderr
    assert 'MINE="$MINE"' in done.stdout
    for path in folder.rglob("*"):
        assert path.is_dir() or b"hunter" not in path.read_bytes()
    assert [row.params["MINE"] for row in open_results(folder)] == ["***", "***"]


def test_a_secret_that_is_the_same_in_all_runs_is_no_part_of_a_points_id():
    def ids(value: str, **options: object) -> list[str]:
        return [point.id for point in Task("x", env={"API_KEY": value}, **options).env("A_TOKEN", value).arg(None, [1])]

    assert ids("one") == ids("two")
    assert ids("one", secret_env=["!A_TOKEN"]) != ids("two", secret_env=["!A_TOKEN"])
    assert ids("one", secret_env=["!A*"]) != ids("one")


def test_the_secret_values_of_a_loop_tell_its_points_apart(tmp_path: Path):
    def sweep(keys: list[str]) -> list[str]:
        task = Task(["sh", "-c", 'echo $SORT_KEY >> "$0"', str(tmp_path / "ran")]).env("SORT_KEY", keys)
        task.run(use_tqdm=False, ostreams=[], journal=tmp_path / "j")
        return ran(tmp_path)

    assert sweep(["name", "date"]) == ["date", "name"]
    assert sweep(["date", "size", "name"]) == ["size"]


def test_what_holds_no_secret_can_be_said_to(tmp_path: Path):
    task = Task("true", secret_env=["!SORT_*"]).env("SORT_KEY", ["name", "date"])
    task.run(use_tqdm=False, ostreams=[], journal=tmp_path / "j")
    assert [row.params["SORT_KEY"] for row in open_results(tmp_path / "j")] == ["name", "date"]
    assert "SORT_KEY=name" in task[0].command.display()


@pytest.mark.parametrize("names", ["HF_TOKEN", b"x", 3, [1], [""], ["A=B"]])
def test_names_of_secrets_that_make_no_sense_are_refused(names: object):
    with pytest.raises(TaskExpError, match="secret_env"):
        Task("true", secret_env=names)


# ---- one driver at a time


HOLDS = """
import sys, time
from taskexp import Task
from taskexp.run.watchdog import Watchdog
Watchdog.tell_started = lambda *_: None  # as if the watchdog had been killed with the driver
task = Task(["sh", "-c", "echo $$ > pid; exec sleep 3600." + sys.argv[2]])
for exe in task.executable_loop(use_tqdm=False, journal=sys.argv[1]):
    exe.execute(timeout=None, ostreams=[])
"""


@pytest.fixture
def holder(tmp_path: Path):
    """A driver in another process that has the journal, and the marker of the run that it waits for."""
    marker = str(uuid.uuid4().int)
    script = tmp_path / "holds.py"
    script.write_text(HOLDS)
    process = subprocess.Popen([sys.executable, script, str(tmp_path / "journal"), marker], cwd=tmp_path)
    eventually(lambda: bool(alive(marker)) and (tmp_path / "pid").exists(), "the driver does not run", 30)
    yield process, marker
    process.kill()
    process.wait()


@pytest.mark.fault("J03")
def test_a_second_driver_is_refused_and_told_who_is_the_first(holder, tmp_path: Path):
    process, _ = holder
    with pytest.raises(JournalError) as caught:
        touches(tmp_path, "a").run(use_tqdm=False, journal=tmp_path / "journal")
    told = str(caught.value)
    assert f"pid {process.pid} on {socket.gethostname()}, since 20" in told
    assert str(tmp_path / "journal") in told
    assert ran(tmp_path) == []
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    touches(tmp_path, "a").run(use_tqdm=False, ostreams=[], journal=tmp_path / "journal")
    assert ran(tmp_path) == ["a"]


@pytest.mark.fault("P08", "J05", "J09")
def test_what_a_killed_driver_left_running_is_stopped_and_its_run_repeated(holder, tmp_path, capsys, monkeypatch):
    process, marker = holder
    monkeypatch.chdir(tmp_path)
    process.kill()
    process.wait()
    assert len(alive(marker)) == 1
    again = Task(["sh", "-c", f"echo $$ > pid; exec sleep 3600.{marker}"])
    with again.executable_loop(journal=tmp_path / "journal", max_workers=2) as loop:
        exe = next(loop)
        assert not alive(marker)  # before the run is repeated
        exe.execute(ostreams=[], grace=1)
        eventually(lambda: bool(alive(marker)), "it is not repeated")
    assert f"stopped 1 process that the last driver (pid {process.pid}) left running" in capsys.readouterr().err
    lost, stopped = open_results(tmp_path / "journal", attempts=True)
    assert (str(lost.status), lost.attempt, stopped.attempt) == ("lost", 1, 2)
    assert f"pid {process.pid}" in (lost.error or "")


@pytest.mark.fault("J05")
def test_a_fork_of_a_dead_driver_does_not_keep_the_journal(tmp_path: Path):
    # A worker that was forked while the journal was open has the lock's descriptor, and outlives the driver.
    script = """
import os, sys, time
from taskexp import Task
for exe in Task("true").executable_loop(use_tqdm=False, journal=sys.argv[1]):
    if os.fork() == 0:
        time.sleep(3600)
    print("forked", flush=True)
    os.kill(os.getpid(), 9)
"""
    path = tmp_path / "forks.py"
    path.write_text(script)
    process = subprocess.Popen(
        [sys.executable, path, str(tmp_path / "journal")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        process.wait(60)
        with (tmp_path / "journal" / "driver.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        touches(tmp_path, "a").run(use_tqdm=False, ostreams=[], journal=tmp_path / "journal")
        assert ran(tmp_path) == ["a"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


@pytest.mark.fault("A09")
def test_a_fork_that_leaves_the_loop_leaves_the_journal_to_its_parent(tmp_path: Path):
    script = """
import os, sys, warnings
from taskexp import ExecutableStateError, JournalError, Task
warnings.simplefilter("ignore")  # newer Pythons warn of forks
with Task("true").arg(None, [1, 2]).executable_loop(use_tqdm=False, journal=sys.argv[1]) as loop:
    for exe in loop:
        exe.execute(ostreams=[])
        if exe.index == 0 and os.fork() == 0:
            try:
                next(loop)
            except ExecutableStateError as error:
                break
        if exe.index == 0:
            os.wait()
            try:
                Task("true").run(use_tqdm=False, journal=sys.argv[1])
            except JournalError as error:
                print(f"pid {os.getpid()} " in str(error))
"""
    done = run_script(script, tmp_path, str(tmp_path / "journal"))
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert [str(row.status) for row in open_results(tmp_path / "journal")] == ["succeeded"] * 2
    assert read(tmp_path / "journal", "SELECT count(*) FROM driver WHERE end_time IS NULL") == [(0,)]


def test_a_loop_that_is_left_early_gives_the_journal_back(tmp_path: Path):
    for _ in range(2):
        for exe in touches(tmp_path, "a", "b").executable_loop(use_tqdm=False, journal=tmp_path / "journal"):
            exe.execute(ostreams=[])
            break
    assert ran(tmp_path) == ["a", "b"]


@pytest.mark.anyio
async def test_an_async_loop_that_is_left_early_gives_the_journal_back(tmp_path: Path):
    for _ in range(2):
        async with touches(tmp_path, "a", "b").executable_loop(use_tqdm=False, journal=tmp_path / "journal") as loop:
            async for exe in loop:
                await exe.execute(ostreams=[])
                break
    assert ran(tmp_path) == ["a", "b"]


def test_a_loop_that_nobody_iterates_holds_nothing(tmp_path: Path):
    loop = touches(tmp_path, "a").executable_loop(journal=tmp_path / "journal")
    touches(tmp_path, "a").run(use_tqdm=False, ostreams=[], journal=tmp_path / "journal")
    loop.close()
    assert ran(tmp_path) == ["a"]


# ---- journals that are not to be used


def test_the_folder_is_checked_at_the_call(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    for journal in (file, file / "below"):
        with pytest.raises(JournalError, match=r"file: this is a file.*another name"):
            Task("true").executable_loop(journal=journal)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (ArgumentTypeError, {"journal": 3}, "journal is the path of a folder, not 3"),
        (ArgumentTypeError, {"journal": b"x"}, "journal is the path"),
        (ArgumentValueError, {"journal": ""}, "journal is empty"),
        (ArgumentValueError, {"journal": "a\0"}, "journal.*NUL"),
        (ArgumentValueError, {"rerun": "failed"}, "rerun without a journal"),
        (ArgumentValueError, {"journal": "j", "rerun": "broken"}, "rerun: 'broken'.*'all'"),
        (ArgumentValueError, {"journal": "j", "rerun": ["failed", "x"]}, "rerun: 'x'"),
        (ArgumentTypeError, {"journal": "j", "rerun": 3}, "rerun: 3"),
        (ArgumentTypeError, {"journal": "j", "rerun": [3]}, "rerun: 3"),
    ],
)
@pytest.mark.parametrize("way", ["executable_loop", "as_completed", "run"])
def test_what_makes_no_sense_is_refused_and_nothing_made(kind, options, told, way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=told):
        getattr(touches(tmp_path, "a"), way)(**options)
    assert list(tmp_path.iterdir()) == []


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "zeros":
        data[4096:8192] = bytes(4096)
    elif how == "cut short":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    elif how == "no journal":
        data[:] = b"something else entirely\n" * 1000
    elif how == "another program's":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        return
    elif how == "newer":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        return
    path.write_bytes(data)


@pytest.mark.fault("J13", "J14")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("zeros", "damaged|malformed"),
        ("cut short", "damaged|malformed"),
        ("empty", "no journal of TaskExp"),
        ("no journal", "not a database"),
        ("another program's", "no journal of TaskExp"),
        ("newer", "version 99.*newer TaskExp"),
    ],
)
def test_a_journal_that_cannot_be_used_is_refused_and_left_as_it_was(how: str, told: str, tmp_path: Path):
    folder = tmp_path / "journal"
    sweep(touches(tmp_path, *map(str, range(40))), "run", journal=folder)
    path = folder / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged(path, how)
    before = path.read_bytes()
    ran(tmp_path)
    with pytest.raises(JournalError, match=told) as caught:
        sweep(touches(tmp_path, "a"), "run", journal=folder)
    assert str(path) in str(caught.value)
    assert ran(tmp_path) == []
    assert path.read_bytes() == before
    if how not in ("zeros", "cut short"):
        with pytest.raises(JournalError, match=told):
            open_results(folder)


@pytest.mark.fault("J15")
def test_a_journal_that_is_deleted_while_the_sweep_runs_ends_it_with_an_error(tmp_path: Path):
    folder = tmp_path / "journal"
    loop = touches(tmp_path, "a", "b", "c").executable_loop(use_tqdm=False, journal=folder)
    next(loop).execute(ostreams=[])
    shutil.rmtree(folder)
    result = next(loop).execute(ostreams=[])
    assert (result.status, "deleted or replaced" in result.error) == ("interrupted", True)
    with pytest.raises(JournalError, match="was deleted or replaced while the sweep ran"):
        next(loop)
    assert next(loop, None) is None
    assert ran(tmp_path) == ["a"]


@pytest.mark.fault("J16")
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path):
    script = """
import sys
from taskexp import JournalError, Task
try:
    Task("touch ran").run(journal=sys.argv[1])
except JournalError as error:
    print(error)
"""
    outer = tmp_path / "outer"
    outer.mkdir()
    path = outer / "script.py"
    path.write_text(script)
    locked = outer / "locked"
    locked.mkdir(mode=0o500)
    command = [sys.executable, str(path), str(locked / "journal")]
    if os.geteuid() == 0:
        drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        command = [*drop, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "locked/journal" in done.stdout, done.stderr
    assert "a folder that can be written to" in done.stdout
    assert not (outer / "ran").exists()


# ---- older journals


def written(path: Path) -> str:
    """Write all that stands in a journal as statements."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return "\n".join([f"PRAGMA user_version={version};", *connection.iterdump()])


@pytest.mark.fault("J13")
def test_a_journal_of_an_older_version_is_migrated_and_its_old_state_kept(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    make(path)
    before = written(path)
    steps = {VERSION: "ALTER TABLE run ADD COLUMN note TEXT;", VERSION + 1: "CREATE TABLE extra (x);"}
    migrate(path, VERSION, steps, target=VERSION + 2)
    assert read(tmp_path, "PRAGMA user_version") == [(VERSION + 2,)]
    assert read(tmp_path, "SELECT note FROM run") == []
    kept = tmp_path / f"journal.sqlite.v{VERSION}"
    assert written(kept) == before
    assert f"PRAGMA user_version={VERSION};" in before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_migration_that_fails_changes_nothing(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    make(path)
    with pytest.raises(sqlite3.Error):
        migrate(path, VERSION, {VERSION: "CREATE TABLE extra (x); SELECT no_such_function();"}, target=VERSION + 1)
    assert read(tmp_path, "PRAGMA user_version") == [(VERSION,)]
    assert read(tmp_path, "SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == [(0,)]


def test_time_passes_in_the_right_order(tmp_path: Path):
    began = time.time()
    sweep(touches(tmp_path, "a"), "run", journal=tmp_path / "j")
    (row,) = open_results(tmp_path / "j")
    assert began - 1 <= row.start_time.timestamp() <= row.end_time.timestamp() <= time.time() + 1


JOURNALS = Path(__file__).parent / "journals"


@pytest.mark.parametrize("path", sorted(JOURNALS.glob("*.sqlite")), ids=lambda path: path.stem)
def test_a_journal_of_every_released_version_can_be_read_and_gone_on_with(path: Path, tmp_path: Path):
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    shutil.copy(path, folder / "journal.sqlite")
    (folder / "journal.sqlite").chmod(0o600)
    task = Task("sh -c 'echo n=$0; exit $0'").arg(None, [0, 1, 2]).metric("n", r"n=(\d)")
    results = task.run(use_tqdm=False, ostreams=[], journal=folder)
    assert [(result.status, result.attempt, result.metrics) for result in results] == [
        ("succeeded", 1, {"n": 0.0}),
        ("failed", 2, {"n": 1.0}),
        ("failed", 2, {"n": 2.0}),
    ]
    assert results[0].host == "example"
    assert len(open_results(folder, attempts=True)) == 5


def test_there_is_a_journal_of_every_version():
    assert {path.stem for path in JOURNALS.glob("*.sqlite")} == {f"v{number}" for number in range(1, VERSION + 1)}


@pytest.mark.fault("J01", "J09", "J10")
def test_killed_drivers_lose_nothing_and_repeat_nothing_that_is_recorded(tmp_path: Path):
    script = Path(__file__).parent.parent / "benchmarks" / "crash.py"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script, "--kills", "10", "--seed", str(os.getpid())],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"drivers killed +(\d+)", done.stdout)[1]) >= 10


@pytest.mark.fault("U05")
@pytest.mark.skipif(os.geteuid() != 0, reason="others cannot use what they may not write to")
def test_a_stricter_umask_is_kept(tmp_path: Path):
    folder = tmp_path / "journal"
    before = os.umask(0o277)
    try:
        sweep(Task("true"), "run", journal=folder)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o500, 0o400}


@pytest.mark.fault("J19")
def test_the_last_attempt_is_the_last_row_whatever_the_clock_said(tmp_path: Path):
    program = Task(["sh", "-c", "test $TASKEXP_ATTEMPT = 2"])
    sweep(program, "run", journal=tmp_path / "j", retries=1)
    with closing(sqlite3.connect(tmp_path / "j" / "journal.sqlite", isolation_level=None)) as connection:
        early = "= '2001-01-01T00:00:00+00:00'"
        connection.execute(f"UPDATE attempt SET begin_time {early}, start_time {early}, end_time {early} WHERE id = 2")
    (row,) = open_results(tmp_path / "j")
    assert (row.attempt, row.status, row.start_time.year) == (2, "succeeded", 2001)


@pytest.mark.fault("J18")
def test_no_file_of_a_sweep_that_goes_on_holds_a_secret(tmp_path: Path):
    folder = tmp_path / "j"
    task = Task(["sh", "-c", "test $HF_TOKEN = hunter2secret", "hunter2secret"], env={"HF_TOKEN": "hunter2secret"})
    loop = task.arg("--key", ["hunter2secret", "other"]).executable_loop(use_tqdm=False, journal=folder)
    for exe in loop:
        assert exe.execute(ostreams=[]).status == "succeeded"
        names = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"} <= names.keys()
        assert [name for name, data in names.items() if b"hunter2secret" in data] == []
