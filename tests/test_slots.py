"""Slots: no two runs at a time share a device, every run is told what it has, and what it used is counted."""

import asyncio
import io
import itertools
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import run_script
from test_bad_input import assert_refused

from taskexp import DeviceError, RunResult, Status, Task, cpu_slots, gpu_slots
from taskexp.plan.parts import RESERVED

FOUR = ["a", "b", "c", "d"]
CPUS = sorted(os.sched_getaffinity(0))
QUIET: dict[str, Any] = {"ostreams": [], "timeout": 60}


def shell(script: str, *values: object) -> Task:
    """A task that runs a shell script once per value, which it sees as $1."""
    return Task(["sh", "-c", script, "sh"]).arg(None, list(values))


# ---- all ways to run a task; each returns the results of what was handed out


def sequential(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    return [exe.execute(**execute) for exe in task.executable_loop(**loop)]  # type: ignore[misc]


def parallel(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    handed_out = []
    for exe in task.executable_loop(max_workers=3, **loop):
        exe.execute(**execute)
        handed_out.append(exe)
    return [exe.result for exe in handed_out]


def parallel_line(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    return parallel(task, execute, output="line", **loop)


def async_one_by_one(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    async def main() -> list[RunResult]:
        return [await exe.execute(**execute) async for exe in task.executable_loop(**loop)]

    return asyncio.run(main())


def async_parallel(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    async def main() -> list[RunResult]:
        async with asyncio.TaskGroup() as group:
            runs = [
                group.create_task(exe.execute(**execute)) async for exe in task.executable_loop(max_workers=3, **loop)
            ]
        return [run.result() for run in runs]

    return asyncio.run(main())


def completed(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    return [exe.result for exe in task.as_completed(max_workers=3, **execute, **loop)]


def async_completed(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    async def main() -> list[RunResult]:
        return [exe.result async for exe in task.as_completed(max_workers=3, **execute, **loop)]

    return asyncio.run(main())


def run(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    return task.run(max_workers=3, **execute, **loop)


def run_one_by_one(task: Task, execute: dict[str, Any], **loop: Any) -> list[RunResult]:
    return task.run(**execute, **loop)


Way = Callable[..., list[RunResult]]
ONE_BY_ONE: list[Way] = [sequential, async_one_by_one, run_one_by_one]
THREE_AT_ONCE: list[Way] = [parallel, parallel_line, async_parallel, completed, async_completed, run]
WAYS = [*ONE_BY_ONE, *THREE_AT_ONCE]


def statuses(results: list[RunResult]) -> list[Status]:
    return [result.status for result in results]


# ---- never shared


def held_alone(folder: Path, device: str = "$DEVICE", meanwhile: str = "") -> str:
    """A script that fails with 9 when another run holds its device, and notes each device that it had."""
    (folder / "held").mkdir()
    (folder / "used").mkdir()
    return (
        f"mkdir {folder}/held/{device} || exit 9; echo $TASKEXP_INDEX >> {folder}/used/{device}; {meanwhile} "
        f"rmdir {folder}/held/{device} || exit 8"
    )


def users(folder: Path, device: str) -> list[int]:
    """Read which runs had a device, in order."""
    return [int(line) for line in (folder / "used" / device).read_text().split()]


def test_no_two_of_two_hundred_runs_ever_hold_the_same_of_four_devices(tmp_path: Path):
    # The first four end when all four devices are held: so each is used, and four run at once.
    together = f"[ $TASKEXP_INDEX -ge 4 ] || until [ $(ls {tmp_path}/used | wc -l) = 4 ]; do sleep 0.01; done;"
    task = Task(["sh", "-c", held_alone(tmp_path, meanwhile=together)]).repeat(200)
    results = task.run(max_workers=8, slots={"DEVICE": FOUR}, **QUIET)
    assert statuses(results) == [Status.succeeded] * 200
    had = {device: users(tmp_path, device) for device in FOUR}
    assert sorted(itertools.chain(*had.values())) == list(range(200))
    for result in results:
        assert result.slot is not None
        assert result.devices == {"DEVICE": FOUR[result.slot]}
        assert result.index in had[result.devices["DEVICE"]]


def test_no_two_runs_hold_the_same_device_while_others_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("taskexp.loop.retry.FIRST_PAUSE_SECONDS", 0.02)
    script = held_alone(tmp_path) + "; [ $TASKEXP_ATTEMPT = 3 ] || [ $((TASKEXP_INDEX % 2)) = 0 ]"
    task = Task(["sh", "-c", script]).repeat(60)
    results = task.run(max_workers=8, slots={"DEVICE": FOUR}, retries=2, retry_on=1, **QUIET)
    assert statuses(results) == [Status.succeeded] * 60
    assert [result.attempt for result in results] == [1, 3] * 30
    had = {device: users(tmp_path, device) for device in FOUR}
    assert sorted(itertools.chain(*had.values())) == sorted([*range(60), *range(1, 60, 2), *range(1, 60, 2)])
    assert all(result.index in had[result.devices["DEVICE"]] for result in results)


@pytest.mark.parametrize("way", THREE_AT_ONCE)
def test_with_fewer_slots_than_workers_the_slots_decide_and_one_line_says_so(
    tmp_path: Path, way: Way, capsys: pytest.CaptureFixture[str]
):
    task = shell(held_alone(tmp_path), *range(8))
    results = way(task, QUIET, slots={"DEVICE": ["a", "b"]}, use_tqdm=False)
    assert statuses(results) == [Status.succeeded] * 8
    assert capsys.readouterr().err == "taskexp: max_workers=3, but there are 2 slots: 2 at a time\n"


def test_one_slot_is_one_at_a_time_whatever_max_workers_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    # Were there a second run at a time, it would take the slot that exists, or none at all.
    task = shell(held_alone(tmp_path, "it"), *range(9))
    results = task.run(max_workers=8, slots={"DEVICE": ["a"]}, **QUIET)
    assert [(result.status, result.slot) for result in results] == [(Status.succeeded, 0)] * 9
    assert "taskexp: max_workers=8, but there is 1 slot: 1 at a time\n" in capsys.readouterr().err


def test_enough_slots_are_no_line_on_stderr(capsys: pytest.CaptureFixture[str]):
    shell("exit 0", 1, 2).run(max_workers=2, slots={"DEVICE": ["a", "b"]}, use_tqdm=False, **QUIET)
    shell("exit 0", 1, 2).run(max_workers=2, use_tqdm=False, **QUIET)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_one_worker_always_has_the_first_slot(way: Way):
    results = way(shell("exit 0", *range(3)), QUIET, slots={"DEVICE": FOUR})
    assert [(result.slot, result.devices) for result in results] == [(0, {"DEVICE": "a"})] * 3


# ---- what a run is told


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_told_its_index_its_slot_its_attempt_and_its_devices(way: Way, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEVICE", "outer")
    monkeypatch.setenv("TASKEXP_SLOT", "77")
    out = io.StringIO()
    task = shell('echo "told $TASKEXP_INDEX $TASKEXP_SLOT $TASKEXP_ATTEMPT $DEVICE $PORT"', *range(6))
    slots = {"DEVICE": FOUR[:3], "PORT": range(8000, 8003)}
    results = way(task, {**QUIET, "ostreams": [out]}, slots=slots)
    told = [tuple(line) for line in re.findall(r"told (\d+) (\d+) (\d+) (\w+) (\d+)$", out.getvalue(), re.MULTILINE)]
    assert sorted(told) == sorted(
        (str(r.index), str(r.slot), str(r.attempt), r.devices["DEVICE"], r.devices["PORT"]) for r in results
    )
    assert sorted(result.index for result in results) == list(range(6))
    for result in results:
        assert result.slot is not None
        assert result.devices == {"DEVICE": FOUR[result.slot], "PORT": str(8000 + result.slot)}


def test_without_slots_a_run_has_a_number_and_no_devices(tmp_path: Path):
    # Each run ends when two have begun, so that two numbers are in use.
    script = f"touch {tmp_path}/$TASKEXP_SLOT; until [ $(ls {tmp_path} | wc -l) = 2 ]; do sleep 0.01; done"
    results = shell(script, *range(2)).run(max_workers=2, **QUIET)
    assert sorted((result.slot, dict(result.devices)) for result in results) == [(0, {}), (1, {})]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_a_slot_is_no_part_of_what_the_task_is():
    out = io.StringIO()
    task = shell("exit 0", 1).env("MINE", "1")
    for exe in task.executable_loop(slots={"DEVICE": ["a"]}, use_tqdm=False):
        exe.print_cmd(ostreams=[out])
        exe.execute(**QUIET)
        exe.print_cmd(ostreams=[out])
        assert exe.env == {"MINE": "1"}
        assert "DEVICE" not in exe.params
        assert exe.result.params == exe.params
    assert "DEVICE" not in out.getvalue()
    assert "TASKEXP" not in out.getvalue()
    assert task[0].id == shell("exit 0", 1).env("MINE", "1")[0].id


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_did_not_start_had_no_slot(way: Way):
    results = way(Task("/no/such/program").repeat(2), QUIET, slots={"DEVICE": FOUR})
    assert [(r.status, r.slot, r.devices) for r in results] == [(Status.not_started, None, {})] * 2


def test_a_run_that_was_stopped_before_it_could_start_had_no_slot():
    with shell("exit 0", 1, 2).executable_loop(max_workers=2, slots={"DEVICE": ["a", "b"]}, use_tqdm=False) as loop:
        exe = next(loop)
    exe.execute(**QUIET)
    assert (exe.result.status, exe.result.slot, exe.result.devices) == (Status.interrupted, None, {})


def test_a_slot_is_given_back_by_a_run_that_did_not_start(tmp_path: Path):
    task = Task("/no/such/program").repeat(3) + shell(held_alone(tmp_path), *range(3))
    results = task.run(max_workers=2, slots={"DEVICE": ["a"]}, **QUIET)
    assert statuses(results) == [Status.not_started] * 3 + [Status.succeeded] * 3


# ---- GPUs


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a stand-in for nvidia-smi on PATH, a shell script; CUDA_VISIBLE_DEVICES is not set."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(script: str) -> None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "nvidia-smi").chmod(0o755)

    return install


def asked(printed: str) -> str:
    """A stand-in that answers the one question that we may ask."""
    return f'case "$*" in *--query-gpu=index*csv,noheader*) printf "{printed}";; *) exit 2;; esac'


def test_gpus_are_those_that_nvidia_smi_lists(nvidia_smi: Callable[[str], None]):
    nvidia_smi(asked(r"0\n1\n2\n3\n4\n"))
    assert gpu_slots() == {"CUDA_VISIBLE_DEVICES": ["0", "1", "2", "3", "4"]}


def test_several_gpus_per_run_leave_out_what_is_left_over(nvidia_smi: Callable[[str], None]):
    nvidia_smi(asked(r"0\n1\n2\n3\n4\n"))
    assert gpu_slots(per_run=2) == {"CUDA_VISIBLE_DEVICES": ["0,1", "2,3"]}
    assert gpu_slots(5) == {"CUDA_VISIBLE_DEVICES": ["0,1,2,3,4"]}


def test_runs_see_the_gpus_of_their_slot(nvidia_smi: Callable[[str], None]):
    nvidia_smi(asked(r"0\n1\n2\n3\n"))
    out = io.StringIO()
    task = shell('echo "$CUDA_VISIBLE_DEVICES"', *range(4))
    results = task.run(max_workers=2, slots=gpu_slots(per_run=2), ostreams=[out])
    assert set(out.getvalue().split()) <= {"0,1", "2,3"}
    assert sorted(out.getvalue().split()) == sorted(result.devices["CUDA_VISIBLE_DEVICES"] for result in results)


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        ("3", ["3"]),
        ("2,0", ["2", "0"]),
        (" 1 , 2 ", ["1", "2"]),
        ("0,-1,1", ["0"]),
        ("GPU-8932f937-d72c,GPU-15a1bd2b", ["GPU-8932f937-d72c", "GPU-15a1bd2b"]),
        ("MIG-GPU-8932f937/1/0,MIG-41b359ab", ["MIG-GPU-8932f937/1/0", "MIG-41b359ab"]),
    ],
)
def test_a_cuda_visible_devices_that_is_set_is_honoured_whatever_nvidia_smi_says(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, visible: str, gpus: list[str]
):
    nvidia_smi(asked(r"0\n1\n2\n3\n4\n5\n6\n7\n"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_slots() == {"CUDA_VISIBLE_DEVICES": gpus}
    shell("exit 0", 1).run(slots=gpu_slots(), **QUIET)


@pytest.mark.parametrize("visible", ["", "-1", "-1,0", "NoDevFiles", " "])
def test_a_cuda_visible_devices_that_hides_all_is_an_error_that_says_so(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, visible: str
):
    nvidia_smi(asked(r"0\n1\n"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match="hides every GPU; unset it, or list") as caught:
        gpu_slots()
    assert repr(visible) in str(caught.value)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 9", "missing or fails"),
        (asked(r"0\n1\n") + "; exit 9", "missing or fails"),
        ("exit 0", "names no GPU"),
        (asked(r"No devices were found\n"), "names no GPU"),
        (r"printf '\377\376\n'", "names no GPU"),
    ],
)
def test_an_nvidia_smi_that_finds_nothing_is_an_error_that_names_the_cure(
    nvidia_smi: Callable[[str], None], script: str, told: str
):
    nvidia_smi(script)
    with pytest.raises(DeviceError, match=f"gpu_slots: .*{told}.*set CUDA_VISIBLE_DEVICES"):
        gpu_slots()


def test_a_machine_without_nvidia_smi_is_an_error_that_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"nvidia-smi is missing or fails; set CUDA_VISIBLE_DEVICES"):
        gpu_slots()


@pytest.mark.parametrize(
    ("kind", "per_run", "told"),
    [
        ("value", 0, ["gpu_slots", "per_run=0", "1 or more"]),
        ("value", -1, ["gpu_slots", "per_run=-1", "1 or more"]),
        ("value", 3, ["gpu_slots", "per_run=3", "2 GPUs", "no more than that"]),
        ("type", 1.0, ["gpu_slots", "per_run", "float (1.0)"]),
        ("type", "1", ["gpu_slots", "per_run", "str ('1')"]),
        ("type", None, ["gpu_slots", "per_run", "NoneType"]),
        ("type", True, ["gpu_slots", "per_run", "bool"]),
    ],
)
def test_a_number_of_gpus_that_makes_no_sense_is_refused(nvidia_smi: Callable[[str], None], kind, per_run, told):
    nvidia_smi(asked(r"0\n1\n"))
    assert_refused(kind, lambda: gpu_slots(per_run), *told)


# ---- CPUs


def test_cpu_slots_are_the_cpus_that_this_process_may_use():
    slots = cpu_slots()
    assert list(slots) == ["TASKEXP_CPUS"]
    assert sorted(map(int, slots["TASKEXP_CPUS"])) == CPUS


def test_cpu_slots_keep_to_the_affinity_of_the_driver(tmp_path: Path):
    script = f"import os, taskexp; os.sched_setaffinity(0, [{CPUS[-1]}]); print(taskexp.cpu_slots())"
    assert run_script(script, tmp_path).stdout == f"{{'TASKEXP_CPUS': ['{CPUS[-1]}']}}\n"


PRINT_CPUS = [
    sys.executable, "-IS", "-c",
    "import os; print('on', *sorted(os.sched_getaffinity(0)), 'told', os.environ['TASKEXP_CPUS'])",
]  # fmt: skip


@pytest.mark.parametrize("way", [sequential, parallel, async_parallel, run])
def test_a_run_is_pinned_to_the_cpus_of_its_slot_and_the_driver_is_not(way: Way):
    out = io.StringIO()
    results = way(Task(PRINT_CPUS).repeat(4), {**QUIET, "ostreams": [out]}, slots=cpu_slots())
    lines = re.findall(r"on (\d+) told (\d+)$", out.getvalue(), re.MULTILINE)
    assert len(lines) == 4
    assert all(on == told for on, told in lines)
    assert sorted(told for _, told in lines) == sorted(result.devices["TASKEXP_CPUS"] for result in results)
    assert sorted(os.sched_getaffinity(0)) == CPUS


@pytest.mark.anyio
async def test_the_thread_that_starts_pinned_runs_has_its_own_cpus_back_at_once():
    async for exe in Task(PRINT_CPUS).executable_loop(slots={"TASKEXP_CPUS": [CPUS[-1]]}, use_tqdm=False):
        running = asyncio.create_task(exe.execute(**QUIET))
        assert (await running).status is Status.succeeded
        for thread in os.listdir("/proc/self/task"):
            assert sorted(os.sched_getaffinity(int(thread))) == CPUS


def test_all_cpus_per_run_is_one_slot():
    slots = cpu_slots(per_run=len(CPUS))
    assert [sorted(map(int, value.split(","))) for value in slots["TASKEXP_CPUS"]] == [CPUS]
    out = io.StringIO()
    assert statuses(Task(PRINT_CPUS).run(slots=slots, ostreams=[out])) == [Status.succeeded]
    assert out.getvalue().split("told")[0].split() == ["on", *map(str, CPUS)]


def test_what_a_pinned_run_starts_is_pinned_too():
    out = io.StringIO()
    task = shell("grep Cpus_allowed_list /proc/self/status; true", 1)
    task.run(slots={"TASKEXP_CPUS": [CPUS[-1]]}, ostreams=[out])
    assert out.getvalue().split() == ["Cpus_allowed_list:", str(CPUS[-1])]


def test_cpus_may_be_written_as_a_range():
    out = io.StringIO()
    task = shell("grep Cpus_allowed_list /proc/self/status; true", 1)
    task.run(slots={"TASKEXP_CPUS": [f"{CPUS[0]}-{CPUS[0]}"]}, ostreams=[out])
    assert out.getvalue().split() == ["Cpus_allowed_list:", str(CPUS[0])]


@pytest.mark.parametrize("max_workers", [1, 2])
def test_a_cpu_that_does_not_exist_is_the_result_of_that_run(max_workers: int):
    results = shell("exit 0", 1).run(max_workers=max_workers, slots={"TASKEXP_CPUS": ["65000"]}, **QUIET)
    assert [(result.status, result.slot) for result in results] == [(Status.not_started, None)]
    assert "could not pin the run to CPU 65000" in str(results[0].error)
    assert sorted(os.sched_getaffinity(0)) == CPUS


@pytest.mark.parametrize(
    ("kind", "per_run", "told"),
    [
        ("value", 0, ["cpu_slots", "per_run=0", "1 or more"]),
        ("value", len(CPUS) + 1, ["cpu_slots", f"per_run={len(CPUS) + 1}", f"{len(CPUS)} CPUs", "no more than that"]),
        ("type", 1.5, ["cpu_slots", "per_run", "float (1.5)"]),
        ("type", "all", ["cpu_slots", "per_run", "str ('all')"]),
    ],
)
def test_a_number_of_cpus_that_makes_no_sense_is_refused(kind, per_run, told):
    assert_refused(kind, lambda: cpu_slots(per_run), *told)


# ---- mistakes


@pytest.mark.parametrize(
    ("kind", "slots", "told"),
    [
        ("type", ["0", "1"], ["slots is a dict", "['0', '1']", "CUDA_VISIBLE_DEVICES"]),
        ("type", "DEVICE", ["slots is a dict", "'DEVICE'"]),
        ("type", 4, ["slots is a dict", "4"]),
        ("type", [("DEVICE", ["a"])], ["slots is a dict"]),
        ("value", {}, ["slots is empty", "one value per slot", "None"]),
        ("value", {"DEVICE": []}, ["slots['DEVICE']", "empty", "at least one"]),
        ("type", {"DEVICE": "01"}, ["slots['DEVICE']", "not one str", "['01']"]),
        ("type", {"DEVICE": 4}, ["slots['DEVICE']", "int", "list"]),
        ("type", {"DEVICE": None}, ["slots['DEVICE']", "NoneType"]),
        ("value", {"DEVICE": ["a", "b"], "PORT": [1]}, ["slots", "DEVICE has 2", "PORT has 1", "one length"]),
        ("value", {"DEVICE": ["a", "b", "a"]}, ["slots['DEVICE']", "'a'", "twice", "remove"]),
        ("value", {"DEVICE": [1, "1"]}, ["slots['DEVICE']", "'1'", "twice"]),
        ("value", {"CUDA_VISIBLE_DEVICES": ["0,1", "1,2"]}, ["slots['CUDA_VISIBLE_DEVICES']", "'1'", "twice"]),
        ("value", {"CUDA_VISIBLE_DEVICES": ["0", " 0"]}, ["slots['CUDA_VISIBLE_DEVICES']", "'0'", "twice"]),
        ("value", {"TASKEXP_CPUS": ["0-2", "2,3"]}, ["slots['TASKEXP_CPUS']", "2", "twice"]),
        ("value", {"DEVICE": ["a", None]}, ["slots['DEVICE']", "None", "give a str or a number"]),
        ("value", {"DEVICE": ["a\0"]}, ["slots['DEVICE']", "NUL"]),
        ("type", {"DEVICE": [["a"]]}, ["slots['DEVICE']", "list"]),
        ("type", {3: ["a"]}, ["slots", "name of a variable is a str", "int (3)"]),
        ("value", {"A=B": ["a"]}, ["slots", "'A=B'"]),
        ("value", {"MINE": ["a"]}, ["slots", "MINE", "the task", "only one"]),
        ("value", {"LOOPED": ["a"]}, ["slots", "LOOPED", "the task", "only one"]),
        ("value", {"ZIPPED": ["a"]}, ["slots", "ZIPPED", "the task", "only one"]),
        ("value", {"SECOND": ["a"]}, ["slots", "SECOND", "the task", "only one"]),
        ("value", {"TASKEXP_INDEX": ["a"]}, ["slots", "TASKEXP_INDEX", "every loop", "only one"]),
        ("value", {"TASKEXP_SLOT": ["a"]}, ["slots", "TASKEXP_SLOT", "every loop"]),
        ("value", {"TASKEXP_ATTEMPT": ["a"]}, ["slots", "TASKEXP_ATTEMPT", "every loop"]),
        *[
            ("value", {"TASKEXP_CPUS": [text]}, ["slots['TASKEXP_CPUS']", text, "write"])
            for text in ("zero", "1-0", "0,,1", "-1", "0-", "0 1", "1.0", "99999999999")
        ],
        ("value", {"TASKEXP_CPUS": [""]}, ["slots['TASKEXP_CPUS']", "''", "write"]),
    ],
)
def test_slots_that_make_no_sense_are_refused_before_anything_starts(
    kind: str, slots: object, told: list[str], tmp_path: Path
):
    trace = tmp_path / "started"
    task = Task(["touch", str(trace)], env={"MINE": "1"}).env("LOOPED", [1, 2])
    task.zip({"--n": [1, 2]}, env={"ZIPPED": [1, 2]})
    both = task + Task("true").env("SECOND", "1")
    for way in (both.executable_loop, both.as_completed, both.run):
        assert_refused(kind, partial(way, slots=slots, max_workers=2), *told)  # type: ignore[call-overload]
    assert not trace.exists()


# ---- what a run used


def test_the_peak_of_a_run_that_fills_memory_is_counted_and_is_its_own(tmp_path: Path):
    done = run_script(
        """
import sys
from taskexp import Task
fills = [sys.executable, "-c", "data = b'x' * 100_000_000"]
for command in (fills, ["sh", "-c", '"$@"; true', "sh", *fills], ["/bin/true"]):
    result, = Task(command).run(ostreams=[], use_tqdm=False)
    print(result.max_rss_bytes >= 100_000_000, result.max_rss_bytes < 200_000_000, result.max_rss_inherited)
""",
        tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout == "True True False\nTrue True False\nFalse True True\n"


def test_the_peak_of_the_drivers_own_spawner_hides_no_run(tmp_path: Path):
    done = run_script(
        """
import subprocess, sys
data = b"x" * 300_000_000
del data
sweep = '''
import sys
from taskexp import Task
for fill in 100_000_000, 0:
    result, = Task([sys.executable, "-c", f"data = b'x' * {fill}"]).run(ostreams=[], use_tqdm=False)
    print(result.max_rss_bytes >= 100_000_000, result.max_rss_bytes < 200_000_000, result.max_rss_inherited)
'''
subprocess.run([sys.executable, "-c", sweep], check=True)
""",
        tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout == "True True False\nFalse True True\n"


BURN = "import os\nwhile os.times().user < 0.25: pass"  # in ticks of 0.01 s; what is asserted leaves room for a few


@pytest.mark.parametrize("way", [sequential, parallel, async_one_by_one])
def test_the_cpu_time_of_a_run_is_counted(way: Way):
    burnt, idle = way(Task([sys.executable, "-IS", "-c"]).arg(None, [BURN, "pass"]), QUIET)
    assert burnt.user_seconds >= 0.2  # type: ignore[operator]
    assert idle.user_seconds < 0.2  # type: ignore[operator]
    assert burnt.system_seconds >= 0  # type: ignore[operator]


def test_the_cpu_time_of_descendants_that_were_waited_for_is_counted_and_of_others_is_not(tmp_path: Path):
    done = tmp_path / "done"
    burn = f"{sys.executable} -IS -c '{BURN}"
    waits = f"{burn}' & wait; true"
    stays = f'open("{done}", "w"); import time; time.sleep(3600)'
    leaves = f"{burn}\n{stays}' & until [ -e {done} ]; do sleep 0.05; done"
    waited, left = Task(["sh", "-c"]).arg(None, [waits, leaves]).run(**QUIET)
    assert waited.user_seconds >= 0.2  # type: ignore[operator]
    assert left.leaked
    assert left.user_seconds < 0.2  # type: ignore[operator]


def test_a_run_that_did_not_start_used_nothing():
    (result,) = Task("/no/such/program").run(**QUIET)
    assert (result.max_rss_bytes, result.user_seconds, result.system_seconds) == (None, None, None)


def test_the_summary_tells_the_cpu_time_and_the_largest_peak(tmp_path: Path):
    done = run_script(
        """
import sys
from taskexp import Task
task = Task([sys.executable, "-c"]).arg(None, ["exit(3)", "data = b'x' * 150_000_000"])
task.run(ostreams=[], use_tqdm=False)
""",
        tmp_path,
    )
    told = re.search(r"  (\d+\.\d) s of CPU in all, largest peak memory (\d+) MiB \(index 1\)\n", done.stderr)
    assert told, done.stderr
    assert 143 <= int(told[2]) < 250


def test_every_variable_that_a_loop_sets_is_reserved():
    printed = io.StringIO()
    Task("env").run(ostreams=[printed], use_tqdm=False, slots=cpu_slots())
    ours = {line.split("=")[0] for line in printed.getvalue().splitlines() if line.startswith("TASKEXP_")}
    assert ours == RESERVED
