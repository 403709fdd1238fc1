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
def fragile(dask_cluster, tmp_path_factory):
    """A cluster for those who kill."""
    cluster = DaskCluster(tmp_path_factory.mktemp("fragile"))
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def once(tmp_path):
    return Task(["sh", "-c", ONCE, f"{tmp_path}-mark"], cwd=str(tmp_path))


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


def test_runs_of_a_killed_worker_are_lost_and_repeated_once(fragile, once, tmp_path):
    worker, survivor = fragile.workers
    task = once.repeat(6)
    with task.as_completed(engine=fragile.engine, max_workers=6, journal=tmp_path / "j", ostreams=[]) as loop:
        loop.open()
        iterator = iter(loop)
        # The loop is pumped by its own thread; we only look at what the runs write.
        import threading

        results = []
        thread = threading.Thread(target=lambda: results.extend(exe.result for exe in iterator))
        thread.start()
        eventually(lambda: len(started(tmp_path)) == 6, "the runs do not start", 30)
        worker.stop(signal.SIGKILL)
        fragile.workers = [survivor, fragile.start_worker().says("Registered to")]
        eventually(lambda: len(started(tmp_path)) > 6, "nothing is repeated", 30)
        (tmp_path / "go").touch()
        thread.join(60)
    assert Counter(result.status for result in results) == {Status.succeeded: 6}
    attempts = Counter(started(tmp_path))
    assert set(attempts.values()) == {1}, attempts
    repeated = {index for index, number in attempts if number == 2}
    assert repeated
    assert {result.index for result in results if result.attempt == 2} == repeated
    rows = list(open_results(tmp_path / "j", attempts=True))
    lost = [row for row in rows if row.status is Status.lost]
    assert {row.index for row in lost} == repeated
    assert all("is lost" in (row.error or "") and row.worker for row in lost)
    assert not alive(f"{tmp_path}-mark")


def test_on_lost_fail_leaves_it_at_that(fragile, once, tmp_path):
    worker = fragile.workers.pop(0)
    script = (
        "import sys\nfrom taskexp import Task\n"
        "task = Task(['sh', '-c', sys.argv[2], sys.argv[3]], cwd=sys.argv[4]).repeat(6)\n"
        "for result in task.run(engine=sys.argv[1], max_workers=6, on_lost='fail', ostreams=[]):\n"
        "    print(result.status, result.attempt)\n"
    )
    (tmp_path / "script.py").write_text(script)
    arguments = [fragile.engine, ONCE, f"{tmp_path}-mark", str(tmp_path)]
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    eventually(lambda: len(started(tmp_path)) == 6, "the runs do not start", 30)
    worker.stop(signal.SIGKILL)
    (tmp_path / "go").touch()
    said, _ = driver.communicate(timeout=60)
    fragile.workers.append(fragile.start_worker().says("Registered to"))
    assert set(said.decode().splitlines()) == {"succeeded 1", "lost 1"}
    assert len(started(tmp_path)) == 6


DRIVER = """
import sys
from taskexp import Task
task = Task(["sh", "-c", sys.argv[2], sys.argv[3]], cwd=sys.argv[4]).repeat(12)
results = task.run(engine=sys.argv[1], max_workers=5, journal=sys.argv[4] + "/j", ostreams=[], use_tqdm=False)
print(sorted(result.index for result in results if result.status == "succeeded"))
"""


def start_driver(engine: str, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "script.py").write_text(DRIVER)
    command = [sys.executable, str(folder / "script.py"), engine, ONCE, f"{folder}-mark", str(folder)]
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
    with pytest.raises(EngineError, match="no worker at .* can give a run .*=.*GPU=2"):
        task.run(engine=dask_cluster.engine, resources=resources, journal=tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_more_workers_are_more_room(dask_cluster, tmp_path):
    """Nine runs wait for each other on two workers of four threads, until a third one comes."""
    script = 'echo x >> "$0"; until [ "$(wc -l < "$0")" -ge 9 ]; do sleep 0.01; done'
    command = [
        sys.executable,
        "-c",
        f"from taskexp import Task; print(*[r.status for r in Task({['sh', '-c', script, str(tmp_path / 'file')]!r}).repeat(9).run(engine={dask_cluster.engine!r}, max_workers=9, ostreams=[], timeout=60)])",
    ]
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
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taskexp", "run", "--engine", *arguments, "--json", "echo {a,b}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    ours, others = certificates(tmp_path, "ours"), certificates(tmp_path, "others")
    cluster = DaskCluster(tmp_path, workers=1, tls=ours)
    try:
        assert cluster.address.startswith("tls://")
        done = run(cluster.engine, *ours)
        assert '"succeeded": 2' in done.stdout, done.stderr
        wrong = run(cluster.engine, *others)
        assert "do not trust each other" in wrong.stderr
        plain = run(cluster.address)
        assert "wants TLS; give --tls-ca-file" in plain.stderr
        half = run(cluster.engine, *ours[:4])
        assert "tls_key is missing" in half.stderr
        assert [each.returncode for each in (done, wrong, plain, half)] == [0, 2, 2, 2]
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


def test_other_versions_are_told(dask_cluster, tmp_path):
    shutil.copytree(ROOT / "taskexp", tmp_path / "other" / "taskexp", ignore=shutil.ignore_patterns("__pycache__"))
    version = tmp_path / "other" / "taskexp" / "words" / "version.py"
    version.write_text('"""Version."""\n\n__version__ = "0.0.0.other"\n')
    (tmp_path / "none").mkdir()
    cluster = DaskCluster(tmp_path, workers=0)
    try:
        other = cluster.start_worker(PYTHONPATH=str(tmp_path / "other")).says("Registered to")
        with pytest.raises(EngineError, match=rf"on {os.uname().nodename} has TaskExp 0\.0\.0\.other"):
            Task("true").run(engine=cluster.engine)
        other.stop()
        other = cluster.start_worker("-O", PYTHONPATH=str(tmp_path / "none")) if False else None
        fit = cluster.start_worker().says("Registered to")
        eventually(lambda: b"Remove worker" in cluster.scheduler.log.read_bytes(), "the other one is still there")
        assert Task("true").run(engine=cluster.engine, ostreams=[])[0].status is Status.succeeded
        late = cluster.start_worker(PYTHONPATH=str(tmp_path / "other")).says("Registered to")
        fit.stop()
        late.stop()
    finally:
        cluster.stop()
