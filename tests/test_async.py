"""The async loop: slots however the body schedules, and nothing left however it is left."""

import asyncio
import inspect
import io
import itertools
import re
import shlex
import signal
import threading
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from conftest import alive, children, run_script

from taskexp import (
    AsyncTaskExecutable,
    ExecutableStateError,
    RunFailed,
    RunResult,
    Status,
    Task,
)

pytestmark = pytest.mark.anyio


def shell(script: str, *values: object) -> Task:
    """A task that runs a shell script once per value, which it sees as $1."""
    return Task(["sh", "-c", script, "sh"]).arg(None, list(values))


def wait_for(path: str) -> str:
    return f"until [ -e {path} ]; do sleep 0.01; done"


def most_at_once(log: Path) -> int:
    """Read the most runs at a time from lines that the children appended."""
    steps = [1 if line.startswith("start") else -1 for line in log.read_text().splitlines()]
    return max(itertools.accumulate(steps))


async def arrives(holds: Callable[[], bool], otherwise: str, seconds: float = 10.0) -> None:
    """Wait for a condition on the event loop."""
    with anyio.move_on_after(seconds):
        while not holds():
            await asyncio.sleep(0.005)
        return
    pytest.fail(otherwise)


@pytest.fixture
def marker() -> str:
    """An argument of `sleep` that no other process has."""
    return f"3600.{uuid.uuid4().int}"


# ---- running


async def test_execute_returns_the_result_one_at_a_time():
    out = io.StringIO()
    async for exe in shell("echo out $1; exit $1", 0, 3, 0).executable_loop():
        assert isinstance(exe, AsyncTaskExecutable)
        exe.print_cmd(ostreams=[out])
        result = await exe.execute(ostreams=[out])
        exe.print_duration(ostreams=[out])
        exe.print_status(ostreams=[out])
        exe.update_tqdm()
        assert isinstance(result, RunResult)
        assert exe.result is result
        assert result.returncode == int(exe.params["arg1"])  # type: ignore[arg-type]
        assert result.index == exe.index
    lines = out.getvalue().splitlines()
    assert [lines[at].split()[0] for at in (0, 1, 3)] == ["sh", "out", "index"]
    assert [line for line in lines if line.startswith("out")] == ["out 0", "out 3", "out 0"]


async def test_a_task_group_of_asyncio_runs_the_executables_in_parallel(tmp_path: Path):
    # Each run ends only when three have begun.
    script = f"touch {tmp_path}/$1; until [ $(ls {tmp_path} | wc -l) -ge 3 ]; do sleep 0.01; done"
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(exe.execute(timeout=60, ostreams=[]))
            async for exe in shell(script, *range(3)).executable_loop(max_workers=3)
        ]
    assert [task.result().status for task in tasks] == [Status.succeeded] * 3


async def test_a_task_group_of_anyio_runs_the_executables_in_parallel(tmp_path: Path):
    script = f"touch {tmp_path}/$1; until [ $(ls {tmp_path} | wc -l) -ge 3 ]; do sleep 0.01; done"
    seen = []
    async with anyio.create_task_group() as tg:
        async for exe in shell(script, *range(3)).executable_loop(max_workers=3):
            tg.start_soon(exe.execute)
            seen.append(exe)
    assert [exe.result.status for exe in seen] == [Status.succeeded] * 3


async def test_a_slot_is_free_when_an_executable_is_handed_out(tmp_path: Path):
    script = f"touch {tmp_path}/$1; {wait_for(f'{tmp_path}/go.$1')}"
    async with anyio.create_task_group() as tg:
        async for exe in shell(script, *range(6)).executable_loop(max_workers=2):
            tg.start_soon(partial(exe.execute, timeout=60, ostreams=[]))
            started = tmp_path / str(exe.index)
            await arrives(started.exists, "it was handed out without a free slot")
            if exe.index:
                (tmp_path / f"go.{exe.index - 1}").touch()
        (tmp_path / "go.5").touch()


@pytest.mark.parametrize("how", ["at once", "while iterating"])
async def test_two_hundred_executables_on_four_slots_never_run_more_than_four(tmp_path: Path, how: str):
    log = tmp_path / "steps"
    loop = shell(f"echo start >> {log}; echo end >> {log}", *range(200)).executable_loop(max_workers=4)
    if how == "at once":
        results = await asyncio.gather(*[exe.execute(ostreams=[]) for exe in [exe async for exe in loop]])
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(exe.execute(ostreams=[])) async for exe in loop]
        results = [task.result() for task in tasks]
    assert sorted(result.index for result in results) == list(range(200))
    assert {result.status for result in results} == {Status.succeeded}
    assert len(log.read_text().splitlines()) == 400
    assert most_at_once(log) <= 4


