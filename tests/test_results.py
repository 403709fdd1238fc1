"""Results: rows, metrics, folding and exports of what a journal holds, from a sweep of a real program."""

import csv
import io
import json
import math
import statistics
import sys
import threading
from pathlib import Path

import pytest
from conftest import eventually, run_script
from hypothesis import given
from hypothesis import strategies as st

from taskexp import ArgumentTypeError, ArgumentValueError, JournalError, Results, Task, open_results
from taskexp.plan.metric import checked_metric
from taskexp.record.metrics import Gauge

PROGRAM = """
import sys
n, flag, seed = int(sys.argv[1]), "--amp" in sys.argv, int(sys.argv[sys.argv.index("--seed") + 1])
for step in range(3):
    print(f"step {step} loss={n / (step + 1) + seed:.3f}")
print("lr 1e-3", file=sys.stderr)
sys.exit(n == 30 and seed == 1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of 12 runs, of which two failed."""
    folder = tmp_path_factory.mktemp("results") / "journal"
    task = Task([sys.executable, "-c", PROGRAM]).arg(None, [10, 20, 30]).switch("--amp").repeat(2, "--seed")
    task.metric("loss", r"loss=([\d.]+)").metric("first loss", r"loss=(\S+)", take="first")
    task.metric("lr", r"^lr (\S+)$").metric("none", r"never (\d+)")
    task.run(use_tqdm=False, ostreams=[], max_workers=2, journal=folder)
    return folder


@pytest.fixture
def results(folder: Path) -> Results:
    return open_results(folder)


# ---- metrics


def test_metrics_are_in_the_result_of_a_run_with_and_without_a_journal(tmp_path: Path):
    task = Task("printf 'a=1\\na=3\\na=2\\nb=x\\n'").metric("last", r"a=(\d)").metric("first", r"a=(\d)", take="first")
    task.metric("min", r"a=(\d)", take="min").metric("max", r"a=(\d)", take="max").metric("b", "b=(.)")
    expected = {"last": 2.0, "first": 1.0, "min": 1.0, "max": 3.0}
    (result,) = task.run(ostreams=[], use_tqdm=False)
    assert result.metrics == expected
    (result,) = task.run(ostreams=[], use_tqdm=False, journal=tmp_path)
    assert result.metrics == expected
    (exe,) = task.as_completed(ostreams=[], use_tqdm=False, max_workers=2)
    assert exe.result.metrics == expected


def test_each_attempt_has_its_own_metrics():
    task = Task(
        ["sh", "-c", "echo a=$TASKEXP_ATTEMPT; test $TASKEXP_ATTEMPT = 1 && echo b=1; test $TASKEXP_ATTEMPT = 2"]
    )
    task.metric("a", r"a=(\d)").metric("b", r"b=(\d)")
    (result,) = task.run(ostreams=[], use_tqdm=False, retries=1)
    assert result.metrics == {"a": 2.0}


def test_metrics_of_both_streams_and_of_a_last_line_without_a_newline():
    (result,) = (
        Task(["sh", "-c", "printf 'x=1' >&2; printf 'y=2'"])
        .metric("x", r"x=(\d)")
        .metric("y", r"y=(\d)")
        .run(ostreams=[], use_tqdm=False)
    )
    assert result.metrics == {"x": 1.0, "y": 2.0}


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1), st.sampled_from(["min", "max"]))
def test_the_smallest_and_the_largest_pass_over_what_is_no_number(values: list[float], take: str):
    gauge = Gauge(checked_metric("m", r"=(.*)", take))
    for value in values:
        gauge.read(f"={value!r}")
    numbers = [value for value in values if not math.isnan(value)]
    assert gauge.value is not None
    if numbers:
        assert gauge.value == (min if take == "min" else max)(numbers)
    else:
        assert math.isnan(gauge.value)


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        (ArgumentTypeError, {"name": 3, "pattern": "(x)"}, "the name is a str"),
        (ArgumentValueError, {"name": "", "pattern": "(x)"}, "is no name"),
        (ArgumentTypeError, {"name": "m", "pattern": 3}, "is a regular expression"),
        (ArgumentTypeError, {"name": "m", "pattern": b"(x)"}, "is a regular expression"),
        (ArgumentValueError, {"name": "m", "pattern": "("}, "is no regular expression"),
        (ArgumentValueError, {"name": "m", "pattern": "x"}, "has no group"),
        (ArgumentValueError, {"name": "m", "pattern": "(x)", "take": "mean"}, "'first', 'last', 'min' or 'max'"),
        (ArgumentValueError, {"name": "taken", "pattern": "(x)"}, "there is one of this name"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(kind: type[Exception], arguments: dict, told: str):
    with pytest.raises(kind, match=told):
        Task("true").metric("taken", "(x)").metric(**arguments)


def test_a_metric_is_read_from_the_saved_logs_later(results: Results):
    more = results.metric("worst", r"loss=([\d.]+)", take="max").metric("step", r"step (\d)")
    for row, plain in zip(more, results, strict=True):
        assert row.metrics == {**plain.metrics, "worst": plain.metrics["first loss"], "step": 2.0}
    row = next(iter(more))
    row.log_path.rename(row.log_path.with_suffix(".away"))
    try:
        assert "worst" not in next(iter(more)).metrics
    finally:
        row.log_path.with_suffix(".away").rename(row.log_path)


# ---- rows


def test_a_row_per_point_in_the_order_of_the_grid(results: Results):
    rows = list(results)
    assert len(results) == len(rows) == 12
    assert [row.index for row in rows] == list(range(12))
    assert rows[5].params == {"arg1": 20, "--amp": True, "--seed": 1}
    assert rows[5].metrics == {"loss": pytest.approx(20 / 3 + 1, abs=1e-3), "first loss": 21.0, "lr": 0.001}
    assert [row.index for row in rows if row.status == "failed"] == [9, 11]


def test_filter_takes_a_function_or_columns(results: Results):
    assert [row.index for row in results.filter(lambda row: row.metrics["loss"] > 10)] == [9, 11]
    assert [row.index for row in results.filter({"arg1": 20, "--amp": False})] == [6, 7]
    assert [row.index for row in results.filter({"status": "failed"}).filter({"--amp": True})] == [9]
    with pytest.raises(ArgumentValueError, match=r"no column '--lr'.*arg1"):
        results.filter({"--lr": 1})
    with pytest.raises(ArgumentTypeError, match="filter"):
        results.filter("arg1")


def test_sort_by_columns_and_downwards_with_a_minus(results: Results):
    assert [row.index for row in results.sort("-arg1", "--seed")][:6] == [8, 10, 9, 11, 4, 6]
    assert [row.index for row in results.sort("---seed", "-loss")][:2] == [9, 11]
    with pytest.raises(ArgumentValueError, match="sort: there is no column"):
        results.sort("-nothing")


def test_what_has_no_value_comes_last_both_ways(tmp_path: Path):
    Task("echo").arg("--a", [3, None, 1, "x"]).run(ostreams=[], use_tqdm=False, journal=tmp_path)
    rows = open_results(tmp_path)
    assert [row.params["--a"] for row in rows.sort("--a")] == [1, 3, "x", None]
    assert [row.params["--a"] for row in rows.sort("---a")] == ["x", 3, 1, None]


def test_best_is_the_largest_or_the_lowest_of_those_that_succeeded(results: Results):
    assert results.best("loss").index == 8
    assert results.best("loss", lowest=True).index == 0
    assert results.best("duration").status == "succeeded"
    assert results.filter({"status": "failed"}).best("loss") is None
    with pytest.raises(ArgumentValueError, match="best: there is no column 'x'"):
        results.best("x")


def test_group_by_folds_repeats(results: Results):
    groups = list(results.group_by())
    assert [group.key for group in groups] == [{"arg1": n, "--amp": amp} for n in (10, 20, 30) for amp in (True, False)]
    assert [group.n for group in groups] == [2, 2, 2, 2, 1, 1]
    fold = groups[2].metrics["loss"]
    values = [20 / 3, 20 / 3 + 1]
    assert (fold.n, fold.mean, fold.std) == pytest.approx((2, 20 / 3 + 0.5, statistics.stdev(values)), abs=1e-3)
    assert (fold.min, fold.max) == pytest.approx((min(values), max(values)), abs=1e-3)
    assert groups[4].metrics["loss"].std is None
    assert [len(group.rows) for group in groups] == [2] * 6


def test_group_by_columns(results: Results):
    groups = list(results.group_by("arg1"))
    assert [(group.key["arg1"], group.n) for group in groups] == [(10, 4), (20, 4), (30, 2)]
    table = list(csv.reader(io.StringIO(results.group_by("arg1").to_csv())))
    assert table[0][:6] == ["arg1", "n", "loss mean", "loss std", "loss min", "loss max"]
    assert len(table) == 4
    with pytest.raises(ArgumentValueError, match="group_by"):
        results.group_by("nothing")


# ---- on the way out


def test_csv_has_a_header_and_a_line_per_row(results: Results, tmp_path: Path):
    text = results.to_csv(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12
    first = rows[0]
    assert (first["index"], first["arg1"], first["--amp"], first["--seed"]) == ("0", "10", "True", "0")
    assert float(first["loss"]) == pytest.approx(10 / 3, abs=1e-3)
    assert (first["status"], first["returncode"], first["error"]) == ("succeeded", "0", "")
    assert Path(first["log_path"]).is_file()


def test_json_lines_are_objects_and_strict_json(results: Results, tmp_path: Path):
    lines = results.to_jsonl(tmp_path / "out.jsonl").splitlines()
    objects = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [each["arg1"] for each in objects] == [10] * 4 + [20] * 4 + [30] * 4
    assert objects[0]["--amp"] is True
    (result,) = Task("echo m=nan").metric("m", "m=(.*)").run(ostreams=[], use_tqdm=False, journal=tmp_path / "j")
    assert math.isnan(result.metrics["m"])
    assert json.loads(open_results(tmp_path / "j").to_jsonl())["m"] is None


def test_markdown_is_an_aligned_table_whatever_stands_in_a_cell(tmp_path: Path):
    values = ["a|b", "two\nlines", "back\\slash", "é"]
    Task("true").arg("--x", values).run(ostreams=[], use_tqdm=False, journal=tmp_path)
    lines = open_results(tmp_path).to_markdown().splitlines()
    assert len(lines) == 6
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-", " "}
    assert [r"a\|b" in lines[2], "two lines" in lines[3], r"back\\slash" in lines[4]] == [True] * 3


def test_a_name_that_is_taken_gets_a_kind_in_front(tmp_path: Path):
    task = Task("echo 5").env("status", ["x"]).env("m", ["y"]).metric("m", r"(\d)").metric("index", r"(\d)")
    task.run(ostreams=[], use_tqdm=False, journal=tmp_path)
    rows = open_results(tmp_path)
    (line,) = csv.DictReader(io.StringIO(rows.to_csv()))
    assert (line["param:status"], line["m"], line["metric:m"], line["metric:index"]) == ("x", "y", "5.0", "5.0")
    assert (line["index"], line["status"]) == ("0", "succeeded")
    assert len(rows.filter({"param:status": "x", "metric:m": 5.0})) == 1
    assert rows.best("metric:m").metrics["m"] == 5.0


def test_a_pandas_frame_has_the_types_of_the_values(results: Results):
    frame = results.to_pandas()
    assert list(frame["arg1"]) == [10] * 4 + [20] * 4 + [30] * 4
    assert frame["loss"].dtype == float
    assert frame["--amp"].dtype == bool
    assert str(frame["start_time"].dtype).startswith("datetime64")
    assert frame.groupby("arg1")["first loss"].mean().to_dict() == {10: 10.5, 20: 20.5, 30: 30.5}


def test_a_parquet_file_can_be_read_back(results: Results, tmp_path: Path):
    import duckdb

    path = tmp_path / "it's.parquet"
    results.to_parquet(path)
    with duckdb.connect() as database:
        rows = database.read_parquet(str(path)).project('"arg1", "--amp", "loss"').fetchall()
    assert rows == [(row.params["arg1"], row.params["--amp"], row.metrics["loss"]) for row in results]


@pytest.mark.parametrize(("call", "library"), [("to_pandas()", "pandas"), ("to_parquet('x')", "duckdb")])
def test_a_library_that_is_missing_is_named_with_its_extra(call: str, library: str, folder: Path, tmp_path: Path):
    script = f"""
import sys
sys.modules[{library!r}] = None
from taskexp import TaskExpError, open_results
try:
    open_results({str(folder)!r}).{call}
except TaskExpError as error:
    print(error)
"""
    assert "pip install 'taskexp[pa" in run_script(script, tmp_path).stdout


# ---- opening


def test_results_can_be_read_while_the_sweep_runs(tmp_path: Path):
    gate = tmp_path / "gate"
    task = Task(["sh", "-c", f"[ $1 = 0 ] || until [ -e {gate} ]; do sleep 0.01; done", "sh"]).arg(None, [0, 1])
    options = {"ostreams": [], "use_tqdm": False, "max_workers": 2, "journal": tmp_path / "j"}
    thread = threading.Thread(target=lambda: task.run(**options))
    thread.start()
    try:
        eventually(lambda: (tmp_path / "j" / "journal.sqlite").exists(), "no journal")
        results = open_results(tmp_path / "j")
        eventually(lambda: len(results) == 1, "no row")
        assert [row.index for row in results] == [0]
    finally:
        gate.touch()
        thread.join()
    assert [row.index for row in results] == [0, 1]


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file"])
def test_what_is_no_journal_is_refused_by_name(what: str, tmp_path: Path):
    path = tmp_path / "there"
    if what == "an empty folder":
        path.mkdir()
    elif what == "a file":
        path.write_text("x")
    with pytest.raises(JournalError, match=r"there.*no journal"):
        open_results(path)
    with pytest.raises(ArgumentTypeError, match="open_results"):
        open_results(3)


def test_the_results_of_a_read_only_folder_can_be_read(folder: Path, tmp_path: Path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for leftover in copy.glob("*-*"):
        leftover.unlink()
    copy.chmod(0o500)
    try:
        assert len(open_results(copy)) == 12
    finally:
        copy.chmod(0o700)
