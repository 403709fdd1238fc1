"""The server of the live page: who is let in, what it tells, that it only reads, and its end; without a browser."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import eventually, requires

from taskexp import Task
from taskexp.record.journal.history import read_history
from taskexp.record.journal.reader import read_ended
from taskexp.record.report.feed import Feed
from taskexp.record.report.following import READ_BYTES, Following
from taskexp.record.report.server import Gate, is_loopback, make_gate

pytestmark = requires("starlette", "uvicorn", "plotly")

SECONDS = 30


class Server:
    """`taskexp serve` in a process of its own, and requests to it."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "taskexp", "serve", str(folder), "--port", "0", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.url = urlsplit(self.address)

    def open(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.url.port, timeout=SECONDS)
        connection.request(method, path, headers={"Connection": "close", **headers})
        return connection.getresponse()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        with self.open(path, method, **headers) as response:
            return response.status, response.read().decode()

    def events(self, path: str) -> Generator[tuple[str, Any], None, None]:
        """Read events as they come."""
        with self.open(path) as response:
            name = ""
            while line := response.readline().decode():
                kind, _, text = line.rstrip("\n").partition(": ")
                if kind == "event":
                    name = text
                elif kind == "data":
                    yield name, json.loads(text)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        try:
            _, stderr = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "sweep"
    Task(["sh", "-c", "echo n=$0; test $0 != 2"]).arg(None, [1, 2, 3]).metric("n", r"n=(\d)").run(
        journal=folder, ostreams=[], use_tqdm=False
    )
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(folder: Path, *words: str) -> Server:
        servers.append(Server(folder, *words))
        return servers[-1]

    yield serve
    for server in servers:
        if server.process.returncode is None:
            server.stop(signal.SIGKILL)


def test_a_server_tells_its_address_shows_its_page_and_only_reads(folder: Path, serve):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    server = serve(folder)
    assert server.url.hostname == "127.0.0.1"
    response = server.open("/")
    page = response.read().decode()
    assert "<title>sweep</title>" in page
    assert "connect-src 'self'" in page
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert server.get("/log.txt?run=1") == (200, "n=2\n")
    for method in ("POST", "PUT", "DELETE"):
        assert server.get("/events", method)[0] == 405
    events = server.events("/events")
    name, content = next(events)
    events.close()
    assert (name, len(content["rows"]), content["all"]) == ("content", 3, True)
    assert content["failures"][0]["lines"] == ["n=2"]
    assert content["state"]["is_driven"] is False
    code, stderr = server.stop()
    assert code == 130
    assert stderr.endswith("is shown to this machine alone; Ctrl-C ends\n")
    assert stderr.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before


NO_RUNS = ["../../../../etc/passwd", "%2e%2e%2fjournal.sqlite", "logs/0", "-1", "", "99", "'%20OR%201=1%20--", "0%00"]


def test_a_log_is_found_by_its_run_alone(folder: Path, serve):
    server = serve(folder)
    told = {(path, run): server.get(f"/{path}?run={run}") for path in ("log", "log.txt") for run in NO_RUNS}
    assert {status for status, _ in told.values()} == {404}
    assert not any("root:" in text for _, text in told.values())
    assert server.get("/../etc/passwd")[0] == 404


def test_a_name_that_leads_here_from_elsewhere_is_refused(folder: Path, serve):
    server = serve(folder)
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", "0.0.0.0"):
        assert server.get("/", Host=host)[0] == 403
        assert server.get("/events", Host=host)[0] == 403
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:5"):
        assert server.get("/log.txt?run=0", Host=host)[0] == 200


def test_a_journal_that_names_a_file_elsewhere_does_not_open_it(tmp_path: Path, serve):
    Task("echo").run(journal=tmp_path / "sweep", ostreams=[], use_tqdm=False)
    (tmp_path / "secret").write_text("hunter2")
    (log,) = (tmp_path / "sweep" / "logs").iterdir()
    log.unlink()
    server = serve(tmp_path / "sweep")
    assert server.get("/log.txt?run=0")[0] == 404
    log.symlink_to(tmp_path / "secret")
    assert server.get("/log.txt?run=0") == (404, "the log of run 0 is not in the folder of the journal\n")
    assert server.get("/log?run=0")[0] == 404


def test_another_address_asks_for_a_token(folder: Path, serve):
    server = serve(folder, "--host", "0.0.0.0")
    token = server.url.query.removeprefix("token=")
    assert len(token) >= 20
    for query in ("", "?token=", f"?token={token[:-1]}", f"?token={token}x", f"?Token={token}", "?token=é"):
        assert server.get(f"/{query.replace('é', '%C3%A9')}")[0] == 403
    assert server.get(f"/?token={token}")[0] == 200
    assert server.get(f"/log.txt?run=0&token={token}", Host="anything") == (200, "n=1\n")
    _, stderr = server.stop()
    assert token not in stderr
    other = serve(folder, "--host", "0.0.0.0")
    assert other.url.query != server.url.query