async def test_the_last_n_of_total_counts_every_point(capsys: pytest.CaptureFixture[str]):
    async for exe in shell("exit $1", 0, 1, 0, 0).executable_loop():
        if exe.index != 2:
            await exe.execute(ostreams=[])
    error = capsys.readouterr().err
    assert "4/4" in error
    assert "failed=1" in error


async def test_skipping_points_blocks_nobody():
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.create_task(beat())
    skipped = 0
    async for exe in Task("true").arg("-n", range(20_000)).executable_loop(max_workers=2, use_tqdm=False):
        if exe.index < 20_000:
            skipped += 1
            continue
    heart.cancel()
    assert skipped == 20_000
    assert beats > 100


async def test_an_async_loop_starts_where_it_is_told():
    seen = [exe.index async for exe in Task("true").arg("-n", range(10)).executable_loop(start=7)]
    assert seen == [7, 8, 9]


async def test_print_before_execute_makes_one_block_with_the_output():
    out = io.StringIO()
    task = shell("for n in 1 2 3; do echo line $1 $n; done", *range(30))
    async with anyio.create_task_group() as tg:
        async for exe in task.executable_loop(max_workers=4):
            exe.print_cmd(ostreams=[out])
            tg.start_soon(partial(exe.execute, ostreams=[out]))
    lines = out.getvalue().splitlines()
    blocks = [lines[at : at + 4] for at in range(0, len(lines), 4)]
    indices = [int(block[1].split()[1]) for block in blocks]
    assert sorted(indices) == list(range(30))
    for index, block in zip(indices, blocks, strict=True):
        assert block == [shlex.join(task[index].argv), *(f"line {index} {n}" for n in (1, 2, 3))]


async def test_what_is_printed_after_execute_stands_behind_the_block():
    out = io.StringIO()
    async for exe in shell("echo out $1", 1, 2).executable_loop(max_workers=2):
        await exe.execute(ostreams=[out])
        exe.print_duration(ostreams=[out])
        exe.print_status(ostreams=[out])
    lines = out.getvalue().splitlines()
    assert [lines[0], lines[3]] == ["out 1", "out 2"]
    assert [line.split()[0] for line in (lines[2], lines[5])] == ["index", "index"]
    assert re.match(r"\d:\d\d:\d\d", lines[1])


async def test_callbacks_come_in_one_thread_that_is_not_the_event_loops():
    threads = set()
    lines = []

    def note(line: str, _stream: object, _when: object) -> None:
        threads.add(threading.get_ident())
        lines.append(line)

    async with asyncio.TaskGroup() as group:
        async for exe in shell("echo $1", *range(8)).executable_loop(max_workers=4):
            group.create_task(exe.execute(ostreams=[], on_verbose=note))
    assert sorted(lines) == [f"{n}\n" for n in range(8)]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_the_event_loop_stays_free_while_a_callback_blocks():
    entered, release = threading.Event(), threading.Event()

    def block(_line: str, _stream: object, _when: object) -> None:
        entered.set()
        release.wait(60)

    async for exe in shell("echo", 1).executable_loop():
        task = asyncio.create_task(exe.execute(ostreams=[], on_verbose=block))
        await arrives(entered.is_set, "the callback never came")
        assert not task.done()
        release.set()
        assert (await task).status is Status.succeeded


async def test_a_sweep_inside_a_callback_does_not_wait_for_itself():
    inner = []

    def sweep(_line: str, _stream: object, _when: object) -> None:
        inner.extend(result.status for result in shell("echo in", 1, 2).run(max_workers=2, ostreams=[]))

    async for exe in shell("echo out", 1, 2).executable_loop():
        result = await exe.execute(ostreams=[], on_verbose=sweep)
        assert result.status is Status.succeeded
    assert inner == [Status.succeeded] * 4


# ---- the executable


async def test_the_result_never_waits(tmp_path: Path):
    go = tmp_path / "go"
    async for exe in shell(wait_for(str(go)), 1).executable_loop():
        with pytest.raises(ExecutableStateError):
            _ = exe.result
        task = asyncio.create_task(exe.execute(timeout=60, ostreams=[]))
        await arrives(lambda: bool(children()), "it never started")
        with pytest.raises(ExecutableStateError):
            _ = exe.result
        go.touch()
        assert await task is exe.result


async def test_an_executable_runs_once():
    async for exe in shell("true", 1).executable_loop():
        await exe.execute(ostreams=[])
        with pytest.raises(ExecutableStateError):
            await exe.execute(ostreams=[])


