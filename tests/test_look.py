"""The commands that look at a journal: status, show, logs, results; while a sweep runs, after it, after a crash."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import eventually
from terminal import Terminal

from taskexp import ArgumentValueError, JournalError, Task
from taskexp.cli.look.dashes import joined
from taskexp.cli.parser import make_parser
from taskexp.cli.table import colours, write_table
from taskexp.cli.text import shorten
from taskexp.record.excerpt import printable
from taskexp.record.journal.glance import read_glance
from taskexp.record.table import Sheet
from taskexp.run.cells import count_cells

COMMANDS = ("status", "show", "logs", "results")
PROGRAM = """
n=$1; shift
echo "step $n of $*"
echo throughput=$((100 * n))
echo "slot $TASKEXP_SLOT on $CUDA_VISIBLE_DEVICES" >&2
test $n != 10
"""
LOOK = """
import sys
from taskexp.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call a command in this process; returns what it wrote to stdout."""

    def call(*words: object) -> str:
        arguments = make_parser(COMMANDS).parse_args([str(word) for word in words])
        capsys.readouterr()
        assert arguments.main(arguments) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of 12 runs; four failed, in two attempts each."""
    folder = tmp_path_factory.mktemp("look") / "journal"
    task = Task(["sh", "-c", PROGRAM, "prog"]).arg(None, ["9", "10", "2"]).arg("--lr", ["1e-3", "0.1"]).repeat(2)
    task.env("HF_TOKEN", ["hunter2secret"]).metric("throughput", r"throughput=(\d+)")
    task.run(
        journal=folder,
        ostreams=[],
        use_tqdm=False,
        max_workers=2,
        retries=1,
        slots={"CUDA_VISIBLE_DEVICES": ["3", "5"]},
    )
    return folder


def column(text: str, name: str) -> list[str]:
    return [row[name] for row in csv.DictReader(io.StringIO(text))]


# ---- results


def test_results_are_a_table_of_what_was_asked_for_and_what_came_of_it(look, folder: Path):
    header, *rows = look("results", folder).splitlines()
    assert header.split() == [
        *("index", "repeat", "status", "arg1", "--lr", "HF_TOKEN", "throughput", "duration"),
    ]
    assert len(rows) == 12
    assert rows[0].split()[:7] == ["0", "0", "succeeded", "9", "1e-3", "***", "900"]


@pytest.mark.parametrize("words", [["--sort", "-throughput"], ["--sort=-throughput"], ["--sort", "-throughput,index"]])
def test_results_are_sorted_downwards_however_the_dash_is_written(words: list[str], look, folder: Path):
    text = look("results", folder, *words, "--format", "csv")
    assert column(text, "throughput") == ["1000.0"] * 4 + ["900.0"] * 4 + ["200.0"] * 4
    assert column(text, "index")[:4] == ["4", "5", "6", "7"]


def test_results_are_sorted_by_a_column_that_is_called_like_an_option(look, folder: Path):
    def first(*words: str) -> list[str]:
        text = look("results", folder, *words, "--format", "csv")
        return [f"{lr} {n}" for lr, n in zip(column(text, "--lr"), column(text, "arg1"), strict=True)][::6]

    assert first("--sort", "--lr", "--sort", "arg1") == ["1e-3 2", "0.1 2"]
    assert first("--sort", "---lr,-arg1") == ["0.1 10", "1e-3 10"]


def test_a_word_that_is_an_option_of_the_command_is_not_a_value():
    known = ["--sort", "--json", "-o"]
    assert joined(["--sort", "-x", "--json"], ["--sort"], known) == ["--sort=-x", "--json"]
    assert joined(["--sort", "--json"], ["--sort"], known) == ["--sort", "--json"]
    assert joined(["--sort", "--", "-x"], ["--sort"], known) == ["--sort", "--", "-x"]
    assert joined(["-x", "--sort"], ["--sort"], known) == ["-x", "--sort"]


def test_groups_are_sorted_after_folding(look, folder: Path):
    text = look("results", folder, "--group-by", "arg1,--lr", "--sort", "-throughput mean,--lr", "--format", "csv")
    assert column(text, "arg1") == ["9", "9", "2", "2", "10", "10"]
    assert column(text, "--lr")[:2] == ["1e-3", "0.1"]
    assert column(text, "n") == ["2", "2", "2", "2", "0", "0"]


