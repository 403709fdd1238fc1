"""Search: regular expressions of the user, searched for in a process of their own and for a bounded time.

A pattern such as `(a+)+$` may take years on a line of forty letters, and `re` gives nobody else a turn meanwhile: no
thread, no timeout, no Ctrl-C. In a process of its own it has `SEARCH_SECONDS` of CPU for a piece of output (64 KiB,
or one longer line); then the kernel ends that process, and the pattern is given up for the rest of the sweep. The limit
is CPU time, so a busy machine gives up nothing. The process is started when it is first needed.
"""

import json
import os
import re
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from taskexp.run import searching
from taskexp.run.spawn import Helper, start_helper
from taskexp.run.strand import ThreadPool

SEARCH_SECONDS = 1.0
"""How much CPU time a pattern may take for one piece of output."""

ANSWER_SECONDS = 60.0
"""How long an answer may take by the clock: more than this has only a process that somebody has stopped."""

_FLAGS: Final = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.ASCII  # not DEBUG, which prints
_TRIES = 2
"""How often a process is asked that dies of something else."""

Found: TypeAlias = list[str | None]
"""The first group of each match; None where it took no part."""


class Search:
    """Looks for patterns in the output of the runs of one sweep.

    Args:
        tell: says a line to the user.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.executor = ThreadPool("search", max_threads=1)
        """Where to call `find`, which waits: never on the event loop."""
        self._tell = tell
        self._lock = threading.Lock()
        self._process: Helper | None = None
        self._unread = b""
        self._given_up: set[re.Pattern[str]] = set()

    def find(self, patterns: Sequence[re.Pattern[str]], text: str, *, by_line: bool) -> list[Found | None]:
        """Search for patterns in a text, or in each of its lines; None in place of a pattern that was given up."""
        with self._lock:
            answers: dict[re.Pattern[str], Found] = {}
            tries = _TRIES
            while missing := [each for each in patterns if each not in answers and each not in self._given_up]:
                came = self._ask(missing, text, by_line=by_line)
                answers.update(zip(missing, came, strict=False))
                if len(came) < len(missing):
                    tries -= 1
                    if self._ended_by_its_limit() or not tries:
                        self._give_up(missing[len(came)])
                        tries = _TRIES
            return [None if each in self._given_up else answers[each] for each in patterns]

    def close(self) -> None:
        """End the process and its thread."""
        self.executor.close()
        with self._lock:
            self._end()

    def _give_up(self, pattern: re.Pattern[str]) -> None:
        self._given_up.add(pattern)
        self._tell(
            f"taskexp: warning: the pattern {pattern.pattern!r} took more than {SEARCH_SECONDS:g} s of CPU for one "
            "piece of output, and is not searched for any more; repeats within repeats, such as (a+)+, take that long"
        )

    def _ask(self, patterns: Sequence[re.Pattern[str]], text: str, *, by_line: bool) -> list[Found]:
        """Return the answers that come: all, or those before the one that the process died of."""
        try:
            process = self._started()
        except OSError:  # no process is to be had: here, where nothing bounds it
            texts = text.split("\n") if by_line else [text]
            return [searching.find(pattern.pattern, pattern.flags, texts) for pattern in patterns]
        request = {
            "patterns": [(pattern.pattern, pattern.flags & _FLAGS) for pattern in patterns],
            "text": text,
            "by_line": by_line,
            "seconds": SEARCH_SECONDS,
        }
        answers: list[Found] = []
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            _write(process, json.dumps(request).encode() + b"\n", deadline)
            while len(answers) < len(patterns) and (line := self._read_line(process, deadline)):
                answers.append(json.loads(line))
        except (BrokenPipeError, TimeoutError):
            process.kill()
        if len(answers) < len(patterns):
            process.wait()  # it has closed its stdout: it ends, or was killed
        return answers

    def _started(self) -> Helper:
        if self._process is None or self._process.returncode is not None:
            self._end()
            self._process = start_helper(searching.__file__)
            self._unread = b""
        return self._process

    def _ended_by_its_limit(self) -> bool:
        return self._process is not None and self._process.returncode in (-signal.SIGPROF, -signal.SIGKILL)

    def _read_line(self, process: Helper, deadline: float) -> bytes:
        """Read the next line; what the process leaves of it when it ends is none."""
        stdout = process.stdout.fileno() if process.stdout is not None else -1
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            _wait(stdout, select.POLLIN, deadline)
            if not (data := os.read(stdout, 1 << 16)):
                return b""
            parts.append(data)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line

    def _end(self) -> None:
        if (process := self._process) is None:
            return
        self._process = None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _write(process: Helper, data: bytes, deadline: float) -> None:
    stdin = process.stdin.fileno() if process.stdin is not None else -1
    os.set_blocking(stdin, False)
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(stdin, rest) :]
        except BlockingIOError:
            _wait(stdin, select.POLLOUT, deadline)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Wait until a pipe is ready. Raises TimeoutError."""
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError
