"""Two sweeps side by side: which points are the same, and what their ratio is."""

import json
import math
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from requirements import requires
from test_report import grid, run_of

from taskexp import ArgumentValueError, RecordedRun, Status, Task
from taskexp.record.report.comparison import PROGRAM, Comparison, Pair, compare, overall
from taskexp.record.report.ratio import Sample, make_sample, ratio_of
from taskexp.record.report.student import t_probability, t_quantile

# ---- the t distribution


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),  # any textbook's table
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.95, 5, 2.015),
        (0.995, 10, 3.169),
        (0.975, 30, 2.042),
        (0.975, 1e6, 1.95997),
    ],
)
def test_quantiles_are_those_of_the_tables(probability: float, degrees: float, value: float):
    assert t_quantile(probability, degrees) == pytest.approx(value, rel=2e-4)


def test_the_distribution_is_scipys():
    special = pytest.importorskip("scipy.special")  # what scipy.stats.t calls, and imports in half the time
    for degrees in (0.7, 1, 1.5, 4.2, 33, 1e4):
        for value in (-8.0, -1.0, 0.0, 0.3, 2.0, 40.0):
            assert t_probability(value, degrees) == pytest.approx(special.stdtr(degrees, value), rel=1e-9, abs=1e-14)
        assert t_quantile(0.975, degrees) == pytest.approx(special.stdtrit(degrees, 0.975), rel=1e-7)


# ---- ratios


def sample(*values: float) -> Sample:
    found = make_sample(values)
    assert found is not None
    return found


def test_a_ratio_is_that_of_the_means_and_its_interval_holds_it():
    ratio = ratio_of(sample(10, 11, 12), sample(20, 22, 24), 0.95)
    assert ratio is not None
    assert ratio.value == pytest.approx(2)
    assert ratio.interval is not None
    low, high = ratio.interval
    # By hand: both relative variances are 1/(3·121), so 4 degrees of freedom and a t of 2.776.
    assert low == pytest.approx(2 * math.exp(-2.7764 * math.sqrt(2 / 363)), rel=1e-4)
    assert high == pytest.approx(4 / low)
    assert ratio.is_clear


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    dice = random.Random(11)
    hits = 0
    for _ in range(400):
        ratio = ratio_of(
            sample(*(dice.gauss(10, 1) for _ in range(4))), sample(*(dice.gauss(15, 3) for _ in range(6))), 0.9
        )
        assert ratio is not None
        assert ratio.interval is not None
        hits += ratio.interval[0] <= 1.5 <= ratio.interval[1]
    assert 0.85 < hits / 400 < 0.95


def test_without_repeats_there_is_a_ratio_and_no_interval_and_without_positive_means_neither():
    ratio = ratio_of(sample(10), sample(20, 21), 0.95)
    assert ratio is not None
    assert (ratio.value, ratio.interval, ratio.is_clear) == (2.05, None, False)
    assert ratio_of(sample(-1, 1), sample(2, 3), 0.95) is None
    equal = ratio_of(sample(3, 3), sample(3, 3), 0.95)
    assert equal is not None
    assert (equal.interval, equal.is_clear) == ((1.0, 1.0), False)
    assert make_sample([math.nan, math.inf]) is None


# ---- which points are the same


def compared(first: Sequence[RecordedRun], second: Sequence[RecordedRun], *metrics: str) -> Comparison:
    return compare(first, second, metrics, 0.95)


def points(pairs: Sequence[Pair]) -> list[object]:
    return [dict(pair.point) for pair in pairs]


def test_repeats_fold_and_points_in_one_alone_are_told():
    comparison = compared(grid(3, n=[1, 2, 3]), grid(2, n=[2, 3, 4]))
    pairs = comparison.pairs["loss"]
    assert points(pairs) == [{"n": 2}, {"n": 3}]
    assert [(pair.first.n, pair.second.n) for pair in pairs if pair.first and pair.second] == [(3, 2), (3, 2)]
    assert (list(comparison.only_first), list(comparison.only_second)) == ([{"n": 1}], [{"n": 4}])
    assert comparison.differing == {}


def test_seeds_and_values_that_hold_an_id_do_not_keep_points_apart():
    first, second = grid(n=[1, 2], **{"--seed": [1, 2]}), grid(n=[1, 2], **{"--seed": [3, 4, 5]})
    first, second = (
        [replace(row, params={**row.params, "o": f"{row.id}.json"}) for row in rows] for rows in (first, second)
    )
    pairs = compared(first, second).pairs["loss"]
    assert points(pairs) == [{"n": 1}, {"n": 2}]
    assert [pair.second.n for pair in pairs if pair.second] == [3, 3]


def test_what_did_not_succeed_or_has_no_value_is_not_measured():
    first = [replace(row, status=Status.failed) if row.index == 0 else row for row in grid(n=[1, 2])]
    pairs = compared(first, grid(n=[1, 2])).pairs["loss"]
    assert [pair.first is None for pair in pairs] == [True, False]
    assert pairs[0].ratio is None


def with_words(rows: Sequence[RecordedRun], *words: str) -> list[RecordedRun]:
    return [replace(row, argv=[*words, str(row.params["n"])]) for row in rows]


def test_another_program_is_another_point_unless_that_is_what_is_compared():
    one, other = with_words(grid(n=[1, 2]), "./old"), with_words(grid(n=[1, 2]), "./new")
    comparison = compared(one, other)
    assert points(comparison.pairs["loss"]) == [{"n": 1}, {"n": 2}]
    assert comparison.differing == {PROGRAM: ("./old", "./new")}
    both = compared([*one, *other], one)
    assert len(both.pairs["loss"]) == 2
    assert [point[PROGRAM] for point in both.only_first] == ["./new", "./new"]