@pytest.mark.parametrize("words", [["--group-by", "--json"], ["--group-by", "", "--json"], ["--json", "--group-by"]])
def test_groups_without_columns_fold_the_repeats(words: list[str], look, folder: Path):
    rows = json.loads(look("results", folder, *words))
    assert [(row["arg1"], row["--lr"]) for row in rows][:3] == [("9", "1e-3"), ("9", "0.1"), ("10", "1e-3")]
    assert len(rows) == 6


def test_only_rows_with_a_value_are_shown(look, folder: Path):
    def indices(*words: str) -> list[int]:
        return [row["index"] for row in json.loads(look("results", folder, "--json", *words))]

    assert indices("--where", "status=failed") == [4, 5, 6, 7]
    assert indices("--where", "--lr=0.001", "--where", "throughput=900") == [0, 1]
    assert indices("--where", "error=", "--where", "repeat=1", "--where", "arg1=2") == [9, 11]


def test_columns_are_chosen_and_all_of_them_are_to_be_had(look, folder: Path):
    assert look("results", folder, "--columns", "--lr, index", "--where", "index=2") == "--lr  index\n 0.1      2\n"
    assert "log_path" in look("results", folder, "--columns", "all").splitlines()[0]


def test_attempts_have_rows_of_their_own(look, folder: Path):
    header, *rows = look("results", folder, "--attempts").splitlines()
    assert "attempt" in header.split()
    assert len(rows) == 16


def test_a_metric_is_read_from_the_logs_later(look, folder: Path):
    text = look("results", folder, "--metric", r"step=step (\d+)", "--format", "csv", "--sort", "-step")
    assert column(text, "step")[:5] == ["10.0"] * 4 + ["9.0"]


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("o.csv", "index,"), ("o.jsonl", '{"index"'), ("o.md", "| index"), ("o.json", '[{"index"'), ("o.txt", "index  ")],
)
def test_a_file_has_the_format_that_its_name_says(name: str, beginning: str, look, folder: Path, tmp_path: Path):
    assert look("results", folder, "-o", tmp_path / name) == ""
    assert (tmp_path / name).read_text().startswith(beginning)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sort", "-nothing"], "--sort: there is no column 'nothing'; the columns are index, repeat, arg1"),
        (["--columns", "index,x"], "--columns: there is no column 'x'"),
        (["--group-by", "x"], "--group-by: there is no column 'x'"),
        (["--where", "x=1"], "--where: there is no column 'x'"),
        (["--where", "x"], "--where: 'x' is not COL=VALUE"),
        (["--metric", "x"], "--metric: 'x' is not NAME=REGEX"),
        (["--metric", "x=y"], "has no group"),
        (["-o", "/nowhere/x.csv"], "--output: /nowhere/x.csv: No such file"),
    ],
)
def test_what_results_cannot_do_names_the_option_and_the_cure(words: list[str], told: str, look, folder: Path):
    with pytest.raises(ArgumentValueError, match=told.replace("[", r"\[")):
        look("results", folder, *words)


def test_results_of_a_journal_without_an_end_are_an_empty_table(folder: Path, capsys):
    arguments = make_parser(COMMANDS).parse_args(
        ["results", str(folder), "--where", "index=77", "--sort", "-arg1", "--json"]
    )
    assert arguments.main(arguments) == 0
    out, told = capsys.readouterr()
    assert (json.loads(out), told) == ([], "taskexp: no run has ended that is asked for\n")


# ---- show


def test_show_tells_all_that_is_known_of_a_run(look, folder: Path):
    text = look("show", folder, 7)
    for fact in [
        "status      failed: exit code 1",
        "attempt     2, of these:\n            1: failed: exit code 1\n            2: failed: exit code 1",
        "arg1 = 10\n            --lr = 0.1",
        "metrics     throughput = 1000",
        "MiB at its peak",
        "last lines of its output",
        "  step 10 of --lr 0.1",
        f"log         {folder}/logs/7-",
    ]:
        assert fact in text
    assert "hunter2" not in text
    assert "attempt     1\n" in look("show", folder, 0)


