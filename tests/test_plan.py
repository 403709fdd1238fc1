"""What a sweep asks for, point by point: the grid, the words of each command, its name, its pasteable line."""

import enum
import io
import itertools
import math
import numbers
import os
import shlex
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from conftest import run_script
from hypothesis import given, settings
from hypothesis import strategies as st

from taskexp import Point, PointError, PointIndexError, Status, Task, TaskExpError
from taskexp.plan.space import Space

EXPERIMENT = """
from taskexp import Task
exp = Task("python bench.py", env={"B": "2", "A": "1"}, cwd="/tmp", stdin="text")
exp.fixed("--model", "llama é").arg("--n", [64, 128, 64]).arg("--lr", [0.1, None]).switch("--amp").env("OMP", [1, 2])
"""


def commands(task):
    return [point.argv for point in task]


def words_of(task):
    """Return what each point adds behind the one word of its program."""
    return [point.argv[1:] for point in task]


def first_executable(task):
    with task.executable_loop(use_tqdm=False) as loop:
        return next(iter(loop))


def displayed(task):
    printed = io.StringIO()
    first_executable(task).print_cmd(ostreams=[printed])
    return printed.getvalue()


def paste(*lines, **options):
    """Paste lines into bash and return what they print."""
    script = "".join(lines).encode()
    done = subprocess.run(["bash", "--norc"], input=script, capture_output=True, timeout=60, check=False, **options)
    assert done.stderr == b""
    return done.stdout


# ---- the grid


@st.composite
def spaces_with_an_index(draw):
    sizes, size = [], 1
    for radix in draw(st.lists(st.integers(1, 10**5), max_size=16)):
        if size * radix <= 10**15:
            sizes.append(radix)
            size *= radix
    return Space(tuple(sizes)), draw(st.integers(0, size - 1))


@given(spaces_with_an_index())
def test_an_index_becomes_one_digit_per_axis_and_comes_back(case):
    space, index = case
    digits = space.digits(index)
    assert all(0 <= digit < size for digit, size in zip(digits, space.sizes, strict=True))
    assert space.index(digits) == index


@given(st.lists(st.integers(1, 5), max_size=5))
def test_the_digits_count_up_like_nested_loops(sizes):
    space = Space(tuple(sizes))
    assert [space.digits(i) for i in range(space.size)] == list(itertools.product(*map(range, sizes)))


def test_the_order_is_that_of_the_calls_and_the_last_varies_fastest():
    task = Task("x").arg("--a", [1, 2]).switch("--s").arg(None, ["p", "q", "r"])
    nested = [["--a", str(a), *flag, word] for a in (1, 2) for flag in (["--s"], []) for word in ("p", "q", "r")]
    assert words_of(task) == nested
    assert [point.index for point in task] == list(range(12))


def test_the_documented_example_makes_36_commands():
    task = Task("python ./vllm/benchmarks/benchmark_throughput.py")
    task.fixed("--backend", "vllm").fixed("--model", "Llama-2-7b-chat-hf")
    task.arg("--num-prompts", [64, 128, 256]).arg("--input-len", [128, 256, 512]).arg("--output-len", [512, 1024])
    task.switch("--enable-mytool")
    head = ["python", "./vllm/benchmarks/benchmark_throughput.py", "--backend", "vllm"]
    head += ["--model", "Llama-2-7b-chat-hf"]
    assert commands(task) == [
        [*head, "--num-prompts", f"{n}", "--input-len", f"{i}", "--output-len", f"{o}", *flag]
        for n in (64, 128, 256)
        for i in (128, 256, 512)
        for o in (512, 1024)
        for flag in (["--enable-mytool"], [])
    ]
    assert len(task) == task.size == 36


def test_a_task_without_loops_is_one_point():
    task = Task("true").fixed("--n", 1)
    assert (len(task), task.size, words_of(task)) == (1, 1, [["--n", "1"]])


def test_a_point_is_found_by_its_index_and_counted_from_the_end_when_negative():
    task = Task("x").arg("--n", range(10)).arg("--m", range(10))
    assert (task[73]["--n"], task[73]["--m"], task[73].index) == (7, 3, 73)
    assert task[-1].index == 99
    assert task[-100].index == 0