def test_addresses_of_this_machine_need_no_token():
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example")] == [False] * 4
    assert make_gate("127.0.0.1").token is None
    assert make_gate("0.0.0.0").hosts is None
    assert Gate(None, "a").refusal("any", "token=a") is None


def test_a_port_that_is_taken_is_told(folder: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "taskexp", "serve", str(folder), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "give another --port" in done.stderr


def test_ends_of_runs_and_lines_of_logs_are_told_while_the_sweep_runs(tmp_path: Path, serve):
    program = "echo begun $0; while test ! -e go-$0; do sleep 0.02; done; printf 'é\\033[31m\\r99%%'; test $0 = 1"
    script = f"""
from taskexp import Task
task = Task(["sh", "-c", {program!r}], cwd={str(tmp_path)!r}).arg(None, [1, 2])
task.run(journal={str(tmp_path / "sweep")!r}, ostreams=[], use_tqdm=False)
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as driver:
        eventually(lambda: any((tmp_path / "sweep").glob("logs/0-*")), "no run began", SECONDS)
        server = serve(tmp_path / "sweep")
        events = server.events("/events")
        name, content = next(events)
        assert (name, content["rows"]) == ("content", [])
        assert [run["index"] for run in content["state"]["running"]] == [0]
        log = server.events("/log?run=0")
        assert next(log)[0] == "begin"
        assert next(log) == ("lines", {"lines": ["begun 1"], "begun": "", "skipped": 0})
        (tmp_path / "go-1").touch()
        rest = list(log)
        assert rest[-1] == ("end", {"text": "succeeded"})
        assert "99%" in [line for name, each in rest if name == "lines" for line in [*each["lines"], each["begun"]]]
        seen = next(data for name, data in events if name == "content")
        assert (len(seen["rows"]), seen["all"]) == (1, False)
        (tmp_path / "go-2").touch()
        while "failed" not in seen["counts"]:
            seen = next(data for name, data in events if name == "content")
        state = seen["state"]
        while state["is_driven"]:
            state = next(data for name, data in events if name == "state")
        events.close()
        assert driver.wait(SECONDS) == 0
        assert server.stop()[0] == 130


def test_an_open_page_does_not_hold_up_the_end(folder: Path, serve):
    server = serve(folder)
    events = server.events("/events")
    assert next(events)[0] == "content"
    code, stderr = server.stop()
    assert (code, stderr.count("\n")) == (130, 1)
    assert list(events) == []


# ---- what is read


def test_only_what_has_ended_since_is_read(tmp_path: Path):
    task = Task("echo").arg(None, [1, 2])
    task.run(journal=tmp_path, ostreams=[], use_tqdm=False)
    first = read_ended(tmp_path, set())
    assert [run.index for _, run in first] == [0, 1]
    Task("echo").arg(None, [1, 2, 3]).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    assert [run.index for _, run in read_ended(tmp_path, {number for number, _ in first})] == [2]


def test_a_later_attempt_takes_the_place_of_the_one_before(tmp_path: Path):
    task = Task(["sh", "-c", "test -e go"], cwd=tmp_path)
    task.run(journal=tmp_path / "sweep", ostreams=[], use_tqdm=False)
    feed = Feed(tmp_path / "sweep")
    feed.read()
    assert feed.content_since(0)["counts"] == {"failed": 1}
    (tmp_path / "go").touch()
    task.run(journal=tmp_path / "sweep", ostreams=[], use_tqdm=False)
    feed.read()
    content = feed.content_since(1)
    assert (feed.position, content["counts"], len(content["rows"])) == (2, {"succeeded": 1}, 1)
    assert feed.content_since(2)["rows"] == []


def test_a_character_between_two_reads_stays_whole(tmp_path: Path):
    Task("true").run(journal=tmp_path, ostreams=[], use_tqdm=False)
    attempt = read_history(tmp_path, "0").attempts[-1]
    attempt.run.log_path.write_text("a" * (READ_BYTES - 1) + "é\nb")
    following = Following(tmp_path, attempt)
    pieces = [following.read(), following.read()]
    assert following.is_over
    assert "".join(line for news in pieces for line in news.lines) == "a" * (READ_BYTES - 1) + "éb"


def test_a_flood_is_told_from_near_its_end(tmp_path: Path):
    Task(["sh", "-c", "yes line | head -c 3000000"]).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    following = Following(tmp_path, read_history(tmp_path, "0").attempts[-1])
    news = following.read()
    assert news.skipped == 3_000_000 - READ_BYTES
    assert len(news.lines) > 50_000
    while not following.is_over:
        assert set(following.read().lines) <= {"line"}


def test_without_the_extra_it_is_named(folder: Path):
    text = "import sys; sys.modules['uvicorn'] = None; from taskexp.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", text, "serve", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "taskexp[serve]" in done.stderr
