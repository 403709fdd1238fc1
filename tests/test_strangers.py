"""A results folder of somebody else: looking at it reads values, ends soon, and obeys nothing that is in it."""

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from terminal import Terminal

from taskexp import ArgumentValueError, JournalError, Task, open_results
from taskexp.cli.parser import make_parser

LOOKS = [("results",), ("status",), ("show", "0"), ("logs", "0")]
EVIL = "\x1b]0;title\x07\x1b[2J\x9b6n\u202e"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "journal"
    Task(["sh", "-c", "echo n=$0"]).arg(None, [1, 2]).metric("n", r"n=(\d+)").run(
        journal=folder, use_tqdm=False, ostreams=[]
    )
    return folder


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    return shutil.copytree(honest, tmp_path / "journal")


def alter(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # the file is all there is
        for statement in statements:
            connection.executescript(statement)


def look(*words: object) -> int:
    arguments = make_parser(["results", "status", "show", "logs"]).parse_args([str(word) for word in words])
    return arguments.main(arguments)


def looks(folder: Path) -> Iterable[Callable[[], object]]:
    """Return all ways to look at a folder."""
    for name, *words in LOOKS:
        yield lambda name=name, words=words: look(name, folder, *words)
    yield lambda: list(open_results(folder, attempts=True))
    yield lambda: open_results(folder).to_csv()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
SCHEMAS = {
    "a view that never ends": [f"DROP TABLE run; CREATE VIEW run AS {ENDLESS} SELECT i AS fingerprint FROM n"],
    "a view with our columns": ["ALTER TABLE attempt RENAME TO other; CREATE VIEW attempt AS SELECT * FROM other"],
    "a column that is computed": ["ALTER TABLE driver ADD COLUMN host2 AS (hex(zeroblob(400000000)))"],
    "a virtual table": ["DROP TABLE driver; CREATE VIRTUAL TABLE driver USING fts5(cwd)"],
    "no table": ["DROP TABLE driver"],
}


@pytest.mark.fault("U04")
@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_is_no_table_of_a_journal_is_refused_however_one_looks(schema: str, folder: Path) -> None:
    alter(folder, "PRAGMA legacy_alter_table=ON", *SCHEMAS[schema])
    for each in looks(folder):
        with pytest.raises(JournalError, match="is no table of a journal"):
            each()


CELLS = {
    "params": ["[1]", "{", "[" * 100_000, '{"a": {"b": 1}}', "{}" * 2],
    "argv": ['["a", 1]', '"a"', "null", ""],
    "env": ['{"A": 1}', "[]"],
    "devices": ['{"A": null}'],
    "metrics": ['{"n": "1"}', "[]"],
    "cwd": ["[]", "1"],
    "status": ["excellent", 7],
    "begin_time": ["yesterday", "2026-01-01T00:00:00", 5],
    "duration": ["long", 1e300],
    "number": ["first"],
    "point_index": ["zero", b"\0", "9" * 5000],
    "log": ["../../../etc/passwd", "/etc/passwd", "..", "a/b", "\x1b[2J", b"log"],
    "error": [b"bytes"],
    "host": [b"bytes"],
}


@pytest.mark.fault("U04")
@pytest.mark.parametrize("column", CELLS)
def test_a_cell_that_makes_no_sense_is_an_error_that_names_the_row(column: str, folder: Path) -> None:
    whole = {"begin_time": "start_time = NULL", "status": "status = status"}.get(column, f"{column} = {column}")
    alter(folder, f"UPDATE attempt SET {whole}; DROP TRIGGER attempt_ends")
    for value in CELLS[column]:
        with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
            connection.execute(f"UPDATE attempt SET {column} = ? WHERE id = 1", (value,))
        with pytest.raises(JournalError, match=r"row 1 of the journal makes no sense"):
            list(open_results(folder))
        if column != "point_index":
            with pytest.raises(JournalError, match=r"row 1 of the journal makes no sense"):
                look("show", folder, 0)


@pytest.mark.fault("U04")
def test_a_cell_of_hundreds_of_megabytes_is_not_read(folder: Path) -> None:
    alter(folder, "UPDATE attempt SET error = CAST(zeroblob(80000000) AS TEXT) WHERE id = 1")
    with pytest.raises(JournalError, match="too big"):
        list(open_results(folder))


@pytest.mark.fault("U04", "S17")
def test_texts_of_a_stranger_do_nothing_to_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(folder)
    evil = json.dumps(EVIL)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE attempt SET status = 'failed', error = ?, host = ?, cwd = ?, params = ?, argv = ?, env = ?, "
            "devices = ?, metrics = ?",
            (
                *(EVIL, EVIL, evil, f"{{{evil}: {evil}}}", f"[{evil}]"),
                *(f'{{"A": {evil}}}', f'{{"B": {evil}}}', f"{{{evil}: 1}}"),
            ),
        )
        connection.execute("UPDATE driver SET cwd = ?, host = ?", (evil, EVIL))
    driver = {"host": EVIL, "pid": EVIL, "start_ticks": 1, "boot_id": EVIL, "pid_namespace": 1}
    (folder / "driver.lock").write_text(json.dumps({"driver": driver, "since": EVIL}))
    (folder / "sweep.json").write_text(json.dumps({"points": EVIL, "table": EVIL}))
    with (folder / "driver.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as if the driver were alive, elsewhere
        for words in (("results", folder, "--columns", "all"), ("status", folder), ("show", folder, 0)):
            assert look(*words) == 0
    out, told = capsys.readouterr()
    assert "driver pid" in out
    assert [line for line in (out + told).split("\n") if not line.isprintable()] == []


@pytest.mark.fault("U04")
@pytest.mark.parametrize("name", ["log", "driver.lock", "sweep.json", "journal.sqlite-wal", "journal.sqlite-journal"])
def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(name: str, folder: Path) -> None:
    alter(folder)
    path = next((folder / "logs").iterdir()) if name == "log" else folder / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for each in looks(folder):
        with contextlib.suppress(JournalError, ArgumentValueError, OSError):  # or there is no need for it
            each()
    if name == "log":
        assert [row.metrics for row in open_results(folder).metric("m", "(n)") if row.log_path == path] == [{"n": 1.0}]


@pytest.mark.fault("U04")
def test_looking_at_a_folder_starts_nothing_and_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alter(folder)
    table = {"command": "touch ran", "env": {}, "options": {}}
    (folder / "sweep.json").write_text(json.dumps({"format": 1, "points": 2, "table": table, "cwd": "/"}))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("posix_spawn", "fork", "system", "execv"):
        monkeypatch.setattr(os, name, lambda *_, **__: pytest.fail("something was started"))
    for each in looks(folder):
        each()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.fault("S17")
def test_a_log_on_a_terminal_keeps_its_colours_and_takes_nothing_over(folder: Path, tmp_path: Path) -> None:
    log = sorted((folder / "logs").iterdir())[0]
    evil = b"\x1b[31mred\x1b[0m\n\x1b[2J\x1b[H\x1b[?1049h\x1b]0;title\x07a\x1b[6nb\n"
    log.write_bytes(evil)
    script = tmp_path / "look.py"
    script.write_text("import sys\nfrom taskexp.cli.main import main\nsys.exit(main())\n")
    with Terminal(script, "logs", str(folder), "0") as terminal:
        assert terminal.wait() == 0
        assert terminal.rows == ["red", "ab"]
        assert terminal.raw.replace(b"\r\n", b"\n") == b"\x1b[31mred\x1b[0m\nab\n"