def test_the_command_of_show_repeats_the_run(look, folder: Path, tmp_path: Path):
    shown = json.loads(look("show", folder, 0, "--json"))
    assert 'HF_TOKEN="$HF_TOKEN"' in shown["command"]
    assert shown["last_lines"][:2] == ["step 9 of --lr 1e-3", "throughput=900"]
    again = subprocess.run(["bash", "-c", shown["command"]], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert sorted((again.stdout + again.stderr).splitlines()) == sorted(shown["last_lines"])
    assert shown["attempts"] == [{"attempt": 1, "status": "succeeded"}]
    assert (shown["status"], shown["metrics"]) == ("succeeded", {"throughput": 900.0})


def test_show_takes_an_earlier_attempt_and_an_id(look, folder: Path):
    shown = json.loads(look("show", folder, 7, "--json", "--attempt", 1))
    assert shown["attempt"] == 1
    assert json.loads(look("show", folder, shown["id"][:8], "--json"))["index"] == 7
    with pytest.raises(ArgumentValueError, match="there is no attempt 5 of run 7; it has had 1, 2"):
        look("show", folder, 7, "--attempt", 5)


@pytest.mark.parametrize("wanted", ["99", "abc", "-1", "ffffffffffffffff", "9" * 30, "²"])
def test_an_unknown_run_is_refused_with_those_that_there_are(wanted: str, look, folder: Path):
    with pytest.raises(ArgumentValueError, match=f"no run {wanted}; recorded is 12 indices from 0 to 11"):
        look("show", folder, wanted)


def test_of_two_runs_with_one_index_the_newest_is_shown_and_the_other_named(look, tmp_path: Path):
    for values in (["a", "b"], ["z", "a", "b"]):
        Task("true").arg(None, values).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    shown = json.loads(look("show", tmp_path, 0, "--json"))
    assert shown["params"] == {"arg1": "z"}
    (other,) = shown["others"]
    assert f"there is also {other}" in look("show", tmp_path, 0)
    assert json.loads(look("show", tmp_path, other, "--json"))["params"] == {"arg1": "a"}


@pytest.mark.fault("S17")
def test_what_a_program_printed_does_nothing_to_the_terminal(look, tmp_path: Path):
    task = Task(["printf", r"a\rb\r\n\033[31mred\033[0m\n\033]0;title\007t\a\n"]).arg("--x", ["\x1b[2J\u202e"])
    task.run(journal=tmp_path, ostreams=[], use_tqdm=False)
    texts = [look("show", tmp_path, 0), look("status", tmp_path), look("results", tmp_path, "--columns", "all")]
    assert all(line.isprintable() for text in texts for line in text.splitlines())
    assert "  b\n  red\n  t\n" in texts[0]


# ---- logs


def test_logs_are_the_bytes_as_they_came(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]):
    Task(["printf", r"\377\000a\r\nb"]).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    (path,) = (tmp_path / "logs").iterdir()
    arguments = make_parser(COMMANDS).parse_args(["logs", str(tmp_path), "0"])
    capsysbinary.readouterr()
    assert arguments.main(arguments) == 0
    assert capsysbinary.readouterr().out == path.read_bytes() == b"\xff\0a\r\nb"


def test_logs_are_those_of_the_attempt_that_is_asked_for(look, folder: Path):
    first, last = (look("logs", folder, 4, "--path", *words).strip() for words in (["--attempt", 1], []))
    assert (first[-6:], last[-6:]) == ("-1.log", "-2.log")
    assert look("logs", folder, 4, "-f") == look("logs", folder, 4) == Path(last).read_text()


def test_a_log_that_was_thrown_away_is_told(look, tmp_path: Path):
    Task("echo x").run(journal=tmp_path, ostreams=[], use_tqdm=False)
    shutil.rmtree(tmp_path / "logs")
    with pytest.raises(ArgumentValueError, match="run 0 has no log"):
        look("logs", tmp_path, 0)
    assert "last lines" not in look("show", tmp_path, 0)


# ---- status


