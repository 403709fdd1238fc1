"""Engines beside themselves bare: runs per second, and how old a line is when it comes.

    python benchmarks/engines.py [--runs 300] [--rounds 3] [--only local dask slurm]

Dask and Slurm are started for it, on loopback; Slurm needs root. Bare Dask is `client.map` of `subprocess.run`, which
gives no line before the end; bare Slurm is `srun` in as many shell loops as there are CPUs. All take turns.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clusters import DaskCluster, SlurmCluster

from taskexp import Task

COMMAND = ["sh", "-c", "echo out; echo err >&2"]
TELLS_TIME = "import time\nfor _ in range(50): print(time.time(), flush=True); time.sleep(0.01)"
SLOTS = 8


def ours(engine: object, runs: int) -> None:
    workers = SLOTS if engine == "local" else None
    results = Task(COMMAND).repeat(runs).run(engine=engine, max_workers=workers, ostreams=[], use_tqdm=False)
    assert all(result.status == "succeeded" for result in results)


def latency(engine: object) -> float:
    """Return the median age of a line, in ms."""
    ages: list[float] = []
    task = Task([sys.executable, "-c", TELLS_TIME])
    task.run(
        engine=engine,
        ostreams=[],
        use_tqdm=False,
        on_verbose=lambda line, *_: ages.append(1000 * (time.time() - float(line))),
    )
    return statistics.median(ages)


def run_quietly(_: int) -> None:
    subprocess.run(COMMAND, capture_output=True, check=True)


def bare_local(runs: int) -> None:
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(run_quietly, range(runs)))


def bare_slurm(runs: int) -> None:
    step = ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--exact", "--cpus-per-task=1", "--gres=none", *COMMAND]
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(lambda _: subprocess.run(step, capture_output=True, check=True), range(runs)))


def compare(name: str, engine: object, bare: Callable[[int], None], runs: int, rounds: int) -> None:
    ours(engine, SLOTS)  # what is set up once
    bare(SLOTS)
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for who, work in (("ours", lambda: ours(engine, runs)), ("bare", lambda: bare(runs))):
            began = time.perf_counter()
            work()
            rates[who].append(runs / (time.perf_counter() - began))
    mine, theirs = (statistics.median(rates[who]) for who in ("ours", "bare"))
    print(f"{name:8}{mine:10.0f}{theirs:10.0f}{mine / theirs:8.2f}{latency(engine):14.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("local", "dask", "slurm"), default=("local", "dask", "slurm"))
    wanted = parser.parse_args()
    print(f"{'engine':8}{'runs/s':>10}{'bare':>10}{'ratio':>8}{'line age, ms':>14}")
    if "local" in wanted.only:
        compare("local", "local", bare_local, wanted.runs, wanted.rounds)
    if "dask" in wanted.only:
        from distributed import Client

        folder = Path(tempfile.mkdtemp())
        cluster = DaskCluster(folder)
        try:
            with Client(cluster.address) as client:  # both use it: connecting is not what is measured
                compare(
                    "dask",
                    client,
                    lambda runs: client.gather(client.map(run_quietly, range(runs), pure=False)),
                    wanted.runs,
                    wanted.rounds,
                )
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)
    if "slurm" in wanted.only:
        folder = Path(tempfile.mkdtemp())
        slurm = SlurmCluster(folder)
        try:
            os.environ.update(slurm.allocate("-n8"))
            compare("srun", "srun", bare_slurm, wanted.runs // 3, wanted.rounds)
        finally:
            slurm.stop()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
