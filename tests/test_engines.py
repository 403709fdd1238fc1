"""Engines: one contract, held by every engine that is here."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time

import pytest
from clusters import DaskCluster, SlurmCluster
from conftest import alive, eventually

from taskexp import ArgumentTypeError, ArgumentValueError, RunFailed, Status, Task, open_results

SBATCH_TOO = pytest.mark.parametrize("engine", ["local", "dask", "srun", "sbatch"], indirect=True)
"""What an array of jobs shows, too; each takes seconds, so not all of the contract is asked of it again."""


@pytest.fixture(params=["local", "dask", "srun"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the word for an engine that is ready."""
    match request.param:
        case "dask":
            cluster: DaskCluster = request.getfixturevalue("dask_cluster")
            return cluster.engine
        case "srun":
            for name, value in request.getfixturevalue("slurm_allocation").items():
                monkeypatch.setenv(name, value)
        case "sbatch":
            slurm: SlurmCluster = request.getfixturevalue("slurm_cluster")
            monkeypatch.setenv("SLURM_CONF", slurm.environ["SLURM_CONF"])
            monkeypatch.chdir(request.getfixturevalue("tmp_path"))  # where its files are, without a journal
    return request.param


@pytest.fixture(scope="session")
def slurm_allocation(slurm_cluster: SlurmCluster) -> dict[str, str]:
    """Both nodes of Slurm, for good."""
    return slurm_cluster.allocate("-n4", "--ntasks-per-node=2")


def sh(script: str, *arguments: str) -> Task:
    return Task(["sh", "-c", script, *arguments])


def quietly(engine: str, **more: object) -> dict[str, object]:
    return {"engine": engine, "use_tqdm": False, "ostreams": [], **more}


def test_output_comes_byte_for_byte_and_its_streams_apart(engine):
    seen = {"stdout": "", "stderr": ""}
    out = io.BytesIO()

    def note(line, stream, when):
        assert when.tzinfo is not None
        seen[stream.name] += line

    task = Task(
        [sys.executable, "-c", "import sys; [print(i, file=[sys.stdout, sys.stderr][i % 2]) for i in range(2000)]"]
    )
    (result,) = task.run(**quietly(engine, on_verbose=note))
    assert result.status is Status.succeeded
    assert seen["stdout"] == "".join(f"{i}\n" for i in range(0, 2000, 2))
    assert seen["stderr"] == "".join(f"{i}\n" for i in range(1, 2000, 2))
    binary = r"import sys; sys.stdout.buffer.write(bytes(range(256)) * 20000)"
    Task([sys.executable, "-c", binary]).run(**quietly(engine, ostreams=[out]))
    assert out.getvalue() == bytes(range(256)) * 20000


@SBATCH_TOO
def test_lines_come_while_the_program_runs(engine, tmp_path):
    told = tmp_path / "told"
    task = sh('echo first; until [ -e "$0" ]; do sleep 0.01; done; echo last', str(told))
    (result,) = task.run(**quietly(engine, timeout=30, on_verbose=lambda line, *_: line == "first\n" and told.touch()))
    assert result.status is Status.succeeded


@SBATCH_TOO
def test_exit_codes_are_values(engine):
    results = sh("exit $0").arg(None, [0, 3, 77]).run(**quietly(engine, max_workers=3))
    assert [(result.status, result.returncode) for result in results] == [
        (Status.succeeded, 0),
        (Status.failed, 3),
        (Status.failed, 77),
    ]
    with pytest.raises(RunFailed):
        sh("exit 5").run(**quietly(engine, check=True))


@SBATCH_TOO
def test_a_result_says_where_it_ran_and_what_it_used(engine):
    (result,) = sh("exit 0").run(**quietly(engine))
    assert result.host in (("n1", "n2") if engine in ("srun", "sbatch") else (os.uname().nodename,))
    assert (result.worker == "") == (engine == "local")
    assert (result.max_rss_bytes is None) == (engine == "srun")
    assert (result.user_seconds is None) == (engine == "srun")


