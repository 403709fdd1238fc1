"""What every test shares: the stubborn programs, and the proof that nothing is left behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from clusters import DASK_MODULES, DaskCluster, SlurmCluster
from hypothesis import settings
from nursery import Nursery
from requirements import is_there, skip_without
from waiting import eventually

settings.register_profile("suite", max_examples=30, deadline=None)
settings.load_profile("suite")

CLUSTERS = {
    "dask": ("test_dask.py", "[dask"),
    "slurm, long": ("of_a_lost_node", "commands_of_readme"),
    "slurm": ("test_slurm.py", "[srun", "[sbatch"),
}
"""The tests that need a cluster, by what is in their names; the first that fits counts."""

PROGRAMS = Path(__file__).parent / "programs"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("requires"):
        for name in mark.args:
            if not is_there(name):
                skip_without(name)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give the tests of one cluster to one process, so that each cluster is started once; the others to any."""
    from xdist.scheduler import LoadScopeScheduling

    class ByCluster(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((name for name, marks in CLUSTERS.items() if any(mark in nodeid for mark in marks)), nodeid)

    return ByCluster(config, log)


def pytest_collection_finish() -> None:
    """Keep what the tests' libraries hold out of the collection that follows every test: it takes most of its time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def program() -> Callable[[str], list[str]]:
    """Return the command of a stubborn program: `program("chatty")`."""
    return lambda name: [sys.executable, str(PROGRAMS / f"{name}.py")]


@pytest.fixture(scope="session")
def dask_nursery() -> Iterator[Nursery]:
    """What starts the processes of Dask clusters, and programs that use them."""
    if not is_there("distributed"):
        skip_without("dask", "pip install 'taskexp[dask]'")
    nursery = Nursery(*DASK_MODULES, "taskexp.engines.dask.engine")
    try:
        yield nursery
    finally:
        nursery.close()


@pytest.fixture(scope="session")
def dask_cluster(dask_nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> DaskCluster:
    """A Dask cluster of two workers; who harms it has one of his own."""
    return DaskCluster(dask_nursery, tmp_path_factory.mktemp("dask"))


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A Slurm of two nodes; who harms it has one of his own."""
    with a_slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@contextmanager
def a_slurm(folder: Path) -> Iterator[SlurmCluster]:
    """Start a Slurm of two nodes, or skip where there can be none."""
    look_for_slurm()
    cluster = SlurmCluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()


def look_for_slurm() -> None:
    """Skip where a Slurm cannot be started."""
    if not is_there("sbatch") or not SlurmCluster.is_installed():
        skip_without("slurm", "apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        skip_without("slurm", "its daemons want to be started by root")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After every test: no child, no thread, no descriptor and no signal handler more than before."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    threads = set(threading.enumerate())
    descriptors = open_descriptors()
    yield
    gc.collect()
    gc.freeze()  # what this test has left, modules and caches, need not be looked at after every test to come
    eventually(lambda: not children(), "a child is left")
    eventually(
        lambda: not set(threading.enumerate()) - threads,
        lambda: f"threads are left: {set(threading.enumerate()) - threads}",
    )
    eventually(lambda: open_descriptors() <= descriptors, "a descriptor is left")
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def children() -> set[int]:
    """Return the pids of our children, zombies included, but for the helpers of multiprocessing and Playwright."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            pids.update(map(int, (task / "children").read_text().split()))
    helpers = (b"resource_tracker", b"/playwright/driver/")  # the second drives the browser of all tests of a file
    return {pid for pid in pids if not any(helper in cmdline(pid) for helper in helpers)}


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) - Nursery.descriptors


def alive(marker: str) -> list[int]:
    """Return the processes whose command line holds `marker`: give stubborn programs a unique argument."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and marker.encode() in cmdline(pid)]


def run_script(
    text: str, folder: Path, *arguments: str, timeout: float = 60, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a user's script in a process of its own, as a user would."""
    script = folder / "script.py"
    script.write_text(text)
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=timeout, check=False, **options)  # type: ignore[call-overload]