def test_status_counts_the_runs(look, folder: Path, tmp_path: Path):
    assert "12 points done: 8 succeeded, 4 failed\nno driver: nothing runs\nlast change 2" in look("status", folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "sweep.json").write_text('{"points": 20}')
    assert "12 of 20 points done" in look("status", copy, "--watch")
    state = json.loads(look("status", copy / "journal.sqlite", "--json"))
    assert (state["points"], state["counts"], state["driver"]) == (20, {"succeeded": 8, "failed": 4}, None)
    (copy / "sweep.json").write_text("[")
    assert json.loads(look("status", copy, "--json"))["points"] is None


def test_a_folder_of_journals_names_them(look, folder: Path, tmp_path: Path):
    with pytest.raises(JournalError, match=r"there is no journal, but these are in its folders:\n  .*/journal"):
        look("status", folder.parent)
    with pytest.raises(JournalError, match="there is no journal; give the folder of one"):
        look("results", tmp_path)


# ---- while a sweep runs


def command(*words: object) -> list[str]:
    """Call a command in a process of its own."""
    return [sys.executable, "-c", LOOK, *map(str, words)]


def environ() -> dict[str, str]:
    here = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": f"{here}:{here.parent}"}


DRIVER = """
import sys
from pathlib import Path
from taskexp import Task

program = '''
echo "begins $TASKEXP_ATTEMPT"
while ! test -e "go-$1-$TASKEXP_ATTEMPT"; do sleep 0.02; done
echo "ends $TASKEXP_ATTEMPT"; test $1-$TASKEXP_ATTEMPT != b-1
'''
task = Task(["sh", "-c", program, "prog"]).arg(None, ["a", "b"])
task.run(journal="journal", ostreams=[], use_tqdm=False, max_workers=2, retries=1)
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A sweep of two runs that wait for files; the second fails once."""
    (tmp_path / "driver.py").write_text(DRIVER)
    with subprocess.Popen(
        [sys.executable, "driver.py"], cwd=tmp_path, env=environ(), stderr=subprocess.DEVNULL
    ) as driver:
        eventually(lambda: len(printed(tmp_path)) == 2, "the sweep does not begin", 30)
        yield driver
        go(tmp_path, "a-1", "b-1", "b-2")
        driver.wait(30)


def printed(folder: Path) -> list[str]:
    """What the runs have printed, as far as it is in their logs."""
    return list(filter(None, (path.read_text() for path in (folder / "journal" / "logs").glob("*"))))


def go(folder: Path, *names: str) -> None:
    for name in names:
        (folder / f"go-{name}").touch()


def test_a_sweep_that_runs_is_seen_from_outside_until_it_ends(look, sweep: "subprocess.Popen[bytes]", tmp_path: Path):
    folder = tmp_path / "journal"
    state = json.loads(look("status", folder, "--json"))
    assert (state["driver"]["pid"], state["counts"]) == (sweep.pid, {})
    assert [(run["index"], run["attempt"], run["params"]) for run in state["running"]] == [
        (0, 1, {"arg1": "a"}),
        (1, 1, {"arg1": "b"}),
    ]
    pid = state["running"][1]["pid"]
    assert b"prog\0b\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert f"driver pid {sweep.pid} on " in look("status", folder)
    shown = json.loads(look("show", folder, 1, "--json"))
    assert (shown["status"], shown["pid"], shown["last_lines"]) == ("running", pid, ["begins 1"])
    assert "status      running\n" in look("show", folder, 1)

    with (
        subprocess.Popen(command("logs", folder, 1, "-f"), stdout=-1, stderr=-1, env=environ()) as follower,
        subprocess.Popen(command("status", folder, "--watch"), stdout=-1, env=environ()) as watcher,
    ):
        assert follower.stdout is not None
        assert watcher.stdout is not None
        assert follower.stdout.readline() == b"begins 1\n"
        assert watcher.stdout.readline() == b"0 points done: 2 running\n"
        go(tmp_path, "b-1", "b-2")
        out, told = follower.communicate(timeout=30)
        assert out == b"ends 1\nbegins 2\nends 2\n"
        assert told.decode().splitlines() == [
            "taskexp: run 1, attempt 1 failed: exit code 1",
            "taskexp: run 1, attempt 2 succeeded",
        ]
        assert b"1 point done: 1 succeeded, 1 running\n" in iter(watcher.stdout.readline, b"")
        go(tmp_path, "a-1")
        assert watcher.communicate(timeout=30)[0].splitlines()[-1] == b"2 points done: 2 succeeded"
    assert (follower.returncode, watcher.returncode) == (0, 0)


