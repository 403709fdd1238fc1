"""Ctrl-C and SIGTERM, in a real terminal and without one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import alive, eventually
from terminal import Terminal

QUESTION = "Interrupt received. Do you want to exit? (yes/no): "

# Each run says that it started, waits for the file "go", and says that it ended.
WAITER = """
import os, sys, time
os.write(1, f"started {sys.argv[1]}\\n".encode())  # in one piece: what follows in a test follows the whole line
while not os.path.exists("go"):
    time.sleep(0.01)
os.write(1, f"ended {sys.argv[1]}\\n".encode())
"""

SYNC = """
import sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range({points})).fixed(None, {marker!r})
results = []
try:
    for exe in exp.executable_loop({loop}):
        exe.execute(grace={grace})
        results.append(exe)
finally:
    print("results", [str(exe.result.status) for exe in results], flush=True)
print("loop over", flush=True)
"""

ASYNC = """
import asyncio, sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range({points})).fixed(None, {marker!r})
async def main():
    try:
        async with asyncio.TaskGroup() as group:
            async for exe in exp.executable_loop({loop}):
                group.create_task(exe.execute(grace={grace}))
    except asyncio.CancelledError:
        print("main cancelled", flush=True)
        raise
    print("loop over", flush=True)
asyncio.run(main())
"""


@pytest.fixture
def marker(tmp_path: Path) -> str:
    return f"marker-{tmp_path.name}-{os.getpid()}"


def write(folder: Path, template: str, marker: str, *, points: int = 3, loop: str = "", grace: float = 5) -> Path:
    (folder / "waiter.py").write_text(WAITER)
    script = folder / "driver.py"
    script.write_text(template.format(points=points, marker=marker, loop=loop, grace=grace))
    return script


def go(folder: Path) -> None:
    (folder / "go").touch()


def bounded_output(driver: "subprocess.Popen[str]") -> str:
    """Read a driver to its end; kill it if that does not come."""
    try:
        return driver.communicate(timeout=30)[0]
    except subprocess.TimeoutExpired:
        driver.kill()
        raise


def no_process_is_left(marker: str) -> None:
    eventually(lambda: not alive(marker), "a run outlived its driver")


@pytest.mark.fault("T01")
@pytest.mark.parametrize("loop", ["", "use_tqdm=False", "max_workers=2"])
def test_no_lets_every_run_come_to_its_end(tmp_path: Path, marker: str, loop: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker, loop=loop)) as terminal:
        eventually(lambda: alive(f"waiter.py\x000\x00{marker}"), "the first run did not start")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        go(tmp_path)
        terminal.type("no\r")
        assert terminal.wait() == 0
        assert "['succeeded', 'succeeded', 'succeeded']" in terminal.text
        assert "loop over" in terminal.text


@pytest.mark.fault("T08")
@pytest.mark.parametrize("loop", ["", "use_tqdm=False", "max_workers=2"])
def test_yes_stops_every_run_and_raises_keyboard_interrupt(tmp_path: Path, marker: str, loop: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker, loop=loop)) as terminal:
        eventually(lambda: alive(f"waiter.py\x000\x00{marker}"), "the first run did not start")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("yes\r")
        assert terminal.wait() == -signal.SIGINT  # Python dies of the signal: a shell says 130
        assert "KeyboardInterrupt" in terminal.text
        assert "loop over" not in terminal.text
        no_process_is_left(marker)


@pytest.mark.fault("T15")
def test_rubbish_is_asked_again(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker)) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION, 1)
        terminal.type("perhaps\r")
        terminal.read_until(QUESTION, 2)
        terminal.type("\r")
        terminal.read_until(QUESTION, 3)
        terminal.type("YES\r")
        assert terminal.wait() == -signal.SIGINT
        no_process_is_left(marker)


@pytest.mark.fault("T05")
def test_second_ctrl_c_is_a_yes(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker)) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("\x03")
        assert terminal.wait() == -signal.SIGINT
        no_process_is_left(marker)


@pytest.mark.fault("T05")
def test_third_ctrl_c_kills_without_waiting_for_the_grace(tmp_path: Path, marker: str) -> None:
    script = write(tmp_path, SYNC, marker, grace=1000)
    (tmp_path / "waiter.py").write_text(
        "import signal; signal.signal(signal.SIGTERM, lambda *_: print('deaf', flush=True))\n" + WAITER
    )
    with Terminal(script) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("\x03")
        terminal.read_until("deaf")
        terminal.type("\x03")
        assert terminal.wait() == -signal.SIGINT
        no_process_is_left(marker)


def test_lines_keep_flowing_and_no_new_run_starts_while_it_asks(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker)) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        go(tmp_path)
        terminal.read_until("ended 0")
        terminal.read_last_row(QUESTION.strip())  # drawn again below the line
        assert "started 1" not in terminal.text
        no_process_is_left(marker)
        terminal.type("no\r")
        assert terminal.wait() == 0
        assert "started 2" in terminal.text


@pytest.mark.fault("T07")
def test_question_is_dropped_when_the_last_run_ends(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, SYNC, marker, points=1)) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        go(tmp_path)
        assert terminal.wait() == 0
        assert "loop over" in terminal.text


@pytest.mark.fault("T13")
def test_body_that_swallows_everything_still_ends(tmp_path: Path, marker: str) -> None:
    script = write(tmp_path, SYNC, marker)
    script.write_text(f"""
