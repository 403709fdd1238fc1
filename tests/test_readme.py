"""README: every Python block runs, and the tests are run by the command that it names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTIONS = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
BLOCKS = {section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL) for section in SECTIONS[1:]}
TELLING = {"Slots: one device per run", "Retries, and when to give up", "The journal: go on where it was"}
"""Sections whose examples have something to tell on stderr: elsewhere it would be a run that failed."""


@pytest.mark.parametrize("section", [section for section, blocks in BLOCKS.items() if blocks])
def test_blocks_of_a_section_run_one_after_the_other(section: str, tmp_path: Path) -> None:
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
