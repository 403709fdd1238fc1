"""Question: does a long sweep of short runs leak?

Runs `/bin/true` in one loop, several at a time, and prints the driver's descriptors, threads, children, tasks, memory
and peak memory at 1 %, at 10 % and at 100 % of the runs: they should be alike. Once with a journal and once without
one, each in a process of its own. The exit code is 1 if a figure at 100 % is larger than at 1 % by more than noise: by
more than two for what is counted, by more than 10 % and 8 MiB for memory.

    python benchmarks/soak.py [--runs 100000] [--workers 8] [--folder FOLDER]

FOLDER is a folder on the disk that the journal is written to (the one for temporary files).
"""

import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from measuring import arguments, in_own_process, machine, own_children, own_memory_mib, print_table

from taskexp import Task

COUNTED = ("descriptors", "threads", "children", "tasks")
HEADERS = ("", "after", *COUNTED, "rss MiB", "peak MiB", "runs/s in all")
FIGURES = len(HEADERS) - 2


def main() -> int:
    options = arguments(__doc__, runs=100_000, workers=8, folder="")
    runs = options.runs
    print(machine())
    print(f"{runs} runs of /bin/true, {options.workers} at a time")
    rows: list[tuple[object, ...]] = []
    grown: list[str] = []
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        for name, journal in (("with a journal", f"{folder}/journal"), ("without a journal", "")):
            *figures, seconds = in_own_process(__file__, runs, options.workers, journal)
            states = [figures[place : place + FIGURES] for place in range(0, len(figures), FIGURES)]
            for after, *counts, rss, peak in states:
                shown = (f"{count:.0f}" for count in (after, *counts))
                rows.append((name, *shown, f"{rss:.1f}", f"{peak:.1f}", f"{runs / seconds:.0f}"))
            grown += [f"{name}: more {what}" for what in growth(states[0], states[-1])]
    print_table(HEADERS, rows)
    print("\n".join(grown) or "nothing grows")
    return int(bool(grown))


def growth(first: Sequence[float], last: Sequence[float]) -> list[str]:
    """Name what has grown by more than noise."""
    names = HEADERS[2:-1]
    pairs = list(zip(names, first[1:], last[1:], strict=True))
    counted = [name for name, before, after in pairs if name in COUNTED and after > before + 2]
    return counted + [
        name for name, before, after in pairs if name not in COUNTED and after > max(1.1 * before, before + 8)
    ]


def driver(runs: int, workers: int, journal: str) -> None:
    """Print the figures after each part of the runs, and the seconds of all."""
    began, figures = time.perf_counter(), list[float]()
    task = Task("/bin/true").arg(None, range(runs))
    for exe in task.executable_loop(use_tqdm=False, max_workers=workers, journal=journal or None):
        if exe.index in (runs // 100, runs // 10, runs - 1):
            figures += state(exe.index)
        exe.execute(ostreams=[])
    print(*figures, time.perf_counter() - began)


def state(after: int) -> tuple[float, ...]:
    """Count what this process holds in the middle of the loop, when what was asked for so far has ended."""
    deadline = time.monotonic() + 10
    while own_children() > 1 and time.monotonic() < deadline:  # the watchdog goes on
        time.sleep(0.01)
    time.sleep(0.5)  # what has ended is recorded
    memory = own_memory_mib("VmRSS"), own_memory_mib("VmHWM")  # before the tasks are looked for, which takes some
    descriptors = len(os.listdir("/proc/self/fd"))
    tasks = sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects())
    return (after, descriptors, threading.active_count(), own_children(), tasks, *memory)


if __name__ == "__main__":
    if not Path("/proc/self/status").exists():
        raise SystemExit("needs /proc")
    if sys.argv[1:2] == ["driver"]:
        driver(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
