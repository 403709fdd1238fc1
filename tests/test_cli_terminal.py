"""The command line on a real terminal: the bar, the rows of what runs, failures above them, the table at the end."""

import os
import re
from pathlib import Path

import pytest
from terminal import Terminal

WAITS = "while [ ! -e go-$0 ]; do sleep 0.02; done"


def terminal(folder: Path, *words: str, **size: int) -> Terminal:
    script = folder / "taskexp_main.py"
    script.write_text("import sys\nfrom taskexp.cli.main import main\nsys.exit(main())\n")
    return Terminal(script, *words, **size)


def test_rows_failures_table_and_summary_are_seen_in_their_turn(tmp_path: Path) -> None:
    line = f"sh -c 'echo working on $0; {WAITS}; exit $(( $0 == 2 ))' {{1..3}}"
    with terminal(tmp_path, "run", "-j", "2", line) as screen:
        screen.read_row("recording in .taskexp/")
        screen.read_row("working on 1")
        screen.read_row("working on 2")
        assert not any("working on 3" in row for row in screen.rows)
        (tmp_path / "go-2").touch()
        screen.read_row("working on 3")
        screen.read_row("index 1: failed: exit code 1")
        seen = r"index 1: failed: exit code 1.*\n(.*\n)* *\d+%\|.* 1/3 .*\n +0 .*\n +2 .*working on 3"
        screen.read_screen(lambda rows: re.search(seen + r"\Z", "\n".join(rows)) is not None)
        (tmp_path / "go-1").touch()
        (tmp_path / "go-3").touch()
        assert screen.wait() == 1
        text = screen.text
        assert "3/3" in text
        assert re.search(r"1 +failed +2", text)
        assert re.search(r"2 +succeeded +3", text)
        assert "3 runs ended: " in text
        assert sum("working on 1" in row for row in screen.rows) == 0


def test_forty_slots_fit_on_a_small_screen(tmp_path: Path) -> None:
    line = f"sh -c 'touch on-$0; {WAITS.replace('go-$0', 'go')}' {{1..40}}"
    with terminal(tmp_path, "run", "-j", "40", line, columns=80, rows=24) as screen:
        screen.read_row("more running", seconds=60)
        assert all(len(row) <= 80 for row in screen.rows)
        (tmp_path / "go").touch()
        assert screen.wait() == 0
        assert "40 runs ended: 40 succeeded" in screen.text
        assert re.search(r"39 +succeeded +40", screen.text)
        assert "more running" not in screen.text


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_left_out_where_they_are_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    with terminal(tmp_path, "run", "sh -c 'exit $0' {0,1}") as screen:
        assert screen.wait() == 1
        assert (re.search(rb"\x1b\[[0-9;]*m", screen.raw) is None) == bool(no_color)


def test_ctrl_c_asks_and_yes_ends_with_130(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "sh -c 'echo begun $0; exec sleep 1000' {1,2}") as screen:
        screen.read_row("begun 1")
        screen.type("\x03")
        screen.read_row("Do you want to exit? (yes/no):")
        screen.type("no\n")
        screen.read_last_row("  0 ")
        screen.type("\x03")
        screen.read_until("Do you want to exit?", 2)
        screen.type("yes\n")
        assert screen.wait() == 130
        assert "start again to go on" in screen.text
        assert "Traceback" not in screen.text


def test_on_a_dumb_terminal_and_in_a_narrow_one_nothing_breaks(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "-j", "2", "echo {1..4}", columns=20, rows=5) as screen:
        assert screen.wait() == 0
        assert os.path.isdir(tmp_path / ".taskexp")
