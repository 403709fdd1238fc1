"""Question: how long does the command line take to answer, next to Python itself?

Medians of processes started in turn; the goal is at most 3 times `python -c pass` for what only reads its arguments.

    python benchmarks/startup.py [ROUNDS]
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import argparse": ["-c", "import argparse"],
    "taskexp --version": ["-m", "taskexp", "--version"],
    "taskexp --help": ["-m", "taskexp", "--help"],
    "taskexp run --help": ["-m", "taskexp", "run", "--help"],
    "taskexp plan": ["-m", "taskexp", "plan", "echo {1..3}"],
    "import taskexp": ["-c", "import taskexp"],
    "from taskexp import Task": ["-c", "from taskexp import Task"],
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {rounds} rounds")
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                times[name].append(seconds([sys.executable, *arguments], folder))
    medians = {name: statistics.median(each) for name, each in times.items()}
    base = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:26} {median * 1000:7.1f} ms {median / base:6.2f}")


def seconds(command: list[str], folder: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
