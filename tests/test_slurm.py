"""Slurm: runs that are steps, runs that are jobs and outlive their driver, and nodes that are lost."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from clusters import SlurmCluster, free_ports
from conftest import a_slurm, alive, eventually
from nursery import ROOT
from once import Sweep

from taskexp import ArgumentValueError, EngineError, Status, Task, open_results


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """These tests may themselves run in a job."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def slurm(slurm_cluster, monkeypatch):
    """Slurm, and a program that its commands would find it from."""
    monkeypatch.setenv("SLURM_CONF", slurm_cluster.environ["SLURM_CONF"])
    return slurm_cluster


@pytest.fixture
def allocation(slurm, monkeypatch):
    """An allocation of two nodes that survives the loss of one of them."""
    environ = slurm.allocate("-n4", "--ntasks-per-node=2", "--gres=gpu:2", "--no-kill")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    yield environ["SLURM_JOB_ID"]
    slurm.says("scancel", environ["SLURM_JOB_ID"])


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(tmp_path, runs=4, workers=4)
    yield sweep
    sweep.open_gate()


def start(engine: str, sweep: Sweep) -> subprocess.Popen[str]:
    """Start the sweep in a process of its own."""
    command = [sys.executable, *sweep.command(engine)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def begin(engine: str, sweep: Sweep) -> subprocess.Popen[str]:
    """Start it and wait until all its runs have begun."""
    driver = start(engine, sweep)
    eventually(lambda: len(sweep.started()) == 4, "the runs do not start", 60)
    return driver


def jobs_of_taskexp(slurm: SlurmCluster) -> list[str]:
    """Name the jobs that TaskExp has submitted and that have not ended; the tests have an allocation, too."""
    return [name for name in slurm.says("squeue", "-h", "-o", "%j").split() if name.startswith("taskexp-")]


def taskexp(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskexp", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.usefixtures("allocation")
def test_40_steps_say_what_they_say_and_share_no_gpu(tmp_path):
    lock = '"$0/$SLURMD_NODENAME-$CUDA_VISIBLE_DEVICES"'
    script = (
        f'mkdir {lock} || exit 99; echo "out $1"; echo "err $1" >&2; printf "unended $1" >&2; rmdir {lock}; exit $1'
    )
    task = Task(["sh", "-c", script, str(tmp_path)]).arg(None, range(40))
    results = task.run(
        engine="srun", resources={"GPU": 1}, max_workers=None, journal=tmp_path / "j", ostreams=[], use_tqdm=False
    )
    assert [result.returncode for result in results] == list(range(40))
    for row in open_results(tmp_path / "j"):
        lines = sorted(row.log_path.read_text().splitlines())
        assert lines == sorted([f"out {row.index}", f"err {row.index}", f"unended {row.index}"])
    places = {(result.host, result.devices["CUDA_VISIBLE_DEVICES"]) for result in results}
    assert places <= {(node, number) for node in ("n1", "n2") for number in "01"}
    assert len(places) > 1


@pytest.mark.usefixtures("slurm")
def test_jobs_share_no_gpu(tmp_path):
    lock = '"$0/$SLURMD_NODENAME-$CUDA_VISIBLE_DEVICES"'
    task = Task(["sh", "-c", f"mkdir {lock} || exit 99; sleep 0.3; rmdir {lock}", str(tmp_path)]).repeat(8)
    results = task.run(
        engine="sbatch", resources={"GPU": 1}, max_workers=None, journal=tmp_path / "j", ostreams=[], use_tqdm=False
    )
    assert [result.status for result in results] == [Status.succeeded] * 8
    places = {(result.host, result.devices["CUDA_VISIBLE_DEVICES"]) for result in results}
    assert places <= {(node, number) for node in ("n1", "n2") for number in "01"}
    assert len(places) > 1


def test_a_signal_that_ends_a_step_is_told(allocation):
    # What a step has printed right before it is killed, its place also, may be lost with Slurm, also without us.
    (result,) = Task(["sh", "-c", "sleep 0.2; kill -9 $$"]).run(engine="srun", ostreams=[])
    assert (result.status, result.returncode) == (Status.failed, -9)
    assert result.worker.startswith(f"step {allocation}.")


def test_jobs_outlive_their_driver_and_the_next_one_takes_them_in(slurm, sweep, tmp_path):
    driver = begin("sbatch", sweep)
    driver.kill()
    driver.communicate()
    with pytest.raises(ArgumentValueError, match=r"4 runs of .* may still run with Slurm"):
        Task("true").run(engine="local", journal=tmp_path / "j")
    said = taskexp("status", str(tmp_path / "j"), cwd=tmp_path).stdout
    assert "4 with Slurm (0 waiting, 4 running, 0 ended" in said
    sweep.open_gate()
    eventually(lambda: not jobs_of_taskexp(slurm), "the jobs do not end", 60)
    assert "4 with Slurm (0 waiting, 0 running, 4 ended" in taskexp("status", str(tmp_path / "j"), cwd=tmp_path).stdout
    again = start("sbatch", sweep)
    told, _ = again.communicate(timeout=60)
    assert again.returncode == 0, told
    rows = list(open_results(tmp_path / "j", attempts=True))
    assert [(row.index, row.attempt, row.status) for row in rows] == [(i, 1, Status.succeeded) for i in range(4)]
    assert [row.log_path.read_text() for row in rows] == [f"done {index}\n" for index in range(4)]
    assert all(re.fullmatch(r"job \d+_\d", row.worker) and row.host in ("n1", "n2") for row in rows)
    assert sorted(index for index, *_ in sweep.started()) == [0, 1, 2, 3]
    assert not (tmp_path / "j" / "jobs").exists()


@pytest.fixture(scope="module")
def fragile_cluster(tmp_path_factory):
    """A Slurm for those who kill."""
    with a_slurm(tmp_path_factory.mktemp("fragile")) as cluster:
        yield cluster


@pytest.fixture
def fragile(fragile_cluster, monkeypatch):
    """The same with both its nodes, and a program that its commands would find it from."""
    monkeypatch.setenv("SLURM_CONF", fragile_cluster.environ["SLURM_CONF"])
    yield fragile_cluster
    fragile_cluster.says("scancel", "--user=root")
    fragile_cluster.revive_node("n1")


@pytest.mark.parametrize("engine", ["srun", "sbatch"])
def test_runs_of_a_lost_node_are_repeated_on_another(engine, fragile, sweep, monkeypatch, tmp_path):
    if engine == "srun":
        allocation = fragile.allocate("-n4", "--ntasks-per-node=2", "--no-kill")
        monkeypatch.setenv("SLURM_JOB_ID", allocation["SLURM_JOB_ID"])
    driver = begin(engine, sweep)
    lost = {index for index, _, node in sweep.started() if node == "n1"}
    assert lost
    fragile.kill_node("n1")
    sweep.open_gate()
    told, _ = driver.communicate(timeout=90)
    assert driver.returncode == 0, told
    rows = list(open_results(tmp_path / "j", attempts=True))
    assert {row.index for row in rows if row.status is Status.lost} == lost
    assert all(row.host == "n1" and row.worker for row in rows if row.status is Status.lost)
    assert [row.status for row in open_results(tmp_path / "j")] == [Status.succeeded] * 4
    assert set(Counter((index, attempt) for index, attempt, _ in sweep.started()).values()) == {1}
    eventually(lambda: not alive(sweep.mark), "something is left")


@pytest.mark.usefixtures("slurm")
def test_what_slurm_refuses_is_told_before_anything_starts(tmp_path):
    (tmp_path / "j").mkdir()
    for engine, resources, word in (
        ("sbatch --partition=nowhere", None, "invalid partition"),
        ("sbatch", {"CPU": 64}, "Slurm refuses such jobs"),
        ("sbatch --bogus", None, "unrecognized option"),
        ("srun", None, "SLURM_JOB_ID is not set"),
    ):
        with pytest.raises(EngineError, match=word):
            Task("true").run(engine=engine, resources=resources, journal=tmp_path / "j")
    assert list((tmp_path / "j").iterdir()) == []


@pytest.mark.usefixtures("allocation")
def test_what_no_node_of_the_allocation_can_give_is_told(monkeypatch):
    with pytest.raises(EngineError, match="can give a run GPU=3; a node has 2 CPUs and 2 GPUs at the most"):
        Task("true").run(engine="srun", resources={"GPU": 3})
    monkeypatch.setenv("SLURM_JOB_ID", "987654")
    with pytest.raises(EngineError, match="Invalid job id"):
        Task("true").run(engine="srun")


def test_a_job_that_somebody_cancels_is_interrupted(slurm, sweep, tmp_path):
    driver = begin("sbatch", sweep)
    slurm.says("scancel", "--user=root")
    driver.communicate(timeout=60)
    rows = list(open_results(tmp_path / "j", attempts=True))
    assert [(row.status, row.error) for row in rows] == [(Status.interrupted, "Slurm ended its job: CANCELLED")] * 4


def readme_commands() -> list[str]:
    """Read the commands that README names for clusters, on ports that are free here."""
    (section,) = re.findall(r"^## From a laptop.*?(?=^## )", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (port,) = free_ports(1)
    return [block.replace("8786", str(port)) for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def test_the_commands_of_readme_do_what_it_says(slurm, dask_cluster, tmp_path):  # noqa: ARG001 - both have to be there
    dask, step, array, recipe = readme_commands()
    recipe = recipe.replace("taskexp recipe", "taskexp recipe --interface lo")
    recipe += "scancel --name=taskexp-dask\n"
    dask = "trap 'kill -9 $(cat pids)' EXIT\n" + dask.replace("&\n", "& echo $! >> pids\n")
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for number, block in enumerate((dask, step, array, recipe)):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            ["sh", "-ec", block], cwd=folder, env=environ, capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (journal,) = [path.parent for path in folder.rglob("journal.sqlite")]
        rows = list(open_results(journal))
        assert [row.status for row in rows] == [Status.succeeded] * 8, done.stderr
        assert all(row.worker for row in rows)
    eventually(lambda: not jobs_of_taskexp(slurm), "a job is left", 60)