@pytest.mark.parametrize("index", [2, -3, 10**30])
def test_a_point_outside_the_grid_is_an_index_error_that_names_the_bounds(index):
    task = Task("x").arg("--n", [1, 2])
    with pytest.raises(PointIndexError, match=r"2 points.*0 to 1") as caught:
        task[index]
    assert isinstance(caught.value, IndexError)
    assert isinstance(caught.value, TaskExpError)


@pytest.mark.parametrize("index", ["1", 1.0, None, True, slice(0, 2)])
def test_an_index_that_is_no_int_is_a_type_error(index):
    with pytest.raises(TaskExpError, match="index") as caught:
        Task("x").arg("--n", [1, 2])[index]
    assert isinstance(caught.value, TypeError)


def huge(axes):
    task = Task("x")
    for axis in range(axes):
        task.arg(f"--a{axis}", range(10) if axis % 2 else list(range(10)))
    return task


def peak_bytes_of_using(axes):
    tracemalloc.start()
    try:
        task = huge(axes)
        assert task[task.size // 10].argv
        with task.executable_loop(start=task.size // 10, use_tqdm=False) as loop:
            executable = next(iter(loop))
            assert executable.argv[1:3] == ["--a0", "1"]
            assert executable.index == 10 ** (axes - 1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.fault("X07")
def test_a_grid_of_10_to_the_12_is_indexed_and_begun_in_flat_memory():
    peak_bytes_of_using(2)  # what is imported at first use is no cost of the grid
    assert huge(12).size == len(huge(12)) == 10**12
    assert peak_bytes_of_using(12) < 2 * peak_bytes_of_using(2) + 200_000


def test_a_range_of_10_to_the_12_is_never_listed():
    task = Task("x").arg("--n", range(10**12))
    assert task[10**11].argv == ["x", "--n", str(10**11)]


def test_size_is_exact_where_len_ends():
    task = huge(25)
    assert task.size == 10**25
    assert task[10**24].argv[1:3] == ["--a0", "1"]
    with pytest.raises(OverflowError):
        len(task)


def test_size_is_exact_for_a_single_range_above_the_longest_len():
    task = Task("x").arg("--n", range(10**20))
    assert task.size == 10**20
    assert task[10**20 - 1].argv == ["x", "--n", str(10**20 - 1)]


def test_start_is_a_position_in_the_order_of_the_loop():
    task = Task("true").arg("--n", range(5))
    assert [exe.params["--n"] for exe in task.executable_loop(start=3, use_tqdm=False)] == [3, 4]


def test_a_loop_that_was_made_is_not_changed_by_later_calls():
    task = Task("true").arg("--n", [1, 2])
    loop = task.executable_loop(use_tqdm=False)
    point = task[0]
    task.arg("--m", [1, 2, 3])
    assert [exe.argv for exe in loop] == [["true", "--n", "1"], ["true", "--n", "2"]]
    assert point.argv == ["true", "--n", "1"]
    assert task.size == 6


def test_changing_a_list_after_the_call_changes_nothing():
    values = [1, 2]
    task = Task("x").arg("--n", values)
    values.append(3)
    assert words_of(task) == [["--n", "1"], ["--n", "2"]]


# ---- the words


def test_a_program_is_split_as_a_shell_would():
    assert Task("""python 'my file.py' -c "a b" x\\ y""")[0].argv == ["python", "my file.py", "-c", "a b", "x y"]


def test_a_program_given_as_words_is_taken_as_it_is():
    assert Task(["my prog", "", "$HOME", "a  b"])[0].argv == ["my prog", "", "$HOME", "a  b"]


@pytest.mark.fault("X10")
def test_a_switch_is_on_then_off_and_off_adds_nothing():
    assert words_of(Task("x").switch("-O3")) == [["-O3"], []]
    assert [point["-O3"] for point in Task("x").switch("-O3")] == [True, False]


def test_a_switch_is_the_same_as_an_argument_of_the_flag_and_nothing():
    switch = Task("x").fixed("--n", 1).switch("--amp").arg(None, ["a", "b"])
    documented = Task("x").fixed("--n", 1).arg(None, ["--amp", ""]).arg(None, ["a", "b"])
    assert [(p.argv, p.params, p.id) for p in switch] == [(p.argv, p.params, p.id) for p in documented]


def test_a_flag_may_be_off_first():
    task = Task("x").arg(None, ["", "--amp"])
    assert words_of(task) == [[], ["--amp"]]
    assert [point.params for point in task] == [{"--amp": False}, {"--amp": True}]


@pytest.mark.fault("X10")
def test_empty_text_adds_nothing_without_a_key_and_an_empty_value_under_one():
    assert Task("x").fixed(None, "").fixed("--a", "")[0].argv == ["x", "--a", ""]
    assert words_of(Task("x").arg(None, ["a", "", "b"])) == [["a"], [], ["b"]]
    assert words_of(Task("x").arg("--n", ["", "1"])) == [["--n", ""], ["--n", "1"]]
    assert words_of(Task("x").arg("n=", ["", "1"])) == [["n="], ["n=1"]]


def test_none_leaves_the_option_out_and_stays_in_the_params():
    assert Task("x").fixed("--a", None).fixed(None, None).fixed("b=", None)[0].argv == ["x"]
    task = Task("x").arg("--n", [None, 1])
    assert words_of(task) == [[], ["--n", "1"]]
    assert [point.params for point in task] == [{"--n": None}, {"--n": 1}]


def test_a_key_given_twice_is_passed_twice_in_order():
    task = Task("gcc").fixed("-I", "a").arg("-I", ["b", "c"]).fixed("-I", "d")
    assert words_of(task) == [["-I", "a", "-I", "b", "-I", "d"], ["-I", "a", "-I", "c", "-I", "d"]]
    assert task[1].params == {"-I": "a", "-I#2": "c", "-I#3": "d"}


def test_a_key_that_ends_in_an_equals_sign_is_joined_to_its_value():
    task = Task("x").arg("lr=", [0.1]).fixed("--lr=", 0.1).fixed("--name=", "a b")
    assert task[0].argv == ["x", "lr=0.1", "--lr=0.1", "--name=a b"]
    assert task[0].params == {"lr=": 0.1, "--lr=": 0.1, "--name=": "a b"}


def test_positionals_are_named_by_their_count():
    task = Task("cp").fixed(None, "from").fixed("-v", 1).arg(None, ["to", "over"]).switch("-r")
    assert task[2].argv == ["cp", "from", "-v", "1", "over", "-r"]
    assert task[2].params == {"arg1": "from", "-v": 1, "arg2": "over", "-r": True}


def test_values_are_written_as_python_writes_them():
    values = ["text", 3, 10**30, 1e-3, 1.0, -1, math.inf, True, False, Path("a/b"), "é😀", " "]
    texts = ["text", "3", str(10**30), "0.001", "1.0", "-1", "inf", "True", "False", "a/b", "é😀", " "]
    assert words_of(Task("x").arg("--v", values)) == [["--v", text] for text in texts]


class Tuple(tuple):
    __slots__ = ()


class SizedOnly:
    """As an array is: it has a length and can be iterated, and is no Collection by inheritance."""

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([4, 5])


@pytest.mark.parametrize(
    "values", [[4, 5], (4, 5), range(4, 6), {4: "a", 5: "b"}, {4: 1, 5: 1}.keys(), Tuple((4, 5)), SizedOnly()]
)
def test_any_sized_iterable_is_a_loop(values):
    assert words_of(Task("x").arg("--n", values)) == [["--n", "4"], ["--n", "5"]]


class ForeignInt:
    """An integer of another library: registered as Integral, and no int."""

    def __init__(self, number):
        self.number = number

    def __int__(self):
        return self.number

    __index__ = __int__

    def __repr__(self):
        return f"foreign.int64({self.number})"


class ForeignFloat32:
    """A short float of another library, whose text is shorter than its value as a double."""

    def __float__(self):
        return 0.10000000149011612

    def __str__(self):
        return "0.1"


class ForeignFloat64(float):
    def __repr__(self):
        return f"foreign.float64({float(self)!r})"

    __str__ = __repr__


numbers.Integral.register(ForeignInt)
numbers.Real.register(ForeignFloat32)


class Mode(enum.StrEnum):
    fast = "quick"


class Level(enum.IntEnum):
    high = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [(ForeignInt(64), 64), (ForeignFloat32(), 0.1), (ForeignFloat64(0.5), 0.5), (Mode.fast, "quick"), (Level.high, 3)],
)
def test_values_of_other_libraries_become_plain_ones(value, plain):
    points = [
        Task("x").arg("--v", [value])[0],
        Task("x").fixed("--v", value)[0],
        Task("x").fixed("--v", lambda _: value)[0],
    ]
    for point in points:
        assert point.argv == ["x", "--v", str(plain)]
        assert point.params == {"--v": plain}
        assert type(point.params["--v"]) is type(plain)


def test_wraps_puts_an_outer_command_in_front_and_a_second_one_in_front_of_that():
    task = Task("python a.py").arg("--n", [1]).wraps("numactl -N 0").wraps(["nsys", "profile", "-o", "my report"])
    assert task[0].argv == shlex.split("nsys profile -o 'my report' numactl -N 0 python a.py --n 1")
    assert task[0].params == {"--n": 1}


def test_what_the_executable_gives_are_copies():
    exe = first_executable(Task("true", env={"A": "1"}).arg("--n", [1, 2]))
    exe.argv.append("--evil")
    exe.params["--n"] = 7
    exe.env["A"] = "7"
    assert (exe.argv, exe.params, exe.env, exe.index) == (["true", "--n", "1"], {"--n": 1}, {"A": "1"}, 0)
    assert type(exe.argv) is list
    assert {type(word) for word in exe.argv} == {str}


def test_every_builder_returns_the_task():
    task = Task("x")
    chained = task.fixed("--a", 1).arg("--b", [1]).switch("--c").env("D", "1").wraps("nice")
    assert chained is task


# ---- the environment


def test_env_is_a_loop_over_a_list_and_a_constant_for_a_str():
    task = Task("x", env={"BASE": "0"}).env("OMP", [1, 2]).env("MODE", "fast")
    assert [point.env for point in task] == [{"BASE": "0", "OMP": n, "MODE": "fast"} for n in ("1", "2")]
    assert [point.params for point in task] == [{"OMP": n, "MODE": "fast"} for n in (1, 2)]
    assert words_of(task) == [[], []]


def test_a_loop_over_a_variable_goes_over_the_one_that_the_task_has():
    assert [point.env for point in Task("x", env={"A": 0}).env("A", [1, 2])] == [{"A": "1"}, {"A": "2"}]


@pytest.mark.fault("X09")
def test_a_run_sees_the_environment_that_was_asked_for_on_top_of_the_drivers(monkeypatch):
    monkeypatch.setenv("FROM_DRIVER", "yes")
    task = Task(["sh", "-c", 'echo "$FROM_DRIVER,$FIXED,${EMPTY-unset},$LOOP"'], env={"FIXED": 1.5, "EMPTY": ""})
    log = io.StringIO()
    task.env("LOOP", ["a", "b c"]).run(ostreams=[log], use_tqdm=False)
    assert log.getvalue() == "yes,1.5,,a\nyes,1.5,,b c\n"


def test_live_asks_python_not_to_buffer_and_leaves_a_value_of_the_users():
    assert Task("x")[0].env == {}
    assert Task("x", live=True)[0].env == {"PYTHONUNBUFFERED": "1"}
    assert Task("x", live=True, env={"PYTHONUNBUFFERED": "x"})[0].env == {"PYTHONUNBUFFERED": "x"}


@pytest.mark.fault("S10")
def test_a_live_python_program_is_heard_before_it_ends(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    heard = tmp_path / "heard"
    # It ends with 0 only if its line arrived while it was still running.
    waits = "import pathlib, sys, time\nprint('ready')\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
    task = Task([sys.executable, "-c", waits, str(heard)], live=True)
    exe = next(loop := iter(task.executable_loop(use_tqdm=False)))
    exe.execute(timeout=30, ostreams=[], on_verbose=lambda *_: heard.touch())
    assert exe.result.status is Status.succeeded
    assert next(loop, None) is None


# ---- functions of the point


def test_a_function_of_the_point_computes_its_value_from_values_index_and_id():
    task = Task("x").arg("--n", [64, 128])
    task.fixed("--double", lambda p: 2 * p["--n"]).fixed("--out", lambda p: f"out/{p.index}-{p.id}.json")
    for point in task:
        n, out = point["--n"], f"out/{point.index}-{point.id}.json"
        assert point.argv == ["x", "--n", f"{n}", "--double", f"{2 * n}", "--out", out]
        assert point.params == {"--n": n, "--double": 2 * n, "--out": out}


def test_a_function_sees_loops_that_are_added_after_it():
    task = Task("x").fixed("--m", lambda p: p["--n"] + 1).arg("--n", [1])
    assert task[0].argv == ["x", "--m", "2", "--n", "1"]


def test_a_function_that_gives_none_leaves_the_option_out():
    task = Task("x").arg("--n", [1, 2]).fixed("--m", lambda p: None if p["--n"] == 1 else 5)
    assert words_of(task) == [["--n", "1"], ["--n", "2", "--m", "5"]]


def raise_on_the_first(point):
    if point["--n"] == 1:
        raise LookupError("no such model")
    return "good"


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raise_on_the_first, "LookupError: no such model"),
        (lambda p: [p.index], "list"),
        (lambda p: p["--unknown"], "KeyError: '--unknown'"),
        (lambda _: "a\0b", "NUL"),
    ],
)
def test_a_function_that_fails_is_a_point_error_that_names_the_option_and_the_point(function, told):
    point = Task("x").arg("--n", [1, 2]).fixed("--model", function)[0]
    for read in (lambda: point.argv, lambda: point.params, lambda: point.env):
        with pytest.raises(PointError) as caught:
            read()
        assert "--model" in str(caught.value)
        assert "point 0" in str(caught.value)
        assert told in str(caught.value)


