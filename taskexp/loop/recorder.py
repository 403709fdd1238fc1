"""Recorder: takes the attempts of a sweep into its journal, with their logs and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from taskexp.loop.answer import Answer
from taskexp.loop.run import Run
from taskexp.plan.command import HIDDEN, Command
from taskexp.record.journal.database import cure_for
from taskexp.record.journal.journal import Ask, Begun, Journal
from taskexp.record.journal.log import Log
from taskexp.record.metrics import MetricTap
from taskexp.run.strand import Executor
from taskexp.words.errors import JournalError, PointError
from taskexp.words.outcome import RunResult, Status


class Record:
    """What is kept of one attempt while it goes on.

    Args:
        begun: its row in the journal; None without a journal.
        log: its log; None without a journal.
        metrics: the tap that reads its metrics; None where none were asked for.
    """

    def __init__(self, begun: Begun | None, log: Log | None, metrics: MetricTap | None) -> None:
        self.begun = begun
        self.log = log
        self.metrics = metrics
        self.pid: int | None = None
        """The process, once it runs."""

    @property
    def values(self) -> Mapping[str, float]:
        """The metrics that were read."""
        return self.metrics.values if self.metrics is not None else {}

    def note_pid(self, pid: int) -> None:
        """Learn which process it is."""
        self.pid = pid


class Recorder:
    """Records attempts. Everything here belongs to the event loop's thread.

    Args:
        executor: where logs are written and lines are looked at.
        failed: told when the journal cannot be written.
    """

    def __init__(self, executor: Executor, failed: Callable[[JournalError], object]) -> None:
        self.journal: Journal | None = None
        """Where; None is nowhere, then only metrics are read."""
        self._executor = executor
        self._failed = failed

    async def begin(self, run: Run, slot: int, devices: Mapping[str, str], hurried: Callable[[], bool]) -> Record:
        """Record that an attempt is about to start. Raises JournalError."""
        metrics = MetricTap(run.point.metrics, self._executor) if run.point.metrics else None
        if self.journal is None:
            run.attempt_number = run.tries
            return Record(None, None, metrics)
        answer = Answer()
        self.journal.begin(_ask(run, slot, devices), answer.arrive)
        begun = cast(Begun, await self._take(answer, hurried))
        run.attempt_number = begun.number
        return Record(begun, Log(begun.descriptor, self._executor), metrics)

    async def end(self, record: Record, result: RunResult, hurried: Callable[[], bool]) -> None:
        """Record how an attempt ended; a failure is told to the sweep, the result stands."""
        if self.journal is None or record.begun is None:
            return
        if record.log is not None and record.log.error is not None:
            result = self._without_log(result, record.begun, record.log.error)
        answer = Answer()
        self.journal.end(record.begun, result, record.pid, answer.arrive)
        try:
            await self._take(answer, hurried)
        except JournalError:  # told already; what could not be written is tried again until the journal is closed
            return

    def _without_log(self, result: RunResult, begun: Begun, error: OSError) -> RunResult:
        """Have a run recorded as lost whose output is: it runs again when there is room for it."""
        why = f"{begun.log}: a part of the output is lost: {error.strerror or error}"
        self._failed(JournalError(f"{why}; {cure_for(str(error))}"))
        return replace(result, status=Status.lost, error=why)

    async def _take(self, answer: Answer, hurried: Callable[[], bool]) -> object:
        """Wait for what the journal says. Raises JournalError, which the sweep is told."""
        try:
            return await answer.take(hurried)
        except JournalError as error:
            self._failed(error)
            raise


def _ask(run: Run, slot: int, devices: Mapping[str, str]) -> Ask:
    point = run.point
    try:
        command, params = point.command, point.params
    except PointError:  # it will not start, and its row says why
        command, params = Command(()), dict(point)
    hidden = point.secret_params
    return Ask(
        fingerprint=point.fingerprint,
        index=point.index,
        repeat=point.repeat,
        params={name: HIDDEN if name in hidden else value for name, value in params.items()} if hidden else params,
        argv=command.argv,
        env={name: HIDDEN if name in command.secrets else value for name, value in command.env.items()},
        cwd=command.cwd,
        slot=slot,
        devices=devices,
    )
