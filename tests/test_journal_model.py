"""The journal against a plain dict: whatever is begun, ended, cut off and opened again, both know the same."""

import os
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from taskexp import RunResult, Status, open_results
from taskexp.record.journal.journal import Ask, Begun, Journal
from taskexp.record.journal.rerun import DEFAULT, EVERYTHING, Rerun

KEYS = [bytes([number]) * 16 for number in range(5)]
TEXTS = st.text(st.characters(blacklist_categories=[]), max_size=5).filter(lambda text: "\0" not in text)
STATUSES = st.sampled_from(list(Status))


def answer(act: Any) -> Any:
    """Wait for what the journal's thread says."""
    told, arrived = [], Event()

    def done(value: Any, error: Exception | None) -> None:
        told.append((value, error))
        arrived.set()

    act(done)
    assert arrived.wait(30)
    ((value, error),) = told
    assert error is None
    return value


def result_of(begun: Begun, status: Status, value: object, metric: float) -> RunResult:
    now = datetime.now().astimezone()
    return RunResult(
        status=status,
        returncode={Status.succeeded: 0, Status.failed: 3}.get(status),
        error=None if status is Status.succeeded else "why",
        start_time=now,
        end_time=now,
        duration=timedelta(seconds=1.5),
        max_rss_bytes=1 << 40,
        user_seconds=0.25,
        system_seconds=0.5,
        params={"--value": value},
        argv=[],
        index=0,
        attempt=begun.number,
        metrics={"m": metric},
    )


class JournalAgainstADict(RuleBasedStateMachine):
    """The model: for every run its attempts, each with its value and its status; None is one that goes on."""

    going_on = Bundle("going_on")

    @initialize()
    def open_first(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="taskexp-model-"))
        self.model: dict[bytes, list[list[Any]]] = {}
        self.journal = Journal(self.folder / "journal", DEFAULT)

    @rule(target=going_on, key=st.sampled_from(KEYS), value=st.one_of(st.none(), st.booleans(), st.integers(), TEXTS))
    def begin(self, key: bytes, value: object) -> tuple[bytes, Begun, object]:
        ask = Ask(key, 10**30 + key[0], 1, {"--value": value}, ["x", "é\udcff"], {"A": "b"}, None, 0, {})
        begun = answer(lambda done: self.journal.begin(ask, done))
        os.close(begun.descriptor)
        attempts = self.model.setdefault(key, [])
        attempts.append([value, None])
        assert begun.number == len(attempts)
        return key, begun, value

    @rule(case=consumes(going_on), status=STATUSES, metric=st.floats(allow_nan=False))
    def end(self, case: tuple[bytes, Begun, object], status: Status, metric: float) -> None:
        key, begun, value = case
        if self.model[key][begun.number - 1][1] is not None:
            return  # its driver died meanwhile
        answer(lambda done: self.journal.end(begun, result_of(begun, status, value, metric), 1, done))
        self.model[key][begun.number - 1] = [value, (status, metric)]

    @rule(rerun=st.one_of(st.just(DEFAULT), st.just(EVERYTHING), st.frozensets(STATUSES).map(Rerun)))
    def die_and_open_again(self, rerun: Rerun) -> None:
        self.journal.close()
        self.journal = Journal(self.folder / "journal", rerun)
        done = set()
        for key, attempts in self.model.items():
            last = attempts[-1][1]
            if last is not None and last[0] in rerun.kept and last[0] is not Status.interrupted and last != CUT_OFF:
                done.add(key)
            for attempt in attempts:
                attempt[1] = attempt[1] or CUT_OFF
        assert self.journal.recorded == done

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        if not hasattr(self, "journal"):
            return
        ended = {
            (key, number): attempt
            for key, attempts in self.model.items()
            for number, attempt in enumerate(attempts, 1)
            if attempt[1] is not None
        }
        rows = {(row.fingerprint, row.attempt): row for row in open_results(self.folder / "journal", attempts=True)}
        assert rows.keys() == ended.keys()
        for place, row in rows.items():
            value, (status, metric) = ended[place]
            assert (row.params, row.status, row.index) == ({"--value": value}, status, 10**30 + place[0][0])
            assert row.metrics == ({} if metric is None else {"m": metric})
            assert row.argv == ["x", "é\udcff"]
        lasts = {key: max(number for other, number in ended if other == key) for key, _ in ended}
        assert {row.fingerprint: row.attempt for row in open_results(self.folder / "journal")} == lasts

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.folder)


CUT_OFF = (Status.lost, None)
"""How an attempt ends whose driver died: it has no metrics, and its run runs again whatever `rerun` says."""

TestJournalAgainstADict = JournalAgainstADict.TestCase
TestJournalAgainstADict.settings = settings(max_examples=10, stateful_step_count=25)