@pytest.mark.usefixtures("sweep")
def test_a_watch_on_a_terminal_is_drawn_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", environ()["PYTHONPATH"])
    (tmp_path / "look.py").write_text(LOOK)
    with Terminal(tmp_path / "look.py", "status", "journal", "--watch", columns=60) as terminal:
        terminal.read_row("arg1=b")
        go(tmp_path, "a-1", "b-1", "b-2")
        assert terminal.wait() == 0
        assert [row for row in terminal.rows if "done" in row] == ["2 points done: 2 succeeded"]
        assert "arg1=b" not in terminal.text


def test_what_a_dead_driver_left_is_cut_off_and_not_running(look, sweep: "subprocess.Popen[bytes]", tmp_path: Path):
    folder = tmp_path / "journal"
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    state = json.loads(look("status", folder, "--json"))
    assert (state["driver"], state["counts"], state["running"]) == (None, {"cut_off": 2}, [])
    assert "2 cut off by the end of their driver, they will run again" in look("status", folder, "--watch")
    assert "cut off: its driver died while it ran; it will run again" in look("show", folder, 0)
    assert look("logs", folder, 0, "-f") == "begins 1\n"

    Task("true").run(journal=folder, ostreams=[], use_tqdm=False)  # another sweep: it records that they have no end
    assert json.loads(look("status", folder, "--json"))["counts"] == {"succeeded": 1, "cut_off": 2}
    assert "died while it ran; it will run again" in look("show", folder, 1)
    assert f"(pid {sweep.pid} on " in look("show", folder, 1)


# ---- the table


SHEET = Sheet(
    ["index", "status", "--name", "loss"],
    [[0, "succeeded", "a name of some length", 0.25], [11, "failed", "日本語の名前です", None]],
)


def test_a_table_is_aligned_with_numbers_to_the_right():
    assert write_table(SHEET, None, colour=False).splitlines() == [
        "index  status     --name                 loss",
        "    0  succeeded  a name of some length  0.25",
        "   11  failed     日本語の名前です",
    ]


def test_a_table_fits_every_terminal_and_says_what_it_leaves_out():
    for width in range(1, 60):
        lines = write_table(SHEET, width, colour=False).splitlines()
        assert all(count_cells(line) <= width for line in lines[:3])
        shown = len(lines[0].split())
        note = f"columns not shown: {', '.join(SHEET.columns[shown:])}; --columns shows them"
        assert lines[3:] == ([note] if shown < 4 else [])
        assert (shown == 4) == (width >= 34)
        assert shown < 4 or ("…" in "".join(lines[:3])) == (width < 45)


def test_the_status_alone_is_coloured():
    plain, coloured = (write_table(SHEET, 40, colour=colour) for colour in (False, True))
    assert "\x1b[32msucceeded\x1b[0m" in coloured
    assert "\x1b[31mfailed   \x1b[0m" in coloured
    assert coloured.count("\x1b") == 4
    assert len(plain.splitlines()) == len(coloured.splitlines()) == 3


def test_a_text_is_cut_by_the_width_that_it_has_on_a_terminal():
    assert [shorten("日本語", width) for width in (6, 5, 4, 3, 1, 0)] == ["日本語", "日本…", "日…", "日…", "…", ""]
    assert (count_cells("e\u0301日"), shorten("e\u0301xy", 2)) == (3, "e\u0301…")
    assert printable("a\nb\x1b\udcff") == r"a\nb\x1b\udcff"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(variables: dict[str, str], expected: bool, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    master, slave = os.openpty()
    with open(slave, "w") as terminal, open(master, "rb"), open(os.devnull, "w") as nowhere:
        assert (colours(terminal), colours(nowhere)) == (expected, False)


def test_a_glance_does_not_change_the_journal(folder: Path):
    before = sorted((each.name, each.stat().st_mtime_ns) for each in folder.iterdir() if "-" not in each.name)
    read_glance(folder)
    assert sorted((each.name, each.stat().st_mtime_ns) for each in folder.iterdir() if "-" not in each.name) == before
