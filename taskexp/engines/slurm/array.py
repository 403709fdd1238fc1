"""Array: the runs of a loop as jobs of Slurm, an array of them, which live on when the driver ends.

What was asked for together is submitted together. From then on driver and jobs speak by files, see `depot`; the
driver looks at them, and at `squeue` for jobs that will never write any. A driver that comes again finds the files,
and waits for what another one has submitted instead of submitting it again.

The jobs are supervised where they run, so limits hold to the second, whoever is left. Slurm is told not to requeue:
what is lost with its node is repeated by the loop, as a new attempt.
"""

import asyncio
import re
import secrets
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from taskexp.engines.place import from_here
from taskexp.engines.remote import RemoteEngine
from taskexp.engines.slurm.depot import FOLDER, Depot, Order
from taskexp.engines.slurm.job import Job
from taskexp.engines.slurm.queue import Queue, verdict_on
from taskexp.engines.slurm.tools import call, check_installed, checked_call, options_for, reason_of
from taskexp.run.arrival import arrival_aside
from taskexp.run.clock import Clock
from taskexp.run.engine import Attempt, Output
from taskexp.run.strand import THREAD_PREFIX
from taskexp.words.errors import EngineError
from taskexp.words.outcome import Ending, Status

GATHER_SECONDS = 0.2
"""How long no further run is asked for before those that were are submitted."""

LOOK_SECONDS = (0.05, 1.0)
"""How often it is looked what has come of the jobs: while something does, and when nothing has for long."""

STOP_SECONDS = 15.0
"""How long a job has, beyond the grace, to record that it was stopped before Slurm is asked to kill it."""

VERDICT_SECONDS = 60.0
"""How long Slurm has to say why it ended a job."""

_ROOT = str(Path(__file__).parents[3])
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from taskexp.engines.slurm.shim import main; main()"


