"""Results: rows, metrics, folding and exports of what a journal holds, from a sweep of a real program."""

import csv
import io
import json
import math
import statistics
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import eventually, run_script
from hypothesis import given
from hypothesis import strategies as st

from taskexp import ArgumentTypeError, ArgumentValueError, JournalError, Results, Task, open_results
from taskexp.plan.metric import checked_metric
from taskexp.record import results as results_module
from taskexp.record.journal.reader import RecordedRun
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


@pytest.mark.fault("U02")
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


def test_a_pattern_that_is_not_found_takes_the_old_value_of_its_name_away(tmp_path: Path):
    task = Task(["sh", "-c", "echo v=$0"]).arg(None, ["3", "4"]).metric("v", r"v=(\w+)")
    task.run(ostreams=[], use_tqdm=False, journal=tmp_path)
    again = open_results(tmp_path).metric("v", r"w=(\d+)")
    assert [row.metrics for row in again] == [{}, {}]
    assert "v" not in again.columns
    assert [row.metrics for row in again.metric("v", r"v=(\d+)")] == [{"v": 3.0}, {"v": 4.0}]


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


def test_what_is_no_number_comes_last_both_ways(tmp_path: Path):
    task = Task(["sh", "-c", "echo loss=$0"]).arg(None, ["3", "nan", "1", "x", "2"]).metric("loss", r"loss=(\w+)")
    task.run(ostreams=[], use_tqdm=False, journal=tmp_path)
    rows = open_results(tmp_path)
    assert [row.params["arg1"] for row in rows.sort("loss")] == ["1", "2", "3", "nan", "x"]
    assert [row.params["arg1"] for row in rows.sort("-loss")] == ["3", "2", "1", "nan", "x"]
    assert (rows.best("loss").index, rows.best("loss", lowest=True).index) == (0, 2)


def test_text_that_looks_like_a_number_has_the_place_of_that_number(tmp_path: Path):
    values = ["10", "1e-3", 2, "x", "-5", 0.5, "nan", "inf", True]
    Task("true").arg("--a", values).run(ostreams=[], use_tqdm=False, journal=tmp_path, max_workers=2)
    rows = open_results(tmp_path)
    expected = ["-5", "1e-3", 0.5, True, 2, "10", "inf", "nan", "x"]
    assert [row.params["--a"] for row in rows.sort("--a")] == expected
    assert [row.params["--a"] for row in rows.sort("---a")] == expected[::-1]


def test_where_there_are_no_rows_every_column_is_there(results: Results):
    none = results.filter({"status": "lost"})
    assert list(none) == list(none.filter({"arg1": 10})) == list(none.sort("loss", "-arg1")) == []
    assert none.best("loss") is none.best("loss", lowest=True) is None
    assert list(none.group_by("arg1")) == list(none.group_by()) == []
    assert none.to_jsonl() == none.group_by("arg1").to_jsonl() == ""
    assert none.to_csv().splitlines() == [",".join(none.columns)]
    assert none.group_by("arg1").to_csv() == "arg1,n\n"
    assert none.to_pandas().empty


@pytest.mark.parametrize(
    "call",
    [
        lambda rows: rows.filter({"arg2": 1}),
        lambda rows: rows.sort("arg1", "arg2"),
        lambda rows: rows.group_by("arg2"),
        lambda rows: rows.best("arg2"),
    ],
    ids=["filter", "sort", "group_by", "best"],
)
def test_a_column_that_is_mistyped_is_refused_where_there_are_rows(call, results: Results):
    with pytest.raises(ArgumentValueError, match=r"there is no column 'arg2'; the columns are index, repeat, arg1"):
        call(results.filter({"index": 0}))


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


