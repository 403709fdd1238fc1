"""The report without a browser: what is seen to vary, which plots are chosen, what the page holds."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from conftest import requires

from taskexp import ArgumentTypeError, JournalError, MissingExtraError, RecordedRun, Status, Task, open_results
from taskexp.record.journal.drivers import read_drivers
from taskexp.record.report.choice import ALL_OTHERS, HeatMap, Lines, Pareto, choose
from taskexp.record.report.content import FAILURES_TOLD, json_cell, make_content
from taskexp.record.report.facts import tell_facts
from taskexp.record.report.page import embedded
from taskexp.record.report.survey import make_survey, prefers_less
from taskexp.record.table import Sheet, html_table

needs_plotly = requires("plotly")

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
EVIL = "</script><script>document.title = 'stolen'</script><!--&\u2028"


def run_of(
    index: int = 0, metrics: dict[str, float] | None = None, *, repeat: int = 0, **params: object
) -> RecordedRun:
    return RecordedRun(
        status=Status.succeeded,
        returncode=0,
        error=None,
        start_time=BEGAN,
        end_time=BEGAN + timedelta(seconds=2),
        duration=timedelta(seconds=2),
        max_rss_bytes=3 << 20,
        user_seconds=1.0,
        system_seconds=0.5,
        params=params,
        argv=["prog", *map(str, params.values())],
        index=index,
        repeat=repeat,
        metrics={"loss": float(index)} if metrics is None else metrics,
        fingerprint=index.to_bytes(16, "big"),
        log_path=Path(f"/nowhere/{index}.log"),
    )


def grid(repeats: int = 1, metrics: dict[str, float] | None = None, **loops: Sequence[object]) -> list[RecordedRun]:
    points = [dict(zip(loops, values, strict=True)) for values in product(*loops.values())]
    return [
        run_of(number * repeats + repeat, metrics, repeat=repeat, **point)
        for number, point in enumerate(points)
        for repeat in range(repeats)
    ]


def axes_of(rows: list[RecordedRun]) -> list[str]:
    return [axis.name for axis in make_survey(rows).axes]


# ---- what varies


def test_numbers_that_a_command_line_gave_as_text_are_numbers_and_in_their_order():
    (parameter,) = make_survey(grid(lr=["1e-2", "1e-4", "0.001"])).parameters
    assert parameter.kind == "number"
    assert list(parameter.levels) == ["1e-4", "0.001", "1e-2"]
    assert parameter.is_wide
    assert not make_survey(grid(n=[1, 2, 3])).parameters[0].is_wide


def test_flags_texts_and_constants_are_told_apart():
    survey = make_survey(grid(amp=[True, False], opt=["adam", "sgd"], model=["7b"]))
    assert [(each.name, each.kind, each.varies) for each in survey.parameters] == [
        ("amp", "flag", True),
        ("opt", "text", True),
        ("model", "text", False),
    ]


def test_the_number_of_the_repeat_and_a_seed_are_no_axes():
    rows = [replace(row, params={**row.params, "k": row.repeat}) for row in grid(3, n=[1, 2])]
    assert axes_of(rows) == ["n"]
    assert axes_of(grid(n=[1, 2], **{"--seed": [1, 2, 3]})) == ["n"]


def test_what_follows_from_other_parameters_is_no_axis():
    rows = [
        replace(row, params={"o": f"{row.params['a']}{row.params['b']}", **row.params})
        for row in grid(a=[1, 2, 3], b="xy")
    ]
    assert axes_of(rows) == ["a", "b"]
    paired = [run_of(number, model=model, tp=number) for number, model in enumerate(["7b", "13b", "70b"])]
    assert axes_of(paired) == ["model"]


def test_in_a_random_sample_every_number_stays_an_axis():
    rows = [
        run_of(number, lr=1 / (1 + number), width=number * 37 % 101, depth=number * 17 % 103) for number in range(90)
    ]
    assert axes_of(rows) == ["lr", "width", "depth"]


def test_a_value_that_holds_the_runs_own_id_is_a_name():
    rows = [replace(row, params={**row.params, "--out": f"out/{row.id}.json"}) for row in grid(n=[1, 2])]
    assert [each.is_name for each in make_survey(rows).parameters] == [False, True]


def test_a_parameter_and_a_metric_that_are_called_like_a_column_get_names_of_their_own():
    content = make_content([run_of(status="odd", loss=1), run_of(1, {"loss": 2, "duration": 3}, status="even", loss=2)])
    names = [column["name"] for column in content.columns]
    assert len(set(names)) == len(names)
    assert {"param:status", "loss", "metric:loss", "metric:duration"} <= set(names)


@pytest.mark.parametrize("name", ["loss", "val_loss", "latency_ms", "p99", "error_rate", "seconds", "peak_rss", "ttft"])
def test_less_of_a_loss_or_a_time_is_better(name: str):
    assert prefers_less(name)


@pytest.mark.parametrize("name", ["accuracy", "throughput", "tokens_per_s_total_rate", "f1", "bandwidth", "speedup"])
def test_more_of_other_measures_is_better(name: str):
    assert not prefers_less(name)


# ---- which plots


def test_the_number_with_the_most_values_goes_along_and_the_others_make_the_lines():
    choice = choose(make_survey(grid(opt="abc", lr=[1, 2, 3, 4], amp=[True, False])))
    assert choice.lines == Lines("lr", "loss", ALL_OTHERS)
    assert choice.heat_map == HeatMap("lr", "opt", "loss")
    assert choice.parallel is not None
    assert list(choice.parallel.dimensions) == ["opt", "lr", "amp", "loss"]


def test_too_many_lines_become_those_of_one_parameter():
    choice = choose(make_survey(grid(a=range(5), b=range(4), lr=range(9))))
    assert choice.lines == Lines("lr", "loss", "a")


def test_one_parameter_makes_one_line_and_no_map():
    choice = choose(make_survey(grid(n=[1, 2])))
    assert (choice.lines, choice.heat_map, choice.parallel) == (Lines("n", "loss", ""), None, None)


def test_without_parameters_or_metrics_durations_are_left():
    choice = choose(make_survey(grid(5, {})))
    assert (choice.lines, choice.heat_map, choice.parallel, choice.pareto) == (None, None, None, None)
    assert choice.distribution == "duration"


def test_the_front_is_of_the_first_two_measures_and_in_their_good_directions():
    rows = grid(metrics={"throughput": 1.0, "latency": 2.0}, n=[1, 2])
    assert choose(make_survey(rows)).pareto == Pareto("latency", "throughput", True, False)
    assert choose(make_survey(grid(n=[1, 2]))).pareto == Pareto("duration", "loss", True, True)


# ---- what the page holds


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (2**60, str(2**60)),
        (True, True),
        ("1e-3", "1e-3"),
        (None, None),
    ],
)
def test_a_cell_survives_json_and_a_reader_of_doubles(cell: object, written: object):
    assert json.loads(json.dumps(json_cell(cell), allow_nan=False)) == written  # type: ignore[arg-type]


def test_nothing_in_the_content_ends_its_element():
    text = embedded({"lines": [EVIL]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"lines": [EVIL]}


def test_failures_have_their_last_lines_without_colours_and_only_some_of_them(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(50)) + "\x1b[31mred\x1b[0m 1%\r99%\n" + "x" * 9999 + "\n")
    rows = [replace(run_of(n), status=Status.failed, returncode=3, log_path=log) for n in range(FAILURES_TOLD + 9)]
    content = make_content(rows)
    assert content.failure_count == FAILURES_TOLD + 9
    assert len(content.failures) == FAILURES_TOLD
    lines = content.failures[0]["lines"]
    assert lines[:2] == ["line 42", "line 43"]  # type: ignore[index]
    assert lines[-2] == "99%"  # type: ignore[index]
    assert len(lines[-1]) == 500  # type: ignore[index]
    assert content.failures[0]["what"] == "failed: exit code 3"


@needs_plotly
def test_a_secret_is_not_in_the_page(tmp_path: Path):
    task = Task("sh -c 'exit 1'", env={"HF_TOKEN": "hunter2secret"}).arg("--key", ["a hunter2secret"])
    task.run(journal=tmp_path / "journal", ostreams=[], use_tqdm=False)
    page = open_results(tmp_path / "journal").report()
    assert "hunter2" not in page
    assert 'HF_TOKEN=\\"$HF_TOKEN\\"' in page


def test_the_facts_tell_what_was_run_when_where_and_from_which_code(tmp_path: Path):
    Task("echo").fixed("--model", "7b").arg("--n", [1, 2]).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    facts = dict(tell_facts(tmp_path, read_drivers(tmp_path), list(open_results(tmp_path))))
    assert facts["First command"] == "echo --model 7b --n 1"
    assert facts["The same in every run"] == "--model = 7b"
    assert facts["In the folder"] == str(Path.cwd())
    assert "Python 3." in facts["With"]
    assert {"Ran", "Started", "On", "Journal"} <= facts.keys()


@needs_plotly
def test_a_report_is_one_file_that_names_no_other(tmp_path: Path):
    Task("echo").arg("--n", [1, 2]).run(journal=tmp_path / "sweep", ostreams=[], use_tqdm=False)
    results = open_results(tmp_path / "sweep")
    page = results.report(tmp_path / "page.html", title="1 < 2 & 3")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert "<title>1 &lt; 2 &amp; 3</title>" in page
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.partition('id="plotly"')[0])
    assert tags == ['<script type="application/json" id="content">']
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in policy
    script = re.search(r"script-src ([^;]*);", policy)[1]
    assert "'unsafe-inline'" not in script
    assert "http" not in script
    assert "<title>sweep</title>" in results.report()
    with pytest.raises(ArgumentTypeError, match="title"):
        results.report(title=3)  # type: ignore[arg-type]


@needs_plotly
def test_a_report_of_no_runs_is_a_page_too(tmp_path: Path):
    Task("echo").arg("--n", [1]).run(journal=tmp_path, ostreams=[], use_tqdm=False)
    assert "<!DOCTYPE html>" in open_results(tmp_path).filter({"--n": 2}).report()


def test_who_imports_taskexp_does_not_load_the_report():
    text = "import sys; from taskexp import Task, open_results; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert not any(name.startswith("taskexp.record.report") for name in done.stdout.split())


def test_without_plotly_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Task("echo").run(journal=tmp_path, ostreams=[], use_tqdm=False)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"taskexp\[report\]"):
        open_results(tmp_path).report()


@needs_plotly
def test_making_a_report_loads_nothing_heavy(tmp_path: Path):
    Task("echo").run(journal=tmp_path, ostreams=[], use_tqdm=False)
    text = f"import taskexp, sys; taskexp.open_results({str(tmp_path)!r}).report(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert not {"numpy", "pandas", "plotly.graph_objs", "starlette", "uvicorn", "tqdm"} & set(done.stdout.split())


# ---- in a notebook


def test_results_and_groups_show_themselves_as_tables_in_which_nothing_is_html(tmp_path: Path):
    Task("sh -c 'echo loss=$0'").arg(None, [1, 2]).arg("<b>", ["<i>"]).metric("loss", r"loss=(\d)").run(
        journal=tmp_path, ostreams=[], use_tqdm=False
    )
    table = open_results(tmp_path)._repr_html_()
    assert table.count("<tr>") == 3
    assert '<th scope="col">&lt;b&gt;</th>' in table
    assert "<td>&lt;i&gt;</td>" in table
    assert "<i>" not in table
    assert "loss mean" in open_results(tmp_path).group_by("<b>")._repr_html_()


def test_a_long_table_shows_its_beginning_and_its_end():
    table = html_table(Sheet(["n"], [[n] for n in range(1000)]))
    assert table.count("<tr>") == 62
    assert "<td>0</td>" in table
    assert "<td>999</td>" in table
    assert "1000 rows, 940 of them not shown" in table


# ---- the command


def command(*words: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "taskexp", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@needs_plotly
def test_the_command_writes_a_page_of_the_rows_that_are_asked_for(tmp_path: Path):
    journal = tmp_path / "sweep"
    Task("sh -c 'echo step=$0'").arg(None, range(4)).run(journal=journal, ostreams=[], use_tqdm=False)
    done = command(
        "report",
        journal,
        "-o",
        tmp_path / "r.html",
        "--where",
        "arg1=2",
        "--metric",
        r"step=step=(\d)",
        "--title",
        "mine",
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert re.search(r"r.html: 1 run, \d\.\d MB", done.stderr)
    page = (tmp_path / "r.html").read_text()
    content = json.loads(re.search(r'id="content">(.*?)</script>', page)[1])
    (row,) = content["rows"]
    named = dict(zip((column["name"] for column in content["columns"]), row, strict=True))
    assert (named["arg1"], named["step"]) == (2, 2)
    assert "<title>mine</title>" in page


@needs_plotly
def test_a_page_that_cannot_be_written_and_a_folder_without_a_journal_are_wrong_use(tmp_path: Path):
    Task("echo").run(journal=tmp_path / "sweep", ostreams=[], use_tqdm=False)
    done = command("report", tmp_path / "sweep", "-o", tmp_path)
    assert done.returncode == 2
    assert "--output" in done.stderr
    assert command("report", tmp_path / "none").returncode == 2
    with pytest.raises(JournalError):
        open_results(tmp_path / "none")