@pytest.mark.parametrize("max_workers", [1, 2])
def test_a_point_whose_function_fails_is_not_started_and_the_loop_goes_on(max_workers):
    task = Task("true").arg("--n", [1, 2]).fixed("--model", raise_on_the_first)
    results, log = [], io.StringIO()
    executables = []
    for exe in task.executable_loop(use_tqdm=False, max_workers=max_workers):
        exe.print_cmd(ostreams=[log])
        exe.execute(ostreams=[log])
        executables.append(exe)
    results = [exe.result for exe in executables]
    assert [result.status for result in results] == ["not_started", "succeeded"]
    assert "LookupError: no such model" in results[0].error
    assert (results[0].argv, results[0].params) == ([], {"--n": 1})
    assert results[1].argv == ["true", "--n", "2", "--model", "good"]
    assert "not started" in log.getvalue()
    with pytest.raises(PointError, match="no such model"):
        _ = executables[0].argv


FAILS_FOR_ONE = """
import sys
from taskexp import Task

def pick(point):
    return BODY if point["--n"] == 1 else "good"

task = Task("true").arg("--n", [1, 2]).fixed("--pick", pick)
print(*[result.status for result in task.run(use_tqdm=False, ostreams=[], max_workers=int(sys.argv[1]))])
"""


