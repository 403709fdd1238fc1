"""Interrupt: what Ctrl-C, SIGTERM, SIGHUP and SIGQUIT mean while a loop is alive; only here are handlers set.

The handler only notes the signal and wakes the event loop, so no KeyboardInterrupt ever strikes in the
middle of a spawn or of our own bookkeeping. What is to be done is decided on the event loop; the
question is asked by a thread of its own, so that runs go on meanwhile.

    calm -- Ctrl-C at a terminal --> asking -- no --> calm
    calm -- Ctrl-C elsewhere, SIGTERM, the terminal closed (SIGHUP), SIGQUIT --> stopping
    asking -- yes, another signal --> stopping
    stopping -- another signal --> killing
"""

import os
import select
import signal
import sys
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from types import FrameType
from typing import IO, TextIO

from taskexp.run.outlet import Outlet, Outlets, terminal_device
from taskexp.run.screen import is_in_foreground
from taskexp.run.strand import THREAD_PREFIX
from taskexp.run.suspension import Handler, Suspension

QUESTION = "Interrupt received. Do you want to exit? (yes/no): "
WITHDRAWN_SECONDS = 0.1
"""How often a thread that waits for an answer looks whether it is still wanted."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Phase(Enum):
    """How far an interruption has come."""

    CALM = "calm"
    ASKING = "asking"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Desk:
    """The handler of one signal: it passes the signal to the newest loop that is alive.

    The state stands where the process keeps it anyway, in the table of signal handlers: a second loop
    finds the first one's desk there and joins it, so loops may end in any order.

    Args:
        previous: the handler that was there before.
    """

    def __init__(self, previous: Handler) -> None:
        self.previous = previous
        self.guests: list[Interrupt] = []
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal."""
        if os.getpid() == self._pid:  # in a fork of the driver there is no loop to tell
            for guest in reversed(self.guests):
                if guest.note(number):
                    return
        call_handler(self.previous, number, frame)


class Interrupt:
    """The interruption of one loop.

    Args:
        outlets: where the question is shown.
        stop: begins to stop everything; called on the event loop.
        kill: kills everything at once; called from the signal handler.
        suspension: what Ctrl-Z does meanwhile.
        changed: called on the event loop when the phase has changed, or nothing came of a signal.
    """

    def __init__(
        self,
        outlets: Outlets,
        stop: Callable[[], None],
        kill: Callable[[], None],
        suspension: Suspension,
        changed: Callable[[], None],
    ) -> None:
        self.phase = Phase.CALM
        self.number: int | None = None
        self.previous: dict[int, Handler] = {}
        self._outlets = outlets
        self._stop = stop
        self._kill = kill
        self._suspension = suspension
        self._changed = changed
        self._loop: AbstractEventLoop | None = None
        self._question: _Question | None = None
        self._noted: deque[int] = deque()
        self._processing = False

    @property
    def stopping(self) -> bool:
        """Whether the loop is being stopped, or was."""
        return self.phase in (Phase.STOPPING, Phase.STOPPED)

    @property
    def calm(self) -> bool:
        """Whether no signal has come that is not dealt with, so that new runs may start."""
        return self.phase is Phase.CALM and self.heard

    @property
    def heard(self) -> bool:
        """Whether every signal that came has been dealt with, or asked about."""
        return not self._noted and not self._processing and not self._suspension.active

    def install(self) -> None:
        """Take the signals over; in the main thread only, elsewhere nothing happens. Ignored ones stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_IGN, None):
                continue
            if not isinstance(handler, Desk):
                handler = Desk(handler)
                signal.signal(number, handler)
            handler.guests.append(self)
            self.previous[number] = handler.previous
        self._suspension.install()

    def attach(self, loop: AbstractEventLoop) -> None:
        """Learn the event loop that decides; signals noted before it was there are brought to it."""
        self._loop = loop
        self._suspension.attach(loop)
        self._process()

    def remove(self) -> None:
        """Give the signals back; in the main thread the handlers are restored at once.

        A signal that came too late to be dealt with here is raised again, for whoever was there before.
        """
        self._suspension.remove()
        self._drop_question()
        for number in self.previous:
            desk = signal.getsignal(number)
            if not isinstance(desk, Desk) or self not in desk.guests:
                continue
            desk.guests.remove(self)
            if not desk.guests and threading.current_thread() is threading.main_thread():
                signal.signal(number, _restorable(desk.previous))
        for number in _drained(self._noted):
            signal.raise_signal(number)

    def conclude(self) -> int | None:
        """Learn that everything is stopped; returns the signal that was the cause, if one was."""
        if self.phase is not Phase.STOPPING:
            return None
        self.phase = Phase.STOPPED
        return self.number

    def note(self, number: int) -> bool:
        """Take a signal, in the signal handler; False if this loop wants no more of it."""
        if self.phase is Phase.STOPPED:
            return False
        if self.phase is Phase.STOPPING:
            self._kill()
            return True
        self._noted.append(number)
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._process)
            except RuntimeError:  # the event loop is closed: the loop was dropped without being closed
                self._noted.clear()
                return False
        return True

    def _process(self) -> None:
        self._processing = True
        for number in _drained(self._noted):
            self._receive(number)
        self._processing = False
        self._changed()

    def _receive(self, number: int) -> None:
        if self.stopping:
            return
        if self.phase is Phase.CALM and number == signal.SIGINT and may_ask():
            self.phase = Phase.ASKING
            self.number = number
            self._question = _Question(self._outlets, self._answered)
            self._question.start()
            return
        self._begin_stop(number)

    def _answered(self, yes: bool) -> None:
        """Take the answer, in the thread that asked."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._take_answer, yes)
            except RuntimeError:  # the loop has ended meanwhile
                return

    def _take_answer(self, yes: bool) -> None:
        if self.phase is not Phase.ASKING:
            return
        self._question = None
        if yes:
            self._begin_stop(signal.SIGINT)
        else:
            self.phase = Phase.CALM
            self._changed()

    def _begin_stop(self, number: int) -> None:
        self._drop_question()
        self.number = number
        self.phase = Phase.STOPPING
        self._stop()

    def _drop_question(self) -> None:
        if self._question is not None:
            self._question.withdraw()
            self._question = None


