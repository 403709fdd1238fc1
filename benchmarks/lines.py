"""Question: what does it cost to bring the lines of a child that prints fast into a log file?

The ratio is to the seconds of `cmd | cat > log`. The child is once `seq -f`, a program in C that formats each line, as
programs do; and once `cat` of a file, which prints at the speed of memory, so that the table is about the reader alone.
That each log has every byte is checked, outside the time.

    python benchmarks/lines.py [--lines 3000000] [--rounds 5] [--folder FOLDER]

FOLDER is a folder on the disk that the logs are written to (the one for temporary files).
"""

import filecmp
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial

from measuring import arguments, gnu_parallel, in_turn, machine, print_ratios

from taskexp import Task

Way = Callable[[list[str], str], None]
PARALLEL = gnu_parallel()


def main() -> None:
    options = arguments(__doc__, lines=3_000_000, rounds=5, folder="")
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        data, log = f"{folder}/data", f"{folder}/log"
        program = ["seq", "-f", f"%07.0f {'x' * 48}", "0", str(options.lines - 1)]
        with open(data, "w") as file:
            subprocess.run(program, stdout=file, check=True)
        size = os.path.getsize(data) / 1e6
        print(f"{options.lines} lines ({size:.0f} MB) into a file, medians of {options.rounds} rounds in turn")
        for child, command in {"seq -f": program, "cat of a file": ["cat", data]}.items():
            print(f"printed by {child}:")
            timed = {name: partial(seconds, way, command, data, log) for name, way in WAYS.items()}
            print_ratios(*in_turn(timed, options.rounds), "seconds", "cmd | cat > file")


def seconds(way: Way, command: list[str], data: str, log: str) -> float:
    began = time.perf_counter()
    way(command, log)
    took = time.perf_counter() - began
    assert filecmp.cmp(data, log, shallow=False), "the log is not what was printed"
    os.unlink(log)
    return took


def cat(command: list[str], log: str) -> None:
    subprocess.run(["sh", "-c", f'{shlex.join(command)} | cat > "$1"', "sh", log], check=True)


def text_log(command: list[str], log: str) -> None:
    with open(log, "w") as file:
        Task(command).run(ostreams=[file], use_tqdm=False)


def binary_log(command: list[str], log: str) -> None:
    with open(log, "wb") as file:
        Task(command).run(ostreams=[file], use_tqdm=False)


def text_log_and_callback(command: list[str], log: str) -> None:
    with open(log, "w") as file:
        Task(command).run(ostreams=[file], on_verbose=nothing, use_tqdm=False)


def binary_log_and_callback(command: list[str], log: str) -> None:
    with open(log, "wb") as file:
        Task(command).run(ostreams=[file], on_verbose=nothing, use_tqdm=False)


def nothing(line: str, stream: object, when: object) -> None:
    pass


def popen_text(command: list[str], log: str) -> None:
    with open(log, "w") as file, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            file.write(line)


def popen_bytes(command: list[str], log: str) -> None:
    with open(log, "wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        for line in child.stdout:
            file.write(line)


def parallel_grouped(command: list[str], log: str) -> None:
    parallel(command, log, "--group")


def parallel_line_buffer(command: list[str], log: str) -> None:
    parallel(command, log, "--line-buffer")


def parallel(command: list[str], log: str, mode: str) -> None:
    with open(log, "wb") as file:
        words = [PARALLEL.path, "-j1", mode, ":::", shlex.join(command)]
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, check=True)


WAYS: dict[str, Way] = {
    "cmd | cat > file": cat,
    'TaskExp, open(log, "w")': text_log,
    'TaskExp, open(log, "wb")': binary_log,
    "TaskExp, text and on_verbose": text_log_and_callback,
    "TaskExp, binary and on_verbose": binary_log_and_callback,
    "Popen line loop, text": popen_text,
    "Popen line loop, bytes": popen_bytes,
    "GNU parallel --group": parallel_grouped,
    "GNU parallel --line-buffer": parallel_line_buffer,
}


if __name__ == "__main__":
    main()