@pytest.mark.parametrize("max_workers", ["1", "2"])
@pytest.mark.parametrize("body", ["sys.exit(3)", "10**5000"])
def test_no_function_of_the_point_can_hang_the_loop(body, max_workers, tmp_path):
    # In a process of its own, since what hangs would take the tests along.
    done = run_script(FAILS_FOR_ONE.replace("BODY", body), tmp_path, max_workers, timeout=20)
    assert "Traceback" not in done.stderr
    assert done.stdout == "not_started succeeded\n"


def test_the_command_line_of_a_function_that_fails_is_one_comment_line():
    def fail(_):
        raise ValueError("first\nsecond\x1b[2J")

    line = displayed(Task("x").fixed("--n", fail))
    assert line.startswith("#")
    assert line.endswith("\n")
    assert line[:-1].isprintable()


# ---- the name of a point

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(), texts, st.sampled_from(["None", "1", "True", "\1", "-"])
)


def ids(task):
    return [point.id for point in task]


@given(st.lists(values, min_size=1, max_size=5), st.lists(values, min_size=1, max_size=4), values)
def test_distinct_points_have_distinct_ids_even_for_equal_values(first, second, constant):
    task = Task("x").arg("--a", first).fixed("--c", constant).arg(None, second).env("E", ["", "\1", "a"])
    assert len(set(ids(task))) == task.size


