"""The command line: sweeps in one quoted line or in a file, what is said of them, and how the program ends."""

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import alive, eventually

from taskexp import open_results
from taskexp.cli.main import main
from taskexp.cli.parser import COMMANDS

PYTHON = sys.executable


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Answer:
        capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as end:
            code = end.code
        return Answer(code, *capsys.readouterr())

    return run


def start(*words: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    """Start the real program, as somebody who types it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([PYTHON, "-m", "taskexp", *words], cwd=folder, **{**pipes, **options})  # type: ignore[call-overload]


def journal(folder: Path) -> Path:
    (found,) = [path for path in (folder / ".taskexp").iterdir() if path.is_dir()]
    return found


def argvs(folder: Path) -> list[list[str]]:
    return [row.argv for row in open_results(folder)]


# ---- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    answer = cli(command, "--help")
    assert answer.code == 0
    assert f"taskexp {command} " in answer.out.partition("example:\n")[2]
    assert COMMANDS[command].capitalize() in answer.out


def test_help_lists_the_commands(cli: Cli) -> None:
    answer = cli("--help")
    assert answer.code == 0
    assert all(re.search(rf"^ +{command}\b", answer.out, re.MULTILINE) for command in COMMANDS)


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version").out == "taskexp 0.1.0\n"


@pytest.mark.parametrize("words", [[], ["fly"], ["run"], ["run", "--no-such", "true"], ["run", "true", "false"]])
def test_wrong_use_exits_with_2_and_says_so_on_stderr(cli: Cli, words: list[str]) -> None:
    answer = cli(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert "error:" in answer.err


def test_an_unquoted_command_is_told_to_be_quoted(cli: Cli) -> None:
    assert "quote" in cli("run", "echo", "a", "b").err


def test_the_answer_to_help_loads_no_more_than_it_needs() -> None:
    listing = (
        "import sys\nfrom taskexp.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([PYTHON, "-c", listing], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "taskexp.cli.parser" in loaded
    assert loaded & {"asyncio", "sqlite3", "tqdm", "anyio", "dataclasses", "taskexp.task", "taskexp.names"} == set()


def test_completion_is_made_for_every_shell(cli: Cli) -> None:
    for shell in ("bash", "zsh", "tcsh"):
        answer = cli("completion", shell)
        assert answer.code == 0
        assert all(command in answer.out for command in COMMANDS)


def test_bash_completes_commands_and_options(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(cli("completion", "bash").out)
    script = """
source completion
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_taskexp; echo "${COMPREPLY[@]}"; }
complete_line taskexp re
complete_line taskexp run --idle
"""
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["resume rerun results report recipe", "--idle-timeout"]


# ---- plan


def test_plan_counts_and_shows_both_ends_and_runs_nothing(cli: Cli, tmp_path: Path) -> None:
    answer = cli("plan", "touch {a,b}-{1..5}")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("10 runs")
    assert [line.strip() for line in lines[1:4]] == ["touch a-1", "touch a-2", "touch a-3"]
    assert lines[4].strip() == "..."
    assert lines[-1].strip() == "touch b-5"
    assert list(tmp_path.iterdir()) == []


def test_plan_as_json_has_count_first_and_last(cli: Cli) -> None:
    told = json.loads(cli("plan", "--json", "train --lr {1e-3,1e-4} --seed {1..5} {--amp,}").out)
    assert told["count"] == 20
    assert told["first"] == "train --lr 1e-3 --seed 1 --amp"
    assert told["last"] == "train --lr 1e-4 --seed 5"


def test_a_plan_of_a_trillion_points_takes_no_time(cli: Cli) -> None:
    told = json.loads(cli("plan", "--json", "--order", "shuffle", "x {1..1000000} {1..1000000}").out)
    assert told["count"] == 10**12


def test_a_plan_knows_shards_and_starts(cli: Cli) -> None:
    parts = [json.loads(cli("plan", "--json", "--shard", f"{k}/3", "x {1..10}").out) for k in (1, 2, 3)]
    assert [part["count"] for part in parts] == [4, 3, 3]
    assert [part["first"] for part in parts] == ["x 1", "x 2", "x 3"]
    assert json.loads(cli("plan", "--json", "--start", "8", "x {1..10}").out)["first"] == "x 9"


def test_a_plan_asks_for_no_gpus(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cli("plan", "--gpus", "auto", "true {1,2}").code == 0
    assert cli("run", "--gpus", "auto", "true {1,2}").code == 2


def test_a_dry_run_writes_every_command_and_runs_none(cli: Cli, tmp_path: Path) -> None:
    answer = cli("run", "--dry-run", "--env", "N=1,2", "touch {a,'b c'}")
    assert answer.code == 0
    assert answer.out.splitlines() == ["N=1 touch a", "N=2 touch a", "N=1 touch 'b c'", "N=2 touch 'b c'"]
    assert list(tmp_path.iterdir()) == []


# ---- run


def test_a_sweep_in_one_line_runs_every_point_and_records_it(cli: Cli, tmp_path: Path) -> None:
    answer = cli("run", "-j", "2", "echo {a,b} --n {1..3} {--amp,}")
    assert answer.code == 0
    assert len(argvs(journal(tmp_path))) == 12
    assert argvs(journal(tmp_path))[:2] == [["echo", "a", "--n", "1", "--amp"], ["echo", "a", "--n", "1"]]


def test_json_in_a_command_survives(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", """echo '{"a": 1, "b": [2, 3]}' {x,y} {single}""").code == 0
    document = '{"a": 1, "b": [2, 3]}'
    assert argvs(journal(tmp_path)) == [["echo", document, "x", "{single}"], ["echo", document, "y", "{single}"]]


@pytest.mark.fault("U03")
def test_no_shell_runs_the_command_unless_asked_for(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", "--dir", "plain", "echo '$HOME; touch made'").code == 0
    assert not (tmp_path / "made").exists()
    assert cli("run", "--dir", "shell", "--shell", "echo {1,2} | tr 12 ab > out-{x,y}").code == 0
    assert sorted(path.name for path in tmp_path.glob("out-*")) == ["out-x", "out-y"]
    refused = cli("run", "--dir", "none", "echo a | cat")
    assert refused.code == 2
    assert "--shell" in refused.err


def test_the_same_command_goes_on_where_it_was_and_says_so_in_one_line(cli: Cli, tmp_path: Path) -> None:
    line = "sh -c 'echo x >> log; test -e fixed || test $0 != 2' {1..3}"
    first = cli("run", line)
    assert first.code == 1
    assert "recording in .taskexp/" in first.err
    (tmp_path / "fixed").touch()
    second = cli("run", line)
    assert second.code == 0
    (notice,) = [row for row in second.err.splitlines() if "going on in .taskexp/" in row]
    assert "2 runs succeeded there before" in notice
    assert "--rerun all" in notice
    assert (tmp_path / "log").read_text().count("x") == 4
    assert cli("run", "--rerun", "all", line).code == 0
    assert (tmp_path / "log").read_text().count("x") == 7


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("true", "true"),
        ("/bin/echo {a,b} c", "echo"),
        ("python3 ./sub/train.py --lr {1,2}", "python3-train.py"),
        ("{echo,printf} x", "sweep"),
        ("sh -c 'echo {1,2}'", "sh"),
    ],
)
def test_a_journal_is_called_after_the_program(cli: Cli, command: str, name: str) -> None:
    folder = json.loads(cli("plan", "--json", command).out)["folder"]
    assert re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}", Path(folder).name)


def test_another_command_has_another_journal(cli: Cli, tmp_path: Path) -> None:
    for line in ("true {1,2}", "true {1,3}", "false {1,2}"):
        cli("run", line)
    assert len([path for path in (tmp_path / ".taskexp").iterdir() if path.is_dir()]) == 3


def test_the_journals_are_kept_out_of_git(cli: Cli, tmp_path: Path) -> None:
    cli("run", "true")
    assert (tmp_path / ".taskexp" / ".gitignore").read_text() == "*\n"


def test_a_failure_is_told_with_its_last_lines_and_makes_the_exit_code_1(cli: Cli) -> None:
    answer = cli("run", "sh -c 'echo one; echo \"two $0\" >&2; exit $0' {0,3}")
    assert answer.code == 1
    assert "index 1: failed: exit code 3 after" in answer.err
    assert "    one\n    two 3\n" in answer.err
    assert "two 0" not in answer.err


def test_a_failure_is_told_once(cli: Cli) -> None:
    missing = cli("run", "no-such-program-anywhere {1,2}").err.partition("taskexp: 2 of 2 runs failed")[0]
    assert missing.count("could not start") == 2
    slow = cli("run", "--timeout", "0.2", "--grace", "0", "sleep 60").err.partition("taskexp: 1 of 1 runs failed")[0]
    assert slow.count("longer than its timeout") == 1
    shown = cli("run", "-v", "sh -c 'echo the output; exit 1'")
    assert (shown.out + shown.err).count("the output") == 1 + shown.err.count("sh -c")


def test_a_failure_with_endless_lines_is_told_in_few_words(cli: Cli) -> None:
    answer = cli("run", f"{PYTHON} -c 'print(\"x\" * 60000); exit(1)'")
    assert len(answer.err) < 3000
    assert "xxx…" in answer.err


def test_a_sweep_file_may_have_blanks_in_its_name(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my sweep.toml").write_text("command = 'true {1,2}'")
    assert json.loads(cli("plan", "--json", "my sweep.toml").out)["count"] == 2


def test_a_journal_is_found_again_in_another_locale(tmp_path: Path) -> None:
    folders = set()
    for locale in ("C.UTF-8", "C"):
        environ = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        command = [PYTHON, "-m", "taskexp", "plan", "--json", "echo é {1,2}"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=True)
        folders.add(json.loads(done.stdout)["folder"])
    assert len(folders) == 1


@pytest.mark.fault("S17")
def test_what_a_failed_program_printed_cannot_move_the_cursor(cli: Cli) -> None:
    answer = cli("run", "--shell", r"printf '10%%\r20%%\n\033[2Jgone\033]0;title\007\n'; exit 1")
    assert "    20%\n    gone\n" in answer.err
    assert "\x1b" not in answer.err


def test_off_a_terminal_every_run_is_a_plain_line(cli: Cli) -> None:
    answer = cli("run", "true {a,b}")
    assert "[1/2] index 0: succeeded after 0.0s: a" in answer.err
    assert "[2/2] index 1: succeeded" in answer.err
    assert "\r" not in answer.err


def test_at_the_end_there_is_a_table_of_the_results(cli: Cli) -> None:
    answer = cli("run", "--metric", r"loss=loss=([\d.]+)", "sh -c 'echo loss=0.$0' {7,8}")
    header, *rows = answer.out.splitlines()
    assert header.split() == ["index", "status", "arg1", "loss", "duration"]
    assert [row.split()[:4] for row in rows] == [["0", "succeeded", "7", "0.7"], ["1", "succeeded", "8", "0.8"]]


def test_the_table_of_a_very_long_sweep_is_left_to_results(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskexp.cli.conduct.MOST_ROWS", 3)
    assert len(cli("run", "true {1..3}").out.splitlines()) == 4
    answer = cli("run", "true {1..4}")
    assert answer.out == ""
    assert "taskexp results .taskexp/true-" in answer.err


def test_as_json_stdout_is_one_object(cli: Cli) -> None:
    told = json.loads(cli("run", "--json", "sh -c 'echo noise; exit $0' {0,0,3}").out)
    assert told["counts"] == {"succeeded": 2, "failed": 1}
    assert [row["returncode"] for row in told["results"]] == [0, 0, 3]
    assert Path(told["folder"]).is_dir()


def test_verbose_writes_the_output_and_quiet_nothing(cli: Cli) -> None:
    assert "hello 1\nhello 2\n" in cli("run", "-v", "echo hello {1,2}").out
    quiet = cli("run", "-q", "echo hello {3,4}")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_variables_repeats_samples_and_orders(cli: Cli, tmp_path: Path) -> None:
    words = ["--env", "A=1,2", "--env", "B=x", "--repeat", "3", "--order", "interleave", "--sample", "4"]
    assert cli("run", *words, "env {--,-0}").code == 2  # the samples of a command line are drawn of all its loops
    assert cli("run", *words[:-2], "sh -c 'echo $A$B'").code == 0
    rows = list(open_results(journal(tmp_path)))
    assert [(row.env["A"], row.env["B"], row.repeat) for row in rows] == [
        (a, "x", repeat) for a in "12" for repeat in range(3)
    ]


def test_a_comma_in_the_value_of_a_variable_is_escaped(cli: Cli) -> None:
    assert cli("run", "--dry-run", "--env", r"A=1\,2,3", "true").out == "A=1,2 true\nA=3 true\n"


def test_slots_and_gpus_give_every_run_a_device(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", "--slots", "PORT=81,82", "--gpus", "4,7", "true {1..4}").code == 0
    devices = {(row.devices["PORT"], row.devices["CUDA_VISIBLE_DEVICES"]) for row in open_results(journal(tmp_path))}
    assert devices == {("81", "4"), ("82", "7")}


def test_gpus_that_are_not_there_are_wrong_use(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    answer = cli("run", "--gpus", "auto", "true")
    assert answer.code == 2
    assert "GPU" in answer.err


def test_timeouts_retries_and_halts_are_those_of_the_loop(cli: Cli) -> None:
    assert cli("run", "--timeout", "0.2", "--grace", "0", "--dir", "t", "sleep {60,61}").code == 1
    assert {str(row.status) for row in open_results("t")} == {"timed_out"}
    assert cli("run", "--retries", "1", "--retry-on", "3", "--dir", "r", "sh -c 'exit $0' {3,4}").code == 1
    assert [row.attempt for row in open_results("r")] == [2, 1]
    assert cli("run", "--halt", "now,success=1", "--dir", "h", "true {1..50}").code == 0
    assert len(open_results("h")) == 1


def test_stdin_cwd_and_secrets(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("from a file")
    (tmp_path / "sub").mkdir()
    words = ["--stdin", str(tmp_path / "in.txt"), "--cwd", "sub", "--env", "MY_TOKEN=hunter22", "-v"]
    answer = cli("run", *words, "sh -c 'cat; pwd; echo; echo $MY_TOKEN > token'")
    assert f"from a file{tmp_path / 'sub'}" in answer.out
    assert (tmp_path / "sub" / "token").read_text() == "hunter22\n"
    kept = [path for path in (tmp_path / ".taskexp").rglob("*") if path.is_file() and b"hunter22" in path.read_bytes()]
    assert kept == []


# ---- mistakes


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "-j", "0", "true"], "max_workers=0"),
        (["run", "-j", "x", "true"], "-j/--max-workers/--jobs"),
        (["run", "--timeout", "soon", "true"], "--timeout"),
        (["run", "--timeout", "-1", "true"], "timeout=-1"),
        (["run", "--retries", "-1", "true"], "retries"),
        (["run", "--halt", "later", "true"], "halt"),
        (["run", "--env", "A", "true"], "NAME=A,B"),
        (["run", "--env", "TASKEXP_INDEX=1", "true"], "TASKEXP_INDEX"),
        (["run", "--metric", "loss", "true"], "NAME=REGEX"),
        (["run", "--metric", "loss=loss", "true"], "no group"),
        (["run", "--order", "random", "true"], "shuffle"),
        (["run", "--shard", "0/4", "true"], "1 to N"),
        (["run", "--shard", "half", "true"], "K/N"),
        (["run", "--repeat", "0", "true"], "repeat(0)"),
        (["run", "--sample", "3", "true {1,2}"], "sample(3)"),
        (["run", "--rerun", "broken", "true"], "broken"),
        (["run", "--slots", "A=1,2", "--gpus", "0", "true"], "slots"),
        (["run", "--env", "A=1", "--env", "A=2", "true"], "--env A is given twice"),
        (["run", "--metric", "a=(x)", "--metric", "a=(y)", "true"], "--metric a is given twice"),
        (["run", "--gpus", "0,1", "--slots", "CUDA_VISIBLE_DEVICES=4", "true"], "say it once"),
        (["run", "--gpus", "0,,1", "true"], "names no GPUs"),
        (["run", "--dir", "", "true"], "dir is empty"),
        (["run", "--dry-run", "--json", "true"], "taskexp plan --json"),
        (["run", "--dry-run", "--timeout", "-1", "true"], "timeout=-1"),
        (["plan", "-j", "0", "true"], "max_workers=0"),
        (["plan", "--rerun", "broken", "true"], "broken"),
        (["run", ""], "empty"),
        (["run", "echo 'a"], "closed"),
        (["run", "no-such.toml"], "no-such.toml"),
        (["resume", "nowhere"], "nowhere"),
        (["rerun", "nowhere"], "--failed"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(cli: Cli, tmp_path: Path, words: list[str], told: str) -> None:
    answer = cli(*words)
    assert answer.code == 2
    assert told in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there_is_a_failure_of_the_run(cli: Cli) -> None:
    answer = cli("run", "no-such-program-anywhere {1,2}")
    assert answer.code == 1
    assert "not_started" in answer.err


def test_a_journal_in_use_is_wrong_use_and_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    line = "sh -c 'touch begun; while [ ! -e go ]; do sleep 0.05; done'"
    with start("run", "--dir", "j", line, folder=tmp_path) as process:
        eventually((tmp_path / "begun").exists, "the run has not begun", 30)
        answer = cli("run", "--dir", "j", line)
        (tmp_path / "go").touch()
        process.communicate(timeout=30)
    assert answer.code == 2
    assert f"pid {process.pid}" in answer.err
    assert process.returncode == 0


# ---- sweep files

WHOLE = """
command = "sh -c 'echo $A $B $0 $@ loss=0.5' {p,q}"
switches = ["--amp"]
repeat = {n = 2, key = "--seed"}
live = true
max_workers = 2

