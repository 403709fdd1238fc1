"""Dask: what is lost comes back once, what is asked for fits, and who speaks to whom is known."""

import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from clusters import DaskCluster
from conftest import alive, eventually
from nursery import ROOT, Daemon
from once import Sweep
from requirements import requires

from taskexp import EngineError, Status, Task, open_results
from taskexp.engines.address import Address, Tls


@pytest.fixture(scope="module")
def fragile(dask_nursery, tmp_path_factory):
    """A cluster for those who kill."""
    return DaskCluster(dask_nursery, tmp_path_factory.mktemp("fragile"))


def test_runs_say_what_they_say(dask_cluster, tmp_path):
    task = Task(["sh", "-c", 'echo "out $0"; echo "err $0" >&2; printf "unended $0"']).arg(None, range(60))
    results = task.run(
        engine=dask_cluster.engine, max_workers=None, journal=tmp_path / "j", use_tqdm=False, ostreams=[]
    )
    assert Counter(result.status for result in results) == {Status.succeeded: 60}
    for row in open_results(tmp_path / "j"):
        lines = row.log_path.read_text().splitlines()
        assert sorted(lines) == sorted([f"out {row.index}", f"err {row.index}", f"unended {row.index}"])
    assert {result.worker for result in results} == {"w1", "w2"}


# ---- what is lost


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(tmp_path, runs=7, workers=4)
    yield sweep
    sweep.open_gate()


@pytest.fixture
def start(sweep, dask_nursery):
    """Start a driver of the sweep."""

    def start(cluster: DaskCluster, on_lost: str = "retry") -> Daemon:
        (sweep.folder / "told").unlink(missing_ok=True)
        return dask_nursery.fork(*sweep.command(cluster.engine, on_lost), log=sweep.folder / "told")

    return start


def begin(sweep: Sweep, start, cluster: DaskCluster, on_lost: str = "retry") -> Daemon:
    driver = start(cluster, on_lost)
    eventually(lambda: len(sweep.started()) == 4, "the runs do not start", 30)
    return driver


def see_to_its_end(sweep: Sweep, driver: Daemon) -> None:
    sweep.open_gate()
    assert driver.wait() == 0, driver.said()
    assert str(list(range(7))) in driver.said()
    assert set(Counter(sweep.started()).values()) == {1}
    rows = list(open_results(sweep.folder / "j"))
    assert [row.status for row in rows] == [Status.succeeded] * 7
    assert [row.log_path.read_text() for row in rows] == [f"done {index}\n" for index in range(7)]
    eventually(lambda: not alive(sweep.mark), "something is left")


@pytest.mark.parametrize("on_lost", ["retry", "fail"])
def test_runs_of_a_killed_worker_are_lost_and_repeated_once(fragile, sweep, start, on_lost):
    driver = begin(sweep, start, fragile, on_lost)
    fragile.workers.pop(0).kill()
    fragile.add_workers()
    if on_lost == "retry":
        eventually(lambda: len(sweep.started()) > 4, "nothing is repeated", 30)
    sweep.open_gate()
    driver.wait()
    assert set(Counter(sweep.started()).values()) == {1}
    rows = list(open_results(sweep.folder / "j", attempts=True))
    lost = {row.index for row in rows if row.status is Status.lost}
    assert lost
    assert all("is lost" in (row.error or "") and row.worker for row in rows if row.index in lost and row.attempt == 1)
    repeated = {index for index, number, _ in sweep.started() if number == 2}
    assert repeated == (lost if on_lost == "retry" else set()), driver.said()
    assert Counter(row.status for row in open_results(sweep.folder / "j")) == (
        {Status.succeeded: 7} if on_lost == "retry" else {Status.succeeded: 7 - len(lost), Status.lost: len(lost)}
    )
    eventually(lambda: not alive(sweep.mark), "something is left")


def test_runs_of_a_killed_client_are_gone_and_the_sweep_goes_on(fragile, sweep, start):
    begin(sweep, start, fragile).kill()
    eventually(lambda: not alive(sweep.mark), "its runs go on", 5)
    see_to_its_end(sweep, start(fragile))


