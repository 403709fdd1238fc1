"""The board: what its rows say, and how they share a terminal with the bar, the question and the lines."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import run_script
from terminal import Terminal

from taskexp import ArgumentTypeError, Task
from taskexp.run.board import KEPT_BYTES, KEPT_SECONDS, Board, RunRow, age_text
from taskexp.run.cells import count_cells, cut, fill, single_row, visible


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(lambda: None, clock=clock)


@pytest.fixture
def row() -> RunRow:
    return RunRow(0, "", 0.0, lambda: None)


# ---- what a row says


def test_a_row_has_index_age_label_and_newest_line(board: Board, clock: Clock) -> None:
    board.open_row(0, 7, "--lr 0.1").push("stdout", b"epoch 1\nepoch 2\n")
    board.open_row(1, 12, "--lr 0.25")
    clock.now += 3.25
    assert board.rows(80, 10) == ["   7   3.2s  --lr 0.1   epoch 2", "  12   3.2s  --lr 0.25"]


def test_where_nothing_varies_there_is_no_column_for_it(board: Board) -> None:
    board.open_row(0, 0, "").push("stderr", b"working")
    assert board.rows(80, 10) == ["  0   0.0s  working"]


def test_rows_stand_in_the_order_of_their_slots(board: Board) -> None:
    for slot in (2, 0, 1):
        board.open_row(slot, 10 * slot, "x")
    assert [row.split()[0] for row in board.rows(80, 10)] == ["0", "10", "20"]


def test_a_slot_keeps_its_row_for_the_next_run_and_gives_it_up_after_a_while(board: Board, clock: Clock) -> None:
    first, _ = board.open_row(0, 0, "a"), board.open_row(1, 1, "b")
    board.close_row(first)
    assert [row[:3] for row in board.rows(80, 10)] == ["", "  1"]
    board.open_row(0, 2, "c")
    board.close_row(first)  # late: the slot belongs to the next run
    clock.now += KEPT_SECONDS
    assert [row[:3] for row in board.rows(80, 10)] == ["  2", "  1"]


def test_an_empty_row_is_given_up_after_a_while(board: Board, clock: Clock) -> None:
    first, _ = board.open_row(0, 0, "a"), board.open_row(1, 1, "b")
    board.close_row(first)
    clock.now += KEPT_SECONDS
    assert [row[:3] for row in board.rows(80, 10)] == ["  1"]


@pytest.mark.parametrize(
    ("most", "shown"), [(5, 5), (6, 5), (4, 3), (2, 1), (1, 0), (0, 0), (-3, 0)], ids=lambda number: str(number)
)
def test_what_does_not_fit_is_counted(board: Board, most: int, shown: int) -> None:
    for slot in range(5):
        board.open_row(slot, slot, "x")
    rows = board.rows(80, most)
    more = [f"  ... and {5 - shown} more running"] if shown < 5 and most > 0 else []
    assert [row[:3] for row in rows[:shown]] == [f"  {slot}" for slot in range(shown)]
    assert rows[shown:] == more


@pytest.mark.parametrize("columns", [1, 5, 11, 20, 33, 60, 200])
def test_no_row_is_wider_than_the_terminal(columns: int, clock: Clock) -> None:
    board = Board(lambda: None, is_coloured=True, clock=clock)
    for slot in range(3):
        board.open_row(slot, slot, "--text 漢字かな " * 5).push("stdout", ("e\u0301 漢字 " * 60).encode())
    rows = board.rows(columns, 10)
    assert all(0 < count_cells(visible(row)) <= columns for row in rows)
    assert all(row.count("\x1b[2m") == row.count("\x1b[22m") for row in rows)


def test_the_age_is_dimmed_where_colours_are_wanted(clock: Clock) -> None:
    board = Board(lambda: None, is_coloured=True, clock=clock)
    board.open_row(0, 0, "x")
    assert board.rows(80, 10) == ["  0 \x1b[2m  0.0s\x1b[22m  x"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (3.25, "3.2s"),
        (59.99, "59.9s"),
        (60, "1m00s"),
        (65.9, "1m05s"),
        (3599.9, "59m59s"),
        (7380, "2h03m"),
        (86399, "23h59m"),
        (90000 * 4, "4d04h"),
    ],
)
def test_an_age_is_short(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
    assert len(text) <= 6


# ---- the newest line


@pytest.mark.fault("S17")
@pytest.mark.parametrize(
    ("output", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\r\ntwo\r\n", "two"),
        (b"one\nhalf", "half"),
        (b"one\n\n  \n", "one"),
        (b"10%\r20%", "20%"),
        (b"10%\r20%\r", "20%"),
        (b"done\r    \r", "done"),
        (b"\x1b[32mgreen\x1b[0m\x1b(B\n", "green"),
        (b"\x1b]0;title\x07text\x1b[2K\x1b[1A", "text"),
        (b"text\x1b[3", "text"),
        (b"a\tb\x00\x07c\x1b", "a bc"),
        ("bidi \u202eturned\u202c".encode(), "bidi turned"),
        ("漢字".encode()[:-1], "漢"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_newest_line_is_what_a_terminal_would_show(row: RunRow, output: bytes, line: str) -> None:
    row.push("stdout", output)
    assert row.newest_line() == line


def test_the_stream_that_spoke_last_is_shown(row: RunRow) -> None:
    row.push("stdout", b"out\n")
    row.push("stderr", b"bar 10%")
    assert row.newest_line() == "bar 10%"
    row.push("stdout", b"out again\n")
    assert row.newest_line() == "out again"
    row.push("stderr", b"\rbar 20%")
    assert row.newest_line() == "bar 20%"


def test_a_line_in_many_chunks_is_one_and_no_more_than_the_last_of_it_is_kept(row: RunRow) -> None:
    for _ in range(3 * KEPT_BYTES):
        row.push("stdout", b"x")
    assert row.newest_line() == "x" * KEPT_BYTES
    row.push("stdout", b"y" * (1 << 20) + b"\nend")
    assert row.newest_line() == "end"


# ---- cells


@pytest.mark.parametrize(
    ("text", "cells", "fits"),
    [("abc", 2, "ab"), ("abc", -1, ""), ("漢字", 3, "漢"), ("漢字", 4, "漢字"), ("e\u0301e\u0301", 1, "e\u0301")],
)
def test_a_text_is_cut_by_what_it_takes_on_the_screen(text: str, cells: int, fits: str) -> None:
    assert cut(text, cells) == fits


def test_a_text_is_filled_to_its_cells() -> None:
    assert [fill("漢字", cells) for cells in (3, 4, 6)] == ["漢 ", "漢字", "漢字  "]
    assert single_row("a\nb\udcff") == "ab"


# ---- on a terminal

SWEEP = """
import sys, taskexp
exp = taskexp.Task(["sh", "-c", {command!r}, "sh"]).arg(None, {values})
loop = exp.executable_loop(show_runs=True, {loop})
for exe in loop:
    {body}
