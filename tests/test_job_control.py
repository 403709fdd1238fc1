"""Ctrl-Z, `fg` and `bg`, by a real shell in a real terminal: a driver that is stopped has runs that are stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import PROGRAMS, alive, run_script
from conftest import eventually as eventually_within
from terminal import Terminal

from taskexp.plan.command import Command
from taskexp.run.clock import Clock
from taskexp.run.descendants import HAS_PROC
from taskexp.run.engine import Attempt, Limits
from taskexp.run.local import LocalEngine
from taskexp.words.outcome import Ending

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="looks at processes in /proc")

eventually = partial(eventually_within, seconds=40)

QUESTION = "Interrupt received. Do you want to exit? (yes/no): "
PROMPT = "prompt> "
SHELL = f"""
import os
os.environ["PS1"] = {PROMPT!r}
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""

# Each run waits for the file "go".
WAITER = """
import os, sys, time
while not os.path.exists("go"):
    time.sleep(0.01)
"""

SYNC = """
import sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(3)).fixed(None, {marker!r})
for exe in exp.executable_loop({loop}):
    exe.execute()
print("loop over", flush=True)
"""

ASYNC = """
import asyncio, sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(3)).fixed(None, {marker!r})
async def main():
    async with asyncio.TaskGroup() as group:
        async for exe in exp.executable_loop({loop}):
            group.create_task(exe.execute())
    print("loop over", flush=True)
asyncio.run(main())
"""

NESTED = """
import sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(1)).fixed(None, {marker!r})
for outer in exp.executable_loop(max_workers=2, use_tqdm=False):
    outer.execute()
    for inner in exp.executable_loop({loop}):
        inner.execute()
print("loop over", flush=True)
"""


@pytest.fixture
def marker(tmp_path: Path) -> str:
    return f"marker-{tmp_path.name}-{os.getpid()}"


@contextmanager
def shell(folder: Path, marker: str, template: str = SYNC, *, loop: str = "max_workers=2") -> Iterator[Terminal]:
    """A shell in a terminal that was told to start the driver; two runs wait for "go"."""
    (folder / "waiter.py").write_text(WAITER)
    (folder / "driver.py").write_text(template.format(marker=marker, loop=loop))
    script = folder / "shell.py"
    script.write_text(SHELL)
    with Terminal(script) as terminal:
        try:
            terminal.read_until(PROMPT)
            terminal.type(f"{sys.executable} driver.py\r")
            eventually(lambda: len(alive(marker)) == 2, "two runs did not start")
            if "use_tqdm=False" not in loop:
                terminal.read_row("0/")
            yield terminal
        finally:
            for pid in [*alive(f"{folder}/driver.py"), *alive(marker)]:
                os.kill(pid, signal.SIGKILL)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def has_ended(pid: int) -> bool:
    try:
        return state(pid) == "Z"
    except FileNotFoundError:
        return True


def states(marker: str) -> set[str]:
    return {state(pid) for pid in alive(marker)}


def driver_of(marker: str) -> int:
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in alive(marker)}
    [driver] = parents
    return driver


def stop(terminal: Terminal, marker: str, typed: str = "\x1a") -> int:
    """Type Ctrl-Z, and see all of it stopped and the shell's prompt in the last row; returns the driver."""
    driver = driver_of(marker)
    prompts = terminal.raw.count(PROMPT.encode())
    terminal.type(typed)
    terminal.read_until(PROMPT, prompts + 1)
    terminal.read_last_row(PROMPT.strip())
    assert state(driver) == "T"
    eventually(lambda: states(marker) == {"T"}, "a run goes on")  # one on another CPU stops a moment later
    return driver


def go(folder: Path) -> None:
    (folder / "go").touch()


@pytest.mark.fault("T10")
@pytest.mark.parametrize("template", [SYNC, ASYNC, NESTED], ids=["sync", "async", "nested"])
def test_ctrl_z_stops_the_runs_and_the_driver_until_fg(template, tmp_path, marker):
    with shell(tmp_path, marker, template) as terminal:
        stop(terminal, marker)
        assert "Stopped" in terminal.text
        assert not any("0/" in row for row in terminal.rows)  # no row of the bar is left
        terminal.type("fg\r")
        terminal.read_row("0/")
        eventually(lambda: "T" not in states(marker), "the runs do not go on")
        go(tmp_path)
        terminal.read_until("loop over")