@given(
    st.lists(values, min_size=1, max_size=6, unique_by=str),
    st.lists(values, min_size=1, max_size=6, unique_by=str),
    st.data(),
)
def test_an_id_does_not_depend_on_what_else_is_in_the_grid(first, second, data):
    wide = Task("x").arg("--a", first).arg("--b", second)
    some = data.draw(st.lists(st.sampled_from(first), min_size=1, unique_by=str))
    others = data.draw(st.lists(st.sampled_from(second), min_size=1, unique_by=str))
    narrow = Task("x").arg("--a", some).arg("--b", others)
    in_wide = {tuple(map(repr, point.values())): point.id for point in wide}
    assert all(point.id == in_wide[tuple(map(repr, point.values()))] for point in narrow)


def test_the_nth_of_equal_values_keeps_its_id_when_the_grid_is_widened():
    assert ids(Task("x").arg("--n", [1, 1])) == ids(Task("x").arg("--n", [1, 2, 1, 1]))[::2]


def test_an_id_is_the_same_in_every_process(tmp_path):
    script = EXPERIMENT + "print(*[point.id for point in exp], sep='\\n')"
    namespace: dict[str, object] = {}
    exec(EXPERIMENT, namespace)
    for seed in ("1", "2"):
        done = run_script(script, tmp_path, env={**os.environ, "PYTHONHASHSEED": seed})
        assert done.stdout.split() == ids(namespace["exp"])


