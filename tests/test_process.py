"""One process from spawn to reaped: however it behaves and however it is stopped, the run ends and nothing is left."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import anyio
import pytest
from conftest import alive, eventually, run_script
from hypothesis import given
from hypothesis import strategies as st

from taskexp import RunResult, Status, Task, open_results
from taskexp.run import signalling
from taskexp.run.descendants import HAS_PROC, Process, ProcessTable
from taskexp.words import moment

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="survivors are looked up in /proc")

STUBBORN = ("deaf", "forks", "setsid")
GRACE = 0.2
ENOUGH_SECONDS = 8.0
"""Far more than a stop needs on a busy machine, far less than the programs would run."""


@pytest.fixture
def marker() -> Iterator[str]:
    """Name this test's processes. It is a number of seconds, too: `sleep MARKER` can be found."""
    name = f"1000.{uuid4().int % 10**12:012}"
    yield name
    survivors = alive(name)
    for pid in survivors:
        os.kill(pid, signal.SIGKILL)
    assert not survivors


class Ready:
    """An `on_verbose` that tells when the program has said that it is ready."""

    def __init__(self) -> None:
        self._said = threading.Event()

    def __call__(self, line: str, stream: object, when: object) -> None:
        if line == "ready\n":
            self._said.set()

    @property
    def seen(self) -> bool:
        return self._said.is_set()

    def wait(self) -> None:
        assert self._said.wait(20), "the program never got ready"

    async def arrive(self) -> None:
        with anyio.fail_after(20):
            while not self._said.is_set():
                await asyncio.sleep(0.005)


def run_one(argv: list[str], **options: object) -> RunResult:
    for exe in Task(argv).executable_loop(use_tqdm=False):
        exe.execute(**{"ostreams": [], **options})
        return exe.result
    raise AssertionError("a task without loops has one point")


def assert_gone(marker: str) -> None:
    eventually(lambda: not alive(marker), "a descendant is alive", 2.0)


def shell(script: str, marker: str) -> list[str]:
    return ["sh", "-c", script, marker]


# ---- the end of a run is the exit of its program


@pytest.mark.fault("P01", "P02")
def test_a_background_child_that_holds_the_pipes_does_not_keep_the_run(marker):
    task = Task(shell('sleep "$0" & exit 5', marker)).env("N", range(20))
    began = time.monotonic()
    results = task.run(use_tqdm=False, ostreams=[], max_workers=8)
    assert time.monotonic() - began < ENOUGH_SECONDS
    assert {(result.status, result.returncode, result.leaked) for result in results} == {(Status.failed, 5, True)}
    assert all(result.duration.total_seconds() < ENOUGH_SECONDS for result in results)
    assert_gone(marker)


@pytest.mark.fault("P01")
def test_a_leftover_that_holds_no_pipe_is_stopped_and_told(marker):
    result = run_one(shell('sleep "$0" >/dev/null 2>&1 & exit 0', marker))
    assert (result.status, result.returncode, result.leaked) == (Status.succeeded, 0, True)
    assert_gone(marker)


@pytest.mark.fault("P06")
def test_a_leftover_that_left_the_group_and_holds_a_pipe_is_stopped_and_told(program, marker):
    result = run_one([*program("setsid"), marker, "4"])
    assert (result.status, result.returncode, result.leaked) == (Status.failed, 4, True)
    assert_gone(marker)


def test_a_daemon_that_left_the_group_and_the_pipes_is_no_leak(program, marker):
    result = run_one([*program("setsid"), marker, "0", "quiet"])
    daemons = alive(marker)
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    assert (result.status, result.leaked, len(daemons)) == (Status.succeeded, False, 2)
    assert_gone(marker)


def test_a_helper_that_ends_by_itself_is_no_leak(program, marker):
    for _ in range(3):
        result = run_one([*program("tracker"), marker])
        assert (result.status, result.leaked) == (Status.succeeded, False)


def test_a_run_that_leaves_nothing_behind_is_no_leak(marker):
    assert not run_one(shell("sleep 0 & wait; exit 0", marker)).leaked


def test_output_of_a_leftover_is_delivered_until_it_is_stopped(marker):
    lines: list[str] = []
    script = 'echo first; (echo second; exec sleep "$0") & exit 0'
    result = run_one(shell(script, marker), on_verbose=lambda line, *_: lines.append(line))
    assert lines == ["first\n", "second\n"]
    assert result.leaked
    assert_gone(marker)


