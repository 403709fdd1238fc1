"""The bar: on a terminal, off it, and when it cannot be shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_script
from terminal import Terminal

from taskexp import Task

SWEEP = """
import sys, taskexp
exp = taskexp.Task(["sh", "-c", {command!r}]).arg(None, range({points}))
for exe in exp.executable_loop({loop}):
    {body}
"""


def write(folder: Path, command: str, points: int = 4, loop: str = "", body: str = "exe.execute()") -> Path:
    script = folder / "driver.py"
    script.write_text(SWEEP.format(command=command, points=points, loop=loop, body=body))
    return script


@pytest.mark.fault("B01")
@pytest.mark.parametrize("loop", ["", "max_workers=8", "max_workers=8, output='line'"])
def test_a_thousand_lines_leave_no_torn_row_and_one_bar(tmp_path: Path, loop: str) -> None:
    command = 'i=0; while [ $i -lt 100 ]; do echo "line $0 $i end"; i=$((i+1)); done'
    with Terminal(write(tmp_path, command, 10, loop, "exe.print_cmd(); exe.execute(); exe.update_tqdm()")) as terminal:
        assert terminal.wait() == 0
        lines = [row for row in terminal.rows if re.fullmatch(r"(\[\d\] )?line \d \d+ end", row)]
        assert len(lines) == 1000
        others = [row for row in terminal.rows if row not in lines and "sh -c" not in row]
        assert [row for row in others if not re.fullmatch(r"100%\|.*\| 10/10 \[.*\]", row)] == []
        assert len(others) == 1


@pytest.mark.parametrize("loop", ["", "use_tqdm=False"])
def test_a_prompt_and_a_redrawn_line_are_seen_while_the_run_goes_on(tmp_path: Path, loop: str) -> None:
    wait = "while [ ! -e {} ]; do sleep 0.01; done; "
    command = 'printf "half a line"; ' + wait.format("a") + r'printf "\r10%%\r20%%"; ' + wait.format("b") + "echo"
    with Terminal(write(tmp_path, command, 1, loop)) as terminal:
        terminal.read_row("half a line")
        (tmp_path / "a").touch()
        terminal.read_row("20%")
        (tmp_path / "b").touch()
        assert terminal.wait() == 0
        assert sum("20%" in row for row in terminal.rows) == 1


def test_what_went_wrong_is_counted_on_the_bar(tmp_path: Path) -> None:
    command = "case $0 in 1) exit 3;; 2) exec sleep 100;; 3) exit 4;; esac"
    with Terminal(write(tmp_path, command, body="exe.execute(timeout=0.5)")) as terminal:
        assert terminal.wait() == 0
        assert "4/4" in terminal.text
        assert "failed=2 timed_out=1" in terminal.text


@pytest.mark.fault("B02")
def test_off_a_terminal_there_are_plain_lines_and_always_a_last_one(tmp_path: Path) -> None:
    done = run_script(write(tmp_path, "exit 0", 5).read_text(), tmp_path)
    assert done.returncode == 0
    assert "\r" not in done.stderr
    assert re.fullmatch(r"100% 5/5 \[.*\]\n", done.stderr)


@pytest.mark.fault("B05")
def test_points_that_the_body_skips_count(tmp_path: Path) -> None:
    body = "if exe.index % 2: continue\n    exe.execute()"
    done = run_script(write(tmp_path, "exit 0", 5, body=body).read_text(), tmp_path)
    assert "5/5" in done.stderr


def test_a_later_start_counts_what_lies_before_it(tmp_path: Path) -> None:
    done = run_script(write(tmp_path, "exit 0", 5, "start=3").read_text(), tmp_path)
    assert "5/5" in done.stderr


def test_without_a_bar_stderr_stays_empty(tmp_path: Path) -> None:
    done = run_script(write(tmp_path, "exit 0", 5, "use_tqdm=False").read_text(), tmp_path)
    assert done.stderr == ""


@pytest.mark.fault("B03")
@pytest.mark.parametrize("stderr", ["closed", "full", "broken pipe"])
def test_a_bar_that_cannot_be_shown_does_not_end_the_sweep(tmp_path: Path, stderr: str) -> None:
    script = write(tmp_path, "exit 0", 3, body="exe.execute(); print('ran', exe.index, flush=True)")
    redirection = {"closed": "2>&-", "full": "2>/dev/full", "broken pipe": "2>&9"}[stderr]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = f"{sys.executable} {script} 9>&{writer} {redirection}"
        done = subprocess.run(
            ["bash", "-c", command], pass_fds=[writer], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        os.close(writer)
    assert done.stdout == "ran 0\nran 1\nran 2\n"
    assert done.returncode == 0


@pytest.mark.fault("B04")
def test_the_bar_starts_no_thread_of_tqdm(tmp_path: Path) -> None:
    body = "exe.execute(); import threading; print(*(t.name for t in threading.enumerate()))"
    with Terminal(write(tmp_path, "exit 0", 2, body=body)) as terminal:
        assert terminal.wait() == 0
        assert "tqdm" not in terminal.text


@pytest.mark.fault("S17")
@pytest.mark.parametrize("loop", ["", "max_workers=2"])
def test_what_a_program_says_to_the_terminal_does_not_move_the_bar(tmp_path: Path, loop: str) -> None:
    evil = r"\033[31mred\n\033[2J\033[H\033[5Aup\033[?1049h\033]0;title\007\033[6nx\vdown\n"
    wait = "while [ ! -e go ]; do sleep 0.01; done"
    with Terminal(write(tmp_path, f"printf '{evil}'; {wait}; printf '{evil}'", 2, loop)) as terminal:
        terminal.read_row("0/2")
        (tmp_path / "go").touch()
        assert terminal.wait() == 0
        assert [row for row in terminal.rows if "/2" not in row] == ["red", "upxdown"] * 4
        assert sum("/2" in row for row in terminal.rows) == 1
        assert b"\x1b[31mred" in terminal.raw
        assert b"\x1b[m" in terminal.raw, "the colour goes on in the bar"
        for sequence in (b"\x1b[2J", b"\x1b[?1049h", b"\x1b]0;", b"\x1b[6n"):
            assert sequence not in terminal.raw


@pytest.mark.fault("S17")
def test_the_name_of_a_program_does_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "a\x1b[2Jb"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    Task([str(program)]).run(use_tqdm=False, ostreams=[], timeout=0.1)
    told = capfd.readouterr().err
    assert "ab ran longer than its timeout" in told
    assert "\x1b" not in told
