"""A running event loop around the sweep: a real notebook, and a coroutine that calls the plain loop."""

import asyncio
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import run_script

from taskexp import ExecutableStateError, Status, Task

MISSING = [name for name in ("nbclient", "nbformat", "ipykernel") if importlib.util.find_spec(name) is None]

CELLS = {
    "sync": """
import asyncio, signal
from taskexp import Task
assert asyncio.get_running_loop().is_running()
before = signal.getsignal(signal.SIGINT)
echo = Task(["sh", "-c", 'echo "sync $1"', "sh"]).arg(None, [1, 2, 3])
for exe in echo.executable_loop(use_tqdm=False):
    exe.print_status()
    exe.execute()
    exe.print_duration()
assert signal.getsignal(signal.SIGINT) is before
""",
    "async": """
async for exe in Task(["sh", "-c", 'echo "async $1"', "sh"]).arg(None, [1, 2]).executable_loop(use_tqdm=False):
    result = await exe.execute()
    print("got", result.status, exe.result.index)
""",
    "parallel": """
parallel = Task(["sh", "-c", 'echo "parallel $1"', "sh"]).arg(None, range(6))
for exe in parallel.executable_loop(max_workers=3, use_tqdm=False):
    exe.execute()
    if exe.index == 5:
        print(f"last {exe.result.status}\\n", end="")
""",
    "task group": """
async with asyncio.TaskGroup() as group:
    async for exe in parallel.executable_loop(max_workers=2, use_tqdm=False):
        group.create_task(exe.execute())
""",
    "run": """
print([result.status.value for result in parallel.run(max_workers=2, ostreams=[], use_tqdm=False)])
""",
    "bar": """
for exe in echo.executable_loop():
    exe.execute(ostreams=[])
    exe.update_tqdm()
""",
    "table": """
from taskexp import open_results
task = Task(["sh", "-c", 'echo "loss=$1"', "sh"]).arg(None, ["<b>1", "2"]).metric("loss", r"loss=(?:<b>)?(\\d)")
task.run(journal="sweep", ostreams=[], use_tqdm=False)
open_results("sweep")
""",
    "callback": """
lines = []
for exe in echo.executable_loop(use_tqdm=False):
    exe.execute(ostreams=[], on_verbose=lambda line, stream, when: lines.append(line))
print(lines)
""",
    "error": """
try:
    for exe in Task("sleep 60").executable_loop(max_workers=2, use_tqdm=False):
        exe.execute()
        raise ValueError("mine")
except ValueError as error:
    print("caught", error)
assert signal.getsignal(signal.SIGINT) is before
""",
}