@pytest.mark.fault("S13", "P25")
def test_a_child_that_closes_its_pipes_keeps_its_slot_and_its_exit_code(program, marker):
    busy = time.process_time()
    results = Task([*program("closes_stdout"), marker, "0.5", "7"]).env("N", range(2)).run(use_tqdm=False, ostreams=[])
    busy = time.process_time() - busy
    first, second = results
    assert [result.returncode for result in results] == [7, 7]
    assert min(result.duration.total_seconds() for result in results) >= 0.5
    assert second.start_time >= first.end_time
    assert not first.leaked
    assert busy < 0.5, "the driver was busy half of the time that the children slept"


@pytest.mark.fault("P03")
def test_a_killed_flood_that_nobody_reads_does_not_hang(program, marker):
    class Choked:
        def __init__(self) -> None:
            self.writes = 0

        def write(self, text: str) -> None:
            self.writes += bool(text)
            if self.writes > 10:
                raise OSError("choked")

    for _ in range(3):
        began = time.monotonic()
        result = run_one([*program("floods"), marker], timeout=0.2, ostreams=[Choked()], grace=GRACE)
        assert result.status is Status.timed_out
        assert time.monotonic() - began < ENOUGH_SECONDS
    assert_gone(marker)


# ---- four endings are four records


@pytest.mark.fault("P22")
def test_exit_codes_signals_and_timeouts_are_told_apart(program, marker):
    def record(argv: list[str], **options: object) -> tuple[Status, int | None, int | None]:
        result = run_one(argv, **options)
        return result.status, result.returncode, result.signal

    assert record(["sh", "-c", "exit 124"]) == (Status.failed, 124, None)
    assert record(["sh", "-c", "exit 137"]) == (Status.failed, 137, None)
    assert record([*program("dies"), marker, str(int(signal.SIGKILL))]) == (Status.failed, -9, 9)
    assert record([*program("silent"), marker], timeout=0.2) == (Status.timed_out, -15, 15)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGRTMIN])
def test_a_program_that_a_signal_ends_failed_by_that_signal(program, marker, number):
    result = run_one([*program("dies"), marker, str(int(number))])
    assert (result.status, result.returncode, result.signal) == (Status.failed, -number, number)


@pytest.mark.fault("P20")
def test_a_timeout_is_one_consistent_ending_even_when_the_program_exits_at_that_moment():
    async def main() -> list[RunResult]:
        loop = Task(["sleep", "0.05"]).env("N", range(100)).executable_loop(use_tqdm=False, max_workers=4)
        return await asyncio.gather(
            *[asyncio.create_task(exe.execute(ostreams=[], timeout=0.048 + 0.0001 * exe.index)) async for exe in loop]
        )

    for result in asyncio.run(main()):
        if result.status is Status.succeeded:
            assert (result.returncode, result.signal, result.error) == (0, None, None)
        else:
            assert result.status is Status.timed_out
            assert "timeout" in result.error
            assert result.returncode in (-15, 0)


@pytest.mark.fault("P13")
@pytest.mark.parametrize(
    "thief",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "threading.Thread(target=reap_everything, daemon=True).start()",
    ],
    ids=["ignored SIGCHLD", "a thread that reaps every child"],
)
def test_an_exit_status_that_somebody_else_took_is_lost_and_never_guessed(tmp_path, thief):
    script = textwrap.dedent(
        """
        import os, signal, threading, time
        from taskexp import Task

        def reap_everything():
            while True:
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    time.sleep(0.0001)

        THIEF
        for result in Task(["sh", "-c", "exit 7"]).env("N", range(20)).run(use_tqdm=False, max_workers=4):
            print(result.status, result.returncode, bool(result.error))
        """
    )
    done = run_script(script.replace("THIEF", thief), tmp_path)
    records = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(records) == 20
    assert "lost None True" in records
    assert set(records) <= {"lost None True", "failed 7 False"}
    if "SIG_IGN" in thief:
        assert set(records) == {"lost None True"}


# ---- timeouts


@pytest.mark.fault("P24")
def test_the_timeout_is_the_whole_run_however_chatty_it_is(program, marker):
    began = time.monotonic()
    result = run_one([*program("chatty"), marker], timeout=0.5, idle_timeout=0.4)
    assert result.status is Status.timed_out
    assert "0.5 s" in result.error
    assert 0.5 <= result.duration.total_seconds() <= time.monotonic() - began < ENOUGH_SECONDS


