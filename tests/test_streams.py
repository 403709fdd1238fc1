r"""What a program prints, and where it goes: lines, bytes, redraws, floods, and streams that misbehave."""

import asyncio
import contextlib
import functools
import hashlib
import io
import itertools
import os
import pty
import random
import re
import sys
import tempfile
import textwrap
import threading
import time
import tty
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
from conftest import alive, eventually, run_script
from hypothesis import given, settings
from hypothesis import strategies as st

from taskexp import RunResult, Status, Task
from taskexp.run.lines import MAX_LINE_BYTES, RawLines, TextLines, split_lines

MIB = 1 << 20
HALVES = "import os, time\nfor fd, half in ({}):\n    os.write(fd, half); time.sleep(.1)"
ENOUGH_SECONDS = 8.0
"""Far more than anything here takes on a busy machine, far less than a hang."""


@pytest.fixture
def marker() -> Iterator[str]:
    """Name this test's processes. It is a number of seconds, too: `sleep MARKER` can be found."""
    name = f"1000.{uuid4().int % 10**12:012}"
    yield name
    eventually(lambda: not alive(name), "a program is still alive")


def run_one(argv: list[str], **options: object) -> RunResult:
    for exe in Task(argv).executable_loop(use_tqdm=False):
        exe.execute(**options)
        return exe.result
    raise AssertionError("a task without loops has one point")


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def lines_of(argv: list[str], **options: object) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    run_one(argv, ostreams=[], on_verbose=lambda line, stream, _: lines.append((stream.name, line)), **options)
    return lines


def text_of(argv: list[str], **options: object) -> str:
    stream = io.StringIO()
    run_one(argv, ostreams=[stream], **options)
    return stream.getvalue()


def bytes_of(argv: list[str], **options: object) -> bytes:
    stream = io.BytesIO()
    run_one(argv, ostreams=[stream], **options)
    return stream.getvalue()


# ---- what a callback gets


def test_on_verbose_gets_the_line_with_its_newline_its_stream_and_an_aware_time():
    calls: list[tuple[str, IO[str], datetime]] = []
    before = datetime.now().astimezone()
    run_one(sh("echo out; echo err >&2"), ostreams=[], on_verbose=lambda *arguments: calls.append(arguments))
    assert sorted((line, stream.name) for line, stream, _ in calls) == [("err\n", "stderr"), ("out\n", "stdout")]
    for line, _, when in calls:
        assert type(line) is str
        assert when.tzinfo is not None
        assert before <= when <= datetime.now().astimezone()


