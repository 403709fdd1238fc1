"""Limits of the system: without descriptors, processes or memory fewer runs go on, and none fails for it."""

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import eventually, run_script

from taskexp import Task
from taskexp.run import local, process, signalling, spawn
from taskexp.words.outcome import Status

QUIET = {"use_tqdm": False, "ostreams": []}
COUNTED = """
from collections import Counter
import os, resource, sys
from taskexp import Task
{before}
results = Task("sleep 0.01").repeat({runs}).run(max_workers=100, use_tqdm=False, ostreams=[], journal={journal!r})
print(dict(Counter(str(result.status) for result in results)))
"""


@pytest.mark.fault("X04")
def test_few_descriptors_are_fewer_runs_at_once_and_one_warning(tmp_path: Path) -> None:
    few = "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    done = run_script(COUNTED.format(before=few, runs=150, journal="j"), tmp_path)
    assert done.stdout == "{'succeeded': 150}\n", done.stderr
    (warning,) = done.stderr.splitlines()
    assert "only 64 files may be open" in warning
    assert "`ulimit -n " in warning


@pytest.mark.fault("X04")
def test_what_takes_the_descriptors_meanwhile_is_waited_for(tmp_path: Path) -> None:
    done = run_script(
        """
import os, resource, sys
from taskexp import Task
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
class Hears:  # the warning comes when there is no room; then there is some
    def write(self, text):
        sys.__stderr__.write(text)
        while taken:
            os.close(taken.pop())
    def flush(self): pass
taken = []
sys.stderr = Hears()
seen = []
for exe in Task("echo hi").repeat(8).executable_loop(max_workers=2, use_tqdm=False):
    if exe.index == 4:
        taken += [os.dup(1) for _ in range(88)]
    exe.execute(ostreams=[])
    seen.append(exe)
print({str(exe.result.status) for exe in seen}, len(seen))
""",
        tmp_path,
    )
    assert done.stdout == "{'succeeded'} 8\n", done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning == (
        "taskexp: warning: could not start 'echo': Too many open files; runs wait until there is room, fewer at a time"
    )


@pytest.mark.fault("X05")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who has no processes yet")
def test_few_processes_are_fewer_runs_at_once_and_one_warning(tmp_path: Path) -> None:
    # All that is imported late is there after a first loop: the other user may not read where Python lies.
    few = """
Task("sleep 0").repeat(2).run(max_workers=2, use_tqdm=False, ostreams=[])
resource.setrlimit(resource.RLIMIT_NPROC, (10, 10))
os.setgid(54321), os.setuid(54321)
"""
    done = run_script(COUNTED.format(before=few, runs=60, journal=None), tmp_path)
    assert done.stdout == "{'succeeded': 60}\n", done.stderr
    (warning,) = done.stderr.splitlines()
    assert "Resource temporarily unavailable; runs wait until there is room" in warning


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[None]]:
    """Let the next starts fail as the system would; returns a list of those that are left."""

    def fail(number: int, times: int) -> list[None]:
        left = [None] * times
        real = spawn.subprocess.Popen

        def popen(*arguments: object, **options: object) -> object:
            if left:
                left.pop()
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(spawn, "HAS_PROC", False)  # all starts go one way
        monkeypatch.setattr(spawn.subprocess, "Popen", popen)
        return left

    return fail


@pytest.mark.fault("X05")
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE], ids=errno.errorcode.get)
def test_a_start_that_the_system_has_no_room_for_is_tried_again(number, shortage, capfd, monkeypatch) -> None:
    monkeypatch.setattr(local, "SHORTAGE_PAUSE_SECONDS", 0.01)
    left = shortage(number, 5)
    results = Task("true").repeat(6).run(max_workers=3, **QUIET)
    assert [(result.status, result.attempt) for result in results] == [(Status.succeeded, 1)] * 6
    assert not left
    assert capfd.readouterr().err.count("warning") == 1


@pytest.mark.fault("X05")
def test_where_there_is_never_room_a_run_says_why_it_did_not_start(shortage, monkeypatch) -> None:
    monkeypatch.setattr(local, "SHORTAGE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(local, "SHORTAGE_PATIENCE_SECONDS", 0.05)
    shortage(errno.ENOMEM, 10**6)
    (result,) = Task("true").run(**QUIET)
    assert (result.status, result.error) == (Status.not_started, "could not start 'true': Cannot allocate memory")


def test_a_run_that_waits_for_room_is_stopped_at_once(shortage, monkeypatch) -> None:
    monkeypatch.setattr(local, "SHORTAGE_PAUSE_SECONDS", 600.0)
    left = shortage(errno.EAGAIN, 2)
    with Task("true").repeat(2).executable_loop(max_workers=2, use_tqdm=False) as loop:
        seen = []
        for exe in loop:
            exe.execute(ostreams=[])
            seen.append(exe)
            if len(seen) == 2:
                break
        eventually(lambda: not left, "they were not tried")
    assert [exe.result.status for exe in seen] == [Status.interrupted] * 2


@pytest.mark.fault("P15")
def test_an_exit_is_noticed_without_a_pidfd_and_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(signalling, "HAS_PIDFD", False)
    monkeypatch.setattr(process, "threading", SimpleNamespace(Thread=Refused))
    (result,) = Task(["sh", "-c", "sleep 0.1; exit 7"]).run(timeout=5, **QUIET)
    assert (result.returncode, result.duration.total_seconds() < 4) == (7, True)
    (late,) = Task("sleep 600").run(timeout=0.1, **QUIET)
    assert late.status is Status.timed_out


def test_a_library_that_cannot_be_loaded_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyio", None)
    with pytest.raises(ImportError, match="anyio"):
        Task("true").run(**QUIET)