@pytest.mark.fault("P24")
def test_the_idle_timeout_is_silence(program, marker):
    chatty = run_one([*program("chatty"), marker, "60", "0.02"], idle_timeout=1.0)
    assert chatty.status is Status.succeeded
    assert chatty.duration.total_seconds() > 1.0
    silent = run_one([*program("silent"), marker], idle_timeout=0.3)
    assert silent.status is Status.timed_out
    assert "0.3 s" in silent.error


def test_output_on_stderr_alone_is_no_silence(marker):
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.1; echo x >&2; done"
    assert run_one(shell(script, marker), idle_timeout=0.6).status is Status.succeeded


@pytest.mark.fault("P05")
def test_a_child_that_is_deaf_to_sigterm_is_killed_after_the_grace(program, marker):
    ready = Ready()
    result = run_one([*program("deaf"), marker], timeout=0.5, grace=0.3, on_verbose=ready)
    assert ready.seen
    assert (result.status, result.returncode) == (Status.timed_out, -9)
    assert 0.8 <= result.duration.total_seconds() < ENOUGH_SECONDS


@pytest.mark.fault("P05")
def test_a_stopped_child_hears_the_sigterm_without_waiting_for_the_grace(marker):
    began = time.monotonic()
    result = run_one(shell('kill -STOP $$; exec sleep "$0"', marker), timeout=0.3, grace=60)
    assert (result.status, result.returncode) == (Status.timed_out, -15)
    assert time.monotonic() - began < 30


@pytest.mark.fault("S10")
def test_what_a_program_says_on_sigterm_is_delivered(program, marker):
    ready, lines = Ready(), []

    def hear(line: str, stream: object, when: object) -> None:
        ready(line, stream, when)
        lines.append(line)

    result = run_one([*program("polite"), marker], timeout=0.5, on_verbose=hear)
    assert (result.status, result.returncode) == (Status.timed_out, 3)
    assert lines == ["ready\n", "goodbye"]


@pytest.mark.fault("P04")
def test_a_timeout_ends_the_whole_tree(program, marker):
    ready = Ready()
    result = run_one([*program("tree"), marker, "3", "3"], timeout=1.0, grace=GRACE, on_verbose=ready)
    assert ready.seen
    assert result.status is Status.timed_out
    assert_gone(marker)


@pytest.mark.fault("T03")
def test_a_child_without_a_terminal_of_its_own_reads_the_end_of_its_input_at_once(marker):
    lines: list[str] = []
    script = "if read line; then echo got; else echo end; fi; (: </dev/tty) 2>/dev/null || echo no terminal"
    run_one(shell(script, marker), on_verbose=lambda line, *_: lines.append(line), timeout=30)
    assert lines == ["end\n", "no terminal\n"]


# ---- every way to stop three stubborn programs


@pytest.fixture(params=STUBBORN)
def stubborn(request, program, marker) -> list[str]:
    return [*program(request.param), marker]