async def test_check_raises_run_failed_where_it_is_awaited():
    seen = []
    async for exe in shell("exit $1", 3, 0).executable_loop():
        if exe.index == 0:
            with pytest.raises(RunFailed) as caught:
                await exe.execute(ostreams=[], check=True)
            assert caught.value.result is exe.result
        else:
            await exe.execute(ostreams=[], check=True)
        seen.append(exe.result.returncode)
    assert seen == [3, 0]


@pytest.mark.fault("P19")
async def test_wait_for_kills_the_run_that_it_gives_up(marker: str):
    async for exe in shell(f"sleep {marker} & wait", 1).executable_loop():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(exe.execute(ostreams=[]), 0.2)
        assert alive(marker) == []
        assert exe.result.status is Status.interrupted


async def test_move_on_after_kills_the_run_that_it_gives_up(marker: str):
    async for exe in shell(f"sleep {marker} & wait", 1).executable_loop():
        with anyio.move_on_after(0.2) as scope:
            await exe.execute(ostreams=[])
        assert scope.cancelled_caught
        assert alive(marker) == []
        assert exe.result.status is Status.interrupted


async def test_a_run_that_is_deaf_to_term_is_killed_on_cancel_however_often_it_is_cancelled(marker: str):
    async for exe in shell(f"trap '' TERM; sleep {marker}", 1).executable_loop():
        task = asyncio.create_task(exe.execute(ostreams=[], grace=0.3))
        await arrives(lambda: bool(alive(marker)), "it never started")
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert alive(marker) == []
        assert exe.result.status is Status.interrupted


async def test_cancelling_a_run_that_waits_for_its_slot_starts_nothing(tmp_path: Path):
    go = tmp_path / "go"
    collected = [exe async for exe in shell(f"touch {tmp_path}/$1; {wait_for(str(go))}", 0, 1).executable_loop()]
    tasks = [asyncio.create_task(exe.execute(timeout=60, ostreams=[])) for exe in collected]
    await arrives((tmp_path / "0").exists, "it never started")
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    go.touch()
    assert (await tasks[0]).status is Status.succeeded
    assert collected[1].result.status is Status.interrupted
    assert not (tmp_path / "1").exists()


@pytest.mark.fault("P18")
@pytest.mark.parametrize("steps", range(8))
async def test_a_cancel_at_any_step_of_the_start_leaves_no_process(steps: int, marker: str):
    async for exe in Task(["sleep", marker]).executable_loop(use_tqdm=False):
        task = asyncio.create_task(exe.execute(ostreams=[]))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert alive(marker) == []
        if steps:
            assert exe.result.status is Status.interrupted


# ---- the loop's end


async def test_what_aiter_returns_is_an_async_generator():
    loop = shell("true", 1).executable_loop()
    generator = loop.__aiter__()
    assert inspect.isasyncgen(generator)
    await generator.aclose()


async def test_coming_to_the_end_stops_nothing_that_still_runs(tmp_path: Path):
    go = tmp_path / "go"
    tasks = []
    async for exe in shell(wait_for(str(go)), 1, 2).executable_loop(max_workers=2):
        tasks.append(asyncio.create_task(exe.execute(timeout=60, ostreams=[])))
    assert not any(task.done() for task in tasks)
    go.touch()
    assert [result.status for result in await asyncio.gather(*tasks)] == [Status.succeeded] * 2


async def test_an_executable_not_yet_run_at_the_end_of_the_loop_still_works():
    collected = [exe async for exe in shell("exit $1", 0, 1, 2).executable_loop(max_workers=2)]
    assert [(await exe.execute(ostreams=[])).returncode for exe in reversed(collected)] == [2, 1, 0]


async def test_the_handlers_stay_until_the_last_started_run_has_ended(tmp_path: Path):
    before = signal.getsignal(signal.SIGINT)
    go = tmp_path / "go"
    async for exe in shell(wait_for(str(go)), 1).executable_loop():
        task = asyncio.create_task(exe.execute(timeout=60, ostreams=[]))
    await arrives(lambda: bool(children()), "it never started")
    assert signal.getsignal(signal.SIGINT) is not before
    go.touch()
    await task
    await arrives(lambda: signal.getsignal(signal.SIGINT) is before, "the handler is left")


async def leave_by_break(task: Task, started: Callable[[], bool]) -> None:
    async for exe in task.executable_loop(max_workers=3):
        asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
        if exe.index == 1:
            await arrives(started, "they never started")
            break


