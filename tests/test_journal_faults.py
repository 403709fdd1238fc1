"""What breaks journals, and what is done about it: late runs, kills, forks, signals, other programs, odd bytes."""

import asyncio
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import alive, eventually, run_script

from taskexp import JournalError, Status, Task, TaskExpError, open_results
from taskexp.loop import answer
from taskexp.record.journal import database, lock
from taskexp.record.journal import journal as journal_module
from taskexp.record.journal.database import make, migrate
from taskexp.record.journal.schema import VERSION
from taskexp.run.identity import own_identity
from taskexp.run.orphans import stop_orphans

QUIET = {"use_tqdm": False, "ostreams": []}
SECONDS = 30.0
"""How long a handshake may take; nothing waits so long unless it fails."""


def statuses(folder: Path, **options: bool) -> list[str]:
    return [str(row.status) for row in open_results(folder, **options)]


def connected(folder: Path, **options: object) -> closing[sqlite3.Connection]:
    """Open a journal as another program does."""
    return closing(sqlite3.connect(folder / "journal.sqlite", isolation_level=None, **options))


def change(folder: Path, *statements: str) -> None:
    with connected(folder) as connection:
        for statement in statements:
            connection.execute(statement)


def multiply(folder: Path, count: int) -> None:
    """Add runs to a journal that are like its first one."""
    with connected(folder) as connection:
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(attempt)")]
        rest = ", ".join(name for name in names if name not in ("id", "fingerprint", "point_index"))
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
            f"INSERT INTO attempt (fingerprint, point_index, {rest}) "
            f"SELECT randomblob(16), i, {rest} FROM n, (SELECT * FROM attempt WHERE id = 1)"
        )
        connection.execute("UPDATE attempt SET duration = duration WHERE id > 1")  # their runs are told their ends


def is_free(folder: Path) -> bool:
    """Tell whether a driver can have a journal, by having it."""
    try:
        Task("true").run(**QUIET, journal=folder)
    except JournalError as error:
        if "in use" not in str(error):
            raise
        return False
    return True


def waits_for(path: Path, mark: str = "") -> str:
    """Write a shell script that says that it runs, and runs until a file is there."""
    return f"{mark}\nuntil [ -e {path} ]; do sleep 0.01; done"


# ---- executables that outlive the loop


@pytest.mark.anyio
async def test_tasks_that_execute_after_the_end_of_an_async_loop_are_recorded(tmp_path: Path):
    ended = asyncio.Event()

    async def later(exe):
        await ended.wait()
        return await exe.execute(ostreams=[])

    task, options = Task("true").arg(None, range(4)), {"use_tqdm": False, "journal": tmp_path / "j", "max_workers": 3}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(later(exe)) async for exe in task.executable_loop(**options)]
        ended.set()
    assert [str(each.result().status) for each in tasks] == ["succeeded"] * 4
    assert [(row.index, str(row.status)) for row in open_results(tmp_path / "j")] == [
        (index, "succeeded") for index in range(4)
    ]
    assert [exe async for exe in task.executable_loop(**options)] == []


@pytest.mark.parametrize("max_workers", [1, 3])
def test_executables_of_a_list_are_recorded(max_workers: int, tmp_path: Path):
    task = Task("true").arg(None, range(4))
    executables = list(task.executable_loop(use_tqdm=False, max_workers=max_workers, journal=tmp_path / "j"))
    for exe in executables:
        exe.execute(ostreams=[])
    assert [str(exe.result.status) for exe in executables] == ["succeeded"] * 4
    assert [(row.index, str(row.status)) for row in open_results(tmp_path / "j")] == [
        (index, "succeeded") for index in range(4)
    ]
    assert list(task.executable_loop(use_tqdm=False, journal=tmp_path / "j")) == []


# ---- which driver is dead, and what it left running


