"""Shim: what a job of Slurm runs; one run of the sweep, with its limits, recorded in the depot.

It is a program of its own. Nobody waits for it: the driver may have ended, and finds the record when it comes again.
"""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from taskexp.engines.place import placed
from taskexp.engines.slurm.depot import Depot
from taskexp.run.devices import GPUS
from taskexp.run.engine import Attempt
from taskexp.run.local import LocalEngine
from taskexp.words.outcome import Status


def main() -> None:
    """Run the element of an array that this job is; the names of all stand in the file that is given."""
    listing = Path(sys.argv[1])
    name = listing.read_text().splitlines()[int(os.environ["SLURM_ARRAY_TASK_ID"])]
    asyncio.run(perform(Depot(listing.parent), name))


async def perform(depot: Depot, name: str) -> None:
    """Run an attempt, unless somebody else has had it."""
    host = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    job = f"job {os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if name not in depot.names("order") or not depot.claim(name, f"{host}\n{job}\n"):
        return
    order = depot.order(name)
    has_gpus = os.environ.get("SLURM_JOB_GPUS") is not None and GPUS in os.environ
    output, engine = depot.open_output(name), LocalEngine()
    attempt = Attempt(placed(order.command), order.limits, order.environ)
    asked = asyncio.Event()

    def end() -> None:
        asked.set()
        engine.stop(attempt)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)  # of scancel, or a limit
    ending = await engine.run(attempt, output)
    if ending.returncode == -signal.SIGTERM:  # scancel signals the program, too, which may be the quicker to end
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), 0.2)
            ending = replace(ending, status=Status.interrupted, error=f"{order.command.argv[0]} was stopped")
    engine.close()
    output.close()
    if ending.status is Status.not_started:
        ending = replace(ending, error=f"{ending.error} (on {host})")
    devices = {GPUS: os.environ[GPUS]} if has_gpus else {}
    depot.put_ending(name, replace(ending, host=host, worker=job, devices=devices))
