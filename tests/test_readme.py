"""README: every Python block runs, and the tests are run by the command that it names."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTIONS = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
BLOCKS = {section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL) for section in SECTIONS[1:]}
REPORT = "The report"
"""A section whose commands look at what its blocks have made."""

TELLING = {"Slots: one device per run", "Retries, and when to give up", "The journal: go on where it was"}
"""Sections whose examples have something to tell on stderr: elsewhere it would be a run that failed."""


@pytest.mark.parametrize("section", [section for section, blocks in BLOCKS.items() if blocks and section != REPORT])
def test_blocks_of_a_section_run_one_after_the_other(section: str, tmp_path: Path) -> None:
    run_blocks(section, tmp_path)


def run_blocks(section: str, tmp_path: Path) -> None:
    program = tmp_path / "vllm" / "benchmarks" / "benchmark_throughput.py"
    program.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "programs" / "benchmark_throughput.py", program)
    script = tmp_path / "section.py"
    script.write_text("\n".join(BLOCKS[section]))
    environ = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}  # `python` is this one
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False, env=environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("taskexp: " in done.stderr) == (section in TELLING), done.stderr


def test_the_blocks_of_the_report_run_and_its_commands_do_what_they_say(tmp_path: Path) -> None:
    run_blocks(REPORT, tmp_path)
    (section,) = (section for section in SECTIONS if section.startswith(f"{REPORT}\n"))
    (tmp_path / "report.html").unlink()
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    report, compare, serve = ([sys.executable, "-m", *shlex.split(line)] for line in commands.splitlines())
    done = subprocess.run(report, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "report.html: 12 runs, 4.9 MB" in done.stderr
    done = subprocess.run(compare, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "arg1" in done.stdout
    assert re.search(r"ratio over all: 1\.[12]", done.stdout)
    with subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130


def test_every_public_name_of_the_builder_is_described() -> None:
    from taskexp import Task

    text = (ROOT / "README.md").read_text()
    public = [name for name in vars(Task) if not name.startswith("_")]
    assert [name for name in public if name not in text] == []


def test_ci_takes_its_test_command_from_here() -> None:
    commands = re.findall(r"```bash\n(.*?)```", SECTIONS[0], re.DOTALL)
    assert len(commands) == 2
    assert "pytest" in commands[1]
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_sweep_file_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "sweep.toml").write_text(text)
    command = [sys.executable, "-m", "taskexp", "plan", "--json", "sweep.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["count"] == 2 * 2 * 3 * 2 * 2 * 2
    assert json.loads(done.stdout)["first"].startswith("OMP_NUM_THREADS=1 python train.py --data small --amp --seed 0")


def test_every_command_and_option_of_the_command_line_is_described() -> None:
    from taskexp.cli.parser import COMMANDS, make_parser

    text = (ROOT / "README.md").read_text()
    assert [command for command in COMMANDS if f"taskexp {command} " not in text] == []
    run = make_parser(["run"])._subparsers._group_actions[0].choices["run"]
    options = {option for action in run._actions for option in action.option_strings if option.startswith("--")}
    told = {"--help", "--jobs", "--max-workers", "--verbose", "--quiet", "--retry-on", "--rerun"}
    assert [option for option in sorted(options - told) if f"`{option}" not in text] == []
