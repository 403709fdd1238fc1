"""A sweep of a real training program: interrupted, resumed, widened, its accuracy as a metric in a data frame."""

from collections.abc import Callable
from pathlib import Path

from taskexp import Task, open_results

ALPHAS = [1e-4, 1.0]


def training(program: Callable[[str], list[str]], *alphas: float) -> Task:
    task = (
        Task(program("train_digits"), env={"OPENBLAS_NUM_THREADS": "1"})
        .arg("--alpha", list(alphas))
        .repeat(2, "--seed")
    )
    task.metric("accuracy", r"final accuracy: ([\d.]+)").metric("first", r"accuracy=([\d.]+)", take="first")
    return task


def test_a_training_sweep_that_is_stopped_goes_on_and_its_results_are_a_frame(program, tmp_path: Path):
    journal = tmp_path / "journal"
    options = {"use_tqdm": False, "ostreams": [], "journal": journal}
    with training(program, *ALPHAS[:1]).executable_loop(use_tqdm=False, max_workers=2, journal=journal) as loop:
        for exe in loop:
            exe.execute(ostreams=[])
            if exe.index == 1:
                break
    finished = len(open_results(journal).filter({"status": "succeeded"}))
    assert finished <= 2
    results = training(program, *ALPHAS).run(max_workers=2, **options)
    assert [str(result.status) for result in results] == ["succeeded"] * 4
    rows = open_results(journal, attempts=True)
    assert len(rows.filter({"status": "succeeded"})) == 4

    results = open_results(journal)
    frame = results.to_pandas()
    assert len(frame) == 4
    by_alpha = frame.groupby("--alpha")["accuracy"].mean()
    assert by_alpha[1e-4] > 0.85
    assert by_alpha[1e-4] > by_alpha[1.0]
    assert (frame["accuracy"] >= 0).all()
    best = results.best("accuracy")
    assert best.params["--alpha"] < 1
    assert f"final accuracy: {best.metrics['accuracy']:.4f}" in best.log_path.read_text()
    worst = results.metric("worst", r"accuracy=([\d.]+)", take="min")
    assert all(row.metrics["worst"] <= row.metrics["accuracy"] for row in worst)
    groups = list(results.group_by())
    assert [(group.key["--alpha"], group.n) for group in groups] == [(alpha, 2) for alpha in ALPHAS]
