"""Braces: what one word with braces becomes, as the real bash has it."""

import random
import shutil
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskexp import Task, TaskExpError

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="compares with bash")

# A variable whose value is what names it, so that bash leaves `${v}` as it is.
PRELUDE = "set -f; v='${v}'; p() { printf '%s\\0' \"$#\" \"$@\"; }\n"
TEXTS = ["a", "b", "c", "1", "10", "-", ".", "=", "/x", "é"]
QUOTED = [
    "'{b,c}'",
    "','",
    "'..'",
    '"a,b}"',
    '"\\"{,"',
    "'\\'",
    '"\\\\\\a"',
    "''",
    '""',
    "\\{",
    "\\}",
    "\\,",
    "\\.",
    "\\\\",
]
QUOTED += ["' '", "\\ ", "\\a", '"\'"', "'\"'", '"${v}"', "'${v}'", "\\${v}", "\\'"]
BRACES = ["\\ {},a}", "{", "}", ",", "..", "{}", "{a}", "${v}", "{,", ",}", "{a..", "..}", "...", "{1..", "{'a'"]
SEQUENCES = [
    "{1..5}",
    "{5..1}",
    "{-2..2}",
    "{1..9..3}",
    "{9..1..3}",
    "{9..1..-2}",
    "{1..4..-2}",
    "{1..3..0}",
    "{01..3}",
]
SEQUENCES += [
    "{-01..2}",
    "{1..-010..4}",
    "{+1..3}",
    "{a..e}",
    "{e..a..2}",
    "{a..c..-1}",
    "{A..D}",
    "{1..a}",
    "{a..c..}",
]
SEQUENCES += [
    "{1..3..x}",
    "{1..2..3..4}",
    "{..3}",
    "{1..}",
    "{1...3}",
    "{a..bc}",
    "{1.5..3}",
    "{-0..1}",
    "{00..2}",
    "{2..2}",
]
SEQUENCES += [
    "{1..003..2}",
    "{a..c.}",
    "{1..2.}",
    "{'1'..2}",
    "{1..\\2}",
    "{1..','}",
    "{0..-0}",
    "{-..1}",
    "{1..2..03}",
]


def expanded_by_bash(patterns):
    """Return the arguments that bash makes of each word, all asked of one bash."""
    script = PRELUDE + "".join(f"p {pattern}\n" for pattern in patterns)
    done = subprocess.run(["bash", "--norc"], input=script.encode(), capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    fields = iter(done.stdout.decode().split("\0"))
    return [[next(fields) for _ in range(int(next(fields)))] for _ in patterns]


def expanded(pattern):
    """Return the arguments that the points of a grid have for a word, in the order of the grid."""
    return [word for point in Task.from_command(f"x {pattern}") for word in point.argv[1:]]


def group(draw, depth):
    """Draw a list in braces, or a sequence; `draw` is a choice among equals."""
    if draw([True, False, False]):
        return draw(SEQUENCES)
    return "{" + ",".join(word(draw, depth - 1) for _ in range(draw([1, 2, 2, 3]))) + "}"


def word(draw, depth=2):
    kinds = ["text", "quoted", "text", "nothing"] + ["group", "group", "brace"] * (depth > 0)
    return "".join(piece(draw, draw(kinds), depth) for _ in range(draw([0, 1, 1, 2, 3])))


def piece(draw, kind, depth):
    if kind == "group":
        return group(draw, depth)
    return draw({"text": TEXTS, "quoted": QUOTED, "brace": BRACES, "nothing": [""]}[kind])


def soup(draw):
    """Draw what follows no grammar."""
    return "".join(draw(draw([BRACES, BRACES, BRACES, TEXTS, QUOTED])) for _ in range(draw(range(1, 12))))


def is_small(pattern):
    """Whether the points can be gone through: at most some hundreds."""
    return Task.from_command(f"x y{pattern}").size <= 500


@needs_bash
def test_words_with_braces_become_what_bash_makes_of_them_in_its_order():
    source = random.Random("braces")
    drawn = [make(source.choice) for _ in range(900) for make in (word, soup)]
    patterns = [pattern for pattern in dict.fromkeys(drawn) if is_small(pattern)]
    patterns += [f"{a}{b}" for a in SEQUENCES for b in ("", "{x,y}")]
    patterns = [f"{prefix}{pattern}" for pattern in patterns for prefix in ("", "y") if pattern]
    theirs = expanded_by_bash(patterns)
    assert sum(len(words) > 1 for words in theirs) > 800
    assert sum(len(words) == 1 and "{" in words[0] for words in theirs) > 300
    for pattern, words in zip(patterns, theirs, strict=True):
        assert (pattern, expanded(pattern)) == (pattern, words)


@st.composite
def patterns(draw):
    def choose(options):
        return options[draw(st.integers(0, len(options) - 1))]

    return draw(st.sampled_from([word, soup]))(choose)


@needs_bash
@given(st.lists(patterns().filter(lambda pattern: pattern and is_small(pattern)), min_size=10, max_size=30))
@settings(max_examples=30)
def test_no_word_is_found_that_bash_makes_something_else_of(words):
    assert [(each, expanded(each)) for each in words] == list(zip(words, expanded_by_bash(words), strict=True))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a,{b,c}d}e", ["ae", "bde", "cde"]),
        ("{01..10..4}", ["01", "05", "09"]),
        ("{a},b}", ["a}", "b"]),
        ("{},a}", ["{},a}"]),
        ("x{},a}", ["x}", "xa"]),
        ("{a..{b,c}}", ["a..b", "a..c"]),
        ("{x{1..3}..y}z", ["{x{1..3}..y}z"]),
        ("{{a,b}", ["{a", "{b"]),
        ("${a,b}{c,d}", ["${a,b}c", "${a,b}d"]),
        ("{${a,b},c}", ["${a,b}", "c"]),
        ("${{a,b}", ["${{a,b}"]),
        (r"\${a,b}", ["$a", "$b"]),
        ("{a,'b,c'}", ["a", "b,c"]),
        ("{,a}{,b}", ["b", "a", "ab"]),
        ("{'',a}", ["", "a"]),
        ("{'',}", [""]),
        ("''", [""]),
        ("{Z..a}", ["Z", "[", "\\", "]", "^", "_", "`", "a"]),
    ],
)
def test_a_word_becomes(pattern, words):
    assert expanded(pattern) == words


