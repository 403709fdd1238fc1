"""Dask: what is lost comes back once, what is asked for fits, and who speaks to whom is known."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from clusters import ROOT, DaskCluster
from conftest import alive, eventually, run_script

from taskexp import EngineError, Status, Task, open_results
from taskexp.engines.address import Address, Tls

pytestmark = pytest.mark.xdist_group("engines")

ONCE = """
echo "$TASKEXP_INDEX $TASKEXP_ATTEMPT" >> started
exec 9> "lock$TASKEXP_INDEX"
flock -n 9 || { echo "index $TASKEXP_INDEX runs twice"; exit 99; }
until [ -e go ]; do sleep 0.01; done
echo "done $TASKEXP_INDEX"
"""
"""A run that notices when it is at two places at once, and says which attempts were started."""


@pytest.fixture(scope="module")
def fragile(dask_cluster, tmp_path_factory):  # noqa: ARG001 - which skips where there is no Dask
    """A cluster for those who kill."""
    cluster = DaskCluster(tmp_path_factory.mktemp("fragile"))
    try:
        yield cluster
    finally:
        cluster.stop()


def started(folder: Path) -> list[tuple[int, int]]:
    file = folder / "started"
    return [tuple(map(int, line.split())) for line in file.read_text().splitlines()] if file.exists() else []


def test_500_runs_say_what_they_say(dask_cluster, tmp_path):
    task = Task(["sh", "-c", 'echo "out $0"; echo "err $0" >&2; printf "unended $0"']).arg(None, range(500))
    results = task.run(
        engine=dask_cluster.engine, max_workers=None, journal=tmp_path / "j", use_tqdm=False, ostreams=[]
    )
    assert Counter(result.status for result in results) == {Status.succeeded: 500}
    for row in open_results(tmp_path / "j"):
        lines = row.log_path.read_text().splitlines()
        assert sorted(lines) == sorted([f"out {row.index}", f"err {row.index}", f"unended {row.index}"])
    assert {result.worker for result in results} == {"w1", "w2"}


# ---- what is lost


DRIVER = """
import sys
from taskexp import Task
task = Task(["sh", "-c", sys.argv[2], sys.argv[3]], cwd=sys.argv[4]).repeat(12)
results = task.run(engine=sys.argv[1], max_workers=5, journal=sys.argv[4] + "/j", ostreams=[], use_tqdm=False,
                   on_lost=sys.argv[5])
print(sorted(result.index for result in results if result.status == "succeeded"))
"""


def start_driver(engine: str, folder: Path, on_lost: str = "retry") -> subprocess.Popen[bytes]:
    (folder / "script.py").write_text(DRIVER)
    command = [sys.executable, str(folder / "script.py"), engine, ONCE, f"{folder}-mark", str(folder), on_lost]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(engine: str, folder: Path) -> None:
    """Start the sweep again and see it to its end."""
    (folder / "go").touch()
    said, told = start_driver(engine, folder).communicate(timeout=60)
    assert said.decode().strip() == str(list(range(12))), told.decode()
    assert set(Counter(started(folder)).values()) == {1}
    assert [row.status for row in open_results(folder / "j")] == [Status.succeeded] * 12
    logs = [row.log_path.read_text() for row in open_results(folder / "j")]
    assert logs == [f"done {index}\n" for index in range(12)]
    eventually(lambda: not alive(f"{folder}-mark"), "something is left")


@pytest.mark.parametrize("on_lost", ["retry", "fail"])
def test_runs_of_a_killed_worker_are_lost_and_repeated_once(fragile, on_lost, tmp_path):
    driver = start_driver(fragile.engine, tmp_path, on_lost)
    eventually(lambda: len(started(tmp_path)) == 5, "the runs do not start", 30)
    fragile.workers.pop(0).stop(signal.SIGKILL)
    fragile.workers.append(fragile.start_worker().says("Registered to"))
    if on_lost == "retry":
        eventually(lambda: len(started(tmp_path)) > 5, "nothing is repeated", 30)
    (tmp_path / "go").touch()
    _, told = driver.communicate(timeout=60)
    assert set(Counter(started(tmp_path)).values()) == {1}
    rows = list(open_results(tmp_path / "j", attempts=True))
    lost = {row.index for row in rows if row.status is Status.lost}
    assert lost
    assert all("is lost" in (row.error or "") and row.worker for row in rows if row.index in lost and row.attempt == 1)
    repeated = {index for index, number in started(tmp_path) if number == 2}
    assert repeated == (lost if on_lost == "retry" else set()), told.decode()
    assert Counter(row.status for row in open_results(tmp_path / "j")) == (
        {Status.succeeded: 12} if on_lost == "retry" else {Status.succeeded: 12 - len(lost), Status.lost: len(lost)}
    )
    eventually(lambda: not alive(f"{tmp_path}-mark"), "something is left")


def test_runs_of_a_killed_client_are_gone_and_the_sweep_goes_on(fragile, tmp_path):
    driver = start_driver(fragile.engine, tmp_path)
    eventually(lambda: len(started(tmp_path)) == 5, "the runs do not start", 30)
    driver.kill()
    driver.communicate()
    eventually(lambda: not alive(f"{tmp_path}-mark"), "its runs go on", 5)
    finish(fragile.engine, tmp_path)


def test_a_resume_waits_for_the_runs_of_a_killed_client(fragile, tmp_path):
    """The workers are stopped while the client is killed: the runs are there when the next client comes."""
    driver = start_driver(fragile.engine, tmp_path)
    eventually(lambda: len(started(tmp_path)) == 5, "the runs do not start", 30)
    for worker in fragile.workers:
        os.kill(worker.pid, signal.SIGSTOP)
    driver.kill()
    driver.communicate()
    again = start_driver(fragile.engine, tmp_path)
    for worker in fragile.workers:
        os.kill(worker.pid, signal.SIGCONT)
    (tmp_path / "go").touch()
    said, told = again.communicate(timeout=60)
    assert said.decode().strip() == str(list(range(12))), told.decode()
    finish(fragile.engine, tmp_path)


def test_a_killed_scheduler_ends_the_sweep_and_another_one_goes_on(fragile, dask_cluster, tmp_path):
    driver = start_driver(fragile.engine, tmp_path)
    eventually(lambda: len(started(tmp_path)) == 5, "the runs do not start", 30)
    fragile.scheduler.stop(signal.SIGKILL)
    _, told = driver.communicate(timeout=60)
    assert b"EngineError: the scheduler at tcp://127.0.0.1" in told
    eventually(lambda: not alive(f"{tmp_path}-mark"), "its runs go on", 5)
    rows = list(open_results(tmp_path / "j"))
    assert [row.status for row in rows] == [Status.lost] * 5
    finish(dask_cluster.engine, tmp_path)


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
    script = 'echo x >> "$0"; until [ "$(wc -l < "$0")" -ge 9 ]; do sleep 0.01; done'
    text = (
        "import sys\nfrom taskexp import Task\ntask = Task(['sh', '-c', *sys.argv[2:]]).repeat(9)\n"
        "print(*[r.status for r in task.run(engine=sys.argv[1], max_workers=9, ostreams=[], timeout=60)])"
    )
    command = [sys.executable, "-c", text, dask_cluster.engine, script, str(tmp_path / "file")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    eventually(lambda: (tmp_path / "file").exists() and len((tmp_path / "file").read_text()) == 16, "not 8 run", 30)
    more = dask_cluster.start_worker()
    said, _ = driver.communicate(timeout=60)
    more.stop()
    assert said.split() == [b"succeeded"] * 9


# ---- who speaks to whom


def test_a_file_a_client_and_a_cluster_are_engines_too(dask_cluster, tmp_path):
    script = """