@SBATCH_TOO
def test_what_a_run_gets_is_what_was_said(engine, tmp_path):
    seen = []
    (tmp_path / "file").write_text("from a file\n")
    script = "pwd; cat; echo $A $TASKEXP_INDEX $TASKEXP_SLOT $TASKEXP_ATTEMPT"
    task = Task(["sh", "-c", script], env={"A": "one two"}, cwd=str(tmp_path), stdin=tmp_path / "file")
    task.run(**quietly(engine, on_verbose=lambda line, *_: seen.append(line.strip())))
    assert seen == [str(tmp_path), "from a file", "one two 0 0 1"]
    seen.clear()
    Task("sh -c 'pwd; cat'", stdin="a text").run(
        **quietly(engine, on_verbose=lambda line, *_: seen.append(line.strip()))
    )
    assert seen == [os.getcwd(), "a text"]


@SBATCH_TOO
def test_what_cannot_start_says_so_and_where(engine, tmp_path):
    results = (Task(["no-such-program-at-all"]) + Task("true", cwd=str(tmp_path / "gone"))).run(**quietly(engine))
    assert [result.status for result in results] == [Status.not_started] * 2
    for result in results:
        assert engine == "local" or result.host in (result.error or "")


@SBATCH_TOO
def test_a_timeout_stops_the_whole_tree(engine, tmp_path):
    mark = f"{tmp_path}-mark"
    results = (
        sh('sh -c "sleep 1000; : $0" "$0" & wait', mark).fixed(None, "x").run(**quietly(engine, timeout=0.3, grace=0.5))
    )
    assert results[0].status is Status.timed_out
    assert "0.3 s" in (results[0].error or "")
    eventually(lambda: not alive(mark), "the tree is still there")
    (result,) = sh("echo once; sleep 1000").run(**quietly(engine, idle_timeout=0.3, grace=0.5))
    assert (result.status, result.error) == (Status.timed_out, "sh printed nothing for 0.3 s")


def test_a_graceful_stop_lets_the_program_say_its_last_word(engine):
    lines = []
    script = "trap 'echo last word; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
    with sh(script).executable_loop(use_tqdm=False, engine=engine, max_workers=2) as loop:
        for exe in loop:
            exe.execute(ostreams=[], on_verbose=lambda line, *_: lines.append(line))
            eventually(lambda: lines == ["ready\n"], "it does not start")
            break
    assert exe.result.status is Status.interrupted
    assert "last word\n" in lines  # its shell may say what became of its own program


def test_retries_count_attempts(engine):
    (result,) = sh('test "$TASKEXP_ATTEMPT" = 3').run(**quietly(engine, retries=2))
    assert (result.status, result.attempt) == (Status.succeeded, 3)


def test_halt_stops_what_runs(engine, tmp_path):
    mark = f"{tmp_path}-mark"
    task = sh(
        'if [ $1 = 1 ]; then until [ -e "$0.up" ]; do sleep 0.01; done; exit 1; fi; : > "$0.up"; sleep 1000', mark
    )
    results = task.arg(None, range(50)).run(**quietly(engine, max_workers=2, halt="now,fail=1"))
    assert sorted(result.status for result in results) == [Status.failed, Status.interrupted]
    eventually(lambda: not alive(mark), "something is left")


@SBATCH_TOO
def test_the_journal_has_each_run_once(engine, tmp_path):
    task = sh("echo loss=0.$0; echo $0 >> $1").arg(None, range(6)).fixed(None, str(tmp_path / "started"))
    task.metric("loss", r"loss=([\d.]+)")
    first = task.run(**quietly(engine, max_workers=4, journal=tmp_path / "j"))
    again = task.run(**quietly(engine, max_workers=4, journal=tmp_path / "j"))
    assert [result.metrics for result in again] == [{"loss": float(f"0.{i}")} for i in range(6)]
    assert [result.worker for result in again] == [result.worker for result in first]
    assert sorted(map(int, (tmp_path / "started").read_text().split())) == list(range(6))
    rows = list(open_results(tmp_path / "j", attempts=True))
    assert [row.log_path.read_text() for row in rows] == [f"loss=0.{i}\n" for i in range(6)]


