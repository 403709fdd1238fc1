"""Question: how many short runs a second are started, and seen to their end with their output captured?

`/bin/true`, several at once, by TaskExp and by its peers; the ratio is to a loop in C (spawn_loop.c: posix_spawn, two
pipes, poll, waitpid), the limit of the machine. What does not keep the output of each run apart is marked "uncaptured".
What the journal costs is the question of journal.py.

    python benchmarks/start.py [--runs 2000] [--workers 8] [--rounds 5]
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
from measuring import Missing, arguments, gnu_parallel, in_turn, machine, on_path, print_ratios, spawn_loop

from taskexp import Task

try:
    import joblib
except ImportError:  # the table says so
    joblib = None

COMMAND = "/bin/true"


def main() -> None:
    options = arguments(__doc__, runs=2000, workers=8, rounds=5)
    runs, workers = options.runs, options.workers
    print(machine())
    print(f"{runs} runs of {COMMAND}, {workers} at once, medians of {options.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(folder, runs)
        loop, ninja, make, xargs = spawn_loop(folder), on_path("ninja"), on_path("make"), on_path("xargs")
        parallel, at_once, numbers = gnu_parallel(), f"-j{workers}", f"{folder}/numbers"
        ways: dict[str, Callable[[], None]] = {
            "C loop": lambda: run([loop.path, str(runs), str(workers), COMMAND]),
            "TaskExp": lambda: taskexp(runs, workers),
            "ThreadPoolExecutor + subprocess.run": lambda: thread_pool(runs, workers),
            "joblib, threads": lambda: joblib_threads(runs, workers),
            "anyio.run_process, limiter": lambda: anyio.run(anyio_processes, runs, workers),
            "ninja": lambda: run([ninja.path, "-C", folder, at_once]),
            "make --output-sync": lambda: run([make.path, "-C", folder, at_once, "--output-sync"]),
            "make (uncaptured)": lambda: run([make.path, "-C", folder, at_once]),
            "xargs (uncaptured)": lambda: run([xargs.path, f"-P{workers}", "-n1", COMMAND], numbers),
            "GNU parallel": lambda: run([parallel.path, at_once, COMMAND], numbers),
        }
        rates = {name: lambda way=way: rate(way, runs) for name, way in ways.items()}
        print_ratios(*in_turn(rates, options.rounds), "runs/s", "C loop", style=".0f")


def rate(way: Callable[[], None], runs: int) -> float:
    began = time.perf_counter()
    way()
    return runs / (time.perf_counter() - began)


def write_inputs(folder: str, runs: int) -> None:
    """Write what make, ninja and the readers of lines are told: as many runs of the command."""
    numbers = range(runs)
    targets = " ".join(f"run{n}" for n in numbers)
    Path(folder, "numbers").write_text("".join(f"{n}\n" for n in numbers))
    Path(folder, "Makefile").write_text(f".PHONY: all {targets}\nall: {targets}\n{targets}:\n\t@{COMMAND}\n")
    edges = "".join(f"build run{n}: run\n" for n in numbers)  # never made, so always to be built
    Path(folder, "build.ninja").write_text(f"rule run\n  command = {COMMAND}\n{edges}")


def run(command: list[str], stdin: str = "/dev/null") -> None:
    with open(stdin) as file:
        subprocess.run(command, stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def taskexp(runs: int, workers: int) -> None:
    results = Task(COMMAND).repeat(runs).run(max_workers=workers, ostreams=[], use_tqdm=False)
    assert all(result.status == "succeeded" for result in results)


def thread_pool(runs: int, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(subprocess.run, [COMMAND], capture_output=True) for _ in range(runs)]:
            future.result()


def joblib_threads(runs: int, workers: int) -> None:
    if joblib is None:
        raise Missing("not installed")
    run_one = joblib.delayed(subprocess.run)
    joblib.Parallel(workers, prefer="threads")(run_one([COMMAND], capture_output=True) for _ in range(runs))


async def anyio_processes(runs: int, workers: int) -> None:
    """Run each by `run_process`, which is `open_process` with both streams read to their end."""
    limiter = anyio.CapacityLimiter(workers)

    async def one() -> None:
        async with limiter:
            await anyio.run_process([COMMAND])

    async with anyio.create_task_group() as group:
        for _ in range(runs):
            group.start_soon(one)


if __name__ == "__main__":
    main()