print("loop over", flush=True)
"""
HOLD = "; read line < gate"
"""Holds a run, without a turn of the CPU, until the gate lets one through."""


class Gate:
    """Lets runs go on, as many as it is told."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "gate")
        self._fd = os.open(folder / "gate", os.O_RDWR)

    def let(self, number: int) -> None:
        os.write(self._fd, b"\n" * number)

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


def write(folder: Path, command: str, values: str, loop: str, body: str = "exe.execute(ostreams=[])") -> Path:
    script = folder / "driver.py"
    script.write_text(SWEEP.format(command=command, values=values, loop=loop, body=body))
    return script


def board_rows(terminal: Terminal) -> list[str]:
    return [row for row in terminal.rows if re.match(r" +\d+ +\d+\.\ds  ", row)]


def bars(terminal: Terminal) -> list[str]:
    return [row for row in terminal.rows if re.match(r" *\d+%\|", row)]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_each_slot_has_a_row_and_in_the_end_the_bar_alone_remains(
    tmp_path: Path, gate: Gate, no_color: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    command = r'printf "begun\n10%%\r\033[31m20%%\033[0m of $1"' + HOLD
    with Terminal(write(tmp_path, command, "['x', 'y', 'z']", "max_workers=2")) as terminal:
        begun = r" *\d+%\|.*\n  0 +\d+\.\ds  x  20% of x\n  1 +\d+\.\ds  y  20% of y"
        terminal.read_screen(lambda rows: re.fullmatch(begun, "\n".join(rows)) is not None)
        gate.let(1)
        terminal.read_screen(lambda rows: "20% of z" in rows[-1] + rows[-2] and len(board_rows(terminal)) == 2)
        gate.let(2)
        assert terminal.wait() == 0
        assert [row for row in terminal.rows if "3/3" not in row] == ["loop over"]
        assert len(bars(terminal)) == 1
        assert (b"\x1b[2m" in terminal.raw) == (not no_color)
        assert b"\x1b[31m" not in terminal.raw


def test_forty_rows_do_not_fit_in_twenty_four(tmp_path: Path, gate: Gate) -> None:
    script = write(tmp_path, 'echo "run $1"' + HOLD, "range(40)", "max_workers=40")
    with Terminal(script, columns=60, rows=24) as terminal:
        terminal.read_row("  ... and 20 more running")
        numbers = [str(number) for number in range(20)]
        terminal.read_screen(
            lambda rows: len(rows) == 22 and [row.split()[-1] for row in board_rows(terminal)] == numbers
        )
        gate.let(40)
        assert terminal.wait() == 0
        assert [row for row in terminal.rows if "40/40" not in row] == ["loop over"]


@pytest.mark.fault("T14")
@pytest.mark.usefixtures("gate")
def test_the_question_stands_in_place_of_the_rows_and_no_brings_them_back(tmp_path: Path) -> None:
    script = write(tmp_path, 'echo "run $1"' + HOLD, "range(4)", "max_workers=2")
    with Terminal(script) as terminal:
        terminal.read_row("run 1")
        terminal.type("\x03")
        terminal.read_screen(lambda rows: len(rows) == 1 and rows[0].startswith("Interrupt received."))
        terminal.type("no\r")
        terminal.read_screen(
            lambda rows: [row[:3] for row in board_rows(terminal)] == ["  0", "  1"] and "run 1" in rows[-1]
        )
        assert len(bars(terminal)) == 1
        terminal.type("\x03")
        terminal.read_until("Interrupt received.", 2)
        terminal.type("yes\r")
        assert terminal.wait() == -signal.SIGINT
        assert board_rows(terminal) == []
        assert len(bars(terminal)) == 1


def test_lines_that_are_written_above_tear_nothing(tmp_path: Path, gate: Gate) -> None:
    command = 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $1 $i end"; done' + HOLD
    body = "loop.notify(f'note {exe.index} end'); exe.execute(ostreams=[sys.stdout])"
    script = write(tmp_path, command, "range(8)", "max_workers=2, output='line'", body)
    with Terminal(script, columns=60) as terminal:
        gate.let(6)
        terminal.read_row("note 7 end")
        terminal.read_row("[7] line 7 9 end")
        terminal.read_row("  line 7 9 end")
        assert len(board_rows(terminal)) == 2
        gate.let(2)
        assert terminal.wait() == 0
        rows = [row for row in terminal.rows if "8/8" not in row]
        lines = [row for row in rows if re.fullmatch(r"\[\d\] line \d \d end|note \d end|loop over", row)]
        assert rows == lines
        assert len(set(lines)) == 8 * 9 + 8 + 1


def test_an_open_line_stands_above_the_bar_and_its_rows(tmp_path: Path, gate: Gate) -> None:
    script = write(tmp_path, 'printf "ready? "' + HOLD + '; echo "$1"', "['yes']", "", "exe.execute()")
    with Terminal(script) as terminal:
        terminal.read_screen(lambda rows: rows[:1] == ["ready?"] and any("yes  ready?" in row for row in rows))
        terminal.read_screen(lambda rows: len(rows) == 3 and len(bars(terminal)) == len(board_rows(terminal)) == 1)
        gate.let(1)
        assert terminal.wait() == 0
        assert terminal.rows[0] == "ready? yes"
        assert [row for row in terminal.rows[1:] if "1/1" not in row] == ["loop over"]


def test_a_window_that_is_resized_gets_rows_of_its_size(tmp_path: Path, gate: Gate) -> None:
    command = 'printf "%0.sx" $(seq 150); echo' + HOLD
    script = write(tmp_path, command, "range(3)", "max_workers=2", "loop.notify('note'); exe.execute(ostreams=[])")
    with Terminal(script, columns=80, rows=24) as terminal:
        terminal.read_row("  1 ")
        terminal.resize(40, 24)
        drawn = terminal.raw.count(b"\x1b[?7h")
        terminal.read_until("\x1b[?7h", drawn + 2)
        terminal.read_screen(lambda _: [len(row) for row in board_rows(terminal)] == [39, 39])
        assert len(bars(terminal)) == 1
        terminal.resize(100, 24)
        drawn = terminal.raw.count(b"\x1b[?7h")
        terminal.read_until("\x1b[?7h", drawn + 2)
        terminal.read_screen(lambda _: [len(row) for row in board_rows(terminal)] == [99, 99])
        gate.let(3)
        assert terminal.wait() == 0
        assert [row for row in terminal.rows if "3/3" not in row] == [*["note"] * 3, "loop over"]


def test_off_a_terminal_there_are_no_rows(tmp_path: Path) -> None:
    done = run_script(write(tmp_path, 'echo "run $1"', "range(4)", "max_workers=2").read_text(), tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"100% 4/4 \[.*\]\n", done.stderr)


# ---- what an executable and a loop say


def test_an_executable_tells_its_id_its_label_and_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = Task(["sh", "-c", "echo run $2", "sh"]).arg("-n", [1, 2])
    loop = task.executable_loop(use_tqdm=False, journal="sweep")
    for exe in loop:
        assert exe.log_path is None
        exe.execute(ostreams=[])
        assert (exe.id, exe.label) == (task[exe.index].id, task[exe.index].label)
        assert exe.log_path is not None
        assert exe.log_path.is_absolute()
        assert exe.log_path.read_text() == f"run {exe.index + 1}\n"


def test_without_a_journal_there_is_no_log() -> None:
    for exe in Task("true").executable_loop(use_tqdm=False):
        exe.execute(ostreams=[])
        assert exe.log_path is None


def test_a_loop_says_lines_on_stderr_while_it_goes_on_and_afterwards(tmp_path: Path) -> None:
    script = """
import os, taskexp
loop = taskexp.Task("true").executable_loop(use_tqdm=False)
loop.notify("before")
for exe in loop:
    exe.execute()
    loop.notify("meanwhile")
loop.notify("afterwards")
os._exit(0)
"""
    assert run_script(script, tmp_path).stderr == "before\nmeanwhile\nafterwards\n"


def test_what_is_no_text_is_not_said() -> None:
    with pytest.raises(ArgumentTypeError, match="notify takes a str"):
        Task("true").executable_loop(use_tqdm=False).notify(3)  # type: ignore[arg-type]
