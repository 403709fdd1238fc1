"""Question: does a long sweep of short runs leak?

Runs `/bin/true` in parallel and prints the driver's descriptors, threads, children and memory after a tenth of the
runs and at the end: they should be alike.

    python benchmarks/many_runs.py [RUNS [WORKERS]]
"""

import os
import sys
import threading
import time
from pathlib import Path

from taskexp import Task


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    print(f"{runs} runs of /bin/true, {workers} at a time")
    print(f"{'after':>8} {'descriptors':>12} {'threads':>8} {'children':>9} {'rss MiB':>8}")
    began = time.perf_counter()
    for exe in Task("/bin/true").arg(None, range(runs)).executable_loop(use_tqdm=False, max_workers=workers):
        if exe.index == runs // 10:
            report(exe.index)
        exe.execute(ostreams=[])
    report(runs)
    print(f"{runs / (time.perf_counter() - began):.0f} runs a second")


def report(after: int) -> None:
    status = Path("/proc/self/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0]) / 1024
    tasks = Path("/proc/self/task").iterdir()
    children = sum(len((task / "children").read_text().split()) for task in tasks)
    row = (after, len(os.listdir("/proc/self/fd")), threading.active_count(), children, round(rss, 1))
    print("{:>8} {:>12} {:>8} {:>9} {:>8}".format(*row))


if __name__ == "__main__":
    main()