@contextlib.contextmanager
def soon(marker: str) -> Iterator[None]:
    """Whatever stops the runs inside takes no longer than it may, and nothing is alive afterwards."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < GRACE + ENOUGH_SECONDS
    assert_gone(marker)


@pytest.mark.fault("P04")
def test_timeout_leaves_no_descendant(stubborn, marker):
    ready = Ready()
    with soon(marker):
        result = run_one(stubborn, timeout=0.7, grace=GRACE, on_verbose=ready)
    assert ready.seen
    assert result.status is Status.timed_out
    assert not result.leaked


def test_idle_timeout_leaves_no_descendant(stubborn, marker):
    ready = Ready()
    with soon(marker):
        result = run_one(stubborn, timeout=None, idle_timeout=0.6, grace=GRACE, on_verbose=ready)
    assert ready.seen
    assert result.status is Status.timed_out


def test_break_leaves_no_descendant(stubborn, marker):
    ready = Ready()
    for exe in Task(stubborn).executable_loop(use_tqdm=False, max_workers=2):
        exe.execute(ostreams=[], grace=GRACE, on_verbose=ready)
        ready.wait()
        began = time.monotonic()
        break
    assert time.monotonic() - began < GRACE + ENOUGH_SECONDS
    assert_gone(marker)
    assert exe.result.status is Status.interrupted


def test_an_exception_in_the_body_leaves_no_descendant(stubborn, marker):
    ready = Ready()

    def fail() -> None:
        with Task(stubborn).executable_loop(use_tqdm=False, max_workers=2) as loop:
            for exe in loop:
                exe.execute(ostreams=[], grace=GRACE, on_verbose=ready)
                ready.wait()
                raise LookupError("in the body")

    with soon(marker), pytest.raises(LookupError, match="in the body"):
        fail()


def test_close_leaves_no_descendant(stubborn, marker):
    ready = Ready()
    loop = Task(stubborn).executable_loop(use_tqdm=False, max_workers=2)
    exe = next(loop)
    exe.execute(ostreams=[], grace=GRACE, on_verbose=ready)
    ready.wait()
    with soon(marker):
        loop.close()
    assert exe.result.status is Status.interrupted


@pytest.mark.fault("P18")
def test_cancelling_the_task_leaves_no_descendant(stubborn, marker):
    ready = Ready()

    async def main() -> RunResult:
        async for exe in Task(stubborn).executable_loop(use_tqdm=False):
            task = asyncio.create_task(exe.execute(ostreams=[], grace=GRACE, on_verbose=ready))
            await ready.arrive()
            task.cancel()
            with soon(marker), pytest.raises(asyncio.CancelledError):
                await task
        return exe.result

    assert asyncio.run(main()).status is Status.interrupted


def test_aclose_leaves_no_descendant(stubborn, marker):
    ready = Ready()

    async def main() -> RunResult:
        loop = Task(stubborn).executable_loop(use_tqdm=False)
        async for exe in loop:
            task = asyncio.create_task(exe.execute(ostreams=[], grace=GRACE, on_verbose=ready))
            await ready.arrive()
            with soon(marker):
                await loop.aclose()
            return await task
        raise AssertionError("a task without loops has one point")

    assert asyncio.run(main()).status is Status.interrupted


def test_an_async_break_leaves_no_descendant(stubborn, marker):
    ready = Ready()

    async def main() -> asyncio.Task[RunResult]:
        async with Task(stubborn).executable_loop(use_tqdm=False) as loop:
            async for exe in loop:
                task = asyncio.create_task(exe.execute(ostreams=[], grace=GRACE, on_verbose=ready))
                await ready.arrive()
                break
        assert_gone(marker)
        return await task

    assert asyncio.run(main()).status is Status.interrupted


DRIVER = """
import sys
from taskexp import Task

for exe in Task(sys.argv[1:]).executable_loop(use_tqdm=False):
    exe.execute(timeout=None, grace=0.2)
"""


@pytest.mark.fault("T02", "T09")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_to_a_driver_without_a_terminal_leaves_no_descendant(stubborn, marker, number, code):
    command = [sys.executable, "-c", DRIVER, *stubborn]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as driver:
        assert driver.stdout.readline() == b"ready\n"
        with soon(marker):
            driver.send_signal(number)
            _, told = driver.communicate(timeout=30)
    assert driver.returncode == code, told


LEAVER = """
import sys, threading
from taskexp import Task

ready = threading.Event()
for exe in Task(sys.argv[1:]).executable_loop(use_tqdm=False, max_workers=2):
    exe.execute(timeout=None, grace=0.2, ostreams=[], on_verbose=lambda *_: ready.set())
    assert ready.wait(20)
    print("leaving", flush=True)
    sys.exit(3)
"""


def test_sys_exit_in_the_body_leaves_no_descendant(stubborn, marker):
    command = [sys.executable, "-c", LEAVER, *stubborn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        assert driver.stdout.readline() == b"leaving\n"
        with soon(marker):
            _, told = driver.communicate(timeout=30)
    assert driver.returncode == 3, told


# ---- cancellation, whoever cancels


async def wait_for(execute: Callable, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(execute(ostreams=[]), seconds)


async def cancel_task(execute: Callable, seconds: float) -> None:
    task = asyncio.create_task(execute(ostreams=[]))
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def move_on_after(execute: Callable, seconds: float) -> None:
    with anyio.move_on_after(seconds) as scope:
        await execute(ostreams=[])
    assert scope.cancelled_caught


@pytest.mark.fault("P19")
@pytest.mark.parametrize("give_up", [wait_for, cancel_task, move_on_after])
def test_giving_up_an_execute_ends_its_child_every_time(marker, give_up):
    async def main() -> list[RunResult]:
        executables, tasks = [], []
        task = Task(["sleep", marker]).env("N", range(30))
        async for exe in task.executable_loop(use_tqdm=False, max_workers=30):
            executables.append(exe)
            tasks.append(asyncio.create_task(give_up(exe.execute, 0.001 + 0.002 * exe.index)))
        await asyncio.gather(*tasks)
        assert not alive(marker)
        return [exe.result for exe in executables]

    began = time.monotonic()
    results = asyncio.run(main())
    assert time.monotonic() - began < 30
    assert {result.status for result in results} == {Status.interrupted}
    assert len(results) == 30


def test_a_second_cancellation_during_the_grace_does_not_leave_the_child(program, marker):
    ready = Ready()

    async def main() -> None:
        async for exe in Task([*program("deaf"), marker]).executable_loop(use_tqdm=False):
            task = asyncio.create_task(exe.execute(ostreams=[], grace=0.3, on_verbose=ready))
            await ready.arrive()
            for _ in range(5):
                task.cancel()
                await asyncio.sleep(0.02)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not alive(marker)

    asyncio.run(main())


SPAWNER = """
import contextlib, faulthandler, os, random, signal, sys, threading, time
from pathlib import Path
from taskexp import Task

