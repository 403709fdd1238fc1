"""Teller: what is said of a run when it has ended; a failure with the last of its lines."""

from collections.abc import Callable

from taskexp.cli.text import shorten
from taskexp.loop.executable import TaskExecutable
from taskexp.record.excerpt import last_lines, printable
from taskexp.run.board import age_text
from taskexp.words.outcome import RunResult, Status

LINES = 5
"""How many of a failed run's last lines are shown."""

_INDENT = "    "
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


class Teller:
    """Tells of runs as they end.

    Args:
        notify: says a line to the user.
        total: how many runs there are.
        colour: whether failures are red.
        tells_all: whether runs that succeeded are told, too.
        shows_lines: whether a failure is followed by the last lines of its output.
        width: how many cells of a line are shown.
    """

    def __init__(
        self,
        notify: Callable[[str], object],
        total: int,
        *,
        colour: bool,
        tells_all: bool,
        shows_lines: bool,
        width: int,
    ) -> None:
        self._notify = notify
        self._total = total
        self._colour = colour
        self._tells_all = tells_all
        self._shows_lines = shows_lines
        self._width = width

    def tell(self, executable: TaskExecutable, number: int) -> None:
        """Say how a run ended.

        Args:
            executable: the run.
            number: how many have ended, this one included.
        """
        result = executable.result
        is_failure = result.status not in (Status.succeeded, Status.interrupted)
        if not (is_failure or self._tells_all):
            return
        place = f"[{number}/{self._total}] " if self._tells_all else ""
        line = f"{place}index {result.index}: {_ending(result)}: {executable.label}"
        said = [self._red(line), *self._last_lines(executable)] if is_failure else [line]
        self._notify("\n".join(said))

    def _last_lines(self, executable: TaskExecutable) -> list[str]:
        """Read the last lines of a run's log, free of what would move the cursor."""
        path = executable.log_path if self._shows_lines else None
        lines = [] if path is None else last_lines(path, LINES)
        return [f"{_INDENT}{shorten(line, self._width - len(_INDENT))}" for line in lines if line.strip()]

    def _red(self, line: str) -> str:
        return f"{_RED}{line}{_PLAIN}" if self._colour else line


def _ending(result: RunResult) -> str:
    return f"{printable(result.describe())} after {age_text(result.duration.total_seconds())}"
