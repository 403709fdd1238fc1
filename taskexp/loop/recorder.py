"""Recorder: takes the attempts of a sweep into its journal, with their logs and metrics."""

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from taskexp.loop.answer import Answer, WaitingRoom
from taskexp.loop.options import LoopOptions
from taskexp.loop.run import Run
from taskexp.loop.turnstile import SIGNAL_POLL_SECONDS
from taskexp.plan.command import Command
from taskexp.plan.secrets import HIDDEN, Secrets
from taskexp.record.journal.database import cure_for
from taskexp.record.journal.journal import Ask, Begun, Journal
from taskexp.record.journal.log import Log
from taskexp.record.journal.reader import read_runs
from taskexp.record.metrics import MetricTap
from taskexp.run.search import Search
from taskexp.run.strand import THREAD_PREFIX, Executor
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

    def close(self) -> None:
        """Write the last of the log."""
        if self.log is not None:
            self.log.close()


class Recorder:
    """Records attempts, where a journal was asked for; without one, reads their metrics alone.

    The journal is opened before the loop begins and closed at its end; a run after that opens it again. What has no
    word of another thread belongs to the event loop's.

    Args:
        options: which journal, and which of the recorded runs run again.
        executor: where logs are written.
        search: looks for metrics.
        failed: told when the journal cannot be written; by the thread that notices.
    """

    def __init__(
        self, options: LoopOptions, executor: Executor, search: Search, failed: Callable[[JournalError], object]
    ) -> None:
        self.error: JournalError | None = None
        """Why the journal could not be written, once it could not."""
        self._folder = options.journal
        self._make = partial(
            Journal, options.journal or Path(), options.rerun, options.secret_values, gathers=options.is_parallel
        )
        self._executor = executor
        self._search = search
        self._tell_failure = failed
        self._journal: Journal | None = None
        self._room = WaitingRoom()
        self._opening: Future[Journal] | None = None
        """The journal on its way, in a thread of its own: whoever waits for it may give up at any moment."""

    # ---- the journal

    @property
    def folder(self) -> Path | None:
        """The journal's folder; None where none was asked for."""
        return self._folder

    @property
    def warnings(self) -> Sequence[str]:
        """What whoever starts the sweep should know."""
        return self._journal.warnings if self._journal is not None else ()

    @property
    def recorded(self) -> Collection[bytes]:
        """The fingerprints of the points that do not run again."""
        return self._journal.recorded if self._journal is not None else ()

    def open(self) -> None:
        """Open the journal and wait for it; any thread but the event loop's. Raises JournalError."""
        if self._folder is None:
            return
        opening = self._begin_opening()
        try:
            while not opening.done():
                _wait_a_moment(opening)
            self._take(opening)
        except BaseException:
            self.close()
            raise

    async def open_aside(self) -> None:
        """The same on the event loop, without holding it."""
        if self._folder is None:
            return
        try:
            await self._arrival()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another driver have the journal, once what is left is written; any thread. The failure is told."""
        journal, self._journal = self._journal, None
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.add_done_callback(_close_late)
        if journal is not None:
            try:
                journal.close()
            except JournalError as error:
                self.error = self.error or error
                self._tell_failure(error)

    def recorded_results(self, places: Mapping[bytes, int]) -> list[RunResult]:
        """Read the results of recorded points, by fingerprint, with their places in a grid. Raises JournalError."""
        if not places or self._folder is None:
            return []
        runs = read_runs(self._folder)
        return [replace(run, index=places[run.fingerprint]) for run in runs if run.fingerprint in places]

    # ---- attempts

    async def begin(self, run: Run, slot: int, devices: Mapping[str, str], hurried: Callable[[], bool]) -> Record:
        """Record that an attempt is about to start. Raises JournalError."""
        metrics = MetricTap(run.point.metrics, self._search) if run.point.metrics else None
        if self._folder is None:
            run.attempt_number = run.tries
            return Record(None, None, metrics)
        journal = self._journal or await self._open_again()
        answer = Answer(self._room)
        journal.begin(_ask(run, slot, devices), answer.arrive)
        try:
            begun = cast(Begun, await self._answered(answer, hurried))
        except BaseException:
            answer.dispose(_close_log)
            raise
        run.attempt_number, run.log_path = begun.number, begun.log
        return Record(begun, Log(begun.descriptor, self._executor), metrics)

    async def end(self, run: Run, record: Record, result: RunResult, hurried: Callable[[], bool]) -> None:
        """Record how an attempt ended; a failure is told to the sweep, the result stands."""
        if record.begun is None or (journal := self._journal) is None:  # closed already: the program ends
            return
        if record.log is not None and record.log.error is not None:
            result = self._without_log(result, record.begun, record.log.error)
        if result.error is not None and run.point.is_rendered:
            result = replace(result, error=_hidden(run, result.error))
        if result.worker:
            result = replace(result, devices=_displayed(result.devices, run.point.secrets))
        answer = Answer(self._room)
        journal.end(record.begun, result, record.pid, answer.arrive)
        try:
            await self._answered(answer, hurried)
        except JournalError:  # told already; what could not be written is tried again until the journal is closed
            return

    def look_again(self) -> None:
        """Have those who wait for the journal look whether they are in a hurry now."""
        self._room.call_all()

    # ---- the rest

    def _begin_opening(self) -> "Future[Journal]":
        """Have the journal opened in a thread of its own, once for all who wait."""
        if self._opening is None:
            self._opening = Future()
            work = partial(_open_for, self._make, self._opening)
            threading.Thread(target=work, name=THREAD_PREFIX + "opens", daemon=True).start()
        return self._opening

    async def _open_again(self) -> Journal:
        """Open the journal for a run after the end of the loop. Raises JournalError, which the sweep is told."""
        try:
            return await self._arrival()
        except JournalError as error:
            self._fail(error)
            raise

    async def _arrival(self) -> Journal:
        """Wait, on the event loop, for the journal to be opened."""
        opening, loop, arrived = self._begin_opening(), asyncio.get_running_loop(), asyncio.Event()

        def arrive(_: "Future[Journal]") -> None:
            with suppress(RuntimeError):  # the event loop has closed: nobody waits any more
                loop.call_soon_threadsafe(arrived.set)

        opening.add_done_callback(arrive)
        await arrived.wait()
        return self._take(opening)

    def _take(self, opening: "Future[Journal]") -> Journal:
        """Take the journal that was opened."""
        self._opening = None
        self._journal = opening.result()
        return self._journal

    def _fail(self, error: JournalError) -> None:
        if self.error is None:
            self.error = error
            self._tell_failure(error)

    def _without_log(self, result: RunResult, begun: Begun, error: OSError) -> RunResult:
        """Have a run recorded as lost whose output is: it runs again when there is room for it."""
        why = f"{begun.log}: a part of the output is lost: {error.strerror or error}"
        self._fail(JournalError(f"{why}; {cure_for(str(error))}"))
        return replace(result, status=Status.lost, error=why)

    async def _answered(self, answer: Answer, hurried: Callable[[], bool]) -> object:
        """Wait for what the journal says. Raises JournalError, which the sweep is told."""
        try:
            return await answer.take(hurried)
        except JournalError as error:
            self._fail(error)
            raise


def _open_for(make: Callable[[], Journal], opening: "Future[Journal]") -> None:
    try:
        opening.set_result(make())
    except BaseException as error:
        opening.set_exception(error)


def _wait_a_moment(opening: "Future[Journal]") -> None:
    """Wait, in a thread that hears signals in between."""
    arrived = threading.Event()
    opening.add_done_callback(lambda _: arrived.set())
    while not arrived.wait(SIGNAL_POLL_SECONDS):
        pass


def _close_late(opening: "Future[Journal]") -> None:
    """Close a journal that nobody waits for any more."""
    if opening.exception() is None:
        opening.result().close()


def _close_log(begun: object) -> None:
    """Close the log of an attempt that nobody waits for any more."""
    if isinstance(begun, Begun):
        os.close(begun.descriptor)


def _hidden(run: Run, text: str) -> str:
    """Take the values of secrets out of a text about a run."""
    try:
        return run.point.command.hide(text)
    except PointError:
        return text


def _displayed(devices: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    return {name: HIDDEN if name in secrets else value for name, value in devices.items()}


def _ask(run: Run, slot: int, devices: Mapping[str, str]) -> Ask:
    point = run.point
    try:
        command = point.command
    except PointError:  # it will not start, and its row says why
        command = Command(())
    return Ask(
        fingerprint=point.fingerprint,
        index=point.index,
        repeat=point.repeat,
        params=point.displayed_params,
        argv=[command.hide(word) for word in command.argv],
        env=command.displayed_env,
        cwd=None if command.cwd is None else command.hide(command.cwd),
        slot=slot,
        devices=_displayed(devices, point.secrets),
    )
