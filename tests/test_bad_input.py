"""Mistakes in how TaskExp is called: refused at the call, in words that name the argument and the cure."""

import decimal
import fractions
import io
import math
from pathlib import Path

import pytest

from taskexp import ArgumentTypeError, ArgumentValueError, ExecutableStateError, Task, TaskExpError

UNFIT = [object(), b"bytes", [1, 2], {"a": 1}, 1j, decimal.Decimal("0.1"), fractions.Fraction(1, 2), lambda: 1, ...]
UNFIT_CONSTANTS = [value for value in UNFIT if not callable(value)]


def refusal(kind, call):
    """Make the call, which must be refused, and return what is said."""
    ours, builtin = {"type": (ArgumentTypeError, TypeError), "value": (ArgumentValueError, ValueError)}[kind]
    with pytest.raises(TaskExpError) as caught:
        call()
    assert isinstance(caught.value, ours)
    assert isinstance(caught.value, builtin)
    return str(caught.value)


def assert_refused(kind, call, *told):
    said = refusal(kind, call)
    for words in told:
        assert words in said
    assert not said[0].isupper()


# ---- the builder


@pytest.mark.fault("X02")
@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        ("value", {"program": ""}, ["program is empty", "give the command"]),
        ("value", {"program": "   "}, ["program is empty"]),
        ("value", {"program": []}, ["program is empty"]),
        ("value", {"program": ["", "a"]}, ["program is empty"]),
        ("value", {"program": "python 'a"}, ["program", "No closing quotation"]),
        ("value", {"program": "a\0b"}, ["program", "NUL", "remove it"]),
        ("value", {"program": ["a", "\ud800"]}, ["program", "lone surrogates"]),
        ("type", {"program": None}, ["program is a str or a list of str", "NoneType"]),
        ("type", {"program": b"true"}, ["program is a str or a list of str", "bytes"]),
        ("type", {"program": {"true"}}, ["program is a str or a list of str", "set"]),
        ("type", {"program": ["sleep", 3]}, ["program", "every word", "int (3)"]),
        ("type", {"program": "x", "env": "A=1"}, ["env is a dict", "str"]),
        ("type", {"program": "x", "env": [("A", "1")]}, ["env is a dict", "list"]),
        ("type", {"program": "x", "env": {1: "1"}}, ["env", "name of a variable is a str", "int (1)"]),
        ("type", {"program": "x", "env": {"A": None}}, ["env", "'A' is None", '""']),
        ("type", {"program": "x", "env": {"A": [1]}}, ["env['A']", "list"]),
        ("value", {"program": "x", "env": {"A=B": "1"}}, ["env", "'A=B'"]),
        ("value", {"program": "x", "env": {"": "1"}}, ["env", "''"]),
        ("value", {"program": "x", "env": {"A": "\0"}}, ["env['A']", "NUL"]),
        ("type", {"program": "x", "cwd": 3}, ["cwd is the path of a folder", "3"]),
        ("type", {"program": "x", "cwd": b"/tmp"}, ["cwd", "b'/tmp'"]),
        ("value", {"program": "x", "cwd": ""}, ["cwd is empty", "None"]),
        ("value", {"program": "x", "cwd": "a\0"}, ["cwd", "NUL"]),
        ("type", {"program": "x", "stdin": 3}, ["stdin is text, bytes or a path", "3"]),
        ("type", {"program": "x", "stdin": io.StringIO("text")}, ["stdin is text, bytes or a path"]),
        ("value", {"program": "x", "stdin": Path("a\0b")}, ["stdin", "NUL"]),
        ("value", {"program": "x", "stdin": "\ud800"}, ["stdin", "surrogate"]),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(kind, arguments, told):
    assert_refused(kind, lambda: Task(**arguments), *told)