class _Question:
    """Asks on the terminal whether to exit, until there is an answer or nobody wants it any more."""

    takes_answer = True

    def __init__(self, outlets: Outlets, answered: Callable[[bool], None]) -> None:
        self.stream: IO[str] = sys.stderr
        self._outlet: Outlet = outlets.of(self.stream)
        self._answered = answered
        self._wanted = True
        self._thread = threading.Thread(target=self._ask, name=THREAD_PREFIX + "question", daemon=True)

    def start(self) -> None:
        """Show the question."""
        self._thread.start()

    def withdraw(self) -> None:
        """Take the question back; nobody is called any more."""
        self._wanted = False
        if (screen := self._outlet.screen) is not None:  # now, before the bar is left standing
            self._outlet.strand.put(lambda: self._guarded(screen.hide))

    def rows(self, columns: int, lines: int) -> list[str]:
        """Write the question."""
        return [QUESTION]

    def _ask(self) -> None:
        screen, strand = self._outlet.screen, self._outlet.strand
        if screen is None:
            return
        strand.perform(lambda: self._guarded(screen.show))
        answer: bool | None = None
        while answer is None and (typed := self._read_line(sys.stdin)) is not None:
            answer = parse_answer(typed)
            # The terminal has echoed the answer and its newline: the question's row is finished.
            strand.perform(lambda: self._guarded(screen.leave_row))
            if answer is None:
                strand.perform(lambda: self._guarded(screen.show))
        if answer is None:
            strand.put(lambda: self._guarded(screen.hide))
        else:
            self._answered(answer)

    def _guarded(self, act: Callable[["_Question"], None]) -> None:
        try:
            act(self)
        except (OSError, ValueError):  # the terminal has gone; the end of its input will say so
            return

    def _read_line(self, stdin: TextIO) -> str | None:
        """Read what was typed; None if the question was withdrawn. The end of input is a yes.

        In the background, after Ctrl-Z and `bg`, what is typed is the shell's; reading would stop us (SIGTTIN).
        """
        while self._wanted:
            try:
                if select.select([stdin], [], [], WITHDRAWN_SECONDS)[0]:
                    if is_in_foreground(stdin):
                        return _read_typed(stdin)
                    time.sleep(WITHDRAWN_SECONDS)
            except (OSError, ValueError):  # stdin was closed: nobody can answer any more
                return "yes"
        return None


def _read_typed(stdin: TextIO) -> str:
    try:
        typed = os.read(stdin.fileno(), 4096)
    except OSError:  # the terminal has gone
        return "yes"
    return typed.decode(errors="replace") if typed else "yes"


def parse_answer(typed: str) -> bool | None:
    """Read yes or no; None is neither, and is asked again."""
    return {"yes": True, "y": True, "no": False, "n": False}.get(typed.strip().lower())


def may_ask() -> bool:
    """Tell whether somebody is there to answer: stdin and stderr are terminals and we are in the foreground."""
    if sys.stdin is None or terminal_device(sys.stdin) is None or terminal_device(sys.stderr) is None:
        return False
    return is_in_foreground(sys.stdin, otherwise=False)


def _drained(noted: deque[int]) -> Iterator[int]:
    """Take the signals one by one; two threads may do so at once, and each gets its own."""
    while True:
        try:
            yield noted.popleft()
        except IndexError:
            return


def call_handler(handler: Handler, number: int, frame: FrameType | None) -> None:
    """Do what a signal did before we took it over."""
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _restorable(handler: Handler) -> Handler:
    """Return the handler to put back: Python's own, in place of one of an `asyncio.run` that is over."""
    task = getattr(handler, "keywords", {}).get("main_task")
    return signal.default_int_handler if isinstance(task, Future) and task.done() else handler


def interruption(number: int) -> BaseException:
    """Make the exception that a signal stands for: KeyboardInterrupt, or the exit code 128 + N."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def redeliver(handler: Handler, number: int) -> None:
    """Do in async code what the signal did before: asyncio's own handler cancels the main task."""
    if number != signal.SIGINT and handler == signal.SIG_DFL:
        raise SystemExit(128 + number)
    call_handler(handler, number, None)
