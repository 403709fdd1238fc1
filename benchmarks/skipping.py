"""Question: how fast does a sweep come to its first run, where a million runs are on record or the grid is huge?

First sweeps whose runs are all recorded but the last: how many of them a second are passed over, the seconds until a
loop that begins behind them yields, and the driver's peak memory. Then grids of which nothing was run: the time from
`Task` to the first yield. Each figure is of a process of its own. Memory over runs that are executed is the question
of soak.py.

    python benchmarks/skipping.py [--recorded 1000000] [--digits 12] [--rounds 3] [--folder FOLDER]

The sweeps are of RECORDED runs, a tenth, a hundredth and a thousandth of them, the grids of 10 to 10^DIGITS points;
FOLDER is a folder on the disk to be measured (the one for temporary files).
"""

import io
import sqlite3
import sys
import tempfile
import time
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from statistics import median

from measuring import arguments, in_own_process, in_turn, machine, own_memory_mib, print_table

from taskexp import Task

ORDERS = ("loop", "shuffle", "interleave")


def main() -> None:
    options = arguments(__doc__, recorded=1_000_000, digits=12, rounds=3, folder="")
    print(machine())
    print(f"medians of {options.rounds} rounds in turn")
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        print_recorded(folder, options.recorded, options.rounds)
        print_huge(folder, options.digits, options.rounds)


def print_recorded(folder: str, most: int, rounds: int) -> None:
    ways = {}
    for count in sorted({max(1, most // part) for part in (1000, 100, 10, 1)}):
        record(Path(folder) / str(count), count)
        ways[str(count)] = partial(in_own_process, __file__, "recorded", f"{folder}/{count}", count)
    measured, _ = in_turn(ways, rounds)
    rows: list[tuple[object, ...]] = []
    for count, numbers in measured.items():
        first, every, peak = map(median, zip(*numbers, strict=True))
        rows.append((count, f"{int(count) / every:.0f}", f"{every:.2f}", f"{first:.2f}", f"{peak:.0f}"))
    print_table(("recorded", "points/s", "seconds", "first yield s", "peak MiB"), rows)


def print_huge(folder: str, digits: int, rounds: int) -> None:
    ways = {}
    for exponent in sorted({1, digits // 2, digits}):
        for order in ORDERS:
            ways[f"10^{exponent} points, {order}"] = partial(in_own_process, __file__, "huge", "", exponent, order)
        journal = f"{folder}/huge{exponent}"
        ways[f"10^{exponent} points, journal"] = partial(in_own_process, __file__, "huge", journal, exponent, "loop")
    measured, _ = in_turn(ways, rounds)
    rows = [
        (name, f"{1000 * median(first for first, _ in numbers):.1f}", f"{median(peak for _, peak in numbers):.0f}")
        for name, numbers in measured.items()
    ]
    print_table(("grid", "first yield ms", "peak MiB"), rows)


def record(folder: Path, runs: int) -> None:
    """Make a journal of many runs: a real one of the first, copied row by row for the others."""
    task = recorded_task(runs)
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


def recorded_task(runs: int) -> Task:
    """Make the sweep of so many recorded runs, and of one more."""
    return Task("/bin/true").arg("--n", range(runs + 1))


# ---- the drivers, each in a process of its own


def recorded(journal: str, runs: str) -> None:
    """Print the seconds to the yield of a loop that begins at the last recorded run, and at the first; and the peak."""
    first = seconds_to_yield(journal, int(runs), int(runs) - 1)
    every = seconds_to_yield(journal, int(runs), 0)
    print(first, every, own_memory_mib("VmHWM"))


def seconds_to_yield(journal: str, runs: int, start: int) -> float:
    began = time.perf_counter()
    loop = recorded_task(runs).executable_loop(use_tqdm=False, journal=journal, start=start)
    with redirect_stderr(io.StringIO()), loop:  # how many were passed over is told there
        assert next(loop).index == runs
        return time.perf_counter() - began


def huge(journal: str, exponent: str, order: str) -> None:
    """Print the seconds from the builder to the first yield, and the peak."""
    began = time.perf_counter()
    task = Task("/bin/true")
    for digit in range(int(exponent)):
        task.arg(f"--{digit}", range(10))
    with task.executable_loop(use_tqdm=False, journal=journal or None, order=order) as loop:
        next(loop)
        seconds = time.perf_counter() - began
    print(seconds, own_memory_mib("VmHWM"))


if __name__ == "__main__":
    if not Path("/proc/self/status").exists():
        raise SystemExit("needs /proc")
    if sys.argv[1:2] == ["driver"]:
        {"recorded": recorded, "huge": huge}[sys.argv[2]](*sys.argv[3:])
    else:
        main()
