"""All that is parsed, each as a function of one text: it returns, or raises one of our errors, soon.

The tests and `benchmarks/fuzz.py` feed them.
"""

import contextlib
import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from taskexp import Task, TaskExpError
from taskexp.cli.parser import make_parser
from taskexp.cli.sweep import Sweep
from taskexp.cli.sweepfile import KEYS, OPTIONS, checked_table, read_sweepfile
from taskexp.loop.halt import checked_halt
from taskexp.loop.retry import checked_retry
from taskexp.plan.metric import checked_metric
from taskexp.run.devices import parse_cpus
from taskexp.run.lines import RawLines, TextLines, split_lines

POINTS = 3
"""How many points of what was parsed are written out."""


def read_line(text: str, *, shell: bool = False) -> None:
    task = Task.from_command(text, shell=shell)
    for index in range(min(task.size, POINTS)):
        point = task[index]
        assert all(isinstance(word, str) for word in point.argv)
        assert point.label is not None


def read_shell_line(text: str) -> None:
    read_line(text, shell=True)


def read_program(text: str) -> None:
    assert Task(text)[0].argv


def read_halt(text: str) -> None:
    assert checked_halt(text) is not None


def read_retry(text: str) -> None:
    assert checked_retry(1, text).reasons


def read_metric(text: str) -> None:
    assert checked_metric("m", text, "last").pattern.groups


def read_cpus(text: str) -> None:
    assert parse_cpus(text, "slots")


def read_toml(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sweep.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read_sweep(Sweep(read_sweepfile(path), str(path), path))


def read_table(table: dict[str, object]) -> None:
    read_sweep(Sweep(checked_table(table, "the table"), "the table"))


def read_sweep(sweep: Sweep) -> None:
    assert sweep.loop_options is not None
    assert sweep.route.step_count >= 0
    assert sweep.folder


def read_arguments(text: str) -> None:
    """Read words that are parted by blanks, as `taskexp run` has them."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        code: object = 0
        try:
            make_parser(["run"]).parse_args(["run", *text.split(" ")])
        except SystemExit as end:
            code = end.code
    assert code in (0, 2)


def cut_lines(text: str) -> None:
    """Cut a text into chunks where it says so, and these into lines: no byte is lost."""
    chunks = text.encode("utf-8", "surrogatepass").split(b"|")
    raw, lines = RawLines(), TextLines()
    assert b"".join([block for chunk in chunks for block in raw.push(chunk)] + [raw.finish()]) == b"".join(chunks)
    blocks = [block for chunk in chunks for block in lines.push(chunk)] + [lines.finish()]
    assert "".join(each for block in blocks for each in split_lines(block)) == "".join(blocks)


TEXTS: dict[str, Callable[[str], None]] = {
    each.__name__: each
    for each in (
        *(read_line, read_shell_line, read_program, read_halt, read_retry, read_metric, read_cpus),
        *(read_toml, read_arguments, cut_lines),
    )
}

_PIECES = {
    "read_halt": [
        "now",
        "soon",
        ",",
        "fail",
        "success",
        "=",
        "%",
        "1",
        "0",
        ".",
        "10",
        "9" * 5000,
        " ",
        "٣",
        "-",
        "e9",
    ],
    "read_retry": [
        "failed",
        "timed_out",
        "(",
        ")",
        "[",
        "]",
        "a",
        "+",
        "*",
        "?",
        "{1,9999}",
        "\\",
        "(?P<x>",
        "(?",
        "|",
    ],
    "read_metric": [
        "(",
        ")",
        "[",
        "]",
        "a",
        "+",
        "*",
        "?",
        "{1,9999}",
        "\\",
        "(?P<x>",
        "(?<=",
        "(?(1)a|b)",
        "|",
        "\\1",
    ],
    "read_cpus": ["0", "1", "-", ",", " ", "9" * 30, "9" * 5000, "٣", "+"],
    "read_toml": [
        *(
            "command",
            "=",
            "'",
            '"',
            "echo {1..3}",
            "\n",
            "[args]",
            "[[zip]]",
            "[options]",
            "x",
            "1",
            "[",
            "]",
            "{",
            "}",
        ),
        *(",", "true", "1e999", "nan", "9" * 5000, "2021-01-01", "#", ".", "max_workers", "timeout", "shard", "\ud800"),
    ],
    "read_arguments": [
        "run",
        "--",
        "-",
        " ",
        "j",
        "=",
        "timeout",
        "metric",
        "a",
        "1",
        "--env",
        "--shard",
        "1/2",
        ",",
        "x",
    ],
    "cut_lines": ["|", "\n", "\r", "\0", "é", "😀", "a", "\x1b[", "\u2028", "\ud800", "\x0b"],
}
_COMMAND_PIECES = [
    *(
        "{",
        "}",
        ",",
        "..",
        "'",
        '"',
        "\\",
        "$",
        "`",
        "\n",
        " ",
        "a",
        "-1",
        "01",
        "9" * 30,
        "z",
        "~",
        "*",
        "#",
        "&",
        ";",
    ),
    *("{1..3}", "{a,b}", "{,}", "\0", "é", "\ud800", "(", ")", "="),
]


def texts(name: str) -> st.SearchStrategy[str]:
    """Texts for a parser: pieces that mean something to it in any order, and now and then anything at all."""
    pieces = st.sampled_from(_PIECES.get(name, _COMMAND_PIECES))
    return st.lists(pieces, max_size=24).map("".join) | st.text(max_size=40)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "1/2", "now,fail=1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.sampled_from(["n", "key"]), inner)
    ),
    max_leaves=6,
)


def tables() -> st.SearchStrategy[dict[str, object]]:
    """Tables of a sweep file, whose keys are mostly known and whose values are anything."""
    keys = st.sampled_from([*KEYS, *OPTIONS]) | st.text(max_size=5)
    return st.dictionaries(keys, _VALUES, max_size=5).map(lambda table: {"command": "echo {1..3}", **table})


def check(parse: Callable[[Any], None], value: object) -> None:
    """Have something parsed: it is understood, or refused in words."""
    why = "understood"
    try:
        parse(value)
    except TaskExpError as error:
        why = str(error)
    assert re.search(r"\w", why)
