"""Question: what does it cost to bring the output of children that print at once into one log, each run as one block?

Eight children (`dd` of a file of lines, in blocks as large as a pipe) print as fast as they can. Beside the seconds
the table tells how many blocks the log has, where one per child is right, and how many of its lines are torn. What is
too long for memory goes to a temporary file and from there into the log; the floor is a thread per child that does
these system calls and nothing else.

    python benchmarks/grouped.py [--megabytes 10] [--workers 8] [--rounds 5] [--folder FOLDER]

MEGABYTES is what each child prints, FOLDER a folder on the disk that the log is written to (the one for temporary
files).
"""

import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from measuring import arguments, gnu_parallel, in_turn, machine, on_path, print_table, ratio

from taskexp import Task

LINE = "{child:02} {n:07} " + "x" * 45 + "\n"
# Not cat: into a file it lets the kernel copy (copy_file_range), and prints nothing.
COMMAND = ["dd", "bs=65536", "status=none", "if={}"]
WHOLE = re.compile(rb"^\d\d \d{7} x{45}$", re.MULTILINE)


def main() -> None:
    options = arguments(__doc__, megabytes=10, workers=8, rounds=5, folder="")
    workers = options.workers
    print(machine())
    print(f"{workers} children that print {options.megabytes} MB each, medians of {options.rounds} rounds in turn")
    parallel, xargs, at_once = gnu_parallel(), on_path("xargs"), str(workers)
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        paths = [write_lines(folder, child, options.megabytes * 1_000_000) for child in range(workers)]
        log = f"{folder}/log"
        ways: dict[str, Callable[[], None]] = {
            "GNU parallel": lambda: run([parallel.path, "-j", at_once, *COMMAND], paths, log),
            'TaskExp, open(log, "w")': lambda: taskexp(paths, log, "w"),
            'TaskExp, open(log, "wb")': lambda: taskexp(paths, log, "wb"),
            "system calls alone, in threads": lambda: thread_pool(paths, log, by_file),
            "ThreadPoolExecutor + subprocess.run": lambda: thread_pool(paths, log, in_memory),
            "xargs": lambda: run([xargs.path, "-P", at_once, "-I{}", *COMMAND], paths, log),
        }
        looks: dict[str, tuple[int, int]] = {}
        timed = {name: lambda name=name, way=way: seconds(name, way, log, looks) for name, way in ways.items()}
        measured, missing = in_turn(timed, options.rounds)
    bases = ("GNU parallel", "xargs")
    rows = [
        (
            name,
            f"{statistics.median(numbers):.2f}",
            *(ratio(numbers, measured.get(base)) for base in bases),
            *looks[name],
        )
        for name, numbers in measured.items()
    ]
    headers = ("", "seconds", *(f"/ {base}" for base in bases), "blocks", "torn lines")
    print_table(headers, [*rows, *missing.items()])


def write_lines(folder: str, child: int, size: int) -> str:
    path = f"{folder}/{child}"
    with open(path, "w") as file:
        file.writelines(LINE.format(child=child, n=n) for n in range(size // len(LINE.format(child=0, n=0))))
    return path


def seconds(name: str, way: Callable[[], None], log: str, looks: dict[str, tuple[int, int]]) -> float:
    """Measure a way once; the first time look at its log, too."""
    began = time.perf_counter()
    way()
    took = time.perf_counter() - began
    if name not in looks:
        looks[name] = blocks_and_torn_lines(log)
    os.unlink(log)
    return took


def blocks_and_torn_lines(log: str) -> tuple[int, int]:
    with open(log, "rb") as file:
        written = file.read()
    whole = WHOLE.findall(written)
    return sum(1 for _ in groupby(line[:2] for line in whole)), written.count(b"\n") - len(whole)


def taskexp(paths: list[str], log: str, mode: str) -> None:
    with open(log, mode) as file:
        Task(COMMAND[:-1]).arg("if=", paths).run(max_workers=len(paths), ostreams=[file], use_tqdm=False)


def thread_pool(paths: list[str], log: str, one: Callable[[list[str], int, threading.Lock], None]) -> None:
    lock = threading.Lock()
    with open(log, "wb") as file, ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(lambda path: one([*COMMAND[:-1], f"if={path}"], file.fileno(), lock), paths))


def in_memory(command: list[str], log: int, lock: threading.Lock) -> None:
    """Keep the whole output of a child in memory, then write it."""
    output = subprocess.run(command, capture_output=True).stdout
    with lock:
        write_all(log, output)


def by_file(command: list[str], log: int, lock: threading.Lock) -> None:
    """Keep the output of a child in a temporary file, then copy it."""
    with tempfile.TemporaryFile(buffering=0) as kept:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
            while chunk := os.read(child.stdout.fileno(), 1 << 16):
                write_all(kept.fileno(), chunk)
        offset = 0
        with lock:
            while chunk := os.pread(kept.fileno(), 1 << 17, offset):
                write_all(log, chunk)
                offset += len(chunk)


def write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def run(command: list[str], paths: list[str], log: str) -> None:
    names = "".join(f"{path}\n" for path in paths).encode()
    with open(log, "wb") as file:
        subprocess.run(command, input=names, stdout=file, stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
