"""Measuring: what the benchmarks share, from the machine's name to the table; it measures nothing itself."""

import argparse
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def arguments(text: str | None, **defaults: int | str) -> argparse.Namespace:
    """Read the command line: an option for each keyword, with its default."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, metavar=name.upper())
    return parser.parse_args()


def machine() -> str:
    """Name the machine: the kernel, the CPUs that this process may use, Python, and how busy it is with others."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    return f"{platform.platform()}, {cpus} CPUs, Python {platform.python_version()}, load {load:.1f} at the start"


# ---- what is compared with


class Missing(Exception):
    """A way cannot be measured here; the message is what the table says instead of a figure."""


@dataclass(frozen=True)
class Peer:
    """A program to compare with, looked for before anything is timed."""

    found: str | None
    absence: str = "not on PATH"

    @property
    def path(self) -> str:
        """Where it is; raises Missing if it is nowhere."""
        if self.found is None:
            raise Missing(self.absence)
        return self.found


def on_path(program: str) -> Peer:
    return Peer(shutil.which(program))


def gnu_parallel() -> Peer:
    """Find GNU parallel; moreutils has another program of that name."""
    program = shutil.which("parallel")
    if program and "GNU parallel" not in subprocess.run([program, "--version"], capture_output=True, text=True).stdout:
        return Peer(None, "another program of that name is on PATH")
    return Peer(program)


def spawn_loop(folder: str) -> Peer:
    """Compile the loop in C, the limit of the machine, into a folder.

    Its arguments are the number of runs, of workers, and the command.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return Peer(None, "no C compiler on PATH")
    source, program = Path(__file__).with_name("spawn_loop.c"), f"{folder}/spawn_loop"
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, source], check=True)
    return Peer(program)


# ---- measuring


def in_turn(ways: Mapping[str, Callable[[], T]], rounds: int) -> tuple[dict[str, list[T]], dict[str, str]]:
    """Call each way once a round, each round beginning with another one, so that drift hits all alike.

    Returns:
        What each way returned, round by round; and why the others are missing.
    """
    measured: dict[str, list[T]] = {name: [] for name in ways}
    missing: dict[str, str] = {}
    names = list(ways)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name in missing:
                continue
            try:
                measured[name].append(ways[name]())
            except Missing as reason:
                missing[name] = str(reason)
    return {name: numbers for name, numbers in measured.items() if name not in missing}, missing


def in_own_process(script: str, *words: object) -> list[float]:
    """Run `script driver WORDS` in a process of its own; returns the numbers on the last line that it prints."""
    command = [sys.executable, script, "driver", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(number) for number in done.stdout.splitlines()[-1].split()]


def percentile(numbers: Sequence[float], percent: float) -> float:
    """Return the smallest of the numbers that so many percent of them do not exceed."""
    ordered = sorted(numbers)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def own_memory_mib(field: str) -> float:
    """Read a field of /proc/self/status: VmRSS is the memory now, VmHWM its peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def own_children() -> int:
    """Count the children of this process, whichever thread started them."""
    tasks = Path("/proc/self/task").iterdir()
    return sum(len((task / "children").read_text().split()) for task in tasks)


# ---- telling


def ratio(numbers: Sequence[float], base: Sequence[float] | None) -> str:
    """Compare round by round: the median of the quotients, and the least and the largest of them."""
    if base is None:
        return "-"
    quotients = [number / other for number, other in zip(numbers, base, strict=True)]
    return f"{statistics.median(quotients):.2f} ({min(quotients):.2f}-{max(quotients):.2f})"


def print_ratios(
    measured: Mapping[str, Sequence[float]], missing: Mapping[str, str], unit: str, *bases: str, style: str = ".2f"
) -> None:
    """Print a line per way: its median, and its ratio to each of the bases."""
    rows = [
        (
            name,
            format(statistics.median(numbers), style),
            *(ratio(numbers, measured.get(base)) for base in bases),
        )
        for name, numbers in measured.items()
    ]
    print_table(("", unit, *(f"/ {base}" for base in bases)), [*rows, *missing.items()])


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns, the first to the left, the others to the right; a short row is a remark."""
    cells = [[str(cell) for cell in row] for row in (headers, *rows)]
    full = [row for row in cells if len(row) == len(headers)]
    widths = [max(len(row[column]) for row in full) for column in range(len(headers))]
    widths[0] = max(len(row[0]) for row in cells)
    for row in cells:
        name = row[0].ljust(widths[0])
        if len(row) < len(headers):
            print(name, *row[1:], sep="  ", flush=True)
        else:
            print(name, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)), sep="  ")
    print(flush=True)