import sys, taskexp
exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(9)).fixed(None, {marker!r})
for exe in exp.executable_loop():
    try:
        exe.execute()
    except:
        print("swallowed", flush=True)
        continue
""")
    with Terminal(script) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("\x03")
        assert terminal.wait() == -signal.SIGINT
        assert terminal.text.count("swallowed") == 1
        assert "started 1" not in terminal.text


def test_async_yes_cancels_the_main_task_as_asyncio_does(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, ASYNC, marker, loop="max_workers=2")) as terminal:
        eventually(lambda: alive(f"waiter.py\x001\x00{marker}"), "the second run did not start")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("yes\r")
        assert terminal.wait() == -signal.SIGINT
        assert "main cancelled" in terminal.text
        assert "loop over" not in terminal.text
        no_process_is_left(marker)


def test_async_no_lets_every_run_come_to_its_end(tmp_path: Path, marker: str) -> None:
    with Terminal(write(tmp_path, ASYNC, marker, loop="max_workers=2")) as terminal:
        eventually(lambda: alive(f"waiter.py\x001\x00{marker}"), "the second run did not start")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        go(tmp_path)
        terminal.type("no\r")
        assert terminal.wait() == 0
        assert terminal.text.count("ended") == 3
        assert "loop over" in terminal.text


@pytest.mark.fault("T06")
@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stdin", ["null", "silent pipe", "closed"])
def test_without_a_terminal_a_signal_stops_and_asks_nobody(
    tmp_path: Path, marker: str, template: str, number: int, code: int, stdin: str
) -> None:
    script = write(tmp_path, template, marker, loop="max_workers=2")
    command = [sys.executable, str(script)]
    if stdin == "closed":
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin == "silent pipe" else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as driver:
        eventually(lambda: alive(f"waiter.py\x001\x00{marker}"), "the second run did not start")
        driver.send_signal(number)
        printed = bounded_output(driver)
        assert driver.returncode == code
    assert "loop over" not in printed
    assert QUESTION not in printed
    no_process_is_left(marker)


@pytest.mark.fault("T02")
@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGQUIT, 131)])
def test_what_a_terminal_sends_beside_ctrl_c_leaves_no_process_behind(
    tmp_path: Path, marker: str, template: str, number: int, code: int
) -> None:
    script = write(tmp_path, template, marker, loop="max_workers=2")
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True) as driver:
        eventually(lambda: alive(f"waiter.py\x001\x00{marker}"), "the second run did not start")
        driver.send_signal(number)
        assert "loop over" not in bounded_output(driver)
        assert driver.returncode == code
    no_process_is_left(marker)


@pytest.mark.fault("T02")
@pytest.mark.parametrize("template", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_terminal_that_is_closed_leaves_no_process_behind(tmp_path: Path, marker: str, template: str) -> None:
    with Terminal(write(tmp_path, template, marker, loop="max_workers=2")) as terminal:
        eventually(lambda: alive(f"waiter.py\x001\x00{marker}"), "the second run did not start")
        terminal.hang_up()
        assert terminal.process.wait(30) in (129, 1)  # 1 where the script itself prints to what is gone
    no_process_is_left(marker)


@pytest.mark.fault("T12")
def test_under_nohup_the_end_of_the_terminal_is_not_heard(tmp_path: Path, marker: str) -> None:
    command = ["nohup", sys.executable, str(write(tmp_path, SYNC, marker))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True) as driver:
        eventually(lambda: alive(f"waiter.py\x000\x00{marker}"), "the first run did not start")
        driver.send_signal(signal.SIGHUP)
        go(tmp_path)
        assert "loop over" in bounded_output(driver)
        assert driver.returncode == 0


@pytest.mark.fault("T12")
def test_a_signal_that_was_ignored_before_stays_ignored(tmp_path: Path, marker: str) -> None:
    script = write(tmp_path, SYNC, marker)
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True) as driver:
        eventually(lambda: alive(f"waiter.py\x000\x00{marker}"), "the first run did not start")
        driver.send_signal(signal.SIGINT)
        go(tmp_path)
        assert "loop over" in bounded_output(driver)
        assert driver.returncode == 0


@pytest.mark.fault("A08")
def test_a_nested_loop_is_stopped_with_the_outer_one_and_asked_for_once(tmp_path: Path, marker: str) -> None:
    script = write(tmp_path, SYNC, marker)
    script.write_text(f"""
