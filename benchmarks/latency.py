"""Question: how long is it from a child's write of a line to the call of `on_verbose`?

The child writes the time once a millisecond; the ratio is to a thread that reads the pipe of such a child itself.
A callback that may take its time cannot be called in the thread of the event loop, so the floor is such a loop that
reads the pipe and hands what it read to another thread: two threads are woken for each line, one behind the other.

    python benchmarks/latency.py [--lines 1000] [--rounds 7]
"""

import asyncio
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from measuring import arguments, in_turn, machine, percentile, print_table, ratio

from taskexp import Task

CHILD = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    time.sleep(0.001)
    os.write(1, b"%d\\n" % time.monotonic_ns())
"""
BASE = "bare pipe read in a thread"


def main() -> None:
    options = arguments(__doc__, lines=1000, rounds=7)
    print(machine())
    print(f"{options.lines} lines, one a millisecond, medians of {options.rounds} rounds in turn, in microseconds")
    command = [sys.executable, "-c", CHILD, str(options.lines)]
    ways = {
        BASE: read_in_thread,
        "event loop and a thread": read_on_loop,
        "TaskExp, one at a time": one_at_a_time,
        "TaskExp, in parallel": in_parallel,
    }
    measured, _ = in_turn({name: partial(percentiles, way, command) for name, way in ways.items()}, options.rounds)
    rows: list[list[str]] = []
    for name, rounds in measured.items():
        row = [name]
        for numbers, base in zip(zip(*rounds, strict=True), zip(*measured[BASE], strict=True), strict=True):
            row += [f"{statistics.median(numbers):.0f}", ratio(numbers, base)]
        rows.append(row)
    print_table(("", "p50", "/ bare", "p99", "/ bare"), rows)


def percentiles(way: Callable[[list[str], list[float]], None], command: list[str]) -> tuple[float, float]:
    lags: list[float] = []
    way(command, lags)
    return percentile(lags, 50), percentile(lags, 99)


def lag_microseconds(line: str | bytes) -> float:
    return (time.monotonic_ns() - int(line)) / 1000


def read_in_thread(command: list[str], lags: list[float]) -> None:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        reader = threading.Thread(target=read_lines, args=(child.stdout.fileno(), lags))
        reader.start()
        reader.join()


def read_on_loop(command: list[str], lags: list[float]) -> None:
    chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    loop = threading.Thread(target=lambda: asyncio.run(read_to_queue(command, chunks)))
    loop.start()
    while chunk := chunks.get():
        lags.extend(map(lag_microseconds, chunk.splitlines()))
    loop.join()


async def read_to_queue(command: list[str], chunks: "queue.SimpleQueue[bytes]") -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        descriptor = child.stdout.fileno()

        def read() -> None:
            chunk = os.read(descriptor, 65536)
            chunks.put(chunk)
            if not chunk:
                loop.remove_reader(descriptor)
                over.set()

        loop.add_reader(descriptor, read)
        await over.wait()


def read_lines(descriptor: int, lags: list[float]) -> None:
    while chunk := os.read(descriptor, 65536):
        lags.extend(map(lag_microseconds, chunk.splitlines()))


def one_at_a_time(command: list[str], lags: list[float]) -> None:
    for exe in Task(command).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[], on_verbose=lambda line, *_: lags.append(lag_microseconds(line)))


def in_parallel(command: list[str], lags: list[float]) -> None:
    for exe in Task(command).executable_loop(use_tqdm=False, max_workers=8):
        exe.execute(ostreams=[], on_verbose=lambda line, *_: lags.append(lag_microseconds(line)))


if __name__ == "__main__":
    main()
