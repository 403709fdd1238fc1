"""Question: what does the driver need while a thousand children are alive at once?

Starts as many `sleep` and, when all of them are alive, reads the driver's memory, threads and descriptors from /proc;
each number of children in a driver of its own. A pool of threads that call `subprocess.run` stands beside it.

    python benchmarks/alive.py [--children 1000] [--rounds 3]
"""

import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from measuring import arguments, in_own_process, in_turn, machine, own_children, own_memory_mib, print_table

from taskexp import Task

BOUND_SECONDS = 300


def main() -> None:
    options = arguments(__doc__, children=1000, rounds=3)
    print(machine())
    print(f"children alive at once, medians of {options.rounds} rounds in turn; KiB and descriptors per child")
    names = {"taskexp": "TaskExp", "thread_pool": "ThreadPoolExecutor + subprocess.run"}
    ways = {
        f"{name}, {count}": partial(in_own_process, __file__, way, count)
        for way, name in names.items()
        for count in (max(1, options.children // 10), options.children)
    }
    measured, _ = in_turn(ways, options.rounds)
    rows: list[tuple[object, ...]] = []
    for name, rounds in measured.items():
        children, kib, mib, threads, descriptors, seconds = map(median, zip(*rounds, strict=True))
        rows.append(
            (
                name,
                int(threads),
                f"{kib / children:.1f}",
                f"{mib:.1f}",
                f"{descriptors / children:.2f}",
                f"{seconds:.1f}",
            )
        )
    print_table(("children", "threads", "KiB each", "MiB in all", "descriptors each", "seconds"), rows)


# ---- the driver, in a process of its own


def driver(way: str, count: int) -> None:
    """Print children, memory (KiB more than before, MiB in all), threads, descriptors, seconds until all are alive."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 5 * count + 100
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    {"taskexp": taskexp, "thread_pool": thread_pool}[way](count)


def taskexp(count: int) -> None:
    Task("true").run(use_tqdm=False, ostreams=[], max_workers=2)  # so that what is made once is there before
    before, began = state(), time.perf_counter()
    with Task("sleep 600").repeat(count).executable_loop(max_workers=count, use_tqdm=False) as loop:
        for exe in loop:
            exe.execute(timeout=None, ostreams=[])
            if exe.index == count - 1:
                break
        report(count, before, began)


def thread_pool(count: int) -> None:
    subprocess.run("true", capture_output=True)
    before, began = state(), time.perf_counter()
    pool = ThreadPoolExecutor(count)
    for _ in range(count):
        pool.submit(subprocess.run, ["sleep", "600"], capture_output=True)
    report(count, before, began)
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            os.kill(int(pid), 9)
    pool.shutdown()


def state() -> tuple[float, int, int]:
    return own_memory_mib("VmRSS"), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def report(count: int, before: tuple[float, int, int], began: float) -> None:
    """Wait until all children are alive, and print what they cost."""
    while (alive := own_children()) < count:
        if time.perf_counter() - began > BOUND_SECONDS:
            raise SystemExit(f"only {alive} of {count} children came to life")
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    mib, threads, descriptors = state()
    print(count, (mib - before[0]) * 1024, mib, threads, descriptors - before[2], seconds, flush=True)


if __name__ == "__main__":
    if not Path("/proc/self/status").exists():
        raise SystemExit("needs /proc")
    if sys.argv[1:2] == ["driver"]:
        driver(sys.argv[2], int(sys.argv[3]))
    else:
        main()