def test_a_driver_that_lives_in_another_pid_namespace_keeps_its_journal(tmp_path: Path):
    folder, gate, started = tmp_path / "j", tmp_path / "gate", tmp_path / "started"
    unshare = ["unshare", *(["-r"] if os.geteuid() else []), "-p", "-f", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a pid namespace cannot be made here: that needs root, or user namespaces, and unshare(1)")
    script = tmp_path / "first.py"
    script.write_text(f"""
from taskexp import Task
task = Task(["sh", "-c", {waits_for(gate, f"echo > {started}")!r}])
print(task.run(use_tqdm=False, ostreams=[], journal={str(folder)!r})[0].status)
""")
    command = [*unshare, sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        try:
            eventually(started.exists, "the first driver does not run", SECONDS)
            with pytest.raises(JournalError, match=f"in use by another driver .pid .* on {socket.gethostname()}"):
                Task("true").run(**QUIET, journal=folder)
            gate.touch()
            assert first.communicate(timeout=SECONDS)[0] == "succeeded\n"
        finally:
            first.kill()
    assert statuses(folder, attempts=True) == ["succeeded"]


@pytest.mark.parametrize("ticks", [0, -50], ids=["this process", "an earlier process of its number"])
def test_what_was_left_open_under_our_own_pid_leads_to_no_signal_to_another_sweep_of_ours(ticks: int, tmp_path: Path):
    folder, gate, started, results = tmp_path / "j", tmp_path / "gate", tmp_path / "started", []
    Task("true").run(**QUIET, journal=folder)
    change(
        folder,
        f"UPDATE driver SET end_time = NULL, start_ticks = start_ticks + {ticks}",
        "UPDATE attempt SET end_time = NULL, duration = NULL",
    )
    other = Task(["sh", "-c", waits_for(gate, f"echo > {started}")])
    thread = threading.Thread(target=lambda: results.extend(other.run(**QUIET, journal=tmp_path / "other")))
    thread.start()
    try:
        eventually(started.exists, "the other sweep does not run", SECONDS)
        Task("true").run(**QUIET, journal=folder)
    finally:
        gate.touch()
        thread.join()
    assert [str(result.status) for result in results] == ["succeeded"]


DRIVER = """
import sys
from taskexp import Task
from taskexp.run.watchdog import Watchdog
Watchdog.tell_started = lambda *_: None  # as if the watchdog had been killed with the driver
Task(["sh", "-c", "exec sleep 3600." + sys.argv[2]]).run(ostreams=[], journal=sys.argv[1])
"""


def killed_driver(folder: Path, journal: Path, number: str) -> tuple[int, int, str]:
    """Kill a driver while its run goes on; returns its pid, the run's pid, and the mark of the run."""
    script = folder / "driver.py"
    script.write_text(DRIVER)
    with subprocess.Popen([sys.executable, script, journal, number], cwd=folder, stderr=subprocess.DEVNULL) as driver:
        try:
            eventually(lambda: len(alive(f"3600.{number}")) == 1, "the driver's run does not start", SECONDS)
            (run,) = alive(f"3600.{number}")
        finally:
            driver.kill()
    environ = Path(f"/proc/{run}/environ").read_text().split("\0")
    return driver.pid, run, next(entry for entry in environ if entry.startswith("TASKEXP_RUN="))


@pytest.mark.fault("P11")
def test_a_run_of_a_later_driver_with_the_pid_of_a_dead_one_is_left_alone(tmp_path: Path, capsys):
    number = str(uuid.uuid4().int)
    pid, run, mark = killed_driver(tmp_path, tmp_path / "j", number)
    later = re.sub(r"\.([0-9]+)-", lambda found: f".{int(found[1]) + 1}-", mark).partition("=")[2]
    with subprocess.Popen(["sleep", "3600"], env={**os.environ, "TASKEXP_RUN": later}) as stranger:
        try:
            Task("true").run(ostreams=[], journal=tmp_path / "j")
            assert stranger.poll() is None
            assert not alive(f"3600.{number}")
            assert f"stopped 1 process that the last driver (pid {pid}) left running when it died ({run})" in (
                capsys.readouterr().err
            )
        finally:
            stranger.kill()


@pytest.mark.parametrize(
    ("elsewhere", "told"),
    [
        ({"boot_id": "another"}, None),
        ({"host": "another-host"}, "warning: the last driver (pid 4123456 on another-host) died"),
        ({"host": "another-host", "boot_id": "another"}, "warning: the last driver (pid 4123456 on another-host) died"),
        ({"pid_namespace": 1}, f"warning: the last driver (pid 4123456 on {socket.gethostname()}) died"),
    ],
)
def test_what_a_driver_left_elsewhere_is_not_ours_to_stop(elsewhere: dict, told: str | None):
    dead = replace(own_identity(), pid=4123456, start_ticks=1)
    environ = {**os.environ, "TASKEXP_RUN": "4123456.1-ab"}
    with subprocess.Popen(["sleep", "3600"], env=environ) as stranger:
        try:
            said = stop_orphans(replace(dead, **elsewhere))
            assert (said is None) == (told is None)
            assert told is None or (told in said and "look there" in said)
            assert stranger.poll() is None
            assert stop_orphans(dead) == (
                f"stopped 1 process that the last driver (pid 4123456) left running when it died ({stranger.pid})"
            )
        finally:
            stranger.kill()


def test_what_this_process_left_open_is_nothing_to_stop():
    assert stop_orphans(own_identity()) is None


# ---- transactions that were cut off, and readers that take their time


@pytest.mark.parametrize("first", ["reader", "driver"])
def test_a_transaction_that_its_driver_did_not_live_to_end_is_undone(first: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(database, "_is_on_network", lambda _: True)  # as there, without a write-ahead log
    folder = tmp_path / "j"
    Task("true").run(**QUIET, journal=folder)
    multiply(folder, 500)
    script = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1] + "/journal.sqlite", isolation_level=None)
connection.execute("PRAGMA cache_size=2")  # so that half of it is in the file before its end
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE attempt SET status = 'failed', returncode = 77, error = 'never committed'")
connection.execute("UPDATE run SET status = 'failed'")
os.kill(os.getpid(), 9)
"""
    assert run_script(script, tmp_path, str(folder)).returncode == -signal.SIGKILL
    assert (folder / "journal.sqlite-journal").stat().st_size > 0
    assert b"never committed" in (folder / "journal.sqlite").read_bytes()
    if first == "driver":
        (result,) = Task("true").run(**QUIET, journal=folder)
        assert (str(result.status), result.attempt) == ("succeeded", 1)
    assert {(str(row.status), row.returncode, row.error) for row in open_results(folder)} == {("succeeded", 0, None)}
    assert len(open_results(folder, attempts=True)) == 501
    assert b"never committed" not in (folder / "journal.sqlite").read_bytes()


@pytest.mark.parametrize("on_network", [False, True])
def test_a_reader_that_takes_its_time_holds_up_nobody(on_network: bool, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(database, "_is_on_network", lambda _: on_network)
    folder = tmp_path / "j"
    Task("true").run(**QUIET, journal=folder)
    multiply(folder, 2000)
    rows = iter(open_results(folder))
    seen = [next(rows)]
    with connected(folder, timeout=0.5) as connection:
        for count in (1, 700):
            while len(seen) < count:
                seen.append(next(rows))
            connection.execute("UPDATE driver SET python = python || '+'")
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert busy == 0
    seen += rows
    assert len(seen) == 2001


def test_what_is_added_while_a_reader_reads_does_not_disturb_it(tmp_path: Path):
    folder = tmp_path / "j"
    Task("true").run(**QUIET, journal=folder)
    multiply(folder, 1200)
    rows = iter(open_results(folder))
    seen = [next(rows)]
    multiply(folder, 10)
    seen += rows
    assert len({row.fingerprint for row in seen}) == len(seen) == 1201


# ---- signals and cancellation while a journal opens and closes


def test_ctrl_c_while_a_journal_opens_ends_the_sweep_at_once_and_leaves_the_journal_free(tmp_path: Path):
    script = """
import os, signal, sys, threading, time
import taskexp.record.journal.journal as module
from taskexp import JournalError, Task
read, gate = module._recorded, threading.Event()
def slow(*arguments):  # stands for millions of runs
    module._recorded = read
    os.kill(os.getpid(), signal.SIGINT)
    print("let go" if gate.wait(20) else "held", flush=True)
    return read(*arguments)
module._recorded = slow
task = Task("true").arg(None, [1, 2])
try:
    task.run(use_tqdm=False, ostreams=[], journal=sys.argv[1])
except KeyboardInterrupt:
    print("KeyboardInterrupt", flush=True)
gate.set()
for _ in range(1000):
    try:
        print(*[result.status for result in task.run(use_tqdm=False, ostreams=[], journal=sys.argv[1])])
        break
    except JournalError:
        time.sleep(0.02)
"""
    done = run_script(script, tmp_path, str(tmp_path / "j"))
    assert (done.stdout, done.stderr) == ("KeyboardInterrupt\nlet go\nsucceeded succeeded\n", "")


@pytest.mark.anyio
async def test_cancelling_a_loop_whose_journal_opens_holds_nothing_and_leaves_the_journal_free(tmp_path, monkeypatch):
    opening, gate, waited = threading.Event(), threading.Event(), []
    find = journal_module.find_provenance

    def slow(*arguments):
        opening.set()
        waited.append(gate.wait(20))
        return find(*arguments)

    async def body():
        async for _ in Task("true").executable_loop(use_tqdm=False, journal=tmp_path / "j"):
            pytest.fail("it was cancelled")

    monkeypatch.setattr(journal_module, "find_provenance", slow)
    task = asyncio.create_task(body())
    async with asyncio.timeout(SECONDS):
        while not opening.is_set():
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert not waited  # it goes on opening, and nobody waits for it
    gate.set()
    eventually(lambda: is_free(tmp_path / "j"), "the journal is not given back", SECONDS)
    assert waited == [True]


def test_a_second_driver_is_refused_while_an_interrupted_one_still_writes(tmp_path: Path):
    script = """
import os, signal, sys, threading
import taskexp.record.journal.writer as writer
from taskexp import JournalError, Task
drain, interrupted, gate = writer.Syncer.drain, threading.Event(), threading.Event()
def try_another():
    interrupted.wait(2)  # it has nothing to wait for: the end of the first one takes as long as its disk
    try:
        print(*[result.status for result in Task("true").run(use_tqdm=False, ostreams=[], journal=sys.argv[1])])
    except JournalError as error:
        print("refused" if f"in use by this very process (pid {os.getpid()} on" in str(error) else error)
    gate.set()
def slow(self):
    writer.Syncer.drain = drain
    os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=try_another).start()
    gate.wait(20)
    drain(self)