faulthandler.dump_traceback_later(50, exit=True)  # a hang names its place

def children():
    stats = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stats.append((pid, Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()))
    return [pid for pid, fields in stats if int(fields[1]) == os.getpid()]

def interrupt(seconds):
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGINT)

marker, luck = sys.argv[1], random.Random(1)
os.setpgid(0, 0)
Task("true").run(use_tqdm=False)
for trial in range(25):
    killer = threading.Thread(target=interrupt, args=[luck.uniform(0, 0.06)])
    interrupted, exe = False, None
    try:
        killer.start()
        for exe in Task(["sleep", marker]).arg(None, range(10**6)).executable_loop(use_tqdm=False, max_workers=50):
            exe.execute(ostreams=[])
    except KeyboardInterrupt:
        interrupted = True
    exe = None
    killer.join()
    assert interrupted, trial
    assert not children(), (trial, children())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("clean")
"""


@pytest.mark.fault("P17")
def test_an_interrupt_in_the_middle_of_spawning_leaves_no_child(tmp_path, marker):
    done = run_script(SPAWNER, tmp_path, marker)
    assert done.stdout == "clean\n", done.stderr[-2000:]
    assert_gone(marker)


# ---- resources


@pytest.mark.fault("P15")
def test_there_is_no_thread_per_child(marker):
    before = threading.active_count()
    for exe in Task(["sleep", marker]).env("N", range(201)).executable_loop(use_tqdm=False, max_workers=201):
        exe.execute(ostreams=[], grace=30)
        if exe.index == 200:
            eventually(lambda: len(alive(marker)) == 201, "not all children were started", 30)
            threads = threading.active_count() - before
            break
    assert threads < 20
    assert_gone(marker)


# ---- nobody else is ever signalled


@pytest.mark.fault("P12")
@given(group=st.one_of(st.integers(max_value=1), st.just(os.getpgrp())))
def test_the_guard_signals_neither_everybody_nor_ourselves(group):
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "killpg", lambda *arguments: sent.append(arguments))
        signalling.signal_group(group, signal.SIGTERM)
    assert not sent


@pytest.mark.fault("P11")
def test_a_process_that_got_the_pid_of_another_is_not_signalled(marker):
    table = ProcessTable()
    with subprocess.Popen(["sleep", marker], start_new_session=True) as innocent:
        [living] = table.members(innocent.pid, f"no {marker}", 0)
        gone = Process(living.pid, living.parent, living.group, living.start_ticks - 1)
        signalling.signal_process(gone, signal.SIGKILL)
        with pytest.raises(subprocess.TimeoutExpired):
            innocent.wait(0.2)
        signalling.signal_process(living, signal.SIGKILL)
        assert innocent.wait(20) == -9


REUSE = """
import os, signal, subprocess, sys, time
from taskexp.plan.command import Command
from taskexp.run.descendants import ProcessTable, ticks_now
from taskexp.run.process import Child
from taskexp.run.spawn import Spawner, driver_environ
from taskexp.run.watchdog import Watchdog

null = os.open(os.devnull, os.O_RDWR)
for trial in range(20):
    ward = Watchdog(Spawner()).take_on()
    since = ticks_now()
    spawned = Spawner().spawn(Command(("true",)), driver_environ(), (null, null, null))
    child = Child(spawned, since, ward, ProcessTable())
    while not child.has_exited():
        time.sleep(0.001)
    child.reap()
    with open("/proc/sys/kernel/ns_last_pid", "w") as last_pid:
        last_pid.write(str(child.pid - 1))
    innocent = subprocess.Popen(["sleep", sys.argv[1]], start_new_session=True)
    reused = innocent.pid == child.pid
    child.signal_tree(signal.SIGKILL)
    child.destroy()
    time.sleep(0.01)
    assert innocent.poll() is None, "an innocent was killed"
    innocent.kill()
    innocent.wait()
    print(reused)