class ArrayEngine(RemoteEngine):
    """Runs commands as jobs of Slurm.

    Args:
        options: more options for sbatch.
        resources: what each run takes of its node.
        journal: the folder of the journal, where the depot is; None is a folder under the current one, which goes with
            the sweep.
    """

    def __init__(self, options: Sequence[str], resources: Mapping[str, float], journal: Path | None) -> None:
        self.warnings: Sequence[str] = ()
        self.failure: EngineError | None = None
        self.clock = Clock()
        self._options = (*options_for(resources), *options)
        self._is_kept = journal is not None
        self._depot = Depot((journal or Path.cwd() / ".taskexp" / f"sbatch-{secrets.token_hex(4)}") / FOLDER)
        self._jobs: dict[Attempt, Job] = {}
        self._outbox: list[Job] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._queue = Queue()
        self._most = 1
        self._throttle: int | None = None
        self._found: set[str] = set()
        self._unwanted: list[Job] = []

    # ---- life

    def open(self, changed: Callable[[], object]) -> None:
        """Look whether Slurm is there and takes such jobs; see `Engine.open`. Raises EngineError."""
        check_installed("sbatch", "squeue", "scancel", "scontrol")
        told = checked_call("scontrol", "show", "config")
        self._most = int(found[1]) - 1 if (found := re.search(r"MaxArraySize\s*=\s*(\d+)", told)) else 1000
        answer = call("sbatch", "--test-only", "--no-requeue", *self._options, stdin="#!/bin/sh\n")
        if answer.returncode:
            raise EngineError(f"Slurm refuses such jobs: {reason_of(answer.stderr)}; `sinfo` lists what there is")
        self._depot.make()
        self._found = self._depot.names("order")

    def width(self, wanted: int | None) -> int:
        """As many as an array may have, of which Slurm runs as many at once as are wanted; see `Engine.width`."""
        self._throttle = wanted
        return 1 if wanted == 1 else self._most

    def close(self) -> None:
        """Remove what nobody needs any more; see `Engine.close`."""
        if not self._is_kept:
            shutil.rmtree(self._depot.folder.parent, ignore_errors=True)
        elif not self._depot.names("order"):
            shutil.rmtree(self._depot.folder, ignore_errors=True)

    # ---- runs

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command as a job, or wait for the job that has it already; see `Engine.run`."""
        job = self._jobs[attempt] = Job(self._depot, attempt, output)
        try:
            self._send(job)
            if self._looking is None or self._looking.done():
                self._looking = asyncio.ensure_future(self._look())
            while True:
                try:
                    ending = await asyncio.shield(job.ending)
                    break
                except asyncio.CancelledError:
                    if job.ending.done():
                        raise
                    self.stop(attempt)
        finally:
            del self._jobs[attempt]
        if ending.status is Status.interrupted and not job.is_unwanted:  # by Slurm's will, or somebody's by hand
            return verdict_on(await self._last_state(job), ending)
        return ending

    async def _last_state(self, job: Job) -> str:
        """Wait until Slurm has ended a job, and say why; while that is COMPLETING nobody knows."""
        deadline = job.loop.time() + VERDICT_SECONDS
        while True:
            await arrival_aside(partial(self._queue.refresh, {job.array}))
            if not self._queue.may_run(job.array, job.element) or job.loop.time() > deadline:
                return self._queue.state(job.array, job.element)
            await asyncio.sleep(LOOK_SECONDS[1])

    def forget(self, attempt: Attempt) -> None:
        """Remove the files of a run whose end is recorded; see `Engine.forget`."""
        if attempt.identify is not None:
            self._depot.remove(attempt.identify())

    def _send(self, job: Job) -> None:
        """Have a run submitted, unless it was before."""
        if job.name in self._found:
            self._found.discard(job.name)
            try:
                order = self._depot.order(job.name)
            except EngineError as error:
                job.end(Ending.unstarted(Status.not_started, str(error)))
            else:
                job.submitted(order.job, order.element)
            return
        self._depot.make()  # a run after the end of the loop
        self._outbox.append(job)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = job.loop.call_later(0 if len(self._outbox) >= self._most else GATHER_SECONDS, self._submit)

    def _submit(self) -> None:
        """Submit what was asked for meanwhile, if it may run beside what does."""
        self._timer = None
        jobs, self._outbox = [job for job in self._outbox if not job.ending.done()], []
        if not jobs:
            return
        going = [each for each in self._jobs.values() if each.is_going and not each.ending.done()]
        room = None if self._throttle is None else self._throttle - len(going)
        if room is not None and room < 1:
            self._outbox = jobs
            self._timer = jobs[0].loop.call_later(GATHER_SECONDS, self._submit)
            return
        for job in jobs:
            job.is_going = True
        array = f"taskexp-{secrets.token_hex(6)}"
        work = (array, jobs, room)
        threading.Thread(target=self._submit_aside, args=work, name=THREAD_PREFIX + "sbatch", daemon=True).start()

    def _submit_aside(self, array: str, jobs: Sequence[Job], room: int | None) -> None:
        listing = self._depot.folder / f"{array}.list"
        try:
            for element, job in enumerate(jobs):
                attempt = job.attempt
                order = Order(array, element, from_here(attempt.command), attempt.limits, attempt.environ)
                self._depot.put_order(job.name, order)
            listing.write_text("".join(f"{job.name}\n" for job in jobs))
            most = "" if room is None else f"%{room}"
            checked_call(
                *("sbatch", "--parsable", "--no-requeue", f"--job-name={array}", f"--array=0-{len(jobs) - 1}{most}"),
                *(f"--output={listing.with_suffix('.out')}", "--open-mode=append", *self._options),
                stdin=f"#!/bin/sh\nexec {shlex.join([sys.executable, '-c', _PROGRAM, _ROOT, str(listing)])}\n",
            )
        except (EngineError, OSError) as error:
            why = f"its job was not submitted: {error}"
            news = [partial(job.refuse, why) for job in jobs]
        else:
            news = [partial(job.submitted, array, element) for element, job in enumerate(jobs)]
        for act in news:
            with suppress(RuntimeError):  # the loop has closed
                jobs[0].loop.call_soon_threadsafe(act)

    async def _look(self) -> None:
        """Look what has come of the jobs, as long as there are any."""
        pause = LOOK_SECONDS[0]
        while self._jobs:
            begun = self._depot.names("begun")
            jobs = [job for job in self._jobs.values() if job.array and not job.ending.done()]
            has_changed = [job.follow() for job in jobs if job.name in begun]
            if jobs and self._queue.is_old:
                arrays = {job.array for job in jobs}
                await arrival_aside(partial(self._queue.refresh, arrays))
                for job in jobs:
                    job.look_for_loss(self._queue)
            pause = LOOK_SECONDS[0] if any(has_changed) else min(pause * 1.3, LOOK_SECONDS[1])
            await asyncio.sleep(pause)

    @property
    def holds_alone(self) -> bool:
        """Whether all is submitted, in a depot that stays; see `Engine.holds_alone`."""
        return self._is_kept and all(job.array or job.ending.done() for job in list(self._jobs.values()))

    # ---- the end of them

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        job = self._jobs.get(attempt)
        if job is None or job.is_unwanted:
            return
        job.is_unwanted = True
        if job.claim():
            job.end(Ending.unstarted(Status.interrupted, "it was stopped before it could start"))
        if not self._unwanted:
            job.loop.call_soon(self._cancel_unwanted)
        self._unwanted.append(job)
        job.loop.call_later(attempt.limits.grace + STOP_SECONDS, self._cancel, [job])

    def _cancel_unwanted(self) -> None:
        """Have jobs cancelled that have not begun; ask those that have to end, and to record that."""
        jobs, self._unwanted = [job for job in self._unwanted if job.array], []
        self._cancel([job for job in jobs if job.ending.done()])
        self._cancel([job for job in jobs if not job.ending.done()], "--signal=TERM", "--batch")

    def _cancel(self, jobs: Sequence[Job], *options: str) -> None:
        elements = [(job.array, job.element) for job in jobs if job.array and not (job.ending.done() and job.has_begun)]

        def cancel() -> None:
            with suppress(EngineError):  # what cannot be cancelled is told by its own end
                self._queue.cancel(elements, *options)

        if elements:
            threading.Thread(target=cancel, name=THREAD_PREFIX + "scancel", daemon=True).start()

    def kill(self) -> None:
        """Kill everything at once; see `Engine.kill`."""
        threading.Thread(target=self.destroy, name=THREAD_PREFIX + "scancel", daemon=True).start()

    def destroy(self) -> None:
        """Kill everything; see `Engine.destroy`."""
        with suppress(EngineError):
            for array in sorted({job.array for job in list(self._jobs.values()) if job.array}):
                call("scancel", f"--name={array}", "--signal=KILL", "--full")
                call("scancel", f"--name={array}")