writer.Syncer.drain = slow
try:
    Task("true").run(use_tqdm=False, ostreams=[], journal=sys.argv[1])
except KeyboardInterrupt:
    interrupted.set()
    gate.wait(20)
    print("KeyboardInterrupt")
writer.Syncer.drain = drain
print(len(Task("true").run(use_tqdm=False, ostreams=[], journal=sys.argv[1])))
"""
    done = run_script(script, tmp_path, str(tmp_path / "j"))
    assert done.stdout == "refused\nKeyboardInterrupt\n1\n", done.stderr
    assert statuses(tmp_path / "j", attempts=True) == ["succeeded"]


def test_a_fork_that_exits_in_the_middle_of_a_loop_leaves_the_journal_to_its_parent(tmp_path: Path):
    script = """
import os, sys, warnings
from taskexp import Task
warnings.simplefilter("ignore")  # newer Pythons warn of forks
with Task("true").arg(None, [1, 2]).executable_loop(use_tqdm=False, journal=sys.argv[1]) as loop:
    for exe in loop:
        exe.execute(ostreams=[])
        if exe.index == 0:
            if (pid := os.fork()) == 0:
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            input()
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, tmp_path / "script.py", tmp_path / "j"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "3\n"
            with pytest.raises(JournalError, match=rf"another driver \(pid {first.pid} on"):
                Task("true").run(**QUIET, journal=tmp_path / "j")
            first.communicate("\n", timeout=SECONDS)
        finally:
            first.kill()
    assert statuses(tmp_path / "j") == ["succeeded"] * 2


