"""Question: how long do the command line and the import take, next to Python itself and to asyncio?

Medians of processes started in turn; the goals are at most 3 times `python -c pass` for what only reads its arguments,
and at most 20 ms more than `import asyncio` for the import. "from taskexp import Task" is what a script pays.

    python benchmarks/startup.py [--rounds 20]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

from measuring import arguments, in_turn, machine, print_table, ratio

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import argparse": ["-c", "import argparse"],
    "import asyncio": ["-c", "import asyncio"],
    "import taskexp": ["-c", "import taskexp"],
    "from taskexp import Task": ["-c", "from taskexp import Task"],
    "taskexp --version": ["-m", "taskexp", "--version"],
    "taskexp --help": ["-m", "taskexp", "--help"],
    "taskexp run --help": ["-m", "taskexp", "run", "--help"],
    "taskexp plan": ["-m", "taskexp", "plan", "echo {1..3}"],
}


def main() -> None:
    rounds = arguments(__doc__, rounds=20).rounds
    print(machine())
    print(f"medians of {rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        ways = {name: partial(seconds, [sys.executable, *words], folder) for name, words in COMMANDS.items()}
        times, _ = in_turn(ways, rounds)
    python, asyncio = times["python -c pass"], times["import asyncio"]
    rows = [
        (name, f"{1000 * statistics.median(each):.1f}", ratio(each, python), f"{more_ms(each, asyncio):+.1f}")
        for name, each in times.items()
    ]
    print_table(("", "ms", "/ python -c pass", "ms more than import asyncio"), rows)


def more_ms(numbers: list[float], base: list[float]) -> float:
    return 1000 * statistics.median(number - other for number, other in zip(numbers, base, strict=True))


def seconds(command: list[str], folder: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
