"""The grid that sweeps need: paired values, conditions, repeats, functions of the point, sums of tasks."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from conftest import run_script
from terminal import Terminal

from taskexp import ArgumentTypeError, ArgumentValueError, PointError, PointIndexError, Task, TaskExpError, TaskSum


def words_of(exp):
    """Return what each point adds behind the one word of its program."""
    return [point.argv[1:] for point in exp]


def ids(exp):
    return [point.id for point in exp]


def all_points(exp):
    """Return every point of the full grid."""
    return [exp[index] for index in range(exp.size)]


def handed_out(exp, **loop):
    """Return the indices that a loop hands out, without running anything."""
    return [exe.index for exe in exp.executable_loop(use_tqdm=False, **loop)]


# ---- every way to run an experiment; each returns the results


def plain_loop(exp, **loop):
    executables = []
    for exe in exp.executable_loop(use_tqdm=False, **loop):
        exe.execute(ostreams=[])
        executables.append(exe)
    return [exe.result for exe in executables]


def as_completed(exp, **loop):
    return [exe.result for exe in exp.as_completed(ostreams=[], use_tqdm=False, **loop)]


def run(exp, **loop):
    return exp.run(ostreams=[], use_tqdm=False, **loop)


def async_loop(exp, **loop):
    async def sweep():
        async with asyncio.TaskGroup() as group:
            handed_out = exp.executable_loop(use_tqdm=False, **loop)
            return [group.create_task(exe.execute(ostreams=[])) async for exe in handed_out]

    return [task.result() for task in asyncio.run(sweep())]


def async_as_completed(exp, **loop):
    async def sweep():
        return [exe.result async for exe in exp.as_completed(ostreams=[], use_tqdm=False, **loop)]

    return asyncio.run(sweep())


every_way = pytest.mark.parametrize("way", [plain_loop, as_completed, run, async_loop, async_as_completed])
every_width = pytest.mark.parametrize("max_workers", [1, 2])


# ---- zip


def test_zip_advances_its_axes_together_as_one_loop():
    task = Task("x").zip({"--model": ["7b", "70b"], "--tp": [1, 4], "--port": (8007, 8070)})
    assert words_of(task) == [
        ["--model", "7b", "--tp", "1", "--port", "8007"],
        ["--model", "70b", "--tp", "4", "--port", "8070"],
    ]
    assert [point.params for point in task] == [
        {"--model": "7b", "--tp": 1, "--port": 8007},
        {"--model": "70b", "--tp": 4, "--port": 8070},
    ]
    assert len(task) == task.size == 2


def test_zip_stands_among_the_other_loops_in_the_order_of_the_calls():
    task = Task("x").arg("--a", [1, 2]).zip({"--b": ["p", "q"], "--c": [3, 4]})
    task.switch("--s")
    assert words_of(task) == [
        ["--a", str(a), "--b", b, "--c", str(c), *flag]
        for a in (1, 2)
        for b, c in [("p", 3), ("q", 4)]
        for flag in (["--s"], [])
    ]


def test_two_zips_are_two_loops():
    task = Task("x").zip({"--a": [1, 2], "--b": [3, 4]}).zip({"--c": [5, 6, 7], "--d": [8, 9, 10]})
    rows = [tuple(point.values()) for point in task]
    assert rows == [(*first, *second) for first in [(1, 3), (2, 4)] for second in [(5, 8), (6, 9), (7, 10)]]


def test_zip_of_pairs_may_name_positionals_more_than_once():
    task = Task("cp").fixed(None, "-r").zip([(None, ["a", "b"]), ("--mode", [1, 2]), (None, ["x", "y"])])
    assert words_of(task) == [["-r", "a", "--mode", "1", "x"], ["-r", "b", "--mode", "2", "y"]]
    assert task[1].params == {"arg1": "-r", "arg2": "b", "--mode": 2, "arg3": "y"}


def test_zip_joins_a_key_that_ends_in_an_equals_sign():
    task = Task("x").zip({"lr=": [0.1, 0.2], "--name=": ["a b", ""]})
    assert words_of(task) == [["lr=0.1", "--name=a b"], ["lr=0.2", "--name="]]


def test_zip_leaves_none_out_and_passes_empty_text_only_under_a_key():
    task = Task("x").zip({"--a": [None, 1], "--b": ["", 2], None: ["", "word"]})
    assert words_of(task) == [["--b", ""], ["--a", "1", "--b", "2", "word"]]
    assert task[0].params == {"--a": None, "--b": "", "arg1": ""}


def test_zip_numbers_a_key_that_was_used_before():
    task = Task("gcc").fixed("-I", "a").zip({"-I": ["b", "c"], "-D": [1, 2]}).arg("-I", ["d"])
    assert task[1].argv == ["gcc", "-I", "a", "-I", "c", "-D", "2", "-I", "d"]
    assert task[1].params == {"-I": "a", "-I#2": "c", "-D": 2, "-I#3": "d"}


def test_zip_advances_environment_variables_with_its_options():
    task = Task("x", env={"BASE": 0}).zip({"--tp": [1, 4]}, env={"PORT": [8007, 8070], "MODE": ["", "fast"]})
    assert [point.env for point in task] == [
        {"BASE": "0", "PORT": "8007", "MODE": ""},
        {"BASE": "0", "PORT": "8070", "MODE": "fast"},
    ]
    assert [point.params for point in task] == [
        {"--tp": 1, "PORT": 8007, "MODE": ""},
        {"--tp": 4, "PORT": 8070, "MODE": "fast"},
    ]
    assert words_of(task) == [["--tp", "1"], ["--tp", "4"]]


def test_zip_of_variables_alone_is_a_loop():
    assert [point.env for point in Task("x").zip({}, env={"A": [1, 2], "B": [3, 4]})] == [
        {"A": "1", "B": "3"},
        {"A": "2", "B": "4"},
    ]


def test_runs_of_a_zip_see_their_row():
    log = io.StringIO()
    task = Task(["sh", "-c", 'echo "$1 $2 $PORT"', "sh"]).zip(
        [(None, ["a", "b"]), (None, [1, 2])], env={"PORT": [7, 8]}
    )
    task.run(ostreams=[log], use_tqdm=False)
    assert log.getvalue() == "a 1 7\nb 2 8\n"


def test_changing_the_lists_of_a_zip_after_the_call_changes_nothing():
    axes = {"--a": [1, 2], "--b": [3, 4]}
    task = Task("x").zip(axes)
    axes["--a"].append(9)
    axes["--c"] = [5, 6]
    assert words_of(task) == [["--a", "1", "--b", "3"], ["--a", "2", "--b", "4"]]


def test_a_row_of_a_zip_has_the_id_of_the_same_values_in_other_loops():
    zipped = Task("x").zip({"--a": [1, 2], "--b": [3, 4]}, env={"E": [5, 6]})
    looped = Task("x").arg("--a", [1, 2]).arg("--b", [3, 4]).env("E", [5, 6])
    assert ids(zipped) == [looped[0].id, looped[7].id]


def test_equal_rows_of_a_zip_are_told_apart_and_rows_that_differ_in_one_axis_are_no_twins():
    twice = Task("x").zip({"--a": [1, 1, 1], "--b": [2, 2, 3]})
    assert len(set(ids(twice))) == 3
    assert twice[0].id == Task("x").zip({"--a": [1], "--b": [2]})[0].id
    assert twice[2].id == Task("x").zip({"--a": [1], "--b": [3]})[0].id


def peak_bytes_of_using_a_zip(length):
    tracemalloc.start()
    try:
        task = Task("x").zip({"--a": range(length), "--b": range(2 * length, 0, -2), None: range(7, length + 7)})
        place = length // 10
        assert task[place].argv == ["x", "--a", f"{place}", "--b", f"{2 * length - 2 * place}", f"{place + 7}"]
        assert task[place].id != task[place + 1].id
        with task.executable_loop(start=place, use_tqdm=False) as loop:
            assert next(iter(loop)).index == place
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_zipped_ranges_of_10_to_the_12_are_used_in_flat_memory():
    peak_bytes_of_using_a_zip(100)  # what is imported at first use is no cost of the grid
    assert peak_bytes_of_using_a_zip(10**12) < 2 * peak_bytes_of_using_a_zip(100) + 200_000


HUGE_VARIABLE = """
from taskexp import Task
N = 10**12
task = Task("x").CALL
print(task.size, task[N // 2].env["SEED"])
"""


@pytest.mark.parametrize("call", ['env("SEED", range(N))', 'zip({"--n": range(N)}, env={"SEED": range(N)})'])
def test_a_variable_that_loops_over_a_range_of_10_to_the_12_is_never_gone_through(call, tmp_path):
    # In a process of its own, since a hang would take the tests along.
    done = run_script(HUGE_VARIABLE.replace("CALL", call), tmp_path, timeout=5)
    assert (done.stdout, done.stderr) == (f"{10**12} {5 * 10**11}\n", "")


@pytest.mark.parametrize("key", [None, "--n"])
def test_a_range_above_the_longest_len_is_a_loop_with_and_without_a_key(key):
    assert Task("x").arg(key, range(10**20))[-1].argv[-1] == str(10**20 - 1)
    assert Task("x").zip([(key, range(10**20))])[-1].argv[-1] == str(10**20 - 1)


@pytest.mark.parametrize(
    ("refused", "arguments", "told"),
    [
        (ArgumentValueError, [{"--a": [1, 2], "--b": [1]}], ["--a has 2", "--b has 1", "one length"]),
        (ArgumentValueError, [{"--a": [1, 2]}, {"E": [1]}], ["--a has 2", "E has 1"]),
        (ArgumentValueError, [[("--a", [1]), ("--a", [2])]], ["'--a' is named twice"]),
        (ArgumentValueError, [{"--a": [1], "--a=": [2]}], ["'--a' is named twice"]),
        (ArgumentValueError, [{}], ["no axis"]),
        (ArgumentValueError, [[]], ["no axis"]),
        (ArgumentValueError, [{"--a": []}], ["--a", "empty"]),
        (ArgumentTypeError, [{"--a": "text"}], ["--a", "list"]),
        (ArgumentTypeError, [{"--a": [object()]}], ["--a", "object"]),
        (ArgumentTypeError, ["--a"], ["dict of lists"]),
        (ArgumentTypeError, [[("--a", [1], 2)]], ["dict of lists"]),
        (ArgumentTypeError, [{3: [1]}], ["key is a str", "int (3)"]),
        (ArgumentValueError, [{"--a": [1]}, {"E": [None]}], ["E", "None"]),
        (ArgumentValueError, [{"--a": [1]}, {"E=": [1]}], ["'E='"]),
    ],
)
def test_a_zip_that_makes_no_sense_is_refused_and_leaves_the_task_as_it_was(refused, arguments, told):
    task = Task("x").arg("--n", [1, 2])
    axes, *env = arguments
    with pytest.raises(refused) as caught:
        task.zip(axes, env=env[0] if env else None)
    assert isinstance(caught.value, TaskExpError)
    assert all(words in str(caught.value) for words in ["zip", *told])
    assert words_of(task) == [["--n", "1"], ["--n", "2"]]


# ---- where


def triangle(program="true"):
    """Nine points, of which 0, 3, 4, 6, 7, 8 run."""
    return Task(program).arg("--n", [1, 2, 3]).arg("--m", [1, 2, 3]).where(lambda p: p["--m"] <= p["--n"])


@every_way
@every_width
def test_every_way_to_run_leaves_out_the_points_for_which_where_does_not_hold(way, max_workers):
    results = way(triangle("echo"), max_workers=max_workers)
    assert sorted(result.index for result in results) == [0, 3, 4, 6, 7, 8]
    assert {result.status for result in results} == {"succeeded"}
    pairs = {(result.params["--n"], result.params["--m"]) for result in results}
    assert pairs == {(n, m) for n in (1, 2, 3) for m in range(1, n + 1)}


def test_where_leaves_the_size_and_the_indices_of_the_full_grid():
    task = triangle()
    assert (len(task), task.size) == (9, 9)
    assert task[1].params == {"--n": 1, "--m": 2}
    assert [task[index].index for index in (1, 8, -1)] == [1, 8, 8]
    assert [point.index for point in task] == [0, 3, 4, 6, 7, 8]
    with pytest.raises(PointIndexError, match="9 points"):
        task[9]


def test_where_changes_no_id():
    task = triangle()
    plain = Task("true").arg("--n", [1, 2, 3]).arg("--m", [1, 2, 3])
    assert [(point.index, point.id) for point in task] == [(i, plain[i].id) for i in (0, 3, 4, 6, 7, 8)]


def test_of_several_predicates_all_have_to_hold_and_the_first_that_does_not_is_the_last_asked():
    asked = []
    task = Task("true").arg("--n", range(12))
    task.where(lambda p: asked.append(("two", p.index)) or p.index % 2 == 0)
    task.where(lambda p: asked.append(("three", p.index)) or p.index % 3 == 0)
    assert handed_out(task) == [0, 6]
    assert Counter(index for name, index in asked if name == "two") == Counter(range(12))
    assert [index for name, index in asked if name == "three"] == [0, 2, 4, 6, 8, 10]


def test_a_predicate_is_asked_only_when_the_loop_comes_to_the_point():
    asked = []
    task = Task("true").arg("--n", range(9)).where(lambda p: asked.append(p.index) or p.index % 3 == 2)
    with task.executable_loop(use_tqdm=False) as loop:
        assert asked == []
        assert (next(loop).index, asked) == (2, [0, 1, 2])
        assert (next(loop).index, asked) == (5, [0, 1, 2, 3, 4, 5])


def test_a_predicate_sees_every_loop_the_index_the_id_and_the_repeat():
    seen = []
    task = Task("true", env={"A": 1}).fixed("--c", "x")
    task.where(lambda p: seen.append((dict(p), p.index, p.id, p.repeat)) or True).env("B", [2]).repeat(2)
    assert handed_out(task) == [0, 1]
    assert seen == [({"--c": "x", "B": 2}, i, task[i].id, i) for i in (0, 1)]


def test_a_predicate_holds_as_if_would_take_its_answer():
    answers = [0, 1, "", "no", None, [], [0]]
    task = Task("true").arg("--n", range(7)).where(lambda p: answers[p.index])
    assert handed_out(task) == [1, 3, 6]


@every_way
def test_a_where_that_never_holds_is_a_loop_of_nothing(way):
    assert way(Task("true").arg("--n", range(5)).where(lambda _: False), max_workers=2) == []


def test_start_is_counted_before_where():
    assert handed_out(triangle(), start=3) == [3, 4, 6, 7, 8]
    assert handed_out(triangle(), start=5) == [6, 7, 8]
    backwards = triangle().where(lambda p: p.index < 5)
    assert handed_out(backwards, start=8) == []
    with pytest.raises(ArgumentValueError, match="9 points"):
        triangle().executable_loop(start=9)


def test_a_start_in_a_random_order_is_counted_before_where():
    everything = Task("true").arg("--n", [1, 2, 3]).arg("--m", [1, 2, 3])
    shuffled = handed_out(everything, order="shuffle", seed=5)
    kept = {0, 3, 4, 6, 7, 8}
    for start in range(9):
        left = [index for index in shuffled[start:] if index in kept]
        assert handed_out(triangle(), order="shuffle", seed=5, start=start) == left


def test_where_that_is_no_function_is_refused():
    with pytest.raises(ArgumentTypeError, match="where: the predicate is a function of the point"):
        Task("x").where(True)


# ---- where and the bar


def odd_numbers(count=6):
    return Task("true").arg("--n", range(count)).where(lambda p: p["--n"] % 2)


def counts_of(bar):
    return next(word for word in bar.split() if "/" in word)


def test_each_point_that_where_drops_makes_the_total_of_the_bar_smaller(capsys):
    seen = []
    for exe in odd_numbers().executable_loop():
        exe.update_tqdm(ostreams=[state := io.StringIO()])
        seen.append(counts_of(state.getvalue()))
        exe.execute(ostreams=[])
    assert seen == ["0/5", "1/4", "2/3"]
    assert counts_of(capsys.readouterr().err.splitlines()[-1]) == "3/3"


@every_width
def test_the_bar_of_completed_runs_ends_with_the_points_that_ran(capsys, max_workers):
    odd_numbers(9).run(ostreams=[], max_workers=max_workers)
    assert counts_of(capsys.readouterr().err.splitlines()[-1]) == "4/4"


def test_the_bar_of_an_async_loop_ends_with_the_points_that_ran(capsys):
    async def sweep():
        async for exe in odd_numbers(9).executable_loop():
            await exe.execute(ostreams=[])

    asyncio.run(sweep())
    assert counts_of(capsys.readouterr().err.splitlines()[-1]) == "4/4"


def test_a_start_counts_what_lies_before_it_and_where_what_it_drops_behind_it(capsys):
    odd_numbers().run(ostreams=[], start=3)
    assert counts_of(capsys.readouterr().err.splitlines()[-1]) == "5/5"


def test_a_bar_on_a_terminal_shrinks_too(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text("""
from taskexp import Task
for exe in Task("true").arg("--n", range(6)).where(lambda p: p["--n"] % 2).executable_loop():
    exe.execute()
""")
    with Terminal(script) as terminal:
        assert terminal.wait() == 0
        assert "100%" in terminal.rows[-1]
        assert " 3/3 [" in terminal.rows[-1]


# ---- functions of the point


def where_of(function):
    """Say how an error names a function: a lambda by the place where it stands."""
    code = function.__code__
    return f"{function.__qualname__} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"


def raise_at_1(answer):
    return lambda p: {}["no such key"] if p.index == 1 else answer


def raises_in_where(function):
    return Task("true").arg("--n", [0, 1, 2]).where(function)


def raises_in_fixed(function):
    return Task("true").arg("--n", [0, 1, 2]).fixed("--model", function)


def raises_in_env(function):
    return Task("true").arg("--n", [0, 1, 2]).env("MODEL", function)


def raises_in_env_of_the_task(function):
    return Task("true", env={"MODEL": function}).arg("--n", [0, 1, 2])


def raises_in_cwd(function):
    return Task("true", cwd=function).arg("--n", [0, 1, 2])


FAILING = [
    (raises_in_where, "where at point 1:"),
    (raises_in_fixed, "fixed('--model') at point 1:"),
    (raises_in_env, "env('MODEL') at point 1:"),
    (raises_in_env_of_the_task, "env('MODEL') at point 1:"),
    (raises_in_cwd, "cwd at point 1:"),
]


@pytest.mark.parametrize(("build", "place"), FAILING)
@every_way
@every_width
def test_a_function_that_raises_makes_its_run_not_started_and_the_loop_goes_on(way, max_workers, build, place):
    function = raise_at_1("/")
    results = sorted(way(build(function), max_workers=max_workers), key=lambda result: result.index)
    assert [(result.index, result.status) for result in results] == [
        (0, "succeeded"),
        (1, "not_started"),
        (2, "succeeded"),
    ]
    failed = results[1]
    assert failed.error.startswith(f"{place} {where_of(function)} raised KeyError: 'no such key'")
    assert "<lambda> (test_grid.py:" in failed.error
    assert (failed.argv, failed.params["--n"], failed.returncode) == ([], 1, None)


def never_good(_):
    raise RuntimeError("out of luck")


class Undecided:
    def __bool__(self):
        raise ValueError("truth is ambiguous")


@pytest.mark.parametrize(
    ("predicate", "told"),
    [
        (never_good, "where at point 0: never_good raised RuntimeError: out of luck"),
        (lambda _: Undecided(), "raised ValueError: truth is ambiguous"),
        (lambda _: sys.exit(3), "raised SystemExit: 3"),
        (lambda p: p["--typo"], "raised KeyError: '--typo'; the point has '--n'"),
    ],
)
def test_whatever_goes_wrong_in_a_predicate_is_told_in_the_result(predicate, told):
    (result,) = run(Task("true").arg("--n", [1]).where(predicate))
    assert result.status == "not_started"
    assert told in result.error


def test_a_predicate_behind_one_that_does_not_hold_cannot_fail():
    task = Task("true").arg("--n", [0, 1]).where(lambda p: p["--n"] > 0).where(lambda p: 1 / p["--n"])
    assert [(result.index, result.status) for result in run(task)] == [(1, "succeeded")]


def test_going_over_the_points_keeps_one_whose_predicate_raises_and_its_command_tells_why():
    points = list(raises_in_where(raise_at_1(True)))
    assert [point.index for point in points] == [0, 1, 2]
    for read in (lambda: points[1].argv, lambda: points[1].params, lambda: points[1].env):
        with pytest.raises(PointError, match=r"where at point 1: .*KeyError: 'no such key'"):
            read()


@pytest.mark.parametrize(
    ("build", "answer", "told"),
    [
        (raises_in_env, None, "env('MODEL') at point 0"),
        (raises_in_env, b"bytes", "bytes"),
        (raises_in_env, "a\0b", "NUL"),
        (raises_in_cwd, None, "cwd at point 0"),
        (raises_in_cwd, "", "empty"),
        (raises_in_cwd, 3, "the path of a folder"),
        (raises_in_fixed, [1], "fixed('--model') at point 0"),
    ],
)
def test_a_function_that_gives_what_cannot_stand_there_makes_its_run_not_started(build, answer, told):
    function = lambda _: answer  # noqa: E731 - its place is what the error has to name
    result = run(build(function))[0]
    assert result.status == "not_started"
    assert told in result.error
    assert where_of(function) in result.error


def test_a_folder_that_a_function_names_and_that_is_missing_makes_its_run_not_started(tmp_path):
    (tmp_path / "1").mkdir()
    results = run(Task("true", cwd=lambda p: tmp_path / str(p["--n"])).arg("--n", [0, 1]))
    assert [result.status for result in results] == ["not_started", "succeeded"]
    assert str(tmp_path / "0") in results[0].error


@every_way
def test_each_run_starts_in_the_folder_that_a_function_names(way, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    task = Task(["sh", "-c", "pwd -P > here"], cwd=lambda p: tmp_path / str(p["arg1"])).arg(None, ["a", "b"])
    assert {result.status for result in way(task, max_workers=2)} == {"succeeded"}
    for name in "ab":
        assert (tmp_path / name / "here").read_text() == f"{(tmp_path / name).resolve()}\n"


def test_a_run_has_the_variables_that_functions_compute_in_its_task_and_in_its_loops():
    log = io.StringIO()
    task = Task(["sh", "-c", 'echo "$FIRST $SECOND $THIRD"'], env={"FIRST": lambda p: 10 * p["N"], "THIRD": "c"})
    task.env("SECOND", lambda p: f"{p['N']} at {p.index}").env("N", [1, 2])
    task.run(ostreams=[log], use_tqdm=False)
    assert log.getvalue() == "10 1 at 0 c\n20 2 at 1 c\n"
    assert task[1].params == {"FIRST": 20, "SECOND": "2 at 1", "N": 2}


def test_a_function_is_called_once_for_a_run_and_what_is_printed_is_what_runs():
    calls = Counter()
    log = io.StringIO()

    def count(point):
        calls[point.index] += 1
        return calls[point.index]

    task = Task("echo").arg("--n", [7, 8]).fixed("--call", count)
    for exe in task.executable_loop(use_tqdm=False):
        exe.print_cmd(ostreams=[log])
        exe.execute(ostreams=[log])
        assert exe.argv == ["echo", "--n", str(exe.params["--n"]), "--call", "1"]
    assert calls == {0: 1, 1: 1}
    assert log.getvalue() == "".join(f"echo --n {n} --call 1\n--n {n} --call 1\n" for n in (7, 8))


def on_an_event_loop():
    try:
        return bool(asyncio.get_running_loop())
    except RuntimeError:
        return False


@pytest.mark.parametrize("build", [build for build, _ in FAILING])
@every_way
@every_width
def test_functions_of_the_point_are_never_called_on_an_event_loop_which_they_could_block(way, max_workers, build):
    seen = []
    way(build(lambda _: seen.append(on_an_event_loop()) or "/"), max_workers=max_workers)
    assert seen == [False, False, False]


def test_a_variable_that_is_computed_goes_over_what_live_sets():
    live = Task("x", live=True, env={"PYTHONUNBUFFERED": lambda _: "", "A": 1})
    plain = Task("x", env={"PYTHONUNBUFFERED": lambda _: "", "A": 1})
    assert live[0].env == plain[0].env == {"PYTHONUNBUFFERED": "", "A": "1"}
    assert live[0].id == plain[0].id


def test_a_folder_and_a_variable_that_are_computed_are_no_part_of_the_id():
    assert ids(Task("x", cwd=lambda _: "/a").fixed("--n", 1)) == ids(Task("x", cwd=lambda _: "/b").fixed("--n", 1))
    assert ids(Task("x").env("A", lambda _: 1).fixed("--n", 1)) == ids(Task("x").fixed("--n", 1))


# ---- repeat


def test_repeat_runs_each_point_several_times_and_leaves_the_command_alone():
    task = Task("x").arg("--n", [1, 2]).repeat(3)
    assert words_of(task) == [["--n", n] for n in "111222"]
    assert [point.params for point in task] == [{"--n": n} for n in (1, 1, 1, 2, 2, 2)]
    assert [dict(point) for point in task] == [{"--n": n} for n in (1, 1, 1, 2, 2, 2)]
    assert [point.repeat for point in task] == [0, 1, 2, 0, 1, 2]
    assert task.size == 6


def test_repeat_is_a_loop_at_its_place():
    task = Task("x").repeat(2).arg("--n", [1, 2])
    assert [(point.repeat, point["--n"]) for point in task] == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_a_key_of_repeat_is_given_the_number():
    task = Task("x").arg("--n", [7]).repeat(2, "--seed").fixed("--z", 0)
    assert words_of(task) == [["--n", "7", "--seed", str(seed), "--z", "0"] for seed in (0, 1)]
    assert [point.params for point in task] == [{"--n": 7, "--seed": seed, "--z": 0} for seed in (0, 1)]
    assert [point.repeat for point in task] == [0, 1]
    assert words_of(Task("x").repeat(2, "seed=")) == [["seed=0"], ["seed=1"]]
    assert task.size == 2


def test_a_function_can_use_the_number_of_the_repeat():
    task = Task("x").fixed(None, lambda p: f"out/{p.repeat}").repeat(2)
    assert words_of(task) == [["out/0"], ["out/1"]]


@every_way
@pytest.mark.parametrize("key", [None, "--seed"])
def test_a_result_tells_which_repeat_it_was(way, key):
    results = way(Task("true").arg("--n", [1, 2]).repeat(2, key), max_workers=2)
    seed = [{}, {}] if key is None else [{key: 0}, {key: 1}]
    found = {result.index: (result.repeat, dict(result.params)) for result in results}
    assert found == {2 * at + r: (r, {"--n": n, **seed[r]}) for at, n in enumerate((1, 2)) for r in (0, 1)}


def test_a_run_that_nothing_repeats_is_repeat_0():
    assert run(Task("true"))[0].repeat == 0


@pytest.mark.parametrize("key", [None, "--seed"])
def test_repeats_have_distinct_ids_that_a_wider_repeat_keeps(key):
    few = Task("x").arg("--n", [1, 2]).repeat(2, key)
    many = Task("x").arg("--n", [1, 2]).repeat(5, key)
    assert len(set(ids(many))) == 10
    assert ids(few) == [many[index].id for index in (0, 1, 5, 6)]


def test_a_first_repeat_has_the_id_of_a_run_that_nothing_repeats():
    assert ids(Task("x").fixed("--n", 1).repeat(1)) == ids(Task("x").fixed("--n", 1))
    assert Task("x").fixed("--n", 1).repeat(4)[0].id == Task("x").fixed("--n", 1)[0].id


def test_an_id_stays_what_it_was_in_earlier_versions():
    texts = Task("prog 100% %s").fixed("--a%", "5%").arg("--n", range(5)).arg("--s", ["x%", "\udcff", "é"]).repeat(2)
    assert [texts[17].id, texts[29].id] == ["bdf7bbfd41897e70", "ce99aaff352f9404"]
    twins = Task("p").arg("--x", [1, 1, 2]).switch("--v") + Task("p").arg("--x", [2, 3]).switch("--v")
    assert [twins[index].id for index in (1, 3, 7)] == ["1edba6a3ca3df34f", "96ff32a8edca4f5b", "9c0ade2177953da4"]


def test_a_repeat_is_no_twin_of_an_equal_value():
    repeated, twins = Task("x").arg("--n", [1]).repeat(2), Task("x").arg("--n", [1, 1])
    assert repeated[0].id == twins[0].id
    assert repeated[1].id != twins[1].id
    assert len(set(ids(Task("x").arg("--n", [1, 1]).repeat(2)))) == 4


@pytest.mark.parametrize(
    ("refused", "times", "told"),
    [
        (ArgumentValueError, 0, "repeat(0)"),
        (ArgumentValueError, -1, "repeat(-1)"),
        (ArgumentTypeError, 2.0, "int"),
        (ArgumentTypeError, True, "int"),
        (ArgumentTypeError, None, "int"),
    ],
)
def test_a_number_of_repeats_that_makes_no_sense_is_refused(refused, times, told):
    with pytest.raises(refused) as caught:
        Task("x").repeat(times)
    assert told in str(caught.value)


def test_a_second_repeat_is_refused_and_leaves_the_first():
    task = Task("x").repeat(2)
    with pytest.raises(ArgumentValueError, match="called before"):
        task.repeat(3)
    assert task.size == 2


# ---- sums


def test_a_sum_puts_the_points_of_its_tasks_behind_each_other_in_one_index_space():
    first, second, third = Task("x").arg("--n", [1, 2]), Task("y z").switch("-v"), Task("w")
    total = first + second + third
    assert isinstance(total, TaskSum)
    assert (len(total), total.size) == (5, 5)
    commands = [["x", "--n", "1"], ["x", "--n", "2"], ["y", "z", "-v"], ["y", "z"], ["w"]]
    assert [point.argv for point in total] == commands
    assert [point.index for point in total] == [0, 1, 2, 3, 4]
    assert [total[index].argv for index in range(5)] == commands
    assert [total[index - 5].index for index in range(5)] == [0, 1, 2, 3, 4]
    for outside in (5, -6):
        with pytest.raises(PointIndexError, match="5 points"):
            total[outside]


def test_a_sum_of_sums_is_the_sum_of_their_tasks():
    a, b, c, d = (Task(name).arg("--n", [1, 2]) for name in ("x", "y", "x", "z"))
    flat = a + b + c + d
    for nested in (sum([a, b, c, d]), (a + b) + (c + d), a + (b + (c + d)), a + ((b + c) + d)):
        assert [(point.index, point.argv, point.id) for point in nested] == [
            (point.index, point.argv, point.id) for point in flat
        ]


@every_way
@every_width
def test_every_way_to_run_goes_over_a_sum_of_different_programs(way, max_workers, tmp_path):
    here = Task(["sh", "-c", "exit $1", "sh"], env={"A": 1}).arg(None, [0, 3])
    there = Task(["sh", "-c", 'echo "$0" > out'], cwd=tmp_path).fixed(None, "written")
    results = sorted(way(here + there + Task("true"), max_workers=max_workers), key=lambda result: result.index)
    assert [(result.index, result.returncode) for result in results] == [(0, 0), (1, 3), (2, 0), (3, 0)]
    assert (tmp_path / "out").read_text() == "written\n"


def test_one_bar_counts_the_points_of_a_sum(capsys):
    ran = 0
    for exe in (odd_numbers(4) + Task("true").repeat(2)).executable_loop():
        exe.execute(ostreams=[])
        ran += 1
    assert ran == 4
    assert counts_of(capsys.readouterr().err.splitlines()[-1]) == "4/4"


def test_each_task_of_a_sum_keeps_its_own_conditions_samples_and_repeats():
    filtered = Task("true").arg("--n", range(4)).where(lambda p: p["--n"] > 1)
    sampled = Task("true").arg("--m", range(50)).sample(3, seed=1)
    repeated = Task("true").arg("--n", range(4)).repeat(2)
    drawn = [4 + point.index for point in sampled]
    total = filtered + sampled + repeated
    assert total.size == 4 + 50 + 8
    assert handed_out(total) == [2, 3, *drawn, *range(54, 62)]
    assert [point.index for point in total] == [2, 3, *drawn, *range(54, 62)]
    assert [total[index].repeat for index in (3, 10, 54, 55)] == [0, 0, 0, 1]


def test_a_point_of_a_sum_knows_its_index_in_the_sum():
    seen = []
    second = Task("true").fixed("--i", lambda p: p.index).arg("--n", [5, 6])
    second.where(lambda p: seen.append(p.index) or p["--n"] == 6)
    (result,) = [each for each in run(Task("true").arg("--n", range(3)) + second) if each.params["--n"] == 6]
    assert seen == [3, 4]
    assert (result.index, result.params["--i"]) == (4, 4)


def test_an_error_in_a_task_of_a_sum_names_the_point_by_its_index_in_the_sum():
    total = Task("true").arg("--n", [1, 2]) + Task("true").fixed("--a", never_good) + Task("true")
    results = run(total)
    assert [result.status for result in results] == ["succeeded", "succeeded", "not_started", "succeeded"]
    assert "fixed('--a') at point 2: never_good raised RuntimeError" in results[2].error


def test_a_start_in_a_sum_is_a_position_over_all_its_tasks():
    total = Task("true").arg("--n", range(3)) + Task("true").arg("--m", range(3)).where(lambda p: p["--m"] != 1)
    assert handed_out(total, start=2) == [2, 3, 5]
    assert handed_out(total, start=4) == [5]


def test_a_point_of_a_sum_has_the_id_that_it_has_alone_unless_it_came_before():
    first = Task("x").arg("--n", [1, 2])
    second = Task("x").arg("--n", [2, 3]).repeat(2)
    total = first + second + Task("y").arg("--n", [1])
    alone = [*ids(first), *ids(second), *ids(Task("y").arg("--n", [1]))]
    in_sum = ids(total)
    twin = 2  # the second task's first point, whose twin is the first task's second
    assert alone[twin] == alone[1]
    assert [in_sum[index] for index in range(7) if index != twin] == alone[:twin] + alone[twin + 1 :]
    assert len(set(in_sum)) == 7


def test_identical_points_have_distinct_ids_however_their_tasks_write_them():
    total = Task("x").arg("--n", [1, 1]).fixed("--m", 2)
    total += Task("x").fixed("--n", 1).arg("--m", range(4))
    total += Task("x").zip({"--m": [2, 2], "--n": ["1", 1]}).repeat(2)
    assert len(set(ids(total))) == total.size == 2 + 4 + 4
    same = [total[index] for index in (0, 1, 4, 6, 8)]  # --n 1 --m 2, for the first time
    assert [point.repeat for point in same] == [0] * 5
    assert [same[0].id, same[1].id] == ids(Task("x").arg("--n", [1, 1]).fixed("--m", 2))
    repeated = Task("x").fixed("--m", 2).fixed("--n", 1).repeat(2) + Task("x").fixed("--m", 2).fixed("--n", 1).repeat(2)
    assert [total[7].id, total[9].id] == [repeated[1].id, repeated[3].id]


def test_a_huge_twin_is_counted_without_going_through_it():
    total = Task("x").arg("--n", range(10**12)) + Task("x").zip(
        {"--n": range(5, 10**12, 5), "--m": range(1, 2 * 10**11)}
    )
    total += Task("x").arg("--n", ["0_1", " 7", "7"])
    numbers = ids(Task("x").arg("--n", ["0_1", " 7", "7", "7"]))
    assert [total[index].id for index in (-3, -2, -1)] == [numbers[0], numbers[1], numbers[3]]


def test_a_sum_is_not_changed_by_later_calls():
    first, second = Task("x").arg("--n", [1, 2]), Task("y")
    total = first + second
    first.arg("--m", [1, 2, 3]).where(lambda _: False)
    second.repeat(9)
    assert [point.argv for point in total] == [["x", "--n", "1"], ["x", "--n", "2"], ["y"]]
    assert total.size == 3


def test_a_sum_leaves_its_tasks_as_they_were():
    first, second = Task("x").arg("--n", [1, 2]), Task("x").arg("--n", [1])
    before = [*ids(first), *ids(second)]
    _ = first + second
    assert [*ids(first), *ids(second)] == before


@pytest.mark.parametrize("other", [3, "x", None, [Task("x")]])
def test_only_experiments_can_be_added(other):
    for add in (lambda: Task("x") + other, lambda: other + Task("x"), lambda: (Task("x") + Task("y")) + other):
        with pytest.raises(TypeError):
            add()


# ---- Ctrl-C while nothing is found

IN_VAIN = """
import asyncio, taskexp

def never(point):
    if point.index == 0:
        print("looking", flush=True)
    return False

exp = taskexp.Task("true").arg("--n", range(10**6)).arg("--m", range(10**6)).where(never)
loops = dict(use_tqdm=False, max_workers=WIDTH)

async def sweep(points):
    async for exe in points:
        print("found", flush=True)

BODY
print("loop over", flush=True)
"""

BODIES = {
    "for": "for exe in exp.executable_loop(**loops): print('found', flush=True)",
    "async for": "asyncio.run(sweep(exp.executable_loop(**loops)))",
    "run": "exp.run(**loops)",
    "async as_completed": "asyncio.run(sweep(exp.as_completed(**loops)))",
}


def in_vain(folder: Path, body: str, width: int = 1) -> Path:
    script = folder / "driver.py"
    script.write_text(IN_VAIN.replace("BODY", BODIES[body]).replace("WIDTH", str(width)))
    return script


@pytest.mark.parametrize(
    ("body", "width"), [("for", 1), ("for", 2), ("async for", 1), ("run", 2), ("async as_completed", 1)]
)
def test_ctrl_c_stops_a_loop_whose_where_drops_10_to_the_12_points_in_vain(body, width, tmp_path):
    with subprocess.Popen(
        [sys.executable, str(in_vain(tmp_path, body, width))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        try:
            assert driver.stdout.readline() == "looking\n"
            driver.send_signal(signal.SIGINT)
            printed, said = driver.communicate(timeout=30)
        finally:
            driver.kill()
        assert driver.returncode == -signal.SIGINT  # Python dies of the signal: a shell says 130
    assert printed == ""
    assert said.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("body", ["for", "async for"])
def test_ctrl_c_asks_on_a_terminal_while_where_drops_points_in_vain(body, tmp_path):
    with Terminal(in_vain(tmp_path, body)) as terminal:
        terminal.read_until("looking")
        terminal.type("\x03")
        terminal.read_until("Do you want to exit?")
        terminal.type("yes\r")
        assert terminal.wait() == -signal.SIGINT
        assert "KeyboardInterrupt" in terminal.text
        assert "loop over" not in terminal.text