@pytest.mark.fault("C04")
def test_an_id_is_a_short_word_that_can_name_a_file():
    (point,) = Task("x")
    assert isinstance(point, Point)
    assert point.id.isalnum()
    assert 8 <= len(point.id) <= 32


@pytest.mark.parametrize(
    "other",
    [
        Task("y").fixed("--n", 1),
        Task(["x", ""]).fixed("--n", 1),
        Task("x", env={"A": "1"}).fixed("--n", 1),
        Task("x", cwd="/tmp").fixed("--n", 1),
        Task("x", cwd="None").fixed("--n", 1),
        Task("x").fixed("--n", 2),
        Task("x").fixed("--n=", 1),
        Task("x").fixed("--m", 1),
        Task("x").fixed(None, 1),
        Task("x").fixed("--n", 1).fixed("--n", 1),
        Task("x").fixed("--n", 1).wraps("nice"),
        Task("x").fixed("--n", 1).env("A", "1"),
    ],
    ids=[
        "program",
        "words",
        "env",
        "cwd",
        "cwd None",
        "value",
        "joined",
        "key",
        "positional",
        "twice",
        "wraps",
        "env loop",
    ],
)
def test_another_content_is_another_id(other):
    assert other[0].id != Task("x").fixed("--n", 1)[0].id


def test_computed_values_and_the_kind_of_loop_are_no_part_of_an_id():
    plain = Task("x").fixed("--n", 1)[0].id
    assert Task("x").fixed("--n", 1).fixed("--out", lambda p: p.id)[0].id == plain
    assert Task("x").arg("--n", [2, 1])[1].id == plain


def test_points_that_compare_equal_hash_equal():
    first, second = Task("x").arg("--n", [1, 1])
    third = Task("y").arg("--n", [1])[0]
    for one, other in itertools.combinations([first, second, third], 2):
        assert one != other or hash(one) == hash(other)


# ---- the line to paste


def test_print_cmd_writes_the_environment_and_then_the_words_quoted():
    task = Task("python 'my bench.py'", env={"MODE": "very fast"}).fixed("--n", 1).env("OMP", [4]).fixed("--s", "it's")
    assert displayed(task) == "MODE='very fast' OMP=4 " + shlex.join(task[0].argv) + "\n"


