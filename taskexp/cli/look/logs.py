"""Logs: the output of one run, as it came, once or while it comes."""

import argparse
import codecs
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from taskexp.cli.look.folder import journal_folder
from taskexp.cli.look.show import add_run, describe
from taskexp.cli.text import write_out
from taskexp.record.excerpt import printable
from taskexp.record.journal.history import Attempt, read_again, read_history, read_next
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.plainfile import open_plain
from taskexp.record.state import find_driver
from taskexp.run.cells import tamed
from taskexp.words.errors import ArgumentValueError
from taskexp.words.outcome import Status

EXAMPLE = "  taskexp logs runs 3 -f"

POLL_SECONDS = 0.1
RETRY_SECONDS = 2.0
"""How long after a failed attempt the next one is waited for: the journal does not say whether there will be one."""

_READ_BYTES = 1 << 18
_LONGEST_SEQUENCE = 256
"""How many characters at the end may be a sequence of a terminal that has not come to its end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `logs` takes."""
    add_run(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on while the run does, and with its next attempt"
    )
    parser.add_argument("--path", action="store_true", help="write the path of the file instead")


def main(arguments: argparse.Namespace) -> int:
    """Write the output of a run. Raises ArgumentValueError, JournalError."""
    folder = journal_folder(arguments)
    attempt = read_history(folder, arguments.run).chosen(arguments.attempt)
    if arguments.path:
        write_out(f"{attempt.run.log_path}\n")
    elif arguments.follow:
        _follow(folder, attempt, stays=arguments.attempt is not None)
    elif not _Tail(attempt.run.log_path).copy() and not attempt.run.log_path.exists():
        raise ArgumentValueError(f"run {attempt.run.index} has no log: {attempt.run.log_path} is not there")
    return 0


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


@dataclass(slots=True)
class _Tail:
    """Copies a file to stdout, from where the last copy ended."""

    path: Path
    at: int = field(default=0, init=False)
    _unended: str = field(default="", init=False)
    _decoder: codecs.IncrementalDecoder = field(default_factory=_decoder, init=False)

    def copy(self) -> bool:
        """Write what has come; False if nothing has."""
        began_at = self.at
        try:
            with open_plain(self.path) as file:
                file.seek(self.at)
                while data := file.read(_READ_BYTES):
                    self.at += len(data)
                    self._write(data)
        except FileNotFoundError:  # it is made a moment after the attempt is recorded
            return False
        if self.at != began_at:
            sys.stdout.flush()
        return self.at != began_at

    def _write(self, data: bytes) -> None:
        """Write bytes as they are; to a terminal without what would take it over."""
        if not sys.stdout.isatty():
            sys.stdout.buffer.write(data)
            return
        lines, newline, rest = (self._unended + self._decoder.decode(data)).rpartition("\n")
        # A sequence that has not come to its end is held back, as long as it is none without an end.
        begun = rest.rfind("\x1b", -_LONGEST_SEQUENCE)
        held = len(rest) if begun < 0 else begun
        self._unended = rest[held:]
        write_out(tamed(lines) + newline + tamed(rest[:held]))


def _follow(folder: Path, attempt: Attempt, *, stays: bool) -> None:
    """Write the output of a run until its last attempt has ended."""
    following: Attempt | None = attempt
    while following is not None:
        ended = _follow_attempt(folder, following)
        _say(ended, describe(ended, find_driver(folder)))
        following = None if stays else _next_attempt(folder, ended)


def _follow_attempt(folder: Path, attempt: Attempt) -> Attempt:
    """Write the output of an attempt until it ends, or its driver does."""
    tail = _Tail(attempt.run.log_path)
    while True:
        is_driven = find_driver(folder) is not None
        attempt = read_again(folder, attempt)
        is_news = tail.copy()  # now: all that it printed was in the file before its end was in the journal
        if isinstance(attempt.run, RecordedRun) or not is_driven:
            return attempt
        if not is_news:
            time.sleep(POLL_SECONDS)


def _next_attempt(folder: Path, ended: Attempt) -> Attempt | None:
    """Wait a little for the next attempt of a run that did not succeed; None if there is none."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        is_over = time.monotonic() > deadline or find_driver(folder) is None or _is_good(ended)
        if (following := read_next(folder, ended)) is not None or is_over:
            return following
        time.sleep(POLL_SECONDS)


def _is_good(attempt: Attempt) -> bool:
    return isinstance(attempt.run, RecordedRun) and attempt.run.status in (Status.succeeded, Status.interrupted)


def _say(attempt: Attempt, what: str) -> None:
    run = attempt.run
    print(f"taskexp: run {run.index}, attempt {run.attempt} {printable(what)}", file=sys.stderr, flush=True)