def test_a_resume_waits_for_the_runs_of_a_killed_client(fragile, sweep, start):
    """The workers are stopped while the client is killed: the runs are there when the next client comes."""
    driver = begin(sweep, start, fragile)
    for worker in fragile.workers:
        worker.signal(signal.SIGSTOP)
    driver.kill()
    again = start(fragile)
    for worker in fragile.workers:
        worker.signal(signal.SIGCONT)
    see_to_its_end(sweep, again)


def test_a_killed_scheduler_ends_the_sweep_and_another_one_goes_on(fragile, sweep, start, dask_cluster):
    driver = begin(sweep, start, fragile)
    fragile.scheduler.kill()
    driver.wait()
    assert "EngineError: the scheduler at tcp://127.0.0.1" in driver.said()
    eventually(lambda: not alive(sweep.mark), "its runs go on", 5)
    assert [row.status for row in open_results(sweep.folder / "j")] == [Status.lost] * 4
    see_to_its_end(sweep, start(dask_cluster))


# ---- what is asked for


def test_no_two_runs_of_a_worker_have_the_same_gpu(dask_cluster, tmp_path):
    script = 'mkdir "$0/$PPID-$CUDA_VISIBLE_DEVICES" || exit 99; sleep 0.05; rmdir "$0/$PPID-$CUDA_VISIBLE_DEVICES"'
    task = Task(["sh", "-c", script, str(tmp_path)]).repeat(24)
    results = task.run(
        engine=dask_cluster.engine, resources={"GPU": 1}, max_workers=None, ostreams=[], journal=tmp_path / "j"
    )
    assert Counter(result.status for result in results) == {Status.succeeded: 24}
    assert {(result.worker, result.devices["CUDA_VISIBLE_DEVICES"]) for result in results} == {
        (worker, number) for worker in ("w1", "w2") for number in "01"
    }
    assert [row.devices for row in open_results(tmp_path / "j")] == [result.devices for result in results]
    (both,) = Task("true").run(engine=dask_cluster.engine, resources={"GPU": 2}, ostreams=[])
    assert both.devices == {"CUDA_VISIBLE_DEVICES": "0,1"}


@pytest.mark.parametrize("resources", [{"GPU": 3}, {"TPU": 1}, {"GPU": 1, "TPU": 1}])
def test_what_no_worker_can_give_is_refused_before_anything_starts(dask_cluster, resources, tmp_path):
    task = Task(["sh", "-c", 'touch "$0"', str(tmp_path / "file")])
    with pytest.raises(EngineError, match=r"no worker at .* can give a run .*=.*GPU=2"):
        task.run(engine=dask_cluster.engine, resources=resources, journal=tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_more_workers_are_more_room(dask_cluster, tmp_path):
    """Nine runs wait for each other on two workers of four threads, until a third one comes."""
    file, workers = tmp_path / "file", []

    def add_worker() -> None:
        eventually(lambda: file.exists() and len(file.read_text()) == 16, "not 8 run", 30)
        workers.append(dask_cluster.start_worker())

    adding = threading.Thread(target=add_worker)
    adding.start()
    script = 'echo x >> "$0"; until [ "$(wc -l < "$0")" -ge 9 ]; do sleep 0.1; done'
    results = (
        Task(["sh", "-c", script, str(file)]).repeat(9).run(engine=dask_cluster.engine, max_workers=9, ostreams=[])
    )
    adding.join()
    workers[0].kill()
    assert [result.status for result in results] == [Status.succeeded] * 9


# ---- who speaks to whom


def run_forked(dask_nursery, script: str, *words: str, folder: Path) -> str:
    """Run a user's script; returns what it says."""
    (folder / "script.py").write_text(script)
    program = dask_nursery.fork(str(folder / "script.py"), *words, log=folder / "said")
    assert program.wait() == 0, program.said()
    return program.said()


def test_a_file_a_client_and_a_cluster_are_engines_too(dask_cluster, dask_nursery, tmp_path):
    script = """
import sys
from distributed import Client, LocalCluster
from taskexp import Task

how = {"ostreams": [], "use_tqdm": False}
task = Task("echo hello")
print(task.run(engine="dask-file:" + sys.argv[2], **how)[0].status)
with Client(sys.argv[1]) as client:
    print(task.run(engine=client, **how)[0].status)
    print(client.status)
with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None, processes=False) as cluster:
    print(task.run(engine=cluster, max_workers=None, **how)[0].status)
"""
    said = run_forked(dask_nursery, script, dask_cluster.address, str(dask_cluster.file), folder=tmp_path)
    assert said.split() == ["succeeded", "succeeded", "running", "succeeded"]


@requires("dask")
def test_nobody_at_the_address_is_told(tmp_path):
    with pytest.raises(EngineError, match=r"nobody listens at tcp://127\.0\.0\.1:1: .*dask scheduler"):
        Task("true").run(engine="dask://127.0.0.1:1", journal=tmp_path / "j")
    with pytest.raises(EngineError, match="no scheduler file"):
        Task("true").run(engine=f"dask-file:{tmp_path}/no.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(EngineError, match="is no scheduler file"):
        Task("true").run(engine=f"dask-file:{tmp_path}/bad.json")
    assert not (tmp_path / "j").exists()


@requires("dask")
def test_a_plain_connection_off_loopback_is_warned_of():
    from taskexp.engines.dask.contact import warnings_about

    (warning,) = warnings_about("tcp://10.0.0.7:8786")
    assert "neither encrypted nor checked" in warning
    assert [warnings_about(f"tcp://{host}:8786") for host in ("127.0.0.1", "localhost", "[::1]")] == [[], [], []]
    assert warnings_about("tls://10.0.0.7:8786") == []


def certificates(folder: Path, name: str) -> tuple[str, ...]:
    """Make a certificate that vouches for itself; returns the options that give it."""
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=127.0.0.1", "-days", "2", "-out", str(cert), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return ("--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key))


