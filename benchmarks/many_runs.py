"""Question: does a long sweep of short runs leak?

Runs `/bin/true` in parallel and prints the driver's descriptors, threads, children, memory and peak memory after a
hundredth and a tenth of the runs and at the end: they should be alike. Once without a journal and once with one, each
in a process of its own.

    python benchmarks/many_runs.py [--runs 100000] [--workers 8] [--folder FOLDER]

FOLDER is a folder on the disk that the journal is written to (the one for temporary files).
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from measuring import arguments, in_own_process, machine, own_children, own_memory_mib, print_table

from taskexp import Task

FIGURES = 6


def main() -> None:
    options = arguments(__doc__, runs=100_000, workers=8, folder="")
    runs = options.runs
    print(machine())
    print(f"{runs} runs of /bin/true, {options.workers} at a time")
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        for name, journal in (("without a journal", ""), ("with a journal", f"{folder}/journal")):
            *figures, seconds = in_own_process(__file__, runs, options.workers, journal)
            for place in range(0, len(figures), FIGURES):
                after, descriptors, threads, children, rss, peak = figures[place : place + FIGURES]
                counts = (f"{count:.0f}" for count in (after, descriptors, threads, children))
                rows.append((name, *counts, f"{rss:.1f}", f"{peak:.1f}", f"{runs / seconds:.0f}"))
    headers = ("", "after", "descriptors", "threads", "children", "rss MiB", "peak MiB", "runs/s in all")
    print_table(headers, rows)


def driver(runs: int, workers: int, journal: str) -> None:
    """Print the figures after each part of the runs, and the seconds of all."""
    began, figures = time.perf_counter(), []
    task = Task("/bin/true").arg(None, range(runs))
    for exe in task.executable_loop(use_tqdm=False, max_workers=workers, journal=journal or None):
        if exe.index in (runs // 100, runs // 10):
            figures += state(exe.index)
        exe.execute(ostreams=[])
    figures += state(runs)
    print(*figures, time.perf_counter() - began)


def state(after: int) -> tuple[float, ...]:
    descriptors = len(os.listdir("/proc/self/fd"))
    memory = own_memory_mib("VmRSS"), own_memory_mib("VmHWM")
    return (after, descriptors, threading.active_count(), own_children(), *memory)


if __name__ == "__main__":
    if not Path("/proc/self/status").exists():
        raise SystemExit("needs /proc")
    if sys.argv[1:2] == ["driver"]:
        driver(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