@pytest.mark.fault("U02")
@pytest.mark.parametrize(
    "pattern",
    [
        *("{" * 5000, "{a," * 5000, "{" * 50_000 + "a,b" + "}" * 50_000, "{a}" * 5000 + ",b}", "${" * 5000 + "{a,b}"),
        *("{a,b" * 5000 + "'}'" * 5000, "{1.." * 5000 + "}" * 5000, "}" * 50_000, "{" * 5000 + "," * 5000),
    ],
    ids=lambda pattern: pattern[:8],
)
def test_thousands_of_braces_are_read_at_once(pattern):
    begin = time.process_time()
    assert Task.from_command(f"x y{pattern}").size <= 2
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{a," * 5000 + "b" + "}" * 5000, r"more than 100 deep.*quote them"),
        ("{01..10000000}", r"\{01..10000000\} has 10000000 alternatives.*beside each other"),
        ("{x,{1..1000000}}", r"has 1000001 alternatives"),
        ("{x," + "{a,b}" * 5000 + "}", r"has more than 10\^18 alternatives"),
        ("{x,{1..1000000000000}}", r"has 1000000000001 alternatives"),
        ("{" + "0" * 3000 + "..999999}", r"with 50000000 characters"),
    ],
    ids=lambda text: text[:16],
)
def test_a_group_that_cannot_be_written_out_is_refused_before_it_is(pattern, told):
    begin = time.process_time()
    with pytest.raises(TaskExpError, match=told) as caught:
        Task.from_command(f"x {pattern}")
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400
    assert time.process_time() - begin < 5


def test_groups_may_be_a_hundred_deep_and_have_many_alternatives():
    deep = Task.from_command("x " + "{a,b" * 100 + "}" * 100)
    assert (deep.size, deep[100].argv) == (101, ["x", "b" * 100])
    wide = Task.from_command("x {000001..100000}")
    assert (wide.size, wide[6].argv, wide[-1].argv) == (10**5, ["x", "000007"], ["x", "100000"])


def test_groups_beside_each_other_are_as_many_loops_and_never_listed():
    task = Task.from_command("x " + "{a,b}" * 80)
    assert task.size == 2**80
    assert task[1].argv == ["x", "a" * 79 + "b"]
