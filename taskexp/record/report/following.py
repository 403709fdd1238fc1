"""Following: the log of one attempt by lines while it is written, as a page shows it."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskexp.record.excerpt import shown_lines
from taskexp.record.journal.history import Attempt, read_again
from taskexp.record.journal.lock import read_living_holder
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.plainfile import open_plain

READ_BYTES = 1 << 18
"""How much is told at once, and how much of a long log is told at first."""

LONGEST_LINE = 1 << 14
"""A line is told in pieces of so many characters."""


@dataclass(frozen=True, slots=True)
class News:
    """What has come of a log: whole lines, the beginning of one more, and how many bytes before them were left out."""

    lines: Sequence[str]
    begun: str
    skipped: int


class Following:
    """Reads the log of an attempt, from near its end on.

    Args:
        folder: the journal.
        attempt: whose log it is.
    """

    def __init__(self, folder: Path, attempt: Attempt) -> None:
        self._folder = folder
        self._attempt = attempt
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.is_over = False
        """Whether all is told: the attempt has ended, or nobody drives it any more."""

    @property
    def ending(self) -> str:
        """How the attempt ended."""
        run = self._attempt.run
        return run.describe() if isinstance(run, RecordedRun) else "cut off: its driver died while it ran"

    def read(self) -> News:
        """Look what has come. Raises JournalError."""
        is_driven = read_living_holder(self._folder) is not None
        self._attempt = read_again(self._folder, self._attempt)
        # The file after the journal: all that the attempt printed was in it before its end was recorded.
        data, skipped = self._data()
        is_ended = isinstance(self._attempt.run, RecordedRun) or not is_driven
        self.is_over = is_ended and len(data) < READ_BYTES
        lines = (self._rest + self._decoder.decode(data, final=self.is_over)).split("\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE or self.is_over:
            lines, self._rest = [*lines, *([self._rest] if self._rest else [])], ""
        told = shown_lines("\n".join(lines)) if lines else []
        return News(told, shown_lines(self._rest)[-1], skipped)

    def _data(self) -> tuple[bytes, int]:
        """Read on; where much more has come than is told at once, its end."""
        try:
            with open_plain(self._attempt.run.log_path) as file:
                size = file.seek(0, 2)
                skipped = size - self._at - READ_BYTES if size - self._at > 4 * READ_BYTES else 0
                self._at += skipped
                file.seek(self._at)
                data = file.read(READ_BYTES)
        except OSError:  # it is made a moment after the attempt is recorded, or was thrown away
            return b"", 0
        self._at += len(data)
        return data, skipped
