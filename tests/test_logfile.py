"""create_log_fd: a new file every time, with a head that tells where it comes from."""

import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from conftest import run_script

from taskexp import TaskExpError, create_log_fd

OPENS_ONE = "from taskexp import create_log_fd\nwith create_log_fd('bench', 'build') as log: log.write('body')"

OPENS_MANY = """
import sys
from taskexp import create_log_fd
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    with create_log_fd("bench", sys.argv[1]) as log:
        log.write(f"{sys.argv[2]} {number}\\n")
"""


def head_of(path):
    """Read the facts of a log's head."""
    return dict(re.findall(r"^# (\w+): (.*)$", path.read_text(), re.MULTILINE))


def last_lines(folder):
    return sorted(path.read_text().splitlines()[-1] for path in folder.iterdir())


@pytest.fixture
def repository(tmp_path):
    """Make a git repository of one commit; returns its folder and the commit."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "tracked.txt").write_text("one\n")
    as_somebody = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "tracked.txt"], ["commit", "-q", "--no-verify", "-m", "First"]):
        subprocess.run([*as_somebody, *arguments], cwd=folder, check=True, timeout=60)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return folder, commit.stdout.strip()


def test_a_log_is_a_new_file_under_the_name_with_missing_folders_made(tmp_path):
    with create_log_fd("bench", tmp_path / "a" / "b") as log:
        log.write("some output é😀\n")
    path = Path(log.name)
    assert path.parent == tmp_path / "a" / "b" / "bench"
    assert path.suffix == ".log"
    assert path.read_text(encoding="utf-8").endswith("\nsome output é😀\n")


def test_the_base_folder_may_be_a_str_and_is_taken_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create_log_fd("throughput_test", "./build/test_vllm").close()
    (log,) = (tmp_path / "build" / "test_vllm" / "throughput_test").iterdir()
    assert log.stat().st_size > 0


def test_a_name_may_be_folders_within_folders(tmp_path):
    with create_log_fd("a/b", tmp_path) as log:
        assert Path(log.name).parent == tmp_path / "a" / "b"


@pytest.mark.fault("C04")
def test_a_file_is_named_by_its_time_without_a_colon(tmp_path):
    before = datetime.now().replace(microsecond=0)
    with create_log_fd("bench", tmp_path) as log:
        name = Path(log.name).name
    after = datetime.now()
    assert ":" not in name
    assert before <= datetime(*map(int, re.findall(r"\d+", name)[:6])) <= after


@pytest.mark.fault("C03")
def test_many_logs_at_once_from_four_threads_are_as_many_files(tmp_path):
    def write_one(number):
        with create_log_fd("bench", tmp_path) as log:
            log.write(f"{number:04}\n")
        return log.name

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(write_one, range(300)))
    assert len(set(names)) == 300
    assert not any(":" in Path(name).name for name in names)
    assert last_lines(tmp_path / "bench") == [f"{number:04}" for number in range(300)]


@pytest.mark.fault("C03")
def test_two_processes_never_share_a_file(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(OPENS_MANY)
    command = [sys.executable, str(script), str(tmp_path)]
    writers = [
        subprocess.Popen([*command, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for who in "ab"
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert last_lines(tmp_path / "bench") == sorted(f"{who} {number}" for who in "ab" for number in range(100))


def test_the_head_tells_the_time_the_host_the_folder_and_the_script(tmp_path):
    before = datetime.now().astimezone()
    assert run_script(OPENS_ONE, tmp_path).stderr == ""
    (log,) = (tmp_path / "build" / "bench").iterdir()
    head = head_of(log)
    assert before <= datetime.fromisoformat(head["time"]) <= datetime.now().astimezone()
    assert head["host"] == socket.gethostname()
    assert head["folder"] == str(tmp_path)
    assert head["script"] == str(tmp_path / "script.py")
    assert log.read_text().endswith("\n\nbody")


def test_the_head_has_the_git_commit_of_the_script(repository):
    folder, commit = repository
    run_script(OPENS_ONE, folder)
    (log,) = (folder / "build" / "bench").iterdir()
    assert head_of(log)["git"] == commit


def test_the_head_says_when_the_commit_is_not_what_ran(repository):
    folder, commit = repository
    (folder / "tracked.txt").write_text("two\n")
    run_script(OPENS_ONE, folder)
    (log,) = (folder / "build" / "bench").iterdir()
    assert head_of(log)["git"] == f"{commit} with uncommitted changes"


def test_opening_a_log_writes_nothing_into_the_repository(repository):
    folder, _ = repository
    os.utime(folder / "tracked.txt", (1, 1))  # git's index is out of date now, and any git may bring it up to date
    index = (folder / ".git" / "index").read_bytes()
    run_script(OPENS_ONE, folder)
    assert (folder / ".git" / "index").read_bytes() == index


@pytest.mark.parametrize("path", ["", "/taskexp/nowhere"])
def test_a_log_is_opened_where_there_is_no_git(path, tmp_path):
    environ = {**os.environ, "PATH": path, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = run_script(OPENS_ONE, tmp_path, env=environ)
    assert done.stderr == ""
    (log,) = (tmp_path / "build" / "bench").iterdir()
    assert head_of(log)["git"] == "(none)"


@pytest.mark.fault("C05")
def test_a_log_is_opened_by_a_session_without_a_script(tmp_path):
    done = subprocess.run([sys.executable, "-c", OPENS_ONE], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    (log,) = (tmp_path / "build" / "bench").iterdir()
    assert head_of(log)["script"] == "(interactive)"


@pytest.mark.fault("C05")
def test_a_script_that_is_read_only_is_left_alone(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(OPENS_ONE)
    script.chmod(0o444)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert script.read_text() == OPENS_ONE


def test_text_of_any_kind_can_be_written_in_any_locale(tmp_path):
    script = OPENS_ONE.replace("'body'", r"'é😀\udcff\n'")
    done = run_script(script, tmp_path, env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert done.stderr == ""
    (log,) = (tmp_path / "build" / "bench").iterdir()
    assert log.read_text(encoding="utf-8").endswith("\né😀\\udcff\n")


@pytest.mark.fault("C04")
@pytest.mark.parametrize("name", ["", "..", "../up", "a/../../up", "/absolute", "a:b", "a\0b", "\udc00\ud800"])
def test_a_name_that_is_no_folder_below_the_base_is_refused(name, tmp_path):
    with pytest.raises(TaskExpError, match="name") as caught:
        create_log_fd(name, tmp_path)
    assert isinstance(caught.value, ValueError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [None, 3, b"bench", Path("bench")])
def test_a_name_that_is_no_str_is_refused(name, tmp_path):
    with pytest.raises(TaskExpError, match="name is a str") as caught:
        create_log_fd(name, tmp_path)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("basedir", [None, 3, b"build"])
def test_a_base_folder_that_is_no_path_is_refused(basedir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskExpError, match="basedir") as caught:
        create_log_fd("bench", basedir)
    assert isinstance(caught.value, TypeError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("C05")
def test_a_folder_that_cannot_be_made_is_the_systems_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        create_log_fd("bench", tmp_path / "file")
