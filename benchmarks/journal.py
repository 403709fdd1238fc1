"""Question: what does the journal cost, and how fast does a sweep begin that has a million runs on record?

Rates of `/bin/true` with and without a journal, in rounds side by side, then the start of a sweep whose runs are all
recorded, in a process of its own: seconds to the first yield, and peak memory.

    python benchmarks/journal.py [RUNS [RECORDED [FOLDER]]]

RUNS is the number of runs per round (1000), RECORDED the number of runs on record (1,000,000), FOLDER a folder on the
disk to be measured (the one for temporary files).
"""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from taskexp import Task

ROUNDS = 5

START = """
import resource, sys, time
from taskexp import Task
began = time.perf_counter()
task = Task("/bin/true").arg("--n", range(int(sys.argv[2]) + 1))
with task.executable_loop(use_tqdm=False, journal=sys.argv[1], start=int(sys.argv[2]) - 1) as loop:
    exe = next(loop)
    print(f"first yield after {time.perf_counter() - began:.2f} s (index {exe.index}), ", end="")
began = time.perf_counter()
with task.executable_loop(use_tqdm=False, journal=sys.argv[1]) as loop:
    exe = next(loop)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"all {exe.index} passed over after {seconds:.2f} s, peak memory {peak:.0f} MiB")
"""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    recorded = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        print(f"{runs} runs of /bin/true, medians of {ROUNDS} rounds in turn, runs a second")
        print(f"{'workers':>8} {'without':>9} {'journal':>9} {'ratio':>6}")
        for workers in (1, 8):
            rates = [(rate(runs, workers, None), rate(runs, workers, f"{folder}/{workers}-{n}")) for n in range(ROUNDS)]
            without, journal = (statistics.median(column) for column in zip(*rates, strict=True))
            print(f"{workers:>8} {without:>9.0f} {journal:>9.0f} {journal / without:>6.2f}")
        record(Path(folder) / "recorded", recorded)
        print(f"a journal of {recorded} runs: ", end="", flush=True)
        subprocess.run([sys.executable, "-c", START, f"{folder}/recorded", str(recorded)], check=True)


def rate(runs: int, workers: int, journal: str | None) -> float:
    began = time.perf_counter()
    Task("/bin/true").repeat(runs).run(max_workers=workers, ostreams=[], use_tqdm=False, journal=journal)
    return runs / (time.perf_counter() - began)


def record(folder: Path, runs: int) -> None:
    """Make a journal of many runs: a real one of the first, copied row by row for the others."""
    task = Task("/bin/true").arg("--n", range(runs + 1))
    with task.executable_loop(use_tqdm=False, journal=folder) as loop:
        next(loop).execute(ostreams=[])
    connection = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    names = [row[1] for row in connection.execute("PRAGMA table_info(attempt)") if row[1] not in ("id", "fingerprint")]
    row = connection.execute(f"SELECT {', '.join(names)} FROM attempt").fetchone()
    statement = f"INSERT INTO attempt (fingerprint, {', '.join(names)}) VALUES (?{', ?' * len(names)})"
    connection.execute("BEGIN")
    connection.executemany(statement, ((task[index].fingerprint, *row) for index in range(1, runs)))
    connection.execute("UPDATE attempt SET duration = 1.0")
    connection.execute("COMMIT")
    connection.close()


if __name__ == "__main__":
    main()
