"""Question: how fast can a driver in Python be at best?

Loops over `/bin/true` that do what a run cannot do without and nothing else: no grid, no timeout, no callback, no
record of what came of it. Next to each stands TaskExp.

- several at once: two pipes, a start, a pidfd, the reads, a wait, all from one epoll
- the same on an asyncio loop, as anything has to that can be awaited: a task and a timer per run, and what it waits for
- the same, with what a journal has to leave per run: a file for its log and two transactions of sqlite (none of them
  seen to the disk)
- one at a time; and handed to a thread with an event loop and back, which a `for` loop in the caller's thread needs if
  Ctrl-C is to be answered while the runs go on

    python benchmarks/floor.py [--runs 2000] [--workers 8] [--rounds 5]
"""

import asyncio
import os
import queue
import select
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from measuring import arguments, in_turn, machine, print_ratios, spawn_loop

from taskexp import Task

COMMAND = "/bin/true"


def main() -> None:
    options = arguments(__doc__, runs=2000, workers=8, rounds=5)
    runs, workers, numbers = options.runs, options.workers, count()
    print(machine())
    print(f"{runs} runs of {COMMAND}, medians of {options.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        loop, folders = spawn_loop(folder), (Path(folder, str(number)) for number in numbers)

        def in_c(workers: int) -> None:
            command = [loop.path, str(runs), str(workers), COMMAND]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

        def compare(base: str, ways: dict[str, Callable[[], object]]) -> None:
            rates = {name: lambda way=way: rate(way, runs) for name, way in ways.items()}
            print_ratios(*in_turn(rates, options.rounds), "runs/s", base, style=".0f")

        compare(
            "C loop",
            {
                "C loop": lambda: in_c(workers),
                "system calls alone, from Python": lambda: at_once(runs, workers),
                "the same on an asyncio loop": lambda: asyncio.run(in_asyncio(runs, workers)),
                "system calls and a journal's files": lambda: with_files(runs, workers, folders),
                "TaskExp": lambda: taskexp(runs, workers),
                "TaskExp, journal": lambda: with_journal(runs, workers, folders),
            },
        )
        compare(
            "subprocess.run",
            {
                "C loop": lambda: in_c(1),
                "subprocess.run": lambda: one_by_one(runs),
                "subprocess.run, in the thread of an event loop": lambda: asyncio.run(in_a_thread(runs)),
                "TaskExp": lambda: taskexp(runs, 1),
            },
        )


def rate(way: Callable[[], object], runs: int) -> float:
    began = time.perf_counter()
    way()
    return runs / (time.perf_counter() - began)


# ---- several at once


def at_once(runs: int, workers: int, begin: Callable[[int], object] = id, end: Callable[[int], object] = id) -> None:
    """Run so many, `workers` of them at a time; `begin` and `end` are told the number of each."""
    poll, environ = select.epoll(), dict(os.environb)
    pipes: set[int] = set()
    living: dict[int, tuple[int, int]] = {}
    waiting = iter(range(runs))

    def start() -> None:
        number = next(waiting, None)
        if number is None:
            return
        begin(number)
        ends = [*os.pipe(), *os.pipe()]
        actions = [(os.POSIX_SPAWN_DUP2, ends[1], 1), (os.POSIX_SPAWN_DUP2, ends[3], 2)]
        pid = os.posix_spawn(COMMAND, [COMMAND], environ, file_actions=actions, setsid=True)
        os.close(ends[1])
        os.close(ends[3])
        exit_descriptor = os.pidfd_open(pid)
        living[exit_descriptor] = pid, number
        pipes.update((ends[0], ends[2]))
        for descriptor in (ends[0], ends[2], exit_descriptor):
            poll.register(descriptor, select.EPOLLIN)

    with closing(poll):
        for _ in range(workers):
            start()
        while living or pipes:
            for descriptor, _ in poll.poll():
                if descriptor in living:
                    pid, number = living.pop(descriptor)
                    os.wait4(pid, 0)
                    end(number)
                    start()
                elif os.read(descriptor, 65536):
                    continue
                else:
                    pipes.discard(descriptor)
                poll.unregister(descriptor)
                os.close(descriptor)


async def in_asyncio(runs: int, workers: int) -> None:
    """Run so many, each in a task that may be cancelled, with a timeout."""
    loop, environ, waiting = asyncio.get_running_loop(), dict(os.environb), iter(range(runs))

    async def run() -> None:
        ends = [*os.pipe(), *os.pipe()]
        actions = [(os.POSIX_SPAWN_DUP2, ends[1], 1), (os.POSIX_SPAWN_DUP2, ends[3], 2)]
        pid = os.posix_spawn(COMMAND, [COMMAND], environ, file_actions=actions, setsid=True)
        os.close(ends[1])
        os.close(ends[3])
        over, exit_descriptor = loop.create_future(), os.pidfd_open(pid)
        watched = {ends[0], ends[2], exit_descriptor}

        def read(descriptor: int) -> None:
            if not os.read(descriptor, 65536):
                leave(descriptor)

        def leave(descriptor: int) -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            watched.remove(descriptor)
            if not watched:
                over.set_result(None)

        for descriptor in watched:
            loop.add_reader(descriptor, leave if descriptor == exit_descriptor else read, descriptor)
        timer = loop.call_later(300, over.cancel)
        await over
        timer.cancel()
        os.wait4(pid, 0)

    async def work() -> None:
        for _ in waiting:
            await asyncio.create_task(run())

    await asyncio.gather(*(work() for _ in range(workers)))


def with_files(runs: int, workers: int, folders: Iterator[Path]) -> None:
    """The same; each run leaves the file of its log and a row that is made and changed."""
    folder = next(folders)
    folder.mkdir()
    logs: dict[int, int] = {}
    with closing(sqlite3.connect(folder / "runs.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE run (number INTEGER PRIMARY KEY, status TEXT, facts TEXT)")

        def begin(number: int) -> None:
            connection.execute("INSERT INTO run VALUES (?, ?, ?)", (number, None, "x" * 200))
            logs[number] = os.open(folder / f"{number}.log", os.O_WRONLY | os.O_CREAT, 0o600)

        def end(number: int) -> None:
            os.close(logs.pop(number))
            connection.execute("UPDATE run SET status = 'succeeded' WHERE number = ?", (number,))

        at_once(runs, workers, begin, end)
    shutil.rmtree(folder)


def taskexp(runs: int, workers: int) -> None:
    Task(COMMAND).repeat(runs).run(max_workers=workers, ostreams=[], use_tqdm=False)


def with_journal(runs: int, workers: int, folders: Iterator[Path]) -> None:
    folder = next(folders)
    Task(COMMAND).repeat(runs).run(max_workers=workers, ostreams=[], use_tqdm=False, journal=folder)
    shutil.rmtree(folder)


# ---- one at a time


def one_by_one(runs: int) -> None:
    for _ in range(runs):
        subprocess.run([COMMAND], capture_output=True, check=True)


async def in_a_thread(runs: int) -> None:
    """The caller is in a thread of its own here and the event loop in the main one; the way is as long."""
    loop, answers = asyncio.get_running_loop(), queue.SimpleQueue[None]()

    def start() -> None:
        subprocess.run([COMMAND], capture_output=True, check=True)
        answers.put(None)

    def caller() -> None:
        for _ in range(runs):
            loop.call_soon_threadsafe(start)
            answers.get()

    thread = threading.Thread(target=caller)
    thread.start()
    await loop.run_in_executor(None, thread.join)


if __name__ == "__main__":
    main()