@pytest.mark.fault("X02")
@pytest.mark.parametrize(
    ("kind", "build", "told"),
    [
        ("type", lambda task: task.fixed(3, 1), ["fixed", "key is a str", "None for a positional", "int (3)"]),
        ("type", lambda task: task.fixed(b"--n", 1), ["fixed", "key is a str", "bytes"]),
        ("value", lambda task: task.fixed("", 1), ["fixed", "key is empty", "None for a positional"]),
        ("value", lambda task: task.fixed("--\0", 1), ["fixed", "NUL"]),
        ("value", lambda task: task.fixed("--n", "a\0b"), ["fixed('--n')", "NUL", "remove it"]),
        ("value", lambda task: task.fixed("--n", "\ud800"), ["fixed('--n')", "lone surrogates"]),
        ("value", lambda task: task.fixed("--n", Path("a\0b")), ["fixed('--n')", "NUL"]),
        ("type", lambda task: task.arg(3, [1]), ["arg", "key is a str", "int (3)"]),
        ("value", lambda task: task.arg("", [1]), ["arg", "key is empty", "None for a positional"]),
        ("value", lambda task: task.arg("--n", []), ["arg('--n')", "empty", "at least one"]),
        ("value", lambda task: task.arg("--n", ()), ["arg('--n')", "empty"]),
        ("value", lambda task: task.arg(None, range(0)), ["arg(None)", "empty"]),
        ("type", lambda task: task.arg("--n", "abc"), ["arg('--n')", "['abc']"]),
        ("type", lambda task: task.arg("--n", b"abc"), ["arg('--n')", "[b'abc']"]),
        ("type", lambda task: task.arg("--n", 3), ["arg('--n')", "list", "int"]),
        ("type", lambda task: task.arg("--n", None), ["arg('--n')", "list", "NoneType"]),
        ("type", lambda task: task.arg("--n", (i for i in [1])), ["arg('--n')", "generator", "put them into a list"]),
        ("type", lambda task: task.arg("--n", lambda _: 1), ["arg('--n')", "list", "function"]),
        ("value", lambda task: task.arg("--n", ["a", "b\0"]), ["arg('--n')", "NUL"]),
        ("type", lambda task: task.switch(None), ["switch", "flag is a str", "NoneType"]),
        ("type", lambda task: task.switch(["--amp"]), ["switch", "flag is a str", "list"]),
        ("value", lambda task: task.switch(""), ["switch", "flag is empty", "--amp"]),
        ("value", lambda task: task.switch("a\0"), ["switch", "NUL"]),
        ("type", lambda task: task.env(3, [1]), ["env", "name of a variable is a str", "int (3)"]),
        ("type", lambda task: task.env(None, [1]), ["env", "name of a variable is a str", "NoneType"]),
        ("value", lambda task: task.env("", [1]), ["env", "''"]),
        ("value", lambda task: task.env("A=B", [1]), ["env", "'A=B'"]),
        ("value", lambda task: task.env("A", []), ["env('A')", "empty", "at least one"]),
        ("type", lambda task: task.env("A", 3), ["env('A')", "list", "int"]),
        ("value", lambda task: task.env("A", [None, "1"]), ["env('A')", "None", '""']),
        ("type", lambda task: task.env("A", [object()]), ["env('A')", "object"]),
        ("value", lambda task: task.env("A", "a\0"), ["env('A')", "NUL"]),
        ("value", lambda task: task.wraps(""), ["wraps is empty"]),
        ("value", lambda task: task.wraps([]), ["wraps is empty"]),
        ("value", lambda task: task.wraps("'"), ["wraps", "No closing quotation"]),
        ("type", lambda task: task.wraps(None), ["wraps is a str or a list of str", "NoneType"]),
        ("type", lambda task: task.wraps(["nice", 3]), ["wraps", "every word", "int (3)"]),
    ],
)
def test_a_builder_call_that_makes_no_sense_is_refused_and_changes_nothing(kind, build, told):
    task = Task("x").arg("--m", [1, 2])
    assert_refused(kind, lambda: build(task), *told)
    assert [point.argv for point in task] == [["x", "--m", "1"], ["x", "--m", "2"]]
    assert [point.env for point in task] == [{}, {}]