def test_async_code_has_the_same(engine):
    async def main():
        statuses = []
        async for exe in sh("exit $0").arg(None, [0, 1, 0]).as_completed(max_workers=2, engine=engine, ostreams=[]):
            statuses.append(exe.result.status)
        async with sh("sleep 1000").executable_loop(engine=engine, use_tqdm=False) as loop:
            async for exe in loop:
                task = asyncio.ensure_future(exe.execute(ostreams=[]))
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        return statuses

    assert sorted(asyncio.run(main())) == [Status.failed, Status.succeeded, Status.succeeded]


def test_no_workers_said_is_as_many_as_there_is_room_for(engine, tmp_path):
    both = 'echo x >> "$0"; until [ "$(wc -l < "$0")" -ge 2 ]; do sleep 0.01; done'
    results = sh(both, str(tmp_path / "file")).repeat(2).run(**quietly(engine, max_workers=None, timeout=30))
    assert [result.status for result in results] == [Status.succeeded] * 2


def test_a_program_is_held_while_nobody_takes_its_output(engine, tmp_path):
    written = tmp_path / "written"
    program = (
        "import os, sys\n"
        "for i in range(64):\n"
        "    os.write(1, b'x' * (1 << 20))\n"
        "    open(sys.argv[1], 'w').write(str(i + 1))"
    )

    class Slow(io.RawIOBase):
        size = 0

        def writable(self):
            return True

        def write(self, data):
            if not self.size:
                time.sleep(0.5)
                self.seen = int(written.read_text() or 0) if written.exists() else 0
            self.size += len(data)
            return len(data)

    slow = Slow()
    (result,) = Task([sys.executable, "-c", program, str(written)]).run(**quietly(engine, ostreams=[slow]))
    assert result.status is Status.succeeded
    assert slow.size == 64 << 20
    assert slow.seen < 32


@SBATCH_TOO
def test_ctrl_c_leaves_nothing(engine, tmp_path):
    mark = f"{tmp_path}-mark"
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom taskexp import Task\n"
        "task = Task(['sh', '-c', 'echo up; sleep 1000', sys.argv[2]]).repeat(3)\n"
        "task.run(engine=sys.argv[1], max_workers=3, use_tqdm=False, journal='j', grace=0.5)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, str(script), engine, mark], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    eventually(lambda: len(alive(mark)) >= 4, "the runs do not start", 30)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert driver.returncode in (1, 130, -signal.SIGINT)
    eventually(lambda: not alive(mark), "something is left", 2)
    assert [row.status for row in open_results(tmp_path / "j")] == [Status.interrupted] * 3


# ---- what is said wrong


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"engine": "locl"}, "did you mean 'local'"),
        ({"engine": "dask://nowhere"}, "dask://HOST:PORT"),
        ({"engine": "dask://host:99999"}, "dask://HOST:PORT"),
        ({"engine": ""}, "an engine is"),
        ({"engine": "srun 'unended"}, "cannot be read"),
        ({"resources": {"GPU": 1}}, "gpu_slots"),
        ({"resources": {"GPU": 0.5}, "engine": "dask://a:1"}, "whole GPUs"),
        ({"resources": {"GPU": -1}, "engine": "dask://a:1"}, "above 0"),
        ({"on_lost": "again"}, "'retry' or 'fail'"),
        ({"engine": "dask://a:1", "slots": {"CUDA_VISIBLE_DEVICES": [0]}}, "resources="),
    ],
)
def test_a_mistake_is_told_at_the_call(said, word):
    with pytest.raises(ArgumentValueError, match=word):
        Task("true").executable_loop(**said)


@pytest.mark.parametrize("said", [{"engine": 3}, {"resources": 3}, {"resources": {"GPU": "1"}}, {"resources": {1: 1}}])
def test_a_wrong_type_is_told_at_the_call(said):
    with pytest.raises(ArgumentTypeError):
        Task("true").executable_loop(**{"engine": "dask://a:1", **said})