@pytest.mark.fault("T10")
def test_a_run_that_left_its_session_is_stopped_too(tmp_path, marker):
    with shell(tmp_path, marker, SYNC, loop="max_workers=2, use_tqdm=False") as terminal:
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("yes\r")
        terminal.read_until(PROMPT, 2)
        program = [sys.executable, str(PROGRAMS / "setsid.py"), marker]
        script = f"import taskexp\ntaskexp.Task({program!r}).run(use_tqdm=False)"
        (tmp_path / "driver.py").write_text(script)
        terminal.type(f"{sys.executable} driver.py\r")
        eventually(lambda: len(alive(marker)) == 3, "the tree did not start")
        terminal.read_until("ready")
        terminal.type("\x1a")
        terminal.read_until("Stopped")
        eventually(lambda: states(marker) == {"T"}, "a run goes on")
        terminal.type("fg\r")
        eventually(lambda: "T" not in states(marker), "the runs do not go on")
        terminal.type("\x03")
        terminal.read_until(QUESTION, 2)
        terminal.type("yes\r")
        eventually(lambda: not alive(marker), "a run is left")


def test_two_ctrl_z_in_a_row_are_one(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        driver = stop(terminal, marker, "\x1a\x1a")
        terminal.type("fg\r")
        terminal.read_row("0/")
        eventually(lambda: "T" not in states(marker), "the runs do not go on")
        go(tmp_path)
        terminal.read_until("loop over")
        assert not Path(f"/proc/{driver}/stat").exists() or state(driver) != "T"


def test_again_and_again(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        for turn in range(3):
            stop(terminal, marker)
            terminal.type("fg\r")
            terminal.read_until("driver.py", 2 + turn)  # fg says what it continues
            eventually(lambda: "T" not in states(marker), "the runs do not go on")
            terminal.read_last_row(" ")
        go(tmp_path)
        terminal.read_until("loop over")


def test_ctrl_z_while_the_question_stands(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        terminal.type("\x03")
        terminal.read_last_row(QUESTION.strip())
        stop(terminal, marker)
        assert not any(row.startswith(QUESTION.strip()) for row in terminal.rows[-2:])
        terminal.type("fg\r")
        terminal.read_last_row(QUESTION.strip())
        terminal.type("no\r")
        go(tmp_path)
        terminal.read_until("loop over")


def test_in_the_background_it_goes_on_without_a_bar(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        stop(terminal, marker)
        drawn = terminal.raw.count(b"0/3")
        terminal.type("bg\r")
        eventually(lambda: "T" not in states(marker), "the runs do not go on")
        terminal.type("echo typed $((40 + 2))\r")
        terminal.read_until("typed 42")
        assert terminal.raw.count(b"0/3") == drawn
        terminal.type("fg\r")
        terminal.read_row("0/3")
        go(tmp_path)
        terminal.read_until("loop over")


def test_a_question_that_went_to_the_background_takes_nothing_that_is_typed_there(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        terminal.type("\x03")
        terminal.read_last_row(QUESTION.strip())
        driver = stop(terminal, marker)
        terminal.type("bg\r")
        eventually(lambda: "T" not in states(marker), "the runs do not go on")
        terminal.type("read -p 'half a ' line\r")  # the terminal is in its line mode, and a line is there to be read
        terminal.read_until("half a ", 2)
        terminal.type("line\r")
        terminal.type("echo $line\r")
        terminal.read_until("line\r\n", 3)
        assert state(driver) != "T"
        terminal.type("fg\r")
        terminal.read_last_row(QUESTION.strip())
        terminal.type("no\r")
        go(tmp_path)
        terminal.read_until("loop over")


def test_a_stopped_driver_that_is_terminated_stops_its_runs(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        driver = stop(terminal, marker)
        terminal.type("kill %1\r")  # which sends SIGCONT, too
        eventually(lambda: not alive(marker), "a run is left")
        eventually(lambda: has_ended(driver), "the driver does not end")
        terminal.type("wait %1; echo code $?\r")
        terminal.read_until("code 143")


def test_a_stopped_driver_that_is_killed_leaves_nothing_behind(tmp_path, marker):
    with shell(tmp_path, marker) as terminal:
        os.kill(stop(terminal, marker), signal.SIGKILL)
        eventually(lambda: not alive(marker), "a run is left")


def test_where_no_shell_could_continue_it_nothing_is_stopped_for_long(tmp_path, marker):
    """The kernel does not stop an orphaned process group, such as that of a container's first process."""
    (tmp_path / "waiter.py").write_text(WAITER)
    script = tmp_path / "driver.py"
    script.write_text(SYNC.format(marker=marker, loop="max_workers=2"))
    with Terminal(script) as terminal:
        eventually(lambda: len(alive(marker)) == 2, "two runs did not start")
        terminal.read_row("0/3")
        terminal.type("\x1a")
        terminal.read_until("^Z")
        go(tmp_path)
        terminal.read_until("loop over")
        assert terminal.wait() == 0


def test_a_handler_that_was_there_before_is_called_while_the_runs_are_stopped(tmp_path, marker):
    (tmp_path / "waiter.py").write_text(WAITER)
    text = """
import os, signal, sys, time
from conftest import alive, eventually
from test_job_control import states
def note(number, frame):
    eventually(lambda: states({marker!r}) == {{"T"}}, "they are not stopped")
    print("handler", number == signal.SIGTSTP, states({marker!r}), flush=True)
    open("go", "w").close()
signal.signal(signal.SIGTSTP, note)
import taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(2)).fixed(None, {marker!r})
loop = exp.executable_loop(max_workers=2, use_tqdm=False)
for exe in loop:
    exe.execute()
    if exe.index:
        while len(alive({marker!r})) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTSTP)
print("loop over", signal.getsignal(signal.SIGTSTP) is note)
"""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = run_script(text.format(marker=marker), tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert done.stdout == "handler True {'T'}\nloop over True\n", done.stderr


def test_ctrl_z_that_was_ignored_before_stays_ignored(tmp_path):
    text = """
import os, signal, taskexp
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
for exe in taskexp.Task("true").repeat(2).executable_loop(use_tqdm=False):
    os.kill(os.getpid(), signal.SIGTSTP)
    exe.execute()
print("loop over", signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN)
"""
    assert run_script(text, tmp_path).stdout == "loop over True\n"


# ---- the clocks


class Silence:
    """An output that nobody reads."""

    def feed(self, stream: object, chunk: bytes) -> bool:
        return True

    def when_drained(self, callback: object) -> None:
        raise AssertionError("it is never full")


def held_for(seconds: float, limits: Limits, *command: str) -> tuple[Ending, float]:
    """Run a command that is stopped for a while as soon as it runs; returns its end, and the seconds until then."""

    async def run() -> tuple[Ending, float]:
        engine = LocalEngine()
        started = asyncio.Event()
        attempt = Attempt(Command(command), limits, on_start=lambda _: started.set())
        began = time.monotonic()
        running = asyncio.ensure_future(engine.run(attempt, Silence()))
        await started.wait()
        engine.pause()
        await asyncio.sleep(seconds)
        engine.resume()
        ending = await running
        engine.close()
        return ending, time.monotonic() - began

    return asyncio.run(run())


@pytest.mark.fault("T11")
@pytest.mark.parametrize("limits", [Limits(timeout=0.3), Limits(idle_timeout=0.3)], ids=["timeout", "idle_timeout"])
def test_the_time_of_a_run_stands_still_while_it_is_stopped(limits):
    ending, seconds = held_for(0.7, limits, "sleep", "1000")
    assert ending.status == "timed_out"
    assert seconds >= 0.7 + 0.25
    assert 0.25 <= ending.duration.total_seconds() <= seconds - 0.7


def test_a_run_that_was_stopped_for_longer_than_its_timeout_comes_to_its_end():
    ending, _ = held_for(1.3, Limits(timeout=1.2), "sleep", "0.1")
    assert ending.status == "succeeded"


def test_a_run_that_starts_while_all_are_stopped_is_stopped(tmp_path, marker):
    (tmp_path / "waiter.py").write_text(WAITER)
    waiter = Command((sys.executable, "waiter.py", marker), cwd=str(tmp_path))

    async def run() -> None:
        engine = LocalEngine()
        engine.pause()
        running = asyncio.ensure_future(engine.run(Attempt(waiter, Limits()), Silence()))
        async with asyncio.timeout(60):
            while states(marker) != {"T"}:
                await asyncio.sleep(0.01)
        engine.resume()
        go(tmp_path)
        assert (await running).status == "succeeded"
        engine.close()

    asyncio.run(run())


def test_a_clock_tells_what_passed_while_it_was_not_held():
    clock = Clock()
    began = clock.now()
    clock.hold()
    stood = clock.now()
    time.sleep(0.05)
    clock.hold()
    assert clock.is_held
    assert clock.now() == stood
    clock.go_on()
    clock.go_on()
    assert not clock.is_held
    assert began <= stood <= clock.now() < began + 0.05 + (time.monotonic() - began)