# ---- another program that holds the journal


def test_a_program_that_holds_the_journal_for_a_while_holds_up_no_timeout(tmp_path: Path):
    folder, held, results = tmp_path / "j", [], []
    script = f"echo $$ > $0.$1; [ $1 = long ] && exec sleep 3600; {waits_for(tmp_path / 'gate')}"
    task = Task(["sh", "-c", script, str(tmp_path / "pid")]).arg(None, ["long", "quick"])

    def run() -> None:
        executables = []
        for exe in task.executable_loop(use_tqdm=False, journal=folder, max_workers=2):
            exe.execute(ostreams=[], timeout=3 if exe.params["arg1"] == "long" else None)
            executables.append(exe)
        results.extend(exe.result for exe in executables)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        pids = [tmp_path / "pid.long", tmp_path / "pid.quick"]
        eventually(lambda: all(path.exists() and path.read_text() for path in pids), "the runs do not start", SECONDS)
        with connected(folder, timeout=SECONDS) as connection:
            connection.execute("BEGIN IMMEDIATE")
            (tmp_path / "gate").touch()  # the end of this run cannot be recorded now
            eventually(lambda: not Path(f"/proc/{int(pids[0].read_text())}").exists(), "no timeout in 15 s", 15)
            held.append(read_ends(folder))
            connection.execute("ROLLBACK")
    finally:
        (tmp_path / "gate").touch()
        thread.join()
    assert held == [0]
    assert [str(result.status) for result in results] == ["timed_out", "succeeded"]
    assert statuses(folder, attempts=True) == ["timed_out", "succeeded"]