EXECUTE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import nbclient, nbformat
cells = json.load(open("cells.json"))
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells.values()])
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
outputs = dict(zip(cells, (cell.outputs for cell in notebook.cells)))
outputs["widgets"] = list(notebook.metadata.get("widgets", {}).values())
json.dump(outputs, open("outputs.json", "w"))
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Execute all cells in one real kernel; returns what each has put out."""
    if MISSING:
        pytest.skip(f"no notebook can run: {', '.join(MISSING)} not installed")
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "cells.json").write_text(json.dumps(CELLS))
    done = run_script(EXECUTE, folder, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "outputs.json").read_text())  # type: ignore[no-any-return]


def text_of(outputs: list[dict[str, Any]], name: str = "stdout") -> str:
    """Return what a cell has put out on a stream; fails if the cell raised."""
    errors = ["\n".join(output["traceback"]) for output in outputs if output["output_type"] == "error"]
    assert errors == []
    return "".join(output["text"] for output in outputs if output.get("name") == name)


@pytest.mark.fault("A04")
def test_a_plain_loop_in_a_cell_puts_its_output_into_the_cell(outputs: dict[str, list[dict[str, Any]]]):
    lines = text_of(outputs["sync"]).splitlines()
    assert lines[1::3] == ["sync 1", "sync 2", "sync 3"]
    assert [line.split()[1] for line in lines[0::3]] == ["0", "1", "2"]
    assert all(line.startswith("0:00:0") for line in lines[2::3])
    assert text_of(outputs["sync"], "stderr") == ""


def test_async_for_and_await_work_at_the_top_level_of_a_cell(outputs: dict[str, list[dict[str, Any]]]):
    assert text_of(outputs["async"]).splitlines() == ["async 1", "got succeeded 0", "async 2", "got succeeded 1"]


def test_a_parallel_loop_in_a_cell_waits_for_a_result(outputs: dict[str, list[dict[str, Any]]]):
    lines = text_of(outputs["parallel"]).splitlines()
    assert "last succeeded" in lines
    assert sorted(set(lines) - {"last succeeded"}) == [f"parallel {n}" for n in range(6)]


def test_a_task_group_in_a_cell_runs_them_all(outputs: dict[str, list[dict[str, Any]]]):
    assert sorted(text_of(outputs["task group"]).splitlines()) == [f"parallel {n}" for n in range(6)]


def test_run_in_a_cell_returns_all_results(outputs: dict[str, list[dict[str, Any]]]):
    assert text_of(outputs["run"]).strip() == str(["succeeded"] * 6)


def test_the_bar_of_a_cell_comes_to_its_end(outputs: dict[str, list[dict[str, Any]]]):
    text_of(outputs["bar"])
    assert "3/3" in json.dumps([outputs["bar"], outputs["widgets"]])


def test_the_bar_of_a_cell_is_tqdms_widget(outputs: dict[str, list[dict[str, Any]]]):
    if importlib.util.find_spec("ipywidgets") is None:
        pytest.skip("tqdm has no widget without ipywidgets")
    kinds = [kind for output in outputs["bar"] for kind in output.get("data", ())]
    assert "application/vnd.jupyter.widget-view+json" in kinds
    assert text_of(outputs["bar"], "stderr") == ""


def test_results_show_themselves_as_a_table(outputs: dict[str, list[dict[str, Any]]]):
    (shown,) = (output["data"] for output in outputs["table"] if output["output_type"] == "execute_result")
    assert shown["text/html"].startswith("<table>")
    assert "<td>&lt;b&gt;1</td><td>1</td>" in shown["text/html"]
    assert shown["text/plain"].startswith("<Results of ")


def test_on_verbose_is_called_in_a_cell(outputs: dict[str, list[dict[str, Any]]]):
    assert text_of(outputs["callback"]).strip() == str(["sync 1\n", "sync 2\n", "sync 3\n"])


def test_an_error_in_the_body_of_a_cell_stops_the_runs_and_arrives(outputs: dict[str, list[dict[str, Any]]]):
    assert text_of(outputs["error"]).strip() == "caught mine"


# ---- a coroutine that calls the plain loop


@pytest.mark.fault("A04")
@pytest.mark.parametrize("max_workers", [1, 3])
def test_the_plain_loop_works_inside_a_coroutine(max_workers: int):
    async def main() -> str:
        out = io.StringIO()
        for exe in Task(["sh", "-c", "echo out"]).arg("-n", range(4)).executable_loop(max_workers=max_workers):
            exe.execute(ostreams=[out])
            assert exe.result.status is Status.succeeded
        return out.getvalue()

    assert asyncio.run(main()) == "out\n" * 4


def test_run_works_inside_a_coroutine_and_inside_a_thread_of_it():
    task = Task(["sh", "-c", 'exit "$1"', "sh"]).arg(None, [0, 1, 2])

    async def main() -> list[list[int | None]]:
        here = task.run(max_workers=2, ostreams=[])
        there = await asyncio.to_thread(task.run, max_workers=2, ostreams=[])
        return [[result.returncode for result in results] for results in (here, there)]

    assert asyncio.run(main()) == [[0, 1, 2]] * 2


def test_a_loop_that_is_iterated_by_async_for_cannot_be_iterated_by_for():
    async def main() -> None:
        loop = Task("true").executable_loop()
        async for exe in loop:
            await exe.execute(ostreams=[])
            with pytest.raises(ExecutableStateError):
                iter(loop)

    asyncio.run(main())


def test_a_break_in_a_coroutine_leaves_nothing(tmp_path: Path):
    async def main() -> None:
        for exe in Task("touch").arg(None, [tmp_path / "a", tmp_path / "b"]).executable_loop(max_workers=2):
            exe.execute(ostreams=[])
            exe.wait()
            break

    asyncio.run(main())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