@pytest.mark.parametrize("value", UNFIT_CONSTANTS, ids=lambda value: type(value).__name__)
def test_a_constant_of_a_type_that_no_command_line_has_is_refused(value):
    assert_refused("type", lambda: Task("x").fixed("--n", value), "fixed('--n')", type(value).__name__, "str()")


@pytest.mark.parametrize("value", UNFIT, ids=lambda value: type(value).__name__)
def test_a_looped_value_of_a_type_that_no_command_line_has_is_refused(value):
    assert_refused("type", lambda: Task("x").arg("--n", [1, value]), "arg('--n')", type(value).__name__, "str()")


# ---- running it

LOOP_MISTAKES = [
    ("value", {"max_workers": 0}, ["max_workers=0", "1 or more"]),
    ("value", {"max_workers": -1}, ["max_workers=-1", "1 or more"]),
    ("type", {"max_workers": 1.5}, ["max_workers is an int", "float (1.5)"]),
    ("type", {"max_workers": "4"}, ["max_workers is an int", "str ('4')"]),
    ("type", {"max_workers": True}, ["max_workers is an int", "bool"]),
    ("value", {"start": -1}, ["start=-1", "2 points", "0 to 1"]),
    ("value", {"start": 2}, ["start=2", "2 points", "0 to 1"]),
    ("type", {"start": 1.0}, ["start is an int", "float"]),
    ("type", {"start": None}, ["start is an int", "NoneType"]),
    ("value", {"output": "grouped"}, ["output='grouped'", "'group' or 'line'"]),
    ("value", {"output": None}, ["output=None", "'group' or 'line'"]),
]

RUN_MISTAKES = [
    ("value", {"timeout": 0}, ["timeout=0", "above 0", "None for no limit"]),
    ("value", {"timeout": -1}, ["timeout=-1", "above 0"]),
    ("value", {"timeout": -math.inf}, ["timeout=-inf", "above 0"]),
    ("value", {"timeout": math.nan}, ["timeout", "NaN"]),
    ("type", {"timeout": "60"}, ["timeout is a number of seconds", "str ('60')"]),
    ("type", {"timeout": True}, ["timeout is a number of seconds", "bool"]),
    ("value", {"idle_timeout": 0}, ["idle_timeout=0", "above 0"]),
    ("value", {"idle_timeout": -0.5}, ["idle_timeout=-0.5", "above 0"]),
    ("type", {"idle_timeout": [1]}, ["idle_timeout is a number of seconds", "list"]),
    ("value", {"grace": -1}, ["grace=-1", "0 or more"]),
    ("value", {"grace": math.inf}, ["grace=inf"]),
    ("value", {"grace": math.nan}, ["grace", "NaN"]),
    ("type", {"grace": None}, ["grace is a number of seconds", "NoneType"]),
    ("type", {"on_verbose": "print"}, ["on_verbose is a function", "'print'"]),
]

STREAM_MISTAKES = [
    ("type", {"ostreams": io.StringIO()}, ["ostreams is a list", "[stream]"]),
    ("type", {"ostreams": 3}, ["ostreams is a list", "3"]),
    ("type", {"ostreams": "out.log"}, ["ostreams", "'out.log'"]),
    ("type", {"ostreams": [Path("out.log")]}, ["ostreams", "write", "open file"]),
    ("type", {"ostreams": [None]}, ["ostreams", "write", "None"]),
]


@pytest.fixture
def trace(tmp_path):
    """Return the file that a run of `task` makes."""
    return tmp_path / "started"


@pytest.fixture
def task(trace):
    return Task(["touch", str(trace)]).env("N", [1, 2])


@pytest.mark.fault("X08")
@pytest.mark.parametrize("way", ["executable_loop", "as_completed", "run"])
@pytest.mark.parametrize(("kind", "arguments", "told"), LOOP_MISTAKES)
def test_a_loop_that_makes_no_sense_is_refused_before_anything_starts(way, kind, arguments, told, task, trace):
    assert_refused(kind, lambda: getattr(task, way)(**arguments), *told)
    assert not trace.exists()