def test_the_line_of_a_shell_is_not_shown_beside_the_parameters_that_it_repeats():
    lines = [replace(row, argv=["sh", "-c", f"./it {row.params['n']} | tail -1"]) for row in grid(n=[1, 2])]
    assert points(compared(lines, lines).pairs["loss"]) == [{"n": 1}, {"n": 2}]


def test_a_constant_that_differs_is_what_is_compared_unless_it_varies_in_one_of_them():
    comparison = compared(grid(n=[1, 2], backend=["a"]), grid(n=[1, 2], backend=["b"]))
    assert points(comparison.pairs["loss"]) == [{"n": 1}, {"n": 2}]
    assert comparison.differing == {"backend": ("a", "b")}
    comparison = compared(grid(n=[1, 2], backend=["a"]), grid(n=[1, 2], backend=["a", "b"]))
    assert len(comparison.only_second) == 2


def test_sweeps_with_nothing_in_common_are_refused():
    with pytest.raises(ArgumentValueError, match="no point is in both"):
        compared(grid(n=[1, 2]), grid(n=[3, 4]))
    with pytest.raises(ArgumentValueError, match="no point is in both"):
        compared([], grid(n=[3, 4]))


def test_measures_are_the_common_metrics_or_the_duration_or_those_that_are_asked_for():
    first, second = grid(metrics={"x": 1.0, "y": 2.0}, n=[1]), grid(metrics={"y": 1.0, "z": 3.0}, n=[1])
    assert list(compared(first, second).pairs) == ["y"]
    assert list(compared(grid(metrics={}, n=[1]), second).pairs) == ["duration"]
    assert list(compared(first, second, "memory", "x").pairs) == ["memory", "x"]
    with pytest.raises(ArgumentValueError, match="there is no metric 'q'; there are x, y, z, duration, cpu, memory"):
        compared(first, second, "q")


def test_the_ratio_over_all_is_the_geometric_mean():
    first, second = (
        [run_of(1, {"m": 2.0}, n=1), run_of(2, {"m": 2.0}, n=2)],
        [run_of(1, {"m": 1.0}, n=1), run_of(2, {"m": 8.0}, n=2)],
    )
    pairs = compared(first, second).pairs["m"]
    assert overall(pairs) == pytest.approx(statistics.geometric_mean([0.5, 4]))
    assert overall([]) is None


# ---- the command


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sweeps of three points each, of which they share two; the second is 1.5 times as fast."""
    base = tmp_path_factory.mktemp("compare")
    for name, factor, values in (("before", 20, [1, 2, 3]), ("after", 30, [2, 3, 4])):
        program = f"echo rate=$(( $0 * {factor} + TASKEXP_INDEX % 2 ))"
        task = (
            Task(
                [
                    "env",
                    "sh",
                    "-c",
                    'eval "$PROGRAM"',
                ],
                env={"PROGRAM": program},
            )
            .arg(None, values)
            .repeat(2)
        )
        task.metric("rate", r"rate=(\d+)").run(journal=base / name, ostreams=[], use_tqdm=False)
    return [base / "before", base / "after"]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "taskexp", "compare", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_writes_tables_and_what_is_in_one_alone(folders: list[Path]):
    done = command(*folders)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"A: {folders[0]}"
    assert lines[2].startswith("$PROGRAM: echo rate=$(( $0 * 20")
    header = next(place for place, line in enumerate(lines) if line.startswith("arg1"))
    assert lines[header].split() == ["arg1", "n", "A", "mean", "A", "n", "B", "mean", "B", "ratio", "95%", "interval"]
    assert lines[header + 1].split()[:6] == ["2", "2", "40.5", "2", "60.5", "1.49383"]
    assert re.search(r"ratio over all: 1\.4\d+ \(geometric mean\); 2 of 2 clearly differ", done.stdout)
    assert "1 point only in A:\n  arg1=1\n" in done.stdout
    assert done.stdout.endswith("1 point only in B:\n  arg1=4\n")


def test_the_command_writes_json(folders: list[Path]):
    told = json.loads(command(*folders, "--json", "--metric", "rate", "--confidence", "0.9").stdout)
    assert told["confidence"] == 0.9
    (first, second) = told["metrics"]["rate"]["points"]
    assert first["params"] == {"arg1": 2}
    assert first["low"] < first["ratio"] < first["high"]
    assert (second["a"]["n"], second["b"]["mean"]) == (2, 90.5)
    assert (told["only_a"], told["only_b"]) == ([{"arg1": 1}], [{"arg1": 4}])


@pytest.mark.parametrize(
    "words",
    [["--confidence", "95"], ["--metric", "none"], pytest.param(["-o", "/"], marks=requires("plotly"))],
)
def test_wrong_use_is_told(words: list[str], folders: list[Path]):
    done = command(*folders, *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_sweep_compared_with_itself_differs_nowhere(folders: list[Path]):
    told = json.loads(command(folders[0], folders[0], "--json").stdout)
    assert told["metrics"]["rate"]["ratio"] == pytest.approx(1)
    assert not any(point["differs"] for point in told["metrics"]["rate"]["points"])
    assert (told["only_a"], told["only_b"], told["differing"]) == ([], [], {})