import sys, taskexp
def sweep():
    exp = taskexp.Task([sys.executable, "waiter.py"]).arg(None, range(2)).fixed(None, {marker!r})
    return exp.executable_loop(use_tqdm=False)
for outer in sweep():
    for inner in sweep():
        inner.execute()
""")
    with Terminal(script) as terminal:
        terminal.read_until("started 0")
        terminal.type("\x03")
        terminal.read_until(QUESTION)
        terminal.type("yes\r")
        assert terminal.wait() == -signal.SIGINT
        assert terminal.raw.count(QUESTION.encode()) == 1
        no_process_is_left(marker)


@pytest.mark.fault("A07")
def test_ctrl_c_between_runs_is_heard_at_the_next_step(tmp_path: Path, marker: str) -> None:
    script = write(tmp_path, SYNC, marker)
    script.write_text("""
import os, signal, taskexp
for exe in taskexp.Task("true").arg(None, range(9)).executable_loop(use_tqdm=False):
    os.kill(os.getpid(), signal.SIGINT)
    print("body went on", exe.index, flush=True)
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stdout == "body went on 0\n"


@pytest.mark.fault("T01")
def test_signals_to_the_drivers_group_do_not_strike_a_run_that_is_being_started(tmp_path: Path) -> None:
    """Between fork and exec a child is in the driver's group, and Ctrl-C is sent to that group."""
    script = tmp_path / "driver.py"
    script.write_text("""
import collections, os, signal, time, taskexp
os.setpgrp()
signal.signal(signal.SIGUSR1, lambda *_: None)
hammer = os.fork()
if not hammer:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    while os.getppid() != 1:
        os.killpg(0, signal.SIGUSR1)
        time.sleep(0.0005)
    os._exit(0)
try:
    results = taskexp.Task("/bin/true").arg(None, range(300)).run(max_workers=2, ostreams=[], use_tqdm=False)
finally:
    os.kill(hammer, signal.SIGKILL)
    os.waitpid(hammer, 0)
print(collections.Counter(str(result.status) for result in results))
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "Counter({'succeeded': 300})\n", done.stdout + done.stderr