import sys
from distributed import Client, LocalCluster
from taskexp import ArgumentValueError, Task

def main():
    task = Task("echo hello")
    print(task.run(engine="dask-file:" + sys.argv[2], ostreams=[])[0].status)
    with Client(sys.argv[1]) as client:
        print(task.run(engine=client, ostreams=[])[0].status)
        print(client.status)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        print(task.run(engine=cluster, ostreams=[], max_workers=None)[0].status)

if __name__ == "__main__":
    main()
"""
    done = run_script(script, tmp_path, dask_cluster.address, str(dask_cluster.file))
    assert done.stdout.split() == ["succeeded", "succeeded", "running", "succeeded"], done.stderr


def test_nobody_at_the_address_is_told(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(EngineError, match=r"nobody listens at tcp://127\.0\.0\.1:1: .*dask scheduler"):
        Task("true").run(engine="dask://127.0.0.1:1", journal=tmp_path / "j")
    with pytest.raises(EngineError, match="no scheduler file"):
        Task("true").run(engine=f"dask-file:{tmp_path}/no.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(EngineError, match="is no scheduler file"):
        Task("true").run(engine=f"dask-file:{tmp_path}/bad.json")
    assert not (tmp_path / "j").exists()


def test_a_plain_connection_off_loopback_is_warned_of():
    pytest.importorskip("distributed")
    from taskexp.engines.dask.contact import warnings_about

    (warning,) = warnings_about("tcp://10.0.0.7:8786")
    assert "neither encrypted nor checked" in warning
    assert [warnings_about(f"tcp://{host}:8786") for host in ("127.0.0.1", "localhost", "[::1]")] == [[], [], []]
    assert warnings_about("tls://10.0.0.7:8786") == []


def certificates(folder: Path, name: str) -> tuple[str, ...]:
    """Make a certificate that vouches for itself; returns the options that give it."""
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return ("--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_certificates_let_in_who_has_them_and_nobody_else(dask_cluster, tmp_path):
    ours, others = certificates(tmp_path, "ours"), certificates(tmp_path, "others")
    cluster = DaskCluster(tmp_path, workers=1, tls=ours)
    try:
        assert cluster.address.startswith("tls://")
        command = [sys.executable, "-m", "taskexp", "run", "--engine", cluster.engine, *ours, "--json", "echo {a,b}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert '"succeeded": 2' in done.stdout, done.stderr
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
            "    print(Task('true').run(engine=client, ostreams=[])[0].status)\n"
        )
        done = run_script(security, tmp_path, cluster.address, ours[1], ours[5])
        assert done.stdout.split() == ["succeeded"], done.stderr
    finally:
        cluster.stop()


@pytest.mark.usefixtures("dask_cluster")
def test_other_versions_are_told(tmp_path):
    shutil.copytree(ROOT / "taskexp", tmp_path / "other" / "taskexp", ignore=shutil.ignore_patterns("__pycache__"))
    version = tmp_path / "other" / "taskexp" / "words" / "version.py"
    version.write_text('"""Version."""\n\n__version__ = "0.0.0.other"\n')
    cluster = DaskCluster(tmp_path, workers=0)
    try:
        other = cluster.start_worker(PYTHONPATH=str(tmp_path / "other")).says("Registered to")
        with pytest.raises(EngineError, match=rf"on {os.uname().nodename} has TaskExp 0\.0\.0\.other"):
            Task("true").run(engine=cluster.engine)
        other.stop()
        cluster.start_worker().says("Registered to")
        eventually(lambda: b"Remove worker" in cluster.scheduler.log.read_bytes(), "the other one is still there")
        assert Task("true").run(engine=cluster.engine, ostreams=[])[0].status is Status.succeeded
    finally:
        cluster.stop()