async def leave_by_an_error(task: Task, started: Callable[[], bool]) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:  # noqa: PT012 - the loop is the one statement
        async for exe in task.executable_loop(max_workers=3):
            asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
            if exe.index == 1:
                await arrives(started, "they never started")
                raise error
    assert caught.value is error


async def leave_by_cancel(task: Task, started: Callable[[], bool]) -> None:
    async def body() -> None:
        async for exe in task.executable_loop(max_workers=3):
            asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
            if exe.index == 1:
                await asyncio.Event().wait()

    running = asyncio.create_task(body())
    await arrives(started, "they never started")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def leave_by_cancel_while_waiting_for_a_slot(task: Task, started: Callable[[], bool]) -> None:
    async def body() -> None:
        async for exe in task.executable_loop(max_workers=2):
            asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
            assert exe.index < 2

    running = asyncio.create_task(body())
    await arrives(started, "they never started")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not children()


async def leave_by_a_timeout_around_the_loop(task: Task, started: Callable[[], bool]) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012 - the loop is the one statement
        async with asyncio.timeout(60) as limit, asyncio.TaskGroup() as group:
            async for exe in task.executable_loop(max_workers=3):
                group.create_task(exe.execute(ostreams=[]))
                if exe.index == 1:
                    await arrives(started, "they never started")
                    limit.reschedule(0)


async def leave_by_aclose(task: Task, started: Callable[[], bool]) -> None:
    loop = task.executable_loop(max_workers=3)
    async for exe in loop:
        asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
        if exe.index == 1:
            await arrives(started, "they never started")
            await loop.aclose()
            assert not children()
    await loop.aclose()


async def leave_an_async_with_block(task: Task, started: Callable[[], bool]) -> None:
    async with task.executable_loop(max_workers=3) as loop:
        async for exe in loop:
            asyncio.ensure_future(exe.execute(ostreams=[]))  # noqa: RUF006 - the loop holds the run
            if exe.index == 1:
                await arrives(started, "they never started")
                break
    assert not children()


async def leave_a_task_group_by_an_error(task: Task, started: Callable[[], bool]) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the loop is the one statement
        async with anyio.create_task_group() as tg:
            async for exe in task.executable_loop(max_workers=3):
                tg.start_soon(partial(exe.execute, ostreams=[]))
                if exe.index == 1:
                    await arrives(started, "they never started")
                    raise ValueError("mine")
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('mine')"]
    assert not children()


async def leave_as_completed(task: Task, started: Callable[[], bool]) -> None:
    waiting = asyncio.ensure_future(anext(task.as_completed(max_workers=2, ostreams=[]).__aiter__()))
    await arrives(started, "they never started")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.fault("A01", "A02")
@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_an_error,
        leave_by_cancel,
        leave_by_cancel_while_waiting_for_a_slot,
        leave_by_a_timeout_around_the_loop,
        leave_by_aclose,
        leave_an_async_with_block,
        leave_a_task_group_by_an_error,
        leave_as_completed,
    ],
)
async def test_no_process_no_task_and_no_handler_is_left_by(
    leave: Callable[[Task, Callable[[], bool]], Awaitable[None]], marker: str
):
    tasks, handler = asyncio.all_tasks(), signal.getsignal(signal.SIGINT)
    task = Task("sleep").arg(None, [f"{marker}{n}" for n in range(1, 6)])
    await leave(task, lambda: len(alive(marker)) == 2)
    await arrives(lambda: not alive(marker), "a run goes on")
    await arrives(lambda: not children(), "a zombie is left")
    await arrives(lambda: not asyncio.all_tasks() - tasks, "a task is left")
    assert signal.getsignal(signal.SIGINT) is handler


async def test_executables_of_a_closed_loop_give_interrupted_and_start_nothing(tmp_path: Path):
    loop = Task("touch").arg(None, [tmp_path / "a", tmp_path / "b"]).executable_loop(max_workers=2)
    collected = []
    async for exe in loop:
        collected.append(exe)
        await loop.aclose()
    (last,) = collected
    result = await last.execute(ostreams=[])
    assert result.status is Status.interrupted
    assert last.result is result
    assert list(tmp_path.iterdir()) == []


async def test_a_loop_is_iterated_once():
    loop = shell("true", 1).executable_loop()
    assert len([exe async for exe in loop]) == 1
    with pytest.raises(ExecutableStateError):
        _ = [exe async for exe in loop]


async def test_loops_nest():
    order = []
    async for outer in shell("true", "A", "B").executable_loop():
        await outer.execute(ostreams=[])
        order.append(outer.params["arg1"])
        async for inner in shell("true", "a", "b").executable_loop():
            await inner.execute(ostreams=[])
            order.append(inner.params["arg1"])
    assert order == ["A", "a", "b", "B", "a", "b"]


