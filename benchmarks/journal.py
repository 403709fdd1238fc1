"""Question: what does the journal cost a sweep of short runs?

Rates of `/bin/true` with and without a journal, one at a time and several at once. How fast a sweep begins that has
many runs on record is the question of skipping.py.

    python benchmarks/journal.py [--runs 2000] [--workers 8] [--rounds 7] [--folder FOLDER]

FOLDER is a folder on the disk to be measured (the one for temporary files). Where many files were deleted in the last
minutes, as this deletes its journals at the end, ext4 takes several times as long for a new one (it looks for a number
that no file had lately): the log of each run then costs 0.15 ms more.
"""

import itertools
import tempfile
import time

from measuring import arguments, in_turn, machine, print_ratios

from taskexp import Task


def main() -> None:
    options = arguments(__doc__, runs=2000, workers=8, rounds=7, folder="")
    runs, numbers = options.runs, itertools.count()
    print(machine())
    print(f"{runs} runs of /bin/true, medians of {options.rounds} rounds in turn")
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        for workers in (1, options.workers):
            base = f"{workers} at once, without"
            ways = {
                base: lambda workers=workers: rate(runs, workers, None),
                f"{workers} at once, journal": lambda workers=workers: rate(runs, workers, f"{folder}/{next(numbers)}"),
            }
            print_ratios(*in_turn(ways, options.rounds), "runs/s", base, style=".0f")


def rate(runs: int, workers: int, journal: str | None) -> float:
    began = time.perf_counter()
    Task("/bin/true").repeat(runs).run(max_workers=workers, ostreams=[], use_tqdm=False, journal=journal)
    return runs / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
