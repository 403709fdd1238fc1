"""Question: how late is the kill of a run that times out?

`sleep 10` with a timeout of 0.2 s and no grace, eight at once, on the machine as it is and while as many programs as
there are CPUs burn them. The lateness is the run's duration less its timeout, the end of the process included.

    python benchmarks/timeouts.py [--runs 200] [--workers 8]
"""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr

from measuring import arguments, machine, percentile, print_table

from taskexp import Task

TIMEOUT = 0.2


def main() -> None:
    options = arguments(__doc__, runs=200, workers=8)
    print(machine())
    print(f"{options.runs} runs that time out after {TIMEOUT} s, {options.workers} at once; lateness in milliseconds")
    ways: dict[str, Callable[[int, int], list[float]]] = {
        "TaskExp": taskexp,
        "ThreadPoolExecutor + subprocess.run": thread_pool,
    }
    rows: list[tuple[str, ...]] = []
    for load, burners in (("as it is", 0), ("busy", os.cpu_count() or 1)):
        with busy(burners):
            for name, way in ways.items():
                late = [1000 * (duration - TIMEOUT) for duration in way(options.runs, options.workers)]
                figures = (percentile(late, 50), percentile(late, 99), max(late))
                rows.append((f"{name}, {load}", *(f"{figure:.1f}" for figure in figures)))
    print_table(("", "p50", "p99", "max"), rows)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Burn CPUs meanwhile."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def taskexp(runs: int, workers: int) -> list[float]:
    task = Task("sleep 10").repeat(runs)
    with redirect_stderr(io.StringIO()):  # each is told there
        results = task.run(max_workers=workers, timeout=TIMEOUT, grace=0, ostreams=[], use_tqdm=False)
    assert all(result.status == "timed_out" for result in results)
    return [result.duration.total_seconds() for result in results]


def thread_pool(runs: int, workers: int) -> list[float]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda _: duration_of_one(), range(runs)))


def duration_of_one() -> float:
    began = time.perf_counter()
    try:
        subprocess.run(["sleep", "10"], capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return time.perf_counter() - began
    raise SystemExit("sleep 10 did not time out")


if __name__ == "__main__":
    main()