def test_on_verbose_of_a_plain_loop_is_called_in_the_callers_thread():
    threads = set()
    run_one(sh("seq 100"), ostreams=[], on_verbose=lambda *_: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_on_verbose_of_a_parallel_loop_is_called_in_one_thread_never_twice_at_once():
    threads, inside, overlaps = set(), [], []

    def hear(*_: object) -> None:
        overlaps.extend(inside)
        inside.append(1)
        threads.add(threading.current_thread())
        time.sleep(0.0005)
        inside.pop()

    Task(sh("seq 20")).env("N", range(8)).run(use_tqdm=False, max_workers=4, ostreams=[], on_verbose=hear)
    assert not overlaps
    assert len(threads) == 1
    assert threads != {threading.current_thread()}


@pytest.mark.fault("S06")
def test_lines_end_at_a_newline_alone():
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\x00g\nh\n"
    program = python(f"import sys; sys.stdout.buffer.write({text!r}.encode())")
    assert lines_of(program) == [("stdout", text[: text.index("h")]), ("stdout", "h\n")]
    assert bytes_of(program) == text.encode()


@pytest.mark.fault("S06")
def test_crlf_ends_a_line_too_and_bytes_keep_it():
    program = sh(r"printf 'one\r\ntwo\r\n'")
    assert lines_of(program) == [("stdout", "one\n"), ("stdout", "two\n")]
    assert text_of(program) == "one\ntwo\n"
    assert bytes_of(program) == b"one\r\ntwo\r\n"


@pytest.mark.fault("S07")
def test_a_redrawn_line_reaches_logs_and_callbacks_as_its_last_state(program, marker):
    argv = [*program("redraws"), marker, "50", "0.002"]
    assert lines_of(argv) == [("stdout", "step 50 of 50\n"), ("stdout", "done\n")]
    assert text_of(argv) == "step 50 of 50\ndone\n"
    assert bytes_of(argv).count(b"\r") == 50


def test_a_redraw_that_never_ends_its_line_is_told_once():
    assert lines_of(sh(r"printf '10%%\r20%%\r30%%'")) == [("stdout", "30%")]
    assert lines_of(sh(r"printf '10%%\r20%%\r30%%\r'")) == [("stdout", "30%")]


@pytest.mark.fault("S12")
@pytest.mark.parametrize("how", ["exit", "kill", "sleep"])
def test_a_last_line_without_newline_is_delivered_however_the_program_ends(program, marker, how):
    argv = [*program("unended"), marker, how]
    lines = lines_of(argv, timeout=0.7 if how == "sleep" else None)
    assert sorted(lines) == [("stderr", "unended too"), ("stdout", "unended"), ("stdout", "whole\n")]


@pytest.mark.fault("S12")
def test_no_tail_is_lost_in_many_short_runs():
    tails: list[str] = []
    task = Task(sh("printf abc; kill -9 $$")).env("N", range(100))
    task.run(use_tqdm=False, max_workers=4, ostreams=[], on_verbose=lambda line, *_: tails.append(line))
    assert tails == ["abc"] * 100


@pytest.mark.fault("S01")
@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_072, MIB - 1])
def test_a_line_of_any_length_up_to_a_mebibyte_comes_whole(program, marker, size):
    [(_, line)] = lines_of([*program("huge_line"), marker, str(size), "newline"])
    assert len(line) == size + 1
    assert line == ("0123456789abcdef" * (size // 16 + 1))[:size] + "\n"


@pytest.mark.fault("S01")
@pytest.mark.parametrize("end", [[], ["newline"]], ids=["unended", "ended"])
def test_a_longer_line_comes_in_pieces_of_at_most_a_mebibyte(program, marker, end):
    size = 10_000_000
    argv = [*program("huge_line"), marker, str(size), *end]
    pieces = [line for _, line in lines_of(argv)]
    text = "0123456789abcdef" * (size // 16) + "\n" * len(end)
    assert all(0 < len(piece.encode()) <= MIB for piece in pieces)
    assert len(pieces) <= size // MIB + 2
    assert "".join(pieces) == text
    assert text_of(argv) == text
    assert bytes_of(argv) == text.encode()


@pytest.mark.fault("S14")
def test_both_streams_are_read_at_the_same_time_and_whole(program, marker):
    counts = {"stdout": 0, "stderr": 0}

    def count(line: str, stream: IO[str], _: datetime) -> None:
        counts[stream.name] += len(line)

    result = run_one([*program("stderr_first"), marker, "3000000"], ostreams=[], on_verbose=count, timeout=60)
    assert result.status is Status.succeeded
    assert counts == {"stdout": 3_000_000, "stderr": 6_000_000}


@pytest.mark.fault("S11")
def test_within_one_stream_the_order_is_kept_and_merged_by_the_shell_in_both():
    script = "i=0; while [ $i -lt 400 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done"
    lines = lines_of(sh(script))
    for name in ("out", "err"):
        of_stream = [line for stream, line in lines if stream == f"std{name}"]
        assert of_stream == [f"{name}{i}\n" for i in range(400)]
    merged = [line for _, line in lines_of(sh(f"exec 2>&1; {script}"))]
    assert merged == [f"{name}{i}\n" for i in range(400) for name in ("out", "err")]


# ---- text and bytes


@pytest.mark.fault("S05", "S08")
def test_binary_streams_get_the_exact_bytes_and_text_streams_beside_them_replaced_text(program, marker, tmp_path):
    expected = bytes(range(256)) + random.Random(7).randbytes(1_000_000)
    text, memory = io.StringIO(), io.BytesIO()
    with (
        (tmp_path / "buffered").open("wb") as buffered,
        (tmp_path / "raw").open("wb", buffering=0) as raw,
        (tmp_path / "text").open("w", encoding="utf-8") as file,
    ):
        run_one([*program("binary"), marker], ostreams=[text, memory, buffered, raw, file])
    for name, content in [
        ("memory", memory.getvalue()),
        ("buffered", (tmp_path / "buffered").read_bytes()),
        ("raw", (tmp_path / "raw").read_bytes()),
    ]:
        assert hashlib.sha256(content).hexdigest() == hashlib.sha256(expected).hexdigest(), name
    assert "\ufffd" in text.getvalue()
    assert (tmp_path / "text").read_text(encoding="utf-8").count("\n") == text.getvalue().count("\n")


@pytest.mark.fault("S04")
@pytest.mark.parametrize("offset", range(65_533, 65_538))
def test_a_character_at_the_border_of_a_chunk_stays_whole(offset):
    program = python(
        f"import os; data = b'x' * {offset} + '😀é'.encode() + b'\\n'\nwhile data: data = data[os.write(1, data):]"
    )
    assert text_of(program) == "x" * offset + "😀é\n"


@pytest.mark.fault("S04")
def test_a_character_that_is_written_in_two_halves_stays_whole():
    program = python(HALVES.format("(1, b'\\xc3\\xa9\\xf0\\x9f'), (1, b'\\x98\\x80\\n')"))
    text = io.StringIO()
    calls: list[str] = []
    run_one(program, ostreams=[text], on_verbose=lambda line, *_: calls.append(line))
    assert text.getvalue() == "é😀\n"
    assert calls == ["é😀\n"]


def test_the_two_streams_do_not_share_a_half_character():
    program = python(HALVES.format("(1, b'\\xf0\\x9f'), (2, b'err\\n'), (1, b'\\x98\\x80\\n')"))
    assert sorted(lines_of(program)) == [("stderr", "err\n"), ("stdout", "😀\n")]


@pytest.mark.fault("S09")
def test_a_text_stream_of_a_poor_encoding_loses_no_line(tmp_path):
    path = tmp_path / "log"
    with path.open("w", encoding="ascii") as log:
        run_one(sh("echo before; echo é😀; echo after"), ostreams=[log])
    before, between, after = path.read_text(encoding="ascii").splitlines()
    assert (before, after) == ("before", "after")
    assert between == r"\xe9\U0001f600"


@pytest.mark.fault("S09")
def test_a_driver_in_the_c_locale_loses_no_line(tmp_path):
    printed = r"echo before; printf '\303\251\n'; echo after"
    script = f"from taskexp import Task\nTask(['sh', '-c', {printed!r}]).run(use_tqdm=False)\n"
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environ.pop("PYTHONIOENCODING", None)
    done = run_script(script, tmp_path, env=environ)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert done.stdout.startswith("before\n")
    assert done.stdout.endswith("after\n")


class OnlyWrites:
    """The least that an ostream has."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def write(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError("str only")
        self.pieces.append(text)


class OnlyWritesBytes:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError("bytes only")
        self.pieces.append(data)


@pytest.mark.fault("O07")
def test_anything_with_write_is_an_ostream_and_gets_what_it_takes(tmp_path, capfd):
    text, data = OnlyWrites(), OnlyWritesBytes()
    with (
        tempfile.SpooledTemporaryFile() as spooled,
        tempfile.SpooledTemporaryFile(mode="w+") as spooled_text,
        tempfile.NamedTemporaryFile("w+") as named,
        tempfile.NamedTemporaryFile() as named_bytes,
        (tmp_path / "log").open("w") as log,
    ):
        streams = [text, data, spooled, spooled_text, named, named_bytes, log, sys.stdout, sys.stdout.buffer]
        result = run_one(sh("echo é"), ostreams=streams)
        contents = []
        for file in (spooled, spooled_text, named, named_bytes):
            file.seek(0)
            contents.append(file.read())
    assert result.status is Status.succeeded
    assert "".join(text.pieces) == "é\n"
    assert b"".join(data.pieces) == "é\n".encode()
    assert contents == ["é\n".encode(), "é\n", "é\n", "é\n".encode()]
    assert (tmp_path / "log").read_text() == "é\n"
    printed = capfd.readouterr()
    assert printed.out == "é\né\n"
    assert printed.err == ""


def test_a_stream_given_twice_gets_the_output_once():
    stream = io.StringIO()
    run_one(sh("echo once"), ostreams=[stream, stream])
    assert stream.getvalue() == "once\n"


@pytest.mark.fault("O08")
def test_the_default_is_the_standard_output_of_the_moment():
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        run_one(sh("echo caught"))
        Task(sh("echo caught too")).run(use_tqdm=False)
    assert caught.getvalue() == "caught\ncaught too\n"


# ---- terminals


class Terminal:
    """A pseudo-terminal as an ostream, and a thread that notes when each piece arrives on it."""

    def __init__(self) -> None:
        self._reading, writing = pty.openpty()
        tty.setraw(writing)
        self.stream = open(writing, "w", buffering=1)  # noqa: SIM115 - closed by close()
        self.pieces: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(self._reading, 65536):
                self.pieces.append(data.decode())

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def close(self) -> None:
        self.stream.close()
        self._thread.join()
        os.close(self._reading)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_a_terminal_shows_an_unfinished_line_while_the_program_waits(terminal, tmp_path):
    seen = tmp_path / "seen"
    script = f"printf 'password: '; until [ -e {seen} ]; do sleep 0.01; done; echo thanks"
    watcher = threading.Thread(
        target=lambda: (eventually(lambda: "password: " in terminal.text, "not live"), seen.touch())
    )
    watcher.start()
    result = run_one(sh(script), ostreams=[terminal.stream], timeout=30)
    watcher.join()
    assert result.status is Status.succeeded
    eventually(lambda: terminal.text == "password: thanks\n", "not all was shown")


@pytest.mark.fault("S07")
def test_a_terminal_shows_redraws_live_while_a_log_gets_the_last_state(terminal, tmp_path):
    seen, log = tmp_path / "seen", io.StringIO()
    script = rf"printf '\r10%%'; until [ -e {seen} ]; do sleep 0.01; done; printf '\r20%%'; printf '\r30%%\n'"
    watcher = threading.Thread(target=lambda: (eventually(lambda: "10%" in terminal.text, "not live"), seen.touch()))
    watcher.start()
    result = run_one(sh(script), ostreams=[terminal.stream, log], timeout=30)
    watcher.join()
    assert result.status is Status.succeeded
    eventually(lambda: terminal.text == "\r10%\r20%\r30%\n", "not all was shown")
    assert log.getvalue() == "30%\n"


def test_a_terminal_gets_whole_characters(terminal):
    program = python(HALVES.format("(1, b'\\xf0\\x9f'), (1, b'\\x98\\x80\\n')"))
    run_one(program, ostreams=[terminal.stream])
    eventually(lambda: terminal.text == "😀\n", "not shown")


# ---- lines alone


def feed_raw(data: bytes, borders: list[int]) -> list[bytes]:
    lines = RawLines()
    return [*(block for chunk in cut(data, borders) for block in lines.push(chunk)), lines.finish()]


def feed_text(data: bytes, borders: list[int]) -> list[str]:
    lines = TextLines()
    blocks = [*(block for chunk in cut(data, borders) for block in lines.push(chunk)), lines.finish()]
    return [line for block in blocks for line in split_lines(block)]


def cut(data: bytes, borders: list[int]) -> list[bytes]:
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


PRINTED = st.lists(
    st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", "é".encode(), "😀".encode(), b"\xff", b"\x00", b"\xf0\x9f"]),
    max_size=40,
).map(b"".join)
BORDERS = st.lists(st.integers(min_value=0, max_value=200), max_size=20)


@given(data=PRINTED | st.binary(max_size=200), borders=BORDERS)
def test_chunks_change_nothing_about_the_bytes(data, borders):
    blocks = feed_raw(data, borders)
    assert b"".join(blocks) == data
    assert all(block.endswith(b"\n") for block in blocks[:-1])


@given(data=PRINTED | st.binary(max_size=200), borders=BORDERS)
def test_chunks_change_nothing_about_the_text(data, borders):
    assert feed_text(data, borders) == feed_text(data, [])


@given(data=PRINTED)
def test_text_lines_are_the_last_states_of_the_bytes_between_newlines(data):
    lines = data.split(b"\n")
    expected = [line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace") + "\n" for line in lines]
    expected[-1] = expected[-1].removesuffix("\n")
    assert feed_text(data, []) == [line for line in expected if line]


@pytest.mark.fault("S01")
@settings(max_examples=15)
@given(
    lengths=st.lists(
        st.sampled_from([0, 1, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 2 * MAX_LINE_BYTES])
    ),
    step=st.sampled_from([65_536, 65_535, 262_144]),
)
def test_long_lines_come_in_pieces_however_they_are_chunked(lengths, step):
    data = b"".join(b"x" * length + b"\n" for length in lengths[:5])
    lines = RawLines()
    blocks = [block for start in range(0, len(data), step) for block in lines.push(data[start : start + step])]
    blocks.append(lines.finish())
    assert b"".join(blocks) == data
    assert all(len(line) <= MAX_LINE_BYTES for block in blocks for line in block.split(b"\n"))


@pytest.mark.fault("S03")
@pytest.mark.parametrize("lines", [RawLines, TextLines])
@pytest.mark.parametrize("ending", [b"x", b"\r"], ids=["plain", "redrawn"])
def test_cutting_lines_takes_linear_time(lines, ending):
    chunk = b"x" * 65_535 + ending

    def seconds(mebibytes: int) -> float:
        cutter = lines()
        began = time.process_time()
        for _ in range(mebibytes * MIB // len(chunk)):
            cutter.push(chunk)
        cutter.push(b"\n")
        return time.process_time() - began

    small = min(seconds(16) for _ in range(3))
    assert min(seconds(64) for _ in range(3)) < 8 * small + 0.05, (
        "four times as much took more than eight times as long"
    )


# ---- memory and back-pressure

FLOOD = """
import sys
from taskexp import Task

def peak_kib():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

class Counter:
    count = 0
    def write(self, text):
        self.count += len(text)

def hear(line, stream, when):
    Counter.heard = getattr(Counter, "heard", 0) + len(line)

counter = Counter()
Task("true").run(use_tqdm=False)
before = peak_kib()
for exe in Task(sys.argv[1:]).executable_loop(use_tqdm=False):
    exe.execute(ostreams=[counter], on_verbose=hear)
print(exe.result.status, counter.count, Counter.heard, (peak_kib() - before) // 1024)
"""


@pytest.mark.fault("S02", "S16")
@pytest.mark.parametrize("name", ["floods", "huge_line"])
def test_memory_is_flat_under_a_flood(program, marker, tmp_path, name):
    size = 128 * MIB
    done = run_script(FLOOD, tmp_path, *program(name), marker, str(size))
    assert done.returncode == 0, done.stderr
    status, written, heard, growth_mib = done.stdout.split()
    assert (status, int(written), int(heard)) == ("succeeded", size, size)
    assert int(growth_mib) < 60


@pytest.mark.fault("S15")
def test_a_slow_stream_slows_the_program_down_and_loses_nothing(tmp_path):
    class Slow:
        def __init__(self) -> None:
            self.count = 0
            self.ahead = 0

        def write(self, text: str) -> None:
            if text:
                time.sleep(0.02)
                self.count += len(text)
                self.ahead = max(self.ahead, (tmp_path / "said").stat().st_size - self.count)

    slow = Slow()
    script = f"""
        import os
        said = open({str(tmp_path / "said")!r}, "wb", buffering=0)
        block = (b"x" * 63 + b"\\n") * 1024
        for _ in range(96):
            rest = memoryview(block)
            while rest:
                written = os.write(1, rest)
                said.write(rest[:written])
                rest = rest[written:]
        """
    result = run_one(python(textwrap.dedent(script)), ostreams=[slow], timeout=60)
    assert result.status is Status.succeeded
    assert slow.count == 6 * MIB
    assert slow.ahead < 4 * MIB, "the program ran ahead of the stream without a bound"


# ---- streams that fail


class RaisesAfter:
    """An ostream that breaks at one line."""

    def __init__(self, lines: int) -> None:
        self._left = lines

    def write(self, text: str) -> None:
        self._left -= text.count("\n")
        if self._left < 0:
            raise RuntimeError("enough")


def broken_pipe() -> IO[str]:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", buffering=1)


def closed_file() -> IO[str]:
    file = open(os.devnull, "w")  # noqa: SIM115 - closed at once
    file.close()
    return file


class Broken:
    def write(self, text: str) -> None:
        raise OSError(5, "broken from the beginning")


BROKEN_STREAMS: dict[str, Callable[[], object]] = {
    "raises at line 10": functools.partial(RaisesAfter, 10),
    "raises at once": Broken,
    "closed": closed_file,
    "closed StringIO": lambda: (stream := io.StringIO(), stream.close())[0],
    "full disk": functools.partial(open, "/dev/full", "w", buffering=1),
    "full disk, buffered": functools.partial(open, "/dev/full", "w"),
    "full disk, binary": functools.partial(open, "/dev/full", "wb", buffering=0),
    "reader gone": broken_pipe,
    "read only": functools.partial(open, os.devnull),
}


@pytest.mark.fault("O01", "O02")
@pytest.mark.parametrize("kind", BROKEN_STREAMS)
def test_a_stream_that_fails_costs_one_warning_and_neither_the_run_nor_the_others(kind, capfd):
    before, after = io.StringIO(), io.BytesIO()
    broken = BROKEN_STREAMS[kind]()
    try:
        result = run_one(sh("seq 20000"), ostreams=[before, broken, after])
    finally:
        with contextlib.suppress(OSError, AttributeError):
            broken.close()
    expected = "".join(f"{number}\n" for number in range(1, 20001))
    assert (result.status, result.returncode) == (Status.succeeded, 0)
    assert before.getvalue() == expected
    assert after.getvalue() == expected.encode()
    warnings = capfd.readouterr().err.splitlines()
    assert len(warnings) == 1
    assert re.match("taskexp: warning: .*stream", warnings[0])


def test_two_broken_streams_are_two_warnings(capfd):
    run_one(sh("seq 100"), ostreams=[Broken(), RaisesAfter(3)])
    warnings = capfd.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert "Broken" in "".join(warnings)
    assert "RaisesAfter" in "".join(warnings)


@pytest.mark.fault("O09")
def test_a_broken_stream_is_told_once_in_a_whole_sweep(capfd):
    Task(["echo"]).arg(None, range(10)).run(use_tqdm=False, max_workers=3, ostreams=[Broken()])
    assert capfd.readouterr().err.count("warning") == 1


@pytest.mark.fault("O04")
def test_a_callback_that_raises_at_each_line_is_told_once_with_its_traceback(capfd):
    calls: list[str] = []

    def divide_by_zero(line: str, *_: object) -> None:
        calls.append(line)
        raise ZeroDivisionError("of the user's own")

    log = io.StringIO()
    result = run_one(sh("seq 1000"), ostreams=[log], on_verbose=divide_by_zero)
    assert result.status is Status.succeeded
    assert len(calls) == 1000
    assert log.getvalue() == "".join(calls)
    told = capfd.readouterr().err
    assert told.count("Traceback") == 1
    assert told.count("ZeroDivisionError: of the user's own") == 1
    assert "divide_by_zero" in told


# ---- streams and callbacks that block


class UnreadPipe:
    """A pipe that nobody reads: full after 64 KiB, then every write blocks until `wake`."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self.stream = open(writing, "w", buffering=1)  # noqa: SIM115 - closed by the fixture
        self._awake = False

    def wake(self) -> None:
        if not self._awake:
            self._awake = True
            os.close(self._reading)


@pytest.fixture
def unread_pipe() -> Iterator[UnreadPipe]:
    pipe = UnreadPipe()
    yield pipe
    pipe.wake()
    with contextlib.suppress(OSError):
        pipe.stream.close()


@pytest.mark.fault("O03")
def test_a_timeout_is_on_time_while_a_stream_blocks_for_ever(program, marker, unread_pipe, capfd):
    gone_after: list[float] = []
    log = io.BytesIO()

    def watch() -> None:
        eventually(lambda: bool(alive(marker)), "it never ran")
        began = time.monotonic()
        eventually(lambda: not alive(marker), "it runs on behind a stream that blocks", 30)
        gone_after.append(time.monotonic() - began)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = run_one([*program("floods"), marker], timeout=0.5, grace=0.2, ostreams=[unread_pipe.stream, log])
    watcher.join()
    assert result.status is Status.timed_out
    assert 0.5 <= result.duration.total_seconds() < ENOUGH_SECONDS
    assert gone_after[0] < ENOUGH_SECONDS
    assert log.getvalue()
    assert capfd.readouterr().err.count("taskexp: warning: the stream") == 1


@pytest.mark.fault("O03")
def test_a_blocked_stream_holds_up_no_other_run(program, marker, unread_pipe):
    async def main() -> list[RunResult]:
        tasks = []
        loop = Task([*program("floods"), marker]).env("N", range(4)).executable_loop(use_tqdm=False, max_workers=4)
        async for exe in loop:
            streams = [unread_pipe.stream] if exe.index == 0 else []
            timeout = None if exe.index == 0 else 0.3
            tasks.append(asyncio.create_task(exe.execute(timeout=timeout, grace=0.2, ostreams=streams)))
            if exe.index == 3:
                results = await asyncio.gather(*tasks[1:])
                assert not tasks[0].done()
                unread_pipe.wake()
                tasks[0].cancel()
                await asyncio.wait(tasks)
        return results

    results = asyncio.run(main())
    assert [result.status for result in results] == [Status.timed_out] * 3
    assert all(result.duration.total_seconds() < ENOUGH_SECONDS for result in results)


@pytest.mark.fault("O05")
def test_a_timeout_is_on_time_while_a_callback_blocks(program, marker):
    freed = threading.Event()
    survivors: list[list[int]] = []

    def hang(*_: object) -> None:
        if not freed.is_set():
            # The child is stopped on time although nobody comes out of here.
            eventually(lambda: bool(alive(marker)), "it never ran")
            eventually(lambda: not alive(marker), "it runs on behind a callback that blocks", 30)
            survivors.append(alive(marker))
            freed.set()

    result = run_one([*program("chatty"), marker], timeout=0.5, grace=0.2, ostreams=[], on_verbose=hang)
    assert survivors == [[]]
    assert result.status is Status.timed_out
    assert 0.5 <= result.duration.total_seconds() < ENOUGH_SECONDS


class Stuck:
    """An `on_verbose` that does not come back, until the test is over."""

    def __init__(self) -> None:
        self.inside, self._free = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.inside.set()
        self._free.wait(20)

    def free(self) -> None:
        self._free.set()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.free()


def test_close_does_not_wait_for_a_callback_that_never_returns(stuck, tmp_path):
    task = Task(sh(f"echo $$ > {tmp_path / 'pid'}; echo line")).env("N", range(2))
    loop = task.executable_loop(use_tqdm=False, max_workers=2)
    next(loop).execute(ostreams=[], on_verbose=stuck)
    assert stuck.inside.wait(20)
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the program has not ended")
    second = next(loop)
    second.execute(ostreams=[])
    assert second.result.status is Status.succeeded  # so the first run, which ended before, waits for its callback
    began = time.monotonic()
    loop.close()
    assert time.monotonic() - began < ENOUGH_SECONDS


def test_cancelling_does_not_wait_for_a_callback_that_never_returns(stuck):
    async def main() -> float:
        async for exe in Task(["echo", "line"]).executable_loop(use_tqdm=False):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(exe.execute(ostreams=[], on_verbose=stuck), 0.5)
        return time.monotonic() - began

    assert asyncio.run(main()) < ENOUGH_SECONDS


# ---- standard input, and programs that do not buffer


def stdin_of(stdin: object) -> bytes:
    stream = io.BytesIO()
    results = Task(["cat"], stdin=stdin).env("N", range(2)).run(use_tqdm=False, ostreams=[stream], timeout=30)
    assert {result.status for result in results} == {Status.succeeded}
    whole = stream.getvalue()
    assert whole[: len(whole) // 2] == whole[len(whole) // 2 :], "every run reads it from the beginning"
    return whole[: len(whole) // 2]


def test_stdin_is_the_same_text_bytes_or_file_in_every_run(tmp_path):
    big = random.Random(3).randbytes(300_000)
    path = tmp_path / "input"
    path.write_bytes(big)
    assert stdin_of("tëxt\n") == "tëxt\n".encode()
    assert stdin_of(b"\x00\xff\n") == b"\x00\xff\n"
    assert stdin_of(big) == big
    assert stdin_of(Path(path)) == big
    assert stdin_of("") == b""


@pytest.mark.fault("T04")
def test_without_stdin_a_program_reads_the_end_at_once():
    assert stdin_of(None) == b""
    assert text_of(sh("readlink /proc/self/fd/0")) == "/dev/null\n"


def test_a_program_that_does_not_read_its_stdin_is_no_failure():
    [result] = Task("true", stdin="x" * 1_000_000).run(use_tqdm=False, timeout=30)
    assert result.status is Status.succeeded


def test_a_missing_stdin_file_is_a_run_that_did_not_start(tmp_path, capfd):
    [result] = Task("cat", stdin=tmp_path / "missing").run(use_tqdm=False)
    assert result.status is Status.not_started
    assert "missing" in result.error
    assert "missing" in "".join(capfd.readouterr())


@pytest.mark.fault("S10")
def test_live_asks_python_programs_not_to_buffer(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    program = python("import time; print('early'); time.sleep(1000)")
    heard: dict[bool, list[str]] = {True: [], False: []}
    for live, lines in heard.items():
        task = Task(program, live=live)
        task.run(use_tqdm=False, ostreams=[], timeout=0.7, on_verbose=lambda line, *_, lines=lines: lines.append(line))
    assert heard == {True: ["early\n"], False: []}