@pytest.mark.parametrize("way", ["as_completed", "run"])
@pytest.mark.parametrize(("kind", "arguments", "told"), [*RUN_MISTAKES, *STREAM_MISTAKES])
def test_running_all_in_a_way_that_makes_no_sense_is_refused_before_anything_starts(
    way, kind, arguments, told, task, trace
):
    assert_refused(kind, lambda: getattr(task, way)(**arguments), *told)
    assert not trace.exists()


@pytest.mark.fault("P24")
@pytest.mark.parametrize("max_workers", [1, 2])
@pytest.mark.parametrize(("kind", "arguments", "told"), [*RUN_MISTAKES, *STREAM_MISTAKES])
def test_an_execute_that_makes_no_sense_is_refused_and_the_executable_can_still_run(
    max_workers, kind, arguments, told, task, trace
):
    with task.executable_loop(use_tqdm=False, max_workers=max_workers) as loop:
        exe = next(loop)
        assert_refused(kind, lambda: exe.execute(**arguments), *told)
        assert not trace.exists()
        exe.execute(ostreams=[])
        assert exe.result.status == "succeeded"
        assert trace.exists()


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "arguments", "told"), [*RUN_MISTAKES, *STREAM_MISTAKES])
async def test_an_async_execute_that_makes_no_sense_is_refused_and_can_still_run(kind, arguments, told, task, trace):
    async with task.executable_loop(use_tqdm=False) as loop:
        async for exe in loop:
            with pytest.raises(ArgumentTypeError if kind == "type" else ArgumentValueError) as caught:
                await exe.execute(**arguments)
            assert all(words in str(caught.value) for words in told)
            assert not trace.exists()
            assert (await exe.execute(ostreams=[])).status == "succeeded"
            break


@pytest.mark.parametrize("method", ["print_cmd", "print_duration", "print_status", "update_tqdm"])
@pytest.mark.parametrize(("kind", "arguments", "told"), STREAM_MISTAKES)
def test_a_print_to_what_is_no_list_of_streams_is_refused(method, kind, arguments, told, task):
    with task.executable_loop(use_tqdm=False) as loop:
        exe = next(loop)
        exe.execute(ostreams=[])
        assert_refused(kind, lambda: getattr(exe, method)(**arguments), *told)


def test_an_infinite_timeout_is_no_limit(task):
    assert {result.status for result in task.run(timeout=math.inf, ostreams=[], use_tqdm=False)} == {"succeeded"}


def test_a_timeout_beyond_all_floats_is_refused_or_no_limit(task):
    try:
        assert len(task.run(timeout=10**400, ostreams=[], use_tqdm=False)) == 2
    except TaskExpError as error:
        assert "timeout" in str(error)  # noqa: PT017 - both are good answers


# ---- out of turn


def test_a_second_execute_is_refused(task, trace):
    with task.executable_loop(use_tqdm=False) as loop:
        exe = next(loop)
        exe.execute(ostreams=[])
        trace.unlink()
        with pytest.raises(ExecutableStateError, match=r"index 0 .*once"):
            exe.execute(ostreams=[])
        assert not trace.exists()


@pytest.mark.parametrize("max_workers", [1, 2])
def test_what_only_a_run_can_tell_is_refused_before_it(max_workers, task, trace):
    with task.executable_loop(use_tqdm=False, max_workers=max_workers) as loop:
        exe = next(loop)
        for ask in (lambda: exe.result, exe.wait, lambda: exe.print_duration(ostreams=[])):
            with pytest.raises(ExecutableStateError, match="call execute first"):
                ask()
        exe.print_status(ostreams=[])
    assert not trace.exists()


@pytest.mark.parametrize("name", ["TASKEXP_INDEX", "TASKEXP_SLOT", "TASKEXP_ATTEMPT", "TASKEXP_CPUS", "TASKEXP_RUN"])
def test_a_variable_that_every_loop_sets_is_refused(name):
    for build in (
        lambda: Task("true", env={name: "1"}),
        lambda: Task("true").env(name, [1, 2]),
        lambda: Task("true").zip({"--a": [1]}, env={name: [1]}),
    ):
        assert_refused("value", build, "env", f"{name} is set by every loop")