@pytest.mark.anyio
async def test_a_run_that_waits_for_a_journal_is_stopped_before_another_program_lets_go(tmp_path: Path, monkeypatch):
    folder, waits = tmp_path / "j", asyncio.Event()
    arrival = answer.Answer._arrival

    async def signalling(self: answer.Answer) -> None:
        waits.set()
        await arrival(self)

    monkeypatch.setattr(answer, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(answer.Answer, "_arrival", signalling)
    loop = Task("true").repeat(2).executable_loop(use_tqdm=False, journal=folder, max_workers=2)
    executables = aiter(loop)
    assert (await (await anext(executables)).execute(ostreams=[])).status is Status.succeeded
    second = await anext(executables)
    with connected(folder, timeout=SECONDS) as connection:
        connection.execute("BEGIN IMMEDIATE")
        waits.clear()
        execution = asyncio.create_task(second.execute(ostreams=[]))
        await asyncio.wait_for(waits.wait(), SECONDS)
        execution.cancel()
        async with asyncio.timeout(database.BUSY_SECONDS / 2):  # the writer itself waits for so long, and twice that
            with pytest.raises(asyncio.CancelledError):
                await execution
        connection.execute("ROLLBACK")
    await loop.aclose()
    assert second.result.status is Status.interrupted
    assert "the journal does not answer" in second.result.error
    assert statuses(folder)[0] == "succeeded"


def read_ends(folder: Path) -> int:
    with connected(folder) as connection:
        (count,) = connection.execute("SELECT count(*) FROM attempt WHERE end_time IS NOT NULL").fetchone()
        return count


def test_a_program_that_never_lets_go_of_the_journal_is_waited_for_once_and_not_once_per_run(tmp_path: Path):
    script = """
import sqlite3, sys, threading, time
from pathlib import Path
import taskexp.record.journal.database as database
import taskexp.record.journal.writer as writer
from taskexp import JournalError, Task
database.BUSY_SECONDS = writer.BUSY_SECONDS = 2.0
folder, gate = Path(sys.argv[1]), Path(sys.argv[2])
task = Task(["sh", "-c", f"echo > {gate}.$TASKEXP_INDEX; until [ -e {gate} ]; do sleep 0.01; done"]).repeat(12)
def hold():
    while len(list(gate.parent.glob("gate.*"))) < 12:
        time.sleep(0.01)
    connection = sqlite3.connect(folder / "journal.sqlite", isolation_level=None, timeout=20, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    began.append(time.monotonic())
    gate.touch()
    return connection
began, held = [], []
thread = threading.Thread(target=lambda: held.append(hold()))
thread.start()
try:
    task.run(use_tqdm=False, ostreams=[], journal=folder, max_workers=12)
except JournalError as error:
    print(error)
print(time.monotonic() - began[0])
held[0].close()
print(*[result.attempt for result in task.run(use_tqdm=False, ostreams=[], journal=folder, max_workers=12)])
"""
    done = run_script(script, tmp_path, str(tmp_path / "j"), str(tmp_path / "gate"))
    told, seconds, attempts = done.stdout.splitlines()
    assert "another program holds it" in told
    assert 2 <= float(seconds) < 14, done.stderr
    assert attempts.split() == ["2"] * 12


# ---- secrets

VALUE = "hunter2-value"
SPILLS = """
from taskexp import Task, TaskExpError
VALUE = "hunter2" + "-value"
def raises(point):
    raise ValueError(f"bad token {VALUE}")
failing, options = ["sh", "-c", "exit 1"], {}
"""
SHOWS = """
def show(act):
    try:
        print(act())
    except TaskExpError as error:
        print(error)
for exe in task.executable_loop(journal=folder / "loop", **options):
    show(exe.print_cmd)
    show(lambda: exe.execute().status)
    show(lambda: repr(exe))
for point in task:
    show(lambda: repr(point))
task.run(journal=folder / "run", max_workers=2, **options)
"""


@pytest.mark.parametrize(
    "task",
    [
        'task, options = Task(failing), {"slots": {"API_KEY": [VALUE]}}',
        'task = Task(failing, env={"HF_TOKEN": raises})',
        'task = Task(failing, env={"HF_TOKEN": lambda p: [VALUE]})',
        'task = Task(failing, env={"HF_TOKEN": lambda p: VALUE.encode()})',
        'task = Task(failing, env={"HF_TOKEN": lambda p: VALUE + chr(0)})',
        'task = Task(failing).env("HF_TOKEN", [VALUE]).fixed("--token", lambda p: p["HF_TOKEN"])',
        'task = Task(failing).env("HF_TOKEN", [VALUE]).fixed("--url", lambda p: "me:" + p["HF_TOKEN"] + "@x")',
        'task = Task(failing).env("HF_TOKEN", [VALUE])',
        'task = Task(["no-such-program"]).env("HF_TOKEN", [VALUE]).fixed("--token", lambda p: p["HF_TOKEN"])',
        'task = Task(failing).env("TOKEN", [VALUE])',
        'task = Task(failing, env={"DB_PASS": VALUE})',
        'task = Task(failing, env={"GITHUB_PAT": VALUE})',
    ],
    ids=[
        "a slot",
        "a function that raises",
        "a function that gives a list",
        "a function that gives bytes",
        "a function that gives a NUL",
        "an argument that is a secret",
        "an argument that holds a secret",
        "a point",
        "a command that cannot start",
        "TOKEN",
        "DB_PASS",
        "GITHUB_PAT",
    ],
)
def test_no_secret_is_spilt_by(task: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    exec(SPILLS + task + SHOWS, {"folder": tmp_path / "j"})
    out, err = capfd.readouterr()
    assert "runs failed" in err
    assert VALUE not in out + err
    assert_not_in(VALUE, tmp_path / "j")


def test_no_secret_is_spilt_by_the_arguments_of_the_script(tmp_path: Path):
    script = "import sys\nfrom taskexp import Task\nTask('true').run(ostreams=[], journal=sys.argv[1])"
    arguments = ["--hf-token", VALUE, "--n", "3", f"--api-key={VALUE}", "--password", VALUE]
    done = run_script(script, tmp_path, str(tmp_path / "j"), *arguments)
    assert VALUE not in done.stdout + done.stderr
    assert_not_in(VALUE, tmp_path / "j")
    with connected(tmp_path / "j") as connection:
        ((written,),) = connection.execute("SELECT arguments FROM driver").fetchall()
    assert json.loads(written)[1:] == ["--hf-token", "***", "--n", "3", "--api-key=***", "--password", "***"]


def assert_not_in(value: str, folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if value.encode() in path.read_bytes()] == []


def test_an_exclamation_mark_alone_names_no_variable():
    with pytest.raises(TaskExpError, match="secret_env: '!' names no variable"):
        Task("true", secret_env=["!"])


# ---- names that are no text, and long ones


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose name is not UTF-8."""
    folder = tmp_path / os.fsdecode(b"od\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    return folder


@pytest.mark.parametrize("max_workers", [1, 2])
def test_the_cwd_of_a_run_may_be_no_text(max_workers: int, odd: Path, tmp_path: Path):
    task = Task("true", cwd=odd).arg(None, [1, 2])
    results = task.run(**QUIET, journal=tmp_path / "j", max_workers=max_workers)
    assert [str(result.status) for result in results] == ["succeeded"] * 2
    assert [row.cwd for row in open_results(tmp_path / "j")] == [str(odd)] * 2


@pytest.mark.parametrize("program", ["no-such-\udcff", "there-\udcff"])
def test_the_name_of_a_program_may_be_no_text(program: str, odd: Path, tmp_path: Path):
    (odd / "there-\udcff").write_text("#!/bin/sh\n")
    (odd / "there-\udcff").chmod(0o700)
    task = Task([str(odd / program)]).arg(None, ["1\udcff", "2"])
    first = [(str(result.status), result.argv) for result in task.run(**QUIET, journal=tmp_path / "j")]
    assert {status for status, _ in first} == {"not_started" if program.startswith("no") else "succeeded"}
    assert [(str(row.status), list(row.argv)) for row in open_results(tmp_path / "j")] == first


@pytest.mark.fault("J17")
def test_an_error_may_be_no_text(tmp_path: Path):
    def raises(_):
        raise ValueError("bad \udcff")

    (result,) = Task("true").fixed("--x", raises).run(**QUIET, journal=tmp_path / "j")
    assert (str(result.status), "bad \udcff" in result.error) == ("not_started", True)
    (row,) = open_results(tmp_path / "j")
    assert (str(row.status), "bad \\udcff" in row.error) == ("not_started", True)


def test_the_folder_of_the_script_and_of_the_driver_may_be_no_text(odd: Path, tmp_path: Path):
    script = "import sys\nfrom taskexp import Task\nTask('true').run(ostreams=[], journal=sys.argv[1])"
    done = run_script(script, odd, str(tmp_path / "j"), "\udcff")
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path / "j") == ["succeeded"]
    with connected(tmp_path / "j") as connection:
        (row,) = connection.execute("SELECT script, cwd, arguments FROM driver").fetchall()
    assert list(map(json.loads, row)) == [str(odd / "script.py"), str(odd), [str(tmp_path / "j"), "\udcff"]]


@pytest.mark.parametrize("name", [os.fsdecode(b"j\xff"), "o ?#%41\n'\"j", "\u00fc"], ids=["bytes", "signs", "umlaut"])
def test_the_path_of_a_journal_may_be_anything(name: str, odd: Path):
    folder = odd / name
    for attempt in (1, 1):
        (result,) = Task("echo n=1").metric("n", r"n=(\d)").run(**QUIET, journal=folder)
        assert (str(result.status), result.attempt, result.metrics) == ("succeeded", attempt, {"n": 1.0})
    (row,) = open_results(folder).metric("n again", r"n=(\d)")
    assert (row.log_path.parent, row.metrics) == (folder / "logs", {"n": 1.0, "n again": 1.0})
    with pytest.raises(JournalError, match="no journal"):
        open_results(odd)


def test_the_index_of_a_point_may_have_hundreds_of_digits(tmp_path: Path):
    last = 10**240 - 1
    (result,) = Task("echo").arg(None, range(10**240)).run(**QUIET, journal=tmp_path / "j", start=last)
    assert (str(result.status), result.index) == ("succeeded", last)
    (row,) = open_results(tmp_path / "j")
    assert (row.index, row.log_path.read_text()) == (last, f"{last}\n")


# ---- the folder and its lock


@pytest.mark.fault("J07")
@pytest.mark.parametrize(
    ("mounts", "folder", "is_on_network"),
    [
        ([(rb"/x-mnt/my\040disk", b"nfs4")], b"/x-mnt/my disk/j", True),
        ([(rb"/x-mnt/back\134slash", b"nfs4")], rb"/x-mnt/back\slash", True),
        ([("/x-mnt/\u00fc".encode(), b"nfs4")], "/x-mnt/\u00fc/j".encode(), True),
        ([("/x-mnt/\u20ac".encode(), b"nfs4")], "/x-mnt/\u20ac".encode(), True),
        ([(b"/x-mnt/\xff", b"nfs4")], b"/x-mnt/\xff/j", True),
        ([(b"/x-mnt/\xff", b"ext4")], b"/x-home/j", False),
        ([(b"/x-mnt/\xff", b"nfs4"), (b"/x-home", b"fuse.glusterfs")], b"/x-home/j", True),
        ([(b"/x-mnt", b"fuse.sshfs")], b"/x-mnt", True),
        ([(b"/x-mnt", b"nfs")], b"/x-mnt2/j", False),
        ([(b"/x-mnt", b"nfs"), (b"/x-mnt/in", b"ext4")], b"/x-mnt/in/j", False),
        ([(b"/x-mnt/in", b"ext4"), (b"/x-mnt", b"nfs")], b"/x-mnt/in/j", False),
        ([(b"/x-mnt", b"nfs"), (b"/x-mnt/in", b"ext4")], b"/x-mnt/inner", True),
        ([(b"/x-mnt", b"ext4"), (b"/x-mnt", b"cifs")], b"/x-mnt/j", True),
    ],
)
def test_a_network_file_system_is_told_by_the_mount(mounts, folder, is_on_network, monkeypatch):
    read_bytes = Path.read_bytes
    lines = [b"30 21 0:30 / %b rw shared:1 - %b source rw\n" % mount for mount in [(b"/", b"ext4"), *mounts]]

    def read(path: Path) -> bytes:
        return b"".join(lines) if str(path) == "/proc/self/mountinfo" else read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert database._is_on_network(Path(os.fsdecode(folder)) / "journal.sqlite") is is_on_network


def test_a_lock_whose_holder_cannot_be_written_is_let_go(tmp_path: Path):
    script = """
import gc, os, resource, sys
from taskexp import JournalError, Task
def count():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
task = Task("true").arg(None, [1])
task.run(use_tqdm=False, ostreams=[], journal=sys.argv[1] + "-before")
before, (soft, hard) = count(), resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
for _ in range(3):
    try:
        task.run(use_tqdm=False, ostreams=[], journal=sys.argv[1])
    except JournalError as error:
        assert "File too large" in str(error), error
        sys.stdout.write("refused ")
assert count() == before, (count(), before)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(*[result.status for result in task.run(use_tqdm=False, ostreams=[], journal=sys.argv[1])])
"""
    done = run_script(script, tmp_path, str(tmp_path / "j"))
    assert done.stdout == "refused refused refused succeeded\n", done.stderr


HOLDS_AND_FORKS = """
import os, sys, time, warnings
from pathlib import Path
from taskexp.record.journal.lock import Lock
warnings.simplefilter("ignore")
lock = Lock(Path(sys.argv[1]))
if os.fork() == 0:
    time.sleep(3600)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def stale_lock(tmp_path: Path) -> Iterator[Path]:
    """The lock of a driver that was killed, which a fork of it still has."""
    (tmp_path / "script.py").write_text(HOLDS_AND_FORKS)
    path = tmp_path / lock.FILE_NAME
    with subprocess.Popen([sys.executable, tmp_path / "script.py", tmp_path], start_new_session=True) as driver:
        assert driver.wait(SECONDS) == -signal.SIGKILL
    try:
        yield path
    finally:
        os.killpg(driver.pid, signal.SIGKILL)


@pytest.mark.fault("J03")
def test_of_two_drivers_that_find_the_lock_of_a_dead_ones_fork_one_gets_it(stale_lock: Path, monkeypatch):
    with stale_lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    is_at, first_looks, threads, got = lock._is_at, iter([True]), [], []

    def take() -> None:
        with suppress(JournalError):
            got.append(lock.Lock(stale_lock.parent))

    def slow(descriptor: int, path: Path) -> bool:
        found = is_at(descriptor, path)
        if found and next(first_looks, False):  # between its look and what it does, the other one goes as far as it can
            threads.append(threading.Thread(target=take))
            threads[0].start()
            threads[0].join(2)
        return found

    monkeypatch.setattr(lock, "_is_at", slow)
    take()
    threads[0].join()
    assert len(got) == 1
    with pytest.raises(JournalError, match="in use by this very process"):
        lock.Lock(stale_lock.parent)
    got[0].release()
    lock.Lock(stale_lock.parent).release()


def test_a_link_to_nothing_is_no_place_for_a_journal(tmp_path: Path):
    link = tmp_path / "dangling"
    link.symlink_to(tmp_path / "nowhere")
    for folder in (link, link / "below"):
        with pytest.raises(JournalError, match=r"dangling: this is a link to nothing.*another name"):
            Task("true").executable_loop(journal=folder)
    assert list(tmp_path.iterdir()) == [link]


# ---- logs and older journals


def test_a_log_that_another_journal_left_in_the_folder_is_not_added_to(tmp_path: Path):
    folder = tmp_path / "j"
    task = Task(["sh", "-c", f"cat {tmp_path / 'value'}"]).metric("v", r"v=(\d)", take="first")
    for value in ("v=1 of a longer log\n", "v=2\n"):
        (tmp_path / "value").write_text(value)
        task.run(**QUIET, journal=folder)
        for path in folder.glob("journal.sqlite*"):
            path.rename(tmp_path / path.name)
    for path in tmp_path.glob("journal.sqlite*"):
        path.rename(folder / path.name)
    (row,) = open_results(folder).metric("from the log", r"v=(\d)", take="first")
    assert row.log_path.read_text() == "v=2\n"
    assert row.metrics == {"v": 2.0, "from the log": 2.0}


def test_last_lines_without_a_newline_stay_two_lines_in_the_log(tmp_path: Path):
    task = Task(["sh", "-c", "printf 'throughput: 12'; printf '5 warnings' >&2"])
    task.metric("throughput", r"throughput: (\d+)").metric("warnings", r"(\d+) warnings")
    (result,) = task.run(**QUIET, journal=tmp_path / "j")
    assert result.metrics == {"throughput": 12.0, "warnings": 5.0}
    results = open_results(tmp_path / "j")
    (row,) = results.metric("throughput", r"throughput: (\d+)").metric("warnings", r"(\d+) warnings")
    assert row.metrics == result.metrics
    assert sorted(row.log_path.read_text().splitlines()) == ["5 warnings", "throughput: 12"]


def test_the_copy_of_a_journal_before_its_migration_has_what_is_in_its_write_ahead_log_alone(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    make(path)
    with connected(tmp_path) as writer, connected(tmp_path) as reader:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchone()  # so that the log cannot be carried over
        writer.execute("INSERT INTO run VALUES (x'AA', 'succeeded', 1)")
        migrate(path, VERSION, {VERSION: "ALTER TABLE run ADD COLUMN note TEXT;"}, target=VERSION + 1)
    with closing(sqlite3.connect(tmp_path / f"journal.sqlite.v{VERSION}")) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert copy.execute("SELECT * FROM run").fetchall() == [(b"\xaa", "succeeded", 1)]
    with connected(tmp_path) as connection:
        assert connection.execute("SELECT * FROM run").fetchall() == [(b"\xaa", "succeeded", 1, None)]


@pytest.mark.fault("C07")
def test_a_folder_of_logs_that_is_deleted_while_the_sweep_runs_ends_it_with_an_error(tmp_path: Path) -> None:
    loop = Task("echo").arg(None, range(3)).executable_loop(use_tqdm=False, journal=tmp_path / "j")
    assert next(loop).execute(ostreams=[]).status == "succeeded"
    shutil.rmtree(tmp_path / "j" / "logs")
    assert next(loop).execute(ostreams=[]).status == "interrupted"
    with pytest.raises(JournalError, match="logs"):
        next(loop)
    assert [str(row.status) for row in open_results(tmp_path / "j")][:1] == ["succeeded"]


@pytest.mark.fault("J02")
def test_an_end_is_on_the_disk_before_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        order.append("on the disk")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    for exe in Task("true").repeat(3).executable_loop(use_tqdm=False, journal=tmp_path / "j"):
        order.append("runs")
        exe.execute(ostreams=[])
        order.append("told")
    said = " ".join(order)
    assert re.fullmatch(r"(.*?runs( on the disk)+ told){3}.*", said), said


@pytest.mark.fault("J04", "J06")
def test_whatever_is_called_meanwhile_one_connection_writes_and_a_second_driver_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from taskexp.cli.main import main

    folder = tmp_path / "j"
    second = f"""
from taskexp import JournalError, Task
try:
    Task("true").run(journal={str(folder)!r}, use_tqdm=False, ostreams=[])
except JournalError as error:
    print("refused:", "in use by" in str(error))
"""
    with Task("echo").arg(None, range(3)).executable_loop(use_tqdm=False, journal=folder) as loop:
        next(loop).execute(ostreams=[])
        links = [path.resolve() for path in Path("/proc/self/fd").iterdir()]
        assert links.count(folder / "journal.sqlite") == 1
        assert len(open_results(folder).to_csv().splitlines()) == 2
        for words in (["status"], ["results"], ["show", "0"], ["logs", "0"]):
            assert main([words[0], str(folder), *words[1:]]) == 0
        shutil.copy(folder / "journal.sqlite", tmp_path / "copy")
        with pytest.raises(JournalError, match="in use"):
            Task("true").run(journal=folder, use_tqdm=False, ostreams=[])
        capsys.readouterr()
        assert run_script(second, tmp_path).stdout == "refused: True\n"
        assert next(loop).execute(ostreams=[]).status == "succeeded"