async def test_two_async_loops_run_side_by_side(tmp_path: Path):
    # Each run waits for its partner in the other loop.
    async def sweep(mine: str, other: str) -> list[Status]:
        script = f"touch {tmp_path}/{mine}$1; {wait_for(f'{tmp_path}/{other}$1')}"
        loop = shell(script, *range(4)).executable_loop()
        return [(await exe.execute(timeout=60, ostreams=[])).status async for exe in loop]

    results = await asyncio.gather(sweep("a", "b"), sweep("b", "a"))
    assert results == [[Status.succeeded] * 4] * 2


# ---- as_completed


async def test_as_completed_hands_out_finished_runs_in_order_of_completion(tmp_path: Path):
    script = f"[ $1 = 3 ] || {wait_for(f'{tmp_path}/$(($1 + 1))')}; echo out $1"
    order, out = [], io.StringIO()
    async for exe in shell(script, *range(4)).as_completed(max_workers=4, timeout=60, ostreams=[out]):
        assert exe.result.status is Status.succeeded
        order.append(exe.index)
        (tmp_path / str(exe.index)).touch()
    assert order == [3, 2, 1, 0]
    assert out.getvalue() == "out 3\nout 2\nout 1\nout 0\n"


async def test_as_completed_with_check_raises_and_stops_the_rest(marker: str):
    with pytest.raises(RunFailed) as caught:
        async for _ in shell(f"[ $1 = 1 ] && exit 4; exec sleep {marker}", *range(9)).as_completed(
            max_workers=2, ostreams=[], check=True
        ):
            pass
    assert caught.value.result.returncode == 4
    assert alive(marker) == []


async def test_as_completed_runs_on_while_the_body_is_slow(tmp_path: Path):
    log = tmp_path / "steps"
    seen = []
    async for exe in shell(f"echo start >> {log}; echo end >> {log}", *range(8)).as_completed(
        max_workers=2, ostreams=[]
    ):
        if not seen:
            await arrives(lambda: len(log.read_text().splitlines()) == 16, "it waited for the body")
        seen.append(exe.index)
    assert sorted(seen) == list(range(8))
    assert most_at_once(log) <= 2


# ---- whole scripts


@pytest.mark.fault("A02")
def test_a_break_as_the_last_act_of_a_program_restores_all_and_leaves_nothing(tmp_path: Path, marker: str):
    done = run_script(
        f"""
import asyncio, signal, threading
from taskexp import Task

async def main():
    async for exe in Task("sleep").arg(None, ["0", "{marker}", "0"]).executable_loop(max_workers=2, use_tqdm=False):
        task = asyncio.create_task(exe.execute(ostreams=[], grace=0.5))
        if exe.index == 1:
            break

asyncio.run(main())
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGINT)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("end")
""",
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert "never retrieved" not in done.stderr
    assert alive(marker) == []


def test_a_break_with_nothing_running_ends_with_a_clean_stderr(tmp_path: Path):
    done = run_script(
        """
import asyncio, signal
from taskexp import Task

async def main():
    async for exe in Task("true").arg(None, ["1", "2"]).executable_loop(use_tqdm=False):
        await exe.execute()
        break

asyncio.run(main(), debug=True)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("end")
""",
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_an_error_as_the_last_act_of_a_program_is_the_only_traceback(tmp_path: Path, marker: str):
    done = run_script(
        f"""
import asyncio
from taskexp import Task

async def main():
    async with asyncio.TaskGroup() as group:
        async for exe in Task("sleep").arg(None, ["{marker}", "1"]).executable_loop(max_workers=4, use_tqdm=False):
            group.create_task(exe.execute(ostreams=[], grace=0.5))
            await asyncio.sleep(0.1)
            raise ValueError("mine")

try:
    asyncio.run(main())
except* ValueError as group:
    print([str(error) for error in group.exceptions])
""",
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "['mine']\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert alive(marker) == []


def test_an_event_loop_that_is_closed_in_the_middle_of_a_loop_leaves_nothing(tmp_path: Path, marker: str):
    done = run_script(
        f"""
import asyncio
from taskexp import Task

loop = asyncio.new_event_loop()

async def first():
    sweep = Task("sleep").arg(None, ["{marker}", "1"]).executable_loop(max_workers=4, use_tqdm=False)
    generator = sweep.__aiter__()
    exe = await anext(generator)
    task = asyncio.ensure_future(exe.execute(ostreams=[]))
    await asyncio.sleep(0.2)
    return generator, task

kept = loop.run_until_complete(first())
loop.close()
print("end")
""",
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert alive(marker) == []
