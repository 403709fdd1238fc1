"""Question: what does the documented loop cost, one run at a time, next to a loop of `subprocess.run`?

`/bin/true` with its output captured. The loop in C (spawn_loop.c) with one worker is the limit of the machine.

    python benchmarks/one_by_one.py [--runs 1000] [--rounds 7]
"""

import subprocess
import tempfile
import time
from collections.abc import Callable

from measuring import Peer, arguments, in_turn, machine, print_ratios, spawn_loop

from taskexp import Task

COMMAND = "/bin/true"


def main() -> None:
    options = arguments(__doc__, runs=1000, rounds=7)
    runs = options.runs
    print(machine())
    print(f"{runs} runs of {COMMAND}, one at a time, medians of {options.rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        loop = spawn_loop(folder)
        ways: dict[str, Callable[[], None]] = {
            "subprocess.run": lambda: subprocess_loop(runs),
            "TaskExp": lambda: documented_loop(runs),
            "C loop": lambda: c_loop(loop, runs),
        }
        rates = {name: lambda way=way: rate(way, runs) for name, way in ways.items()}
        print_ratios(*in_turn(rates, options.rounds), "runs/s", "subprocess.run", "C loop", style=".0f")


def rate(way: Callable[[], None], runs: int) -> float:
    began = time.perf_counter()
    way()
    return runs / (time.perf_counter() - began)


def documented_loop(runs: int) -> None:
    for exe in Task(COMMAND).repeat(runs).executable_loop(use_tqdm=False):
        exe.execute(ostreams=[])


def subprocess_loop(runs: int) -> None:
    for _ in range(runs):
        subprocess.run([COMMAND], capture_output=True)


def c_loop(loop: Peer, runs: int) -> None:
    subprocess.run([loop.path, str(runs), "1", COMMAND], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