@pytest.mark.fault("S17")
def test_print_cmd_lets_no_control_or_invisible_character_through():
    nasty = "".join(map(chr, [*range(1, 32), 127, 0x85, 0x9B, 0x202E, 0x2028, 0x200B, 0xFEFF]))
    line = displayed(Task(["x", nasty, "\x1b[2J", "é😀"], env={"A": nasty}))
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "é😀" in line


argument_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text(st.characters(max_codepoint=127, exclude_characters="\0")),
    st.binary(max_size=8).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))),
    st.sampled_from(["", "'", '"', "\\", "\n", "\r\n", "$(echo no)", "`echo no`", "!!", "~", "*", "-n", "\1"]),
    st.sampled_from(["#", "a=b", "{1..3}", "$HOME", "; exit 1", "\\'", "\1'7", "\x7f0", "a\tb", "$'x'", "&", "é\n1"]),
)


@pytest.mark.fault("X10", "C06")
@given(st.lists(st.lists(argument_texts, max_size=5), min_size=1, max_size=20))
@settings(max_examples=30)
def test_every_displayed_argv_pasted_into_bash_gives_the_same_argv(argvs):
    lines = [displayed(Task(["printf", r"%s\0", "begin", *argv])) for argv in argvs]
    assert all(line.count("\n") == 1 for line in lines)
    expected = [word for argv in argvs for word in ("begin", *argv)]
    assert [os.fsdecode(word) for word in paste(*lines).split(b"\0")[:-1]] == expected


variables = st.dictionaries(
    st.from_regex("TASKEXP_TEST[A-Za-z0-9_]{0,3}", fullmatch=True)
    | st.sampled_from(["taskexp.dotted", "taskexp é", "taskexp'q", "taskexp-\n"]),
    argument_texts,
    max_size=4,
)


@pytest.mark.fault("C06")
@given(st.lists(variables, min_size=1, max_size=10))
@settings(max_examples=20)
def test_every_displayed_environment_pasted_into_bash_is_the_same_environment(overlays):
    lines = [displayed(Task(["env", "-0"], env=overlay)) for overlay in overlays]
    pasted = paste(*[line + r"printf 'end\0'" + "\n" for line in lines], env={"PATH": os.environ["PATH"]})
    for overlay, printed in zip(overlays, pasted.split(b"end\0")[:-1], strict=True):
        seen = dict(os.fsdecode(pair).split("=", 1) for pair in printed.split(b"\0")[:-1])
        assert {name: value for name, value in seen.items() if name.startswith(("TASKEXP_TEST", "taskexp"))} == overlay


@pytest.mark.fault("C06")
def test_a_displayed_command_pasted_into_bash_does_what_its_run_does():
    dumps = "import os, sys; print(sys.argv[1:], sorted(i for i in os.environb.items() if i[0][:2] == b'X_'))"
    task = Task([sys.executable, "-c", dumps, "it's", "a\nb", "", "\x1b[0m", "é"], env={"X_A": "1 2", "X_é": "\t"})
    task.arg("--n", ["*", "\udcff"]).env("X_B", ["x", "$y"])
    ran, shown = io.StringIO(), io.StringIO()
    for exe in task.executable_loop(use_tqdm=False):
        exe.print_cmd(ostreams=[shown])
        exe.execute(ostreams=[ran])
    assert paste(shown.getvalue()).decode() == ran.getvalue()
    assert ran.getvalue().count("\n") == 4


@pytest.mark.parametrize("name", ["time", "if", "!", "TASKEXP_TEST=1", "{", "[["])
def test_a_program_whose_name_means_something_to_a_shell_is_pasted_as_a_program(name, tmp_path):
    program = tmp_path / name
    program.write_text("#!/bin/sh\nprintf '%s,' ran \"$@\"\n")
    program.chmod(0o755)
    search = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert paste(displayed(Task([name, "-v", "x"])), env=search) == b"ran,-v,x,"


@pytest.mark.parametrize("name", ["UID", "PPID", "-i", "-", "--help"])
def test_a_variable_whose_name_means_something_to_a_shell_is_pasted_as_a_variable(name):
    pasted = paste(displayed(Task(["env", "-0"], env={name: "taskexp 7"})))
    assert os.fsencode(f"{name}=taskexp 7") in pasted.split(b"\0")
