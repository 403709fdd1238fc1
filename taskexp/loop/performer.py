"""Performer: takes a run through one attempt; its command is made, run by the engine, its output delivered."""

import socket
from collections.abc import Callable, Mapping
from functools import partial

from taskexp.loop.recorder import Record, Recorder
from taskexp.loop.run import Run
from taskexp.plan.point import Point
from taskexp.run.devices import CPUS, parse_cpus
from taskexp.run.engine import Attempt, Engine, run_name
from taskexp.run.output import RunOutput, run_dry
from taskexp.run.strand import Job
from taskexp.run.tail import Tail
from taskexp.run.taps import Lane
from taskexp.words.errors import JournalError, PointError
from taskexp.words.outcome import Ending, RunResult, Status

STOPPED = "it was stopped before it could start"


class Performer:
    """Takes runs through their attempts. Everything here belongs to the event loop's thread.

    Args:
        engine: what runs the commands.
        lane: where the user's functions are called, unless a run has a lane of its own.
        recorder: where attempts are recorded.
        keeps_tail: whether the last output of an attempt has to be kept.
        notices: whether it is told that a run could not be started.
        on_shortage: told why a run has to wait, when the system has no room for one more.
    """

    def __init__(
        self,
        engine: Engine,
        lane: Lane,
        recorder: Recorder,
        *,
        keeps_tail: bool,
        notices: bool,
        on_shortage: Callable[[str], object],
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._lane = lane
        self._keeps_tail = keeps_tail
        self._notices = notices
        self._on_shortage = on_shortage

    async def perform(
        self,
        run: Run,
        slot: int,
        devices: Mapping[str, str],
        hurried: Callable[[], bool],
        vacate: Callable[[], object],
    ) -> RunResult:
        """Take a run from the start of an attempt to the last line that it printed.

        Args:
            run: what to run.
            slot: the number of the slot that it has.
            devices: the variables that come with the slot.
            hurried: tells whether the run is being stopped.
            vacate: called when the program has ended and its output is delivered; the slot is free then.
        """
        run.slot = None
        if not run.point.is_rendered:
            await self.call(run.point.render, hurried, run.lane)
        if hurried():
            return run.conclude(Ending.unstarted(Status.interrupted, STOPPED))
        run.tries += 1
        try:
            record = await self._recorder.begin(run, slot, devices, hurried)
        except JournalError as error:
            return run.conclude(Ending.unstarted(Status.interrupted, f"not started, it could not be recorded: {error}"))
        try:
            ending = await self._run(run, slot, devices, record, hurried)
        finally:
            record.close()
        if ending.status is Status.not_started:
            run.slot = None
            if self._notices:
                run.transcript.note(f"taskexp: index {run.point.index} not started: {ending.error}")
        await run.transcript.end(hurried)
        result = run.conclude(ending, devices if run.slot is not None else None, record.values)
        if record.begun is not None:
            vacate()
        await self._recorder.end(run, record, result, hurried)
        if run.attempt is not None and self._recorder.error is None:
            self._engine.forget(run.attempt)
        return result

    async def _run(
        self, run: Run, slot: int, devices: Mapping[str, str], record: Record, hurried: Callable[[], bool]
    ) -> Ending:
        output = self._open_output(run)
        output.begin_attempt([record.log] if record.log else [], [record.metrics] if record.metrics else [])
        output.row = run.row
        try:
            command = run.point.command
        except PointError as error:
            return Ending.unstarted(Status.not_started, str(error), socket.gethostname())
        run.slot = slot
        run.attempt = Attempt(
            command,
            run.orders.limits,
            self._environ(run, slot, devices),
            parse_cpus(devices[CPUS], "slots") if CPUS in devices else None,
            on_start=record.note_pid,
            identify=partial(_name, run.point, run.attempt_number),
            on_shortage=self._on_shortage,
        )
        if hurried():  # while it was recorded
            return Ending.unstarted(Status.interrupted, STOPPED, socket.gethostname())
        return await self._engine.run(run.attempt, output)

    async def call(self, job: Job, hurried: Callable[[], bool], lane: Lane | None = None) -> None:
        """Call the user's code where its functions are called, and wait for it unless in a hurry."""
        strand = (lane or self._lane).strand
        strand.put(job)
        await run_dry([strand], [], hurried)

    def stop(self, run: Run) -> None:
        """End the attempt of a run that may have one, and start none if it has not begun."""
        run.unwanted = True
        self._recorder.look_again()
        if run.attempt is not None:
            self._engine.stop(run.attempt)

    def _open_output(self, run: Run) -> RunOutput:
        """Make the output of a run, the same for all its attempts."""
        if run.output is None:
            orders = run.orders
            run.output = run.transcript.open_output(orders.ostreams, orders.on_verbose, run.lane or self._lane)
            run.output.tail = Tail() if self._keeps_tail else None
        return run.output

    def _environ(self, run: Run, slot: int, devices: Mapping[str, str]) -> Mapping[str, str]:
        return {
            **devices,
            "TASKEXP_INDEX": str(run.point.index),
            "TASKEXP_SLOT": str(slot),
            "TASKEXP_ATTEMPT": str(run.attempt_number),
        }


def _name(point: Point, attempt: int) -> str:
    return run_name(point.fingerprint, attempt)