@requires("openssl")
def test_certificates_let_in_who_has_them_and_nobody_else(dask_cluster, dask_nursery, tmp_path):
    ours, others = certificates(tmp_path, "ours"), certificates(tmp_path, "others")
    cluster = DaskCluster(dask_nursery, tmp_path, workers=1, tls=ours)
    try:
        assert cluster.address.startswith("tls://")
        words = ("-m", "taskexp", "run", "--engine", cluster.engine, *ours, "--json", "echo {a,b}")
        program = dask_nursery.fork(*words, log=tmp_path / "said")
        assert program.wait() == 0, program.said()
        assert '"succeeded": 2' in program.said()
        with pytest.raises(EngineError, match="do not trust each other"):
            Task("true").run(engine=Address(cluster.engine, tls=Tls(*others[1::2])))
        with pytest.raises(EngineError, match="wants TLS; give --tls-ca-file"):
            Task("true").run(engine=cluster.address)
        with pytest.raises(EngineError, match="whether it was started with TLS"):
            Task("true").run(engine=Address(dask_cluster.engine, tls=Tls(*ours[1::2])))
        security = (
            "import sys\nfrom distributed import Client\nfrom distributed.security import Security\n"
            "from taskexp import Task\n"
            "security = Security(tls_ca_file=sys.argv[2], tls_client_cert=sys.argv[2], tls_client_key=sys.argv[3])\n"
            "with Client(sys.argv[1], security=security) as client:\n"
            "    print(Task('true').run(engine=client, ostreams=[], use_tqdm=False)[0].status)\n"
        )
        (tmp_path / "user").mkdir()
        said = run_forked(dask_nursery, security, cluster.address, ours[1], ours[5], folder=tmp_path / "user")
        assert said.split() == ["succeeded"]
    finally:
        cluster.stop()


def test_other_versions_are_told(dask_nursery, tmp_path):
    shutil.copytree(ROOT / "taskexp", tmp_path / "other" / "taskexp")
    version = tmp_path / "other" / "taskexp" / "words" / "version.py"
    version.write_text('"""Version."""\n\n__version__ = "0.0.0.other"\n')
    cluster = DaskCluster(dask_nursery, tmp_path, workers=0)
    try:
        other = cluster.start_worker(PYTHONPATH=str(tmp_path / "other")).says("Registered to")
        with pytest.raises(EngineError, match=rf"on {os.uname().nodename} has TaskExp 0\.0\.0\.other"):
            Task("true").run(engine=cluster.engine)
        other.kill()
        cluster.add_workers()
        cluster.scheduler.says("Remove worker")
        assert Task("true").run(engine=cluster.engine, ostreams=[])[0].status is Status.succeeded
    finally:
        cluster.stop()