"""


@pytest.mark.fault("P11")
def test_the_group_of_a_reaped_child_is_not_signalled_even_if_its_number_is_taken_again(tmp_path, marker):
    script = tmp_path / "script.py"
    script.write_text(REUSE)
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, str(script), marker]
    try:
        done = subprocess.run(unshare, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare: pids cannot be made to be reused")
    if "unshare:" in done.stderr or "ns_last_pid" in done.stderr:
        pytest.skip("no pid namespace to be had: pids cannot be made to be reused")
    assert done.returncode == 0, done.stderr
    assert "True" in done.stdout


# ---- what a program is given by its driver


@pytest.mark.fault("P09")
def test_a_run_outlives_the_thread_that_asked_for_it():
    with Task("sleep 0.2").repeat(2).executable_loop(max_workers=2, use_tqdm=False) as loop:
        first = next(loop)
        thread = threading.Thread(target=lambda: first.execute(ostreams=[]))
        thread.start()
        thread.join()
        assert first.result.status is Status.succeeded


@pytest.mark.fault("P14")
def test_a_program_that_inherits_a_blocked_sigterm_ends_after_the_grace(tmp_path):
    done = run_script(
        """
import signal
from taskexp import Task
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
for exe in Task("sleep 600").executable_loop(use_tqdm=False):
    result = exe.execute(timeout=0.1, grace=0.2, ostreams=[])
print(result.status, result.signal)
""",
        tmp_path,
    )
    assert done.stdout == "timed_out 9\n", done.stderr


@pytest.mark.fault("P23")
def test_a_program_can_open_its_standard_streams_again():
    lines = []
    again = "echo out > /proc/self/fd/1; echo err > /proc/self/fd/2"
    Task(["sh", "-c", again]).run(use_tqdm=False, ostreams=[], on_verbose=lambda line, *_: lines.append(line))
    assert sorted(lines) == ["err\n", "out\n"]


# ---- clocks


@pytest.fixture
def run_while_the_clock_is_set(monkeypatch, tmp_path):
    """Run a program for a moment, during which the wall clock is set to another time."""

    def run(before, after, **options):
        def set_clock(*_):
            monkeypatch.setattr(moment, "wall_clock", lambda: after)
            (tmp_path / "go").touch()

        monkeypatch.setattr(moment, "wall_clock", lambda: before)
        program = f"echo begun; while [ ! -e {tmp_path / 'go'} ]; do sleep 0.01; done"
        (result,) = Task(["sh", "-c", program]).run(use_tqdm=False, ostreams=[], on_verbose=set_clock, **options)
        assert result.status is Status.succeeded
        return result

    return run


def test_a_run_leaves_nothing_to_the_garbage_collector():
    def garbage(runs: int) -> int:
        gc.collect()
        Task("true").repeat(runs).run(use_tqdm=False, ostreams=[], max_workers=4)
        return gc.collect()

    gc.disable()
    try:
        garbage(1)
        few, many = garbage(10), garbage(60)
    finally:
        gc.enable()
    assert many - few < 50  # there are some fifty objects to each run


@pytest.mark.fault("C01")
@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_changes_no_timeout_and_no_duration(run_while_the_clock_is_set, jump):
    result = run_while_the_clock_is_set(1e9, 1e9 + jump, timeout=60, idle_timeout=60)
    assert 0 < result.duration.total_seconds() < 60
    assert (result.end_time - result.start_time).total_seconds() == jump  # told as it was


@pytest.mark.fault("C02")
@pytest.mark.parametrize(("switch", "offsets"), [(1792890000, (2, 1)), (1774746000, (1, 2))], ids=["autumn", "spring"])
def test_a_night_in_which_the_clocks_change_is_no_hour_longer(
    run_while_the_clock_is_set, monkeypatch, tmp_path, switch, offsets
):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        run_while_the_clock_is_set(switch - 1.0, switch + 1.0, journal=tmp_path / "j")
        (row,) = open_results(tmp_path / "j")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert (row.end_time - row.start_time).total_seconds() == 2.0
    assert tuple(each.utcoffset().total_seconds() / 3600 for each in (row.start_time, row.end_time)) == offsets
