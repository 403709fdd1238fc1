"""A disk that is full: nothing more starts, what runs comes to its end, the sweep says why, what was recorded stays."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import run_script

from taskexp import Task, open_results

SCRIPT = """
import json, sys
from taskexp import JournalError, Task
folder, bytes_each, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
task = Task(["sh", "-c", 'echo $1 >> ran; head -c $2 /dev/zero | tr "\\\\0" x', "sh"]).arg(None, range(40))
task.fixed(None, bytes_each)
told = {"results": []}
try:
    if way == "run":
        task.run(use_tqdm=False, ostreams=[], max_workers=4, journal=folder)
    else:
        for exe in task.executable_loop(use_tqdm=False, journal=folder):
            told["results"].append(str(exe.execute(ostreams=[]).status))
except JournalError as error:
    told["error"] = str(error)
print(json.dumps(told))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here; the test with a limit of the file size stands for this")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.fault("J08", "O02")
@pytest.mark.parametrize("way", ["run", "one at a time"])
@pytest.mark.parametrize("bytes_each", [20_000, 0])
def test_on_a_full_disk_the_sweep_ends_with_an_error_and_goes_on_when_there_is_room(
    way: str, bytes_each: int, small_disk: Path, tmp_path: Path
):
    folder = small_disk / "journal"
    if not bytes_each:  # the logs are empty: it is the journal itself that has no room
        folder.mkdir(mode=0o700)
        filler = small_disk / "filler"
        Task("true").run(use_tqdm=False, ostreams=[], journal=folder)
        with filler.open("wb") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, 300_000)
    done = run_script(SCRIPT, tmp_path, str(folder), str(bytes_each), way)
    told = json.loads(done.stdout)
    assert "make room on the disk" in told["error"], done.stderr
    assert str(folder) in told["error"]
    assert "nothing more starts" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    recorded = {row.params["arg1"] for row in open_results(folder) if row.status == "succeeded" and row.params}
    first = (tmp_path / "ran").read_text().split()
    assert 0 < len(first) < 40
    (tmp_path / "ran").unlink()
    done = run_script(SCRIPT, tmp_path, str(folder), str(bytes_each), way)
    assert "error" not in json.loads(done.stdout), done.stderr
    second = (tmp_path / "ran").read_text().split()
    assert set(first) | set(second) == {str(number) for number in range(40)}
    assert {str(point) for point in recorded}.isdisjoint(second)
    assert len(first) + len(second) - 40 <= 4  # those that ran when the disk was full
    assert sum(row.status == "succeeded" for row in open_results(folder)) == 40 + (not bytes_each)


def test_a_limit_of_the_file_size_is_told_as_what_it_is(tmp_path: Path):
    folder = tmp_path / "journal"
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))\n" + SCRIPT
    done = run_script(script, tmp_path, str(folder), "0", "one at a time")
    told = json.loads(done.stdout)
    assert str(folder) in told["error"], done.stderr
    assert 0 < len(told["results"]) < 40
    assert told["results"][:-2] == ["succeeded"] * (len(told["results"]) - 2)
    done = run_script(SCRIPT, tmp_path, str(folder), "0", "run")
    assert "error" not in json.loads(done.stdout), done.stderr
    assert sum(row.status == "succeeded" for row in open_results(folder)) == 40