def test_group_by_has_a_metric_that_is_called_as_the_duration_is(tmp_path: Path):
    task = Task(["sh", "-c", "echo duration=$0"]).arg(None, ["3000", "4000"]).repeat(2)
    task.metric("duration", r"duration=(\w+)").run(ostreams=[], use_tqdm=False, journal=tmp_path, max_workers=2)
    groups = list(open_results(tmp_path).group_by("arg1"))
    assert [group.metrics["metric:duration"].mean for group in groups] == [3000, 4000]
    assert all(0 < group.metrics["duration"].max < 1000 for group in groups)
    columns = open_results(tmp_path).group_by("arg1").columns
    assert [name for name in columns if "mean" in name] == ["metric:duration mean", "duration mean"]


def test_group_by_tells_numbers_of_different_types_apart_and_nan_from_nothing_else(tmp_path: Path):
    Task("true").arg("--x", [1, 1.0, True]).repeat(2).run(ostreams=[], use_tqdm=False, journal=tmp_path / "types")
    groups = list(open_results(tmp_path / "types").group_by("--x"))
    assert [(repr(group.key["--x"]), group.n) for group in groups] == [("1", 2), ("1.0", 2), ("True", 2)]
    task = Task("true").arg("--x", [math.nan, 1.0, None]).repeat(3)
    task.run(ostreams=[], use_tqdm=False, journal=tmp_path / "nan", max_workers=2)
    groups = list(open_results(tmp_path / "nan").group_by())
    assert [(repr(group.key["--x"]), group.n) for group in groups] == [("nan", 3), ("1.0", 3), ("None", 3)]


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


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", "a\r\nb", '"', ",", " a "])
def test_csv_can_be_read_back_whatever_stands_in_a_cell(cell: str, tmp_path: Path):
    Task("true").arg("--t", [cell, "c"]).run(ostreams=[], use_tqdm=False, journal=tmp_path / "j")
    text = open_results(tmp_path / "j").to_csv(tmp_path / "out.csv")
    assert [row["--t"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [cell, "c"]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [row["--t"] for row in csv.DictReader(file)] == [cell, "c"]


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


def parquet(results: Results, path: Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Write a Parquet file and read it back: the types of the columns by name, and the rows."""
    import duckdb

    results.to_parquet(path)
    with duckdb.connect() as database:
        relation = database.read_parquet(str(path))
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        return types, [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_a_parquet_file_keeps_text_as_text_and_numbers_as_they_are(tmp_path: Path):
    values = {
        "day": "2024-01-01",
        "time": "12:00:00",
        "moment": "2024-01-01 12:00:00",
        "uuid": "00000000-0000-0000-0000-000000000000",
        "number": "007",
        "huge": 10**30,
        "large": 2**53 + 1,
        "largest": 2**63 - 1,
        "below": -(2**63) - 1,
        "real": 0.1,
        "switch": True,
        "nothing": None,
    }
    task = Task("echo 'm=nan' 'k=inf'").metric("m", r"m=(\w+)").metric("k", r"k=(\w+)")
    for name, value in values.items():
        task.arg(name, [value])
    task.run(ostreams=[], use_tqdm=False, journal=tmp_path / "j")
    types, (row,) = parquet(open_results(tmp_path / "j"), tmp_path / "out.parquet")
    expected = {**values, "huge": str(10**30), "below": str(-(2**63) - 1)}
    assert {name: row[name] for name in values} == expected
    assert {types[name] for name in ("day", "time", "moment", "uuid", "number", "huge", "below")} == {"VARCHAR"}
    assert [types[name] for name in ("large", "real", "switch", "m", "index")] == [
        *("BIGINT", "DOUBLE", "BOOLEAN", "DOUBLE", "BIGINT")
    ]
    assert types["start_time"].startswith("TIMESTAMP")
    assert math.isnan(row["m"])
    assert row["k"] == math.inf


def test_a_parquet_column_of_many_kinds_is_text_and_one_of_numbers_is_real(tmp_path: Path):
    Task("true").arg("--x", [1, "a", 2.5, None]).arg("--y", [1, 2.5]).run(
        ostreams=[], use_tqdm=False, journal=tmp_path / "j", max_workers=2
    )
    types, rows = parquet(open_results(tmp_path / "j"), tmp_path / "out.parquet")
    assert (types["--x"], types["--y"]) == ("VARCHAR", "DOUBLE")
    assert [row["--x"] for row in rows[::2]] == ["1", "a", "2.5", None]
    assert [row["--y"] for row in rows[:2]] == [1.0, 2.5]


def test_a_parquet_file_escapes_what_is_no_text(tmp_path: Path):
    Task("true").arg("--x\udcff", ["y\udcff", "z"]).run(ostreams=[], use_tqdm=False, journal=tmp_path / "j")
    _, rows = parquet(open_results(tmp_path / "j"), tmp_path / "out.parquet")
    assert [row["--x\\udcff"] for row in rows] == ["y\\udcff", "z"]


def test_parquet_columns_whose_names_differ_in_case_alone_both_survive(tmp_path: Path):
    Task("true").arg("-i", [1]).arg("-I", ["a"]).arg('"q"', [2]).run(
        ostreams=[], use_tqdm=False, journal=tmp_path / "j"
    )
    results = open_results(tmp_path / "j")
    types, (row,) = parquet(results, tmp_path / "out.parquet")
    assert len(types) == len(results.columns)
    assert [value for name, value in row.items() if name.lower().startswith("-i")] == [1, "a"]
    assert row['"q"'] == 2


def test_a_parquet_file_without_rows_has_the_columns(results: Results, tmp_path: Path):
    none = results.filter({"status": "lost"})
    types, rows = parquet(none, tmp_path / "out.parquet")
    assert (list(types), rows) == (none.columns, [])


def test_a_parquet_file_that_cannot_be_written_is_an_error_of_the_system(results: Results, tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        results.to_parquet(tmp_path / "nowhere" / "out.parquet")


def test_a_table_fits_its_header_while_columns_appear(tmp_path: Path, monkeypatch):
    Task("echo v=1").metric("v", r"v=(\d)").arg(None, [1]).run(ostreams=[], use_tqdm=False, journal=tmp_path)
    (row,) = open_results(tmp_path)
    looks = iter(range(100))

    def read(*_: object, **__: object) -> Iterator[RecordedRun]:
        more = {f"m{number}": 1.0 for number in range(next(looks))}  # at each look there is one more
        return iter([replace(row, metrics=more), row])

    monkeypatch.setattr(results_module, "read_runs", read)
    results = open_results(tmp_path)
    for _ in range(3):  # each table is of one look
        lines = list(csv.reader(io.StringIO(results.to_csv())))
        assert [len(line) for line in lines] == [len(lines[0])] * 3
        assert len({line.count("|") for line in results.to_markdown().splitlines()}) == 1
        objects = list(map(json.loads, results.to_jsonl().splitlines()))
        assert [list(each) for each in objects] == [list(objects[0])] * 2
        assert list(results.to_pandas()["v"].isna()) == [True, False]
        _, rows = parquet(results, tmp_path / "out.parquet")
        assert [row["v"] for row in rows] == [None, 1.0]


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


def test_results_of_a_relative_folder_stay_where_they_are(folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    results = open_results(folder.name).metric("again", r"loss=([\d.]+)")
    monkeypatch.chdir(tmp_path)
    assert [row.metrics["again"] == row.metrics["loss"] for row in results] == [True] * 12
    assert {row.log_path.parent for row in results} == {folder / "logs"}


def test_the_repr_of_results_names_their_folder_and_reads_nothing(tmp_path: Path):
    Task("true").run(ostreams=[], use_tqdm=False, journal=tmp_path / "j")
    results = open_results(tmp_path / "j")
    views = [results, results.sort("index"), results.filter({"index": 0}), results.metric("m", "(x)")]
    (tmp_path / "j").rename(tmp_path / "away")
    assert [repr(view) for view in views] == [f"<Results of {tmp_path / 'j'}>"] * 4


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