[fixed]
"--mode" = "fast"

[args]
"--n" = [1, 2]

[env]
A = ["x", "y"]
B = "b"

[[zip]]
"--model" = ["7b", "70b"]
"--tp" = [1, 4]
env = {PORT = [8007, 8070]}

[metrics]
loss = 'loss=([\\d.]+)'
least = {pattern = 'loss=([\\d.]+)', take = "min"}

[options]
timeout = 60
retries = 1
"""


def test_a_sweep_file_says_the_same_as_the_calls(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(WHOLE)
    told = json.loads(cli("plan", "--json", "sweep.toml").out)
    assert told["count"] == 2**6
    answer = cli("run", "-q", "sweep.toml")
    assert (answer.code, answer.err) == (0, "")
    assert journal(tmp_path).name.startswith("sweep-")
    rows = list(open_results(journal(tmp_path)))
    assert len(rows) == told["count"]
    params = rows[0].params
    assert (params["--mode"], params["--n"], params["A"], params["B"], params["--tp"]) == ("fast", 1, "x", "b", 1)
    assert rows[0].env["PORT"] == "8007"
    assert {row.metrics["least"] for row in rows} == {0.5}


def test_options_of_the_command_line_count_more_than_those_of_the_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text("command = 'true {1..4}'\norder = 'shuffle'\n[env]\nA = '1'\n")
    words = ["--order", "loop", "--env", "A=2", "--env", "B=3"]
    assert json.loads(cli("plan", "--json", *words, "sweep.toml").out)["first"] == "A=2 B=3 true 1"


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'command' is missing"),
        ("command = 3", "'command' is a text"),
        ("comand = 'true'", "did you mean 'command'"),
        ("command = 'true'\nswitches = '--amp'", "'switches' is a list"),
        ("command = 'true'\nswitches = [3]", "switch"),
        ("command = 'true'\nshell = 1", "'shell' is true or false"),
        ("command = 'true'\ntimeout = 'long'", "'timeout' is a whole number or a number"),
        ("command = 'true'\ntimeout = true", "'timeout'"),
        ("command = 'true'\ntimeout = 1\n[options]\ntimeout = 2", "say it once"),
        ("command = 'true'\njobs = 1\nmax_workers = 2", "say one of them"),
        ("command = 'true'\n[options]\ncolour = 'red'", "[options]: 'colour'"),
        ("command = 'true'\n[args]\n'--n' = 3", "arg('--n')"),
        ("command = 'true'\n[args]\n'--n' = []", "arg('--n')"),
        ("command = 'true'\n[args]\n'--n' = [1979-05-27]", "arg('--n')"),
        ("command = 'true'\n[env]\n'A=' = '1'", "'A='"),
        ("command = 'true'\n[[zip]]\n'--a' = [1]\n'--b' = [1, 2]", "zip"),
        ("command = 'true'\nzip = [3]", "zip"),
        ("command = 'true'\n[metrics]\nloss = '('", "metric('loss')"),
        ("command = 'true'\n[metrics]\nloss = {pattern = '(x)', tale = 'min'}", "'tale' is not known"),
        ("command = 'true'\nrepeat = 0", "repeat(0)"),
        ("command = 'true'\nrepeat = {times = 3}", "'times' is not known"),
        ("command = 'true'\nmax_workers = 0", "max_workers=0"),
        ("command = 'true'\nretry_on = [1.5]", "retry_on"),
        ("command = 'true'\nshard = '5/4'", "shard='5/4'"),
        ("command = ", "this is no TOML"),
        ("command = 'true'\nslots = {A = 3}", "slots: 'A' is a list"),
        ("command = 'true'\nslots = {A = {x = 1}}", "slots: 'A'"),
        ("command = 'true'\n[options.slots]\nA = [[1]]", "slots: 'A'"),
        ("command = 'true'\ngpus = [0, {a = 1}]", "gpus"),
        ("command = 'true'\n[args.sub]\n'--a' = [1]", "args: 'sub'"),
        ("command = 'true'\n[fixed.sub]\n'--a' = 1", "fixed: 'sub'"),
        ("command = 'true'\n[env]\nA = {a = 1}", "env: 'A'"),
        ("command = 'true'\n[[zip]]\nenv = [1]", "zip: 'env'"),
        ("command = 'true'\nsample = {seed = 3}", "sample: 'n' is missing"),
        ("command = 'true'\nrepeat = {key = '--seed'}", "repeat: 'n' is missing"),
        ("command = 'true'\n[metrics]\nloss = {take = 'min'}", "'pattern' is missing"),
        ("command = 'true'\ndir = ''", "dir is empty"),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_key(cli: Cli, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "sweep.toml").write_text(text)
    answer = cli("run", "sweep.toml")
    assert answer.code == 2
    assert answer.err.count("sweep.toml: ") == 1
    assert told in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]


# ---- resume and rerun


def test_the_record_of_the_command_is_that_of_the_driver_that_has_the_journal(cli: Cli, tmp_path: Path) -> None:
    line = "sh -c 'touch begun; while [ ! -e go ]; do sleep 0.05; done'"
    with start("run", "--dir", "j", "--timeout", "77", line, folder=tmp_path) as process:
        eventually((tmp_path / "begun").exists, "the run has not begun", 30)
        before = (tmp_path / "j" / "sweep.json").read_text()
        refused = cli("run", "--dir", "j", "--timeout", "88", line)
        after = (tmp_path / "j" / "sweep.json").read_text()
        (tmp_path / "go").touch()
        process.communicate(timeout=30)
    assert refused.code == 2
    assert refused.out == ""
    assert before == after
    assert json.loads(after)["table"]["options"] == {"timeout": 77}


def test_only_the_sweeps_own_runs_are_counted_and_shown(cli: Cli) -> None:
    assert cli("run", "--env", "A=1,2", "sh -c 'exit $A'").code == 1
    other = cli("run", "--json", "--env", "A=0", "sh -c 'exit $A'")
    assert other.code == 0
    assert [row["A"] for row in json.loads(other.out)["results"]] == ["0"]
    assert "recording in" in other.err
    part = cli("run", "--shard", "1/2", "--env", "A=0,3", "sh -c 'exit $A'")
    assert part.code == 0
    assert "1 run succeeded there before" in part.err


def test_resume_needs_nothing_but_the_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "sh -c 'pwd >> log; test $0 != 2 || test -e fixed' {1..3}"
    assert cli("run", "--dir", "j", "--env", "A=1", line).code == 1
    (tmp_path / "fixed").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli("resume", "../j").code == 0
    assert (tmp_path / "log").read_text() == f"{tmp_path}\n" * 4
    assert [row.env for row in open_results(tmp_path / "j")] == [{"A": "1"}] * 3


@pytest.mark.fault("U04")
def test_what_a_folder_would_run_can_be_looked_at_first(cli: Cli, tmp_path: Path) -> None:
    cli("run", "--dir", "j", "--shell", "echo {a,b} >> 'log'")
    written = json.loads((tmp_path / "j" / "sweep.json").read_text())
    (tmp_path / "j" / "sweep.json").write_text(json.dumps({**written, "cwd": "/it's \x1b[2J"}))
    answer = cli("resume", "j", "--dry-run")
    first, *commands = answer.out.splitlines()
    assert (answer.code, first) == (0, r"cd $'/it\'s \033[2J'")
    assert [shlex.split(command)[-1] for command in commands] == ["echo a >> 'log'", "echo b >> 'log'"]
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_resume_takes_the_options_of_the_sweep_unless_others_are_given(cli: Cli) -> None:
    assert cli("run", "--dir", "j", "--timeout", "0.2", "--grace", "0", "sleep 60").code == 1
    assert cli("resume", "j").code == 1
    assert [str(row.status) for row in open_results("j", attempts=True)] == ["timed_out"] * 2


def test_rerun_runs_what_failed_or_all_of_it(cli: Cli, tmp_path: Path) -> None:
    line = "sh -c 'echo $0 >> log; exit $0' {0,3}"
    assert cli("run", "--dir", "j", line).code == 1
    assert cli("rerun", "j", "--failed").code == 1
    assert (tmp_path / "log").read_text() == "0\n3\n3\n"
    assert cli("rerun", "j", "--all").code == 1
    assert (tmp_path / "log").read_text() == "0\n3\n3\n0\n3\n"
    kept = cli("rerun", "j", "--rerun", "timed_out")  # the failure that is kept is a failure of the sweep
    assert kept.code == 1
    assert "nothing was left to run" in kept.err
    assert cli("rerun", "j", "--failed", "--all").code == 2


def test_a_secret_is_asked_for_again(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run", "--dir", "j", "--env", "MY_TOKEN=hunter22", "sh -c 'test -e fixed && echo $MY_TOKEN > token'")
    (tmp_path / "fixed").touch()
    refused = cli("resume", "j")
    assert refused.code == 2
    assert "MY_TOKEN" in refused.err
    monkeypatch.setenv("MY_TOKEN", "hunter23")
    assert cli("resume", "j").code == 0
    assert (tmp_path / "token").read_text() == "hunter23\n"


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.fault("J18")
@pytest.mark.parametrize(
    "words",
    [
        ["--env", "MY_TOKEN=hunter22", "true {1,2}"],
        ["--env", "MY_TOKEN=hunter22,hunter22b", "true"],
        ["--env", "PHRASE=hunter22", "--secret-env", "PHRASE", "true"],
        ["--slots", "MY_TOKEN=hunter22,hunter22b", "true {1,2}"],
        ["--env", "MY_TOKEN=hunter22", "sh -c 'true hunter22'"],
    ],
)
def test_no_file_of_the_journal_holds_a_secret(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["taskexp", "run", "--dir", "j", *words])  # the journal has these arguments, too
    assert cli(*sys.argv[1:]).code == 0
    with closing(sqlite3.connect(tmp_path / "j" / "journal.sqlite")) as connection:
        ((arguments,),) = connection.execute("SELECT arguments FROM driver")
    assert json.loads(arguments)[:3] == ["run", "--dir", "j"]
    assert files_with(tmp_path / "j", "hunter22") == []


def test_a_secret_of_a_zip_in_a_file_is_not_written(cli: Cli, tmp_path: Path) -> None:
    text = "command = 'true'\n[[zip]]\nenv = {DB_PASSWORD = ['hunter22', 'hunter33'], N = ['1', '2']}\n"
    (tmp_path / "sweep.toml").write_text(text)
    assert cli("run", "--dir", "j", "sweep.toml").code == 0
    assert files_with(tmp_path / "j", "hunter22") == []


@pytest.mark.parametrize(
    "words", [["--env", "MY_TOKEN=hunter22,hunter33", "false"], ["--env", "MY_TOKEN=hunter22", "false hunter22"]]
)
def test_a_sweep_whose_secrets_cannot_be_had_again_is_not_resumed_as_another(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    assert cli("run", "--dir", "j", *words).code == 1
    monkeypatch.setenv("MY_TOKEN", "hunter22")
    answer = cli("resume", "j")
    assert answer.code == 2
    assert "give the command again" in answer.err
    assert cli("run", "--dir", "j", *words).code == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9, "taskexp": "9.9"}', '"x"'])
def test_a_damaged_record_of_the_command_is_told(cli: Cli, tmp_path: Path, text: str) -> None:
    cli("run", "--dir", "j", "true")
    (tmp_path / "j" / "sweep.json").write_text(text)
    answer = cli("resume", "j")
    assert answer.code == 2
    assert "sweep.json" in answer.err


def test_the_journal_of_a_script_is_not_resumed(cli: Cli, tmp_path: Path) -> None:
    from taskexp import Task

    Task("true").run(journal=tmp_path / "j", use_tqdm=False)
    answer = cli("resume", "j")
    assert answer.code == 2
    assert "script" in answer.err


# ---- the end of the program


def test_ctrl_c_exits_with_130_and_the_same_command_goes_on(cli: Cli, tmp_path: Path) -> None:
    marker = f"marker-{os.getpid()}-{tmp_path.name}"
    line = f"sh -c 'echo $0 >> log; test $0 = a || test -e go || exec sleep 1000' {{a,b}} {marker}"
    with start("run", "--dir", "j", line, folder=tmp_path, start_new_session=True) as process:
        log = tmp_path / "log"
        eventually(lambda: log.exists() and log.read_text() == "a\nb\n", "b has not begun", 30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "start again to go on" in err
    assert "Traceback" not in err
    assert alive(marker) == []
    (tmp_path / "go").touch()
    assert cli("run", "--dir", "j", line).code == 0
    assert (tmp_path / "log").read_text() == "a\nb\nb\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_sweep_that_was_killed_goes_on(cli: Cli, tmp_path: Path, number: int, code: int) -> None:
    line = "sh -c 'echo $0 >> log; test $0 = a || test -e go || exec sleep 1000' {a,b}"
    with start("run", "--dir", "j", line, folder=tmp_path) as process:
        log = tmp_path / "log"
        eventually(lambda: log.exists() and log.read_text() == "a\nb\n", "b has not begun", 30)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == code
    (tmp_path / "go").touch()
    assert cli("resume", "j").code == 0
    assert (tmp_path / "log").read_text() == "a\nb\nb\n"


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        ("2>&1 | true", 1),
        ("| true", 1),
        ("2>/dev/full", 1),
        (">/dev/full", 1),
        (">&-", 1),
        ("2>&-", 1),
        ("<&- >&- 2>&-", 1),
        ("--json >&-", 1),
        ("-v >&-", 1),
    ],
)
def test_streams_that_take_nothing_neither_stop_the_runs_nor_change_the_exit_code(
    tmp_path: Path, redirection: str, code: int
) -> None:
    command = f"{PYTHON} -m taskexp run --dir j 'sh -c \"echo x >> ran; exit $0\" {{0,1}}' {redirection}"
    script = f"set -o pipefail; {command}; echo ${{PIPESTATUS[0]}} >code"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (tmp_path / "code").read_text() == f"{code}\n"
    assert (tmp_path / "ran").read_text() == "x\nx\n"
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr


def test_results_that_cannot_be_written_are_a_failure_that_is_told(tmp_path: Path) -> None:
    command = f"{PYTHON} -m taskexp run --dir j 'true {{0,1}}' >/dev/full"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "the results cannot be written" in done.stderr
    assert len(open_results(tmp_path / "j")) == 2


@pytest.mark.parametrize("command", ["plan 'true {1,2}'", "results j", "show j 0", "logs j 0", "status j"])
def test_a_closed_stdout_is_no_traceback(cli: Cli, tmp_path: Path, command: str) -> None:
    cli("run", "--dir", "j", "true")
    script = f"{PYTHON} -m taskexp {command} >&-"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_seen_enough_ends_the_program_in_silence(tmp_path: Path) -> None:
    command = f"set -o pipefail; {PYTHON} -m taskexp run --dry-run 'echo {{1..1000000000}}' | head -2"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "echo 1\necho 2\n"
    assert done.stderr == ""
