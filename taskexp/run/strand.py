"""Strand: jobs that run one after the other on some other thread, and the threads they run on.

The user's streams and callbacks run here, never on the event loop: a stream that blocks (a terminal
stopped by Ctrl-S, a pager, a hung file system) holds its own strand and nothing else. A strand borrows
a thread only while it has jobs, so there is no thread per child and none per stream.
"""

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

Job: TypeAlias = Callable[[], object]

HIGH_BYTES = 1 << 20
"""A strand with this much waiting asks its producers to pause."""

LOW_BYTES = 1 << 18
"""A paused producer goes on when no more than this is waiting."""

THREAD_PREFIX = "taskexp-"
"""How the names of all our threads begin."""

MAX_THREADS = 16
"""The most streams that can block at once before others have to wait for them."""


def on_own_thread() -> bool:
    """Tell whether this is one of our threads: the garbage collector may drop a user's object on any."""
    return threading.current_thread().name.startswith(THREAD_PREFIX)


class Executor(Protocol):
    """Where a strand's turns run."""

    def submit(self, turn: Job) -> None:
        """Run `turn` soon, on another thread."""
        ...


class ThreadPool:
    """A few daemon threads, started when work waits and none is idle.

    Daemon threads, since a thread that is stuck in a user's stream must not keep the program from
    ending; `concurrent.futures` joins its threads at exit and would hang.

    Args:
        name: the threads' name, behind `THREAD_PREFIX`.
        max_threads: the most threads at a time.
    """

    def __init__(self, name: str, max_threads: int = MAX_THREADS) -> None:
        self._name = THREAD_PREFIX + name
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._turns: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        """What waits for a thread; None wakes one to end. To wait by a condition took three times as long."""
        self._threads: set[threading.Thread] = set()
        self._free = 0
        """The number of threads that have no turn, less that of the turns that wait."""
        self._closed = False

    def submit(self, turn: Job) -> None:
        """Run `turn` soon on one of the threads; here and now if no thread is to be had."""
        with self._lock:
            self._turns.put(turn)
            self._free -= 1
            if self._free >= 0 or len(self._threads) >= self._max_threads or self._start_thread():
                return
        while (waiting := self._waiting_turn()) is not None:
            waiting()
            self._free += 1

    def _start_thread(self) -> bool:
        """Start one thread more; returns whether there is one at all.

        Python 3.12 and newer start none while the interpreter ends, and any system has a limit.
        """
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads.add(thread)  # before its first turn asks whose it is
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            return bool(self._threads)
        self._free += 1
        return True

    def owns_this_thread(self) -> bool:
        """Tell whether this very thread is one of the pool's."""
        return threading.current_thread() in self._threads

    def close(self, patience: float = 1.0) -> None:
        """Let the threads end when nothing waits; a thread that is stuck for `patience` seconds is left behind."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            self._turns.put(None)
        deadline = time.monotonic() + patience
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (turn := self._next_turn()) is not None:
            try:
                turn()
            except BaseException as error:  # a SystemExit out of a user's stream is no thread's end
                sys.excepthook(type(error), error, error.__traceback__)
            with self._lock:
                self._free += 1

    def _next_turn(self) -> Job | None:
        """Wait for a turn; None once the pool is closed and nothing waits."""
        while not self._closed:
            if (turn := self._turns.get()) is not None:
                return turn
        with self._lock:
            if (turn := self._waiting_turn()) is None:
                self._threads.discard(threading.current_thread())
                self._free -= 1
                self._turns.put(None)  # for the next one
            return turn

    def _waiting_turn(self) -> Job | None:
        """Take a turn that waits now."""
        with suppress(queue.Empty):
            while True:
                if (turn := self._turns.get_nowait()) is not None:
                    return turn
        return None


class Strand:
    """Jobs in order, one at a time.

    Args:
        executor: where the jobs run.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._jobs: deque[tuple[int, Job]] = deque()
        self._taken = False
        self._waiting_bytes = 0
        self._on_drained: list[Job] = []
        self._submitted_at: float | None = None

    @property
    def starving_seconds(self) -> float:
        """How long the strand has been waiting for a thread, now: all may be stuck in other streams."""
        since = self._submitted_at
        return time.monotonic() - since if since is not None else 0.0

    @property
    def congested(self) -> bool:
        """Whether so much is waiting that producers should pause."""
        return self._waiting_bytes >= HIGH_BYTES

    @property
    def waiting(self) -> bool:
        """Whether a job waits behind the one that runs now."""
        return bool(self._jobs)

    def put(self, job: Job, size: int = 0) -> None:
        """Queue a job that keeps `size` bytes alive. A job must not raise; it deals with its own failures."""
        with self._lock:
            self._jobs.append((size, job))
            self._waiting_bytes += size
            if self._taken:
                return
            self._taken = True
            self._submitted_at = time.monotonic()
        self._executor.submit(self._turn)

    def perform(self, job: Job) -> None:
        """Run a job in its turn and return once it is done; on this very thread if nothing is ahead of it."""
        with self._lock:
            ahead = self._taken
            self._taken = True
        if ahead:
            done = threading.Event()
            self.put(job)
            self.put(done.set)
            done.wait()
            return
        try:
            job()
        finally:
            with self._lock:
                self._taken = bool(self._jobs)
                waiting = self._taken
            if waiting:
                self._executor.submit(self._turn)

    def when_drained(self, callback: Job) -> None:
        """Call `callback` once, from any thread, as soon as producers may go on."""
        with self._lock:
            if self._waiting_bytes > LOW_BYTES:
                self._on_drained.append(callback)
                return
        callback()

    def _turn(self) -> None:
        self._submitted_at = None
        while True:
            with self._lock:
                if not self._jobs:
                    self._taken = False
                    return
                size, job = self._jobs.popleft()
            try:
                job()
            except BaseException:  # Ctrl-C in a caller's thread: what is left has its turn all the same
                self._executor.submit(self._turn)
                raise
            finally:
                if size:
                    self._settle(size)

    def _settle(self, size: int) -> None:
        with self._lock:
            self._waiting_bytes -= size
            if self._waiting_bytes > LOW_BYTES or not self._on_drained:
                return
            callbacks, self._on_drained = self._on_drained, []
        for callback in callbacks:
            callback()
