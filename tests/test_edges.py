"""What a stranger finds: forks, threads, cancellations and streams that behave badly."""

import asyncio
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import eventually, run_script

from taskexp import ExecutableStateError, Status, Task


@pytest.mark.fault("A09")
def test_a_fork_in_the_body_leaves_the_runs_to_the_parent(tmp_path: Path) -> None:
    done = run_script(
        """
import os, sys
from taskexp import Task
exp = Task(["sh", "-c", 'while [ ! -e go ]; do sleep 0.01; done; echo done']).arg(None, [1])
loop = exp.executable_loop(max_workers=2, use_tqdm=False)
exe = next(loop)
exe.execute()
child = os.fork()
if not child:
    sys.exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
open("go", "w").close()
print("parent", exe.result.status)
loop.close()
""",
        tmp_path,
    )
    assert "child 7\n" in done.stdout, done.stdout + done.stderr
    assert "parent succeeded\n" in done.stdout


def test_a_forked_worker_can_be_terminated(tmp_path: Path) -> None:
    done = run_script(
        """
import multiprocessing, os, time
from taskexp import Task
def work():
    open("up", "w").close()
    time.sleep(600)
for exe in Task("true").arg(None, [1]).executable_loop(use_tqdm=False):
    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    while not os.path.exists("up"):  # before it is up, Python itself throws signals away
        time.sleep(0.01)
    worker.terminate()
    worker.join()
    print(worker.exitcode)
    exe.execute()
""",
        tmp_path,
    )
    assert done.stdout == "-15\n", done.stdout + done.stderr


@pytest.mark.parametrize("max_workers", [1, 3])
def test_executables_can_be_run_by_several_threads_after_the_end_of_the_loop(max_workers: int) -> None:
    collected = list(Task("true").arg(None, range(12)).executable_loop(use_tqdm=False, max_workers=max_workers))

    def run(index: int) -> Status:
        collected[index].execute(ostreams=[])
        return collected[index].result.status

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(run, range(12))) == {Status.succeeded}


@pytest.mark.anyio
async def test_a_cancellation_during_the_exit_of_async_with_is_put_off_and_not_swallowed() -> None:
    started = asyncio.Event()

    async def sweep() -> None:
        async with Task("sleep 600").arg(None, ["0"]).executable_loop(use_tqdm=False) as loop:
            async for exe in loop:
                task = asyncio.ensure_future(exe.execute(ostreams=[]))
                await asyncio.sleep(0)
                started.set()
                break
        await task

    task = asyncio.ensure_future(sweep())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_more_stuck_streams_than_threads_do_not_hold_the_loop() -> None:
    pipes = [os.pipe() for _ in range(18)]
    stuck = [os.fdopen(writer, "wb", buffering=0) for _, writer in pipes]
    flood = [sys.executable, "-c", "import os\nfor _ in range(8): os.write(1, b'x' * 65536)"]
    try:
        results = Task(flood).arg(None, [1]).run(ostreams=stuck, use_tqdm=False, timeout=1)
        assert results[0].status in (Status.succeeded, Status.timed_out)
    finally:
        for reader, _ in pipes:
            os.close(reader)
        eventually(
            lambda: not any(thread.name == "taskexp-writer" for thread in threading.enumerate()),
            "a writer does not notice that its reader has gone",
        )
        for stream in stuck:
            stream.close()


@pytest.mark.parametrize("max_workers", [1, 2])
def test_on_verbose_cannot_wait_for_its_own_run(max_workers: int) -> None:
    raised: list[Exception] = []

    def wait(*_: object) -> None:
        try:
            _ = exe.result
        except ExecutableStateError as error:
            raised.append(error)

    for exe in Task("echo hi").arg(None, [1]).executable_loop(max_workers=max_workers, use_tqdm=False):
        exe.execute(ostreams=[], on_verbose=wait)
    assert len(raised) == 1


def test_a_stream_that_raises_system_exit_does_not_use_up_the_threads(tmp_path: Path) -> None:
    done = run_script(
        """
from taskexp import Task
class Quits:
    def write(self, text):
        if text.strip():
            raise SystemExit(3)
results = Task("echo hi").arg(None, range(40)).run(ostreams=[Quits()], use_tqdm=False, max_workers=2)
print(len(results), {str(result.status) for result in results})
""",
        tmp_path,
    )
    assert done.stdout == "40 {'succeeded'}\n", done.stdout + done.stderr


def test_what_was_said_of_runs_that_never_start_is_written_at_the_end_of_the_program(tmp_path: Path) -> None:
    done = run_script(
        """
from taskexp import Task
for exe in list(Task("echo").arg("-n", [1, 2, 3]).executable_loop(max_workers=2, use_tqdm=False)):
    exe.print_cmd()
""",
        tmp_path,
    )
    assert done.stdout == "echo -n 1\necho -n 2\necho -n 3\n"


@pytest.mark.anyio
async def test_what_was_said_before_a_break_is_written() -> None:
    out = io.StringIO()
    async for exe in Task("echo").arg("-n", [1, 2]).executable_loop(max_workers=2, use_tqdm=False):
        exe.print_cmd(ostreams=[out])
        break
    for _ in range(1000):
        if out.getvalue():
            break
        await asyncio.sleep(0.01)
    assert out.getvalue() == "echo -n 1\n"


def test_a_fork_that_leaves_the_loop_by_its_with_leaves_the_runs_to_the_parent(tmp_path: Path) -> None:
    done = run_script(
        """
import os, sys, warnings
from taskexp import ExecutableStateError, Task
warnings.simplefilter("ignore")  # newer Pythons warn of forks
exp = Task(["sh", "-c", 'while [ ! -e go ]; do sleep 0.01; done']).arg(None, [1, 2])
with exp.executable_loop(max_workers=2, use_tqdm=False) as loop:
    exe = next(loop)
    exe.execute()
    child = os.fork()
    if not child:
        try:
            next(loop)
        except ExecutableStateError as error:
            print("child:", error, flush=True)
        sys.exit(7)
    print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    open("go", "w").close()
    print("parent", exe.result.status)
""",
        tmp_path,
    )
    assert "child: this loop belongs to the process that it was forked from" in done.stdout, done.stdout + done.stderr
    assert "child 7\n" in done.stdout
    assert "parent succeeded\n" in done.stdout
