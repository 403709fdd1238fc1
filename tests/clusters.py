"""Clusters: real ones on loopback for the tests: of Dask, and of Slurm."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from nursery import READY_SECONDS, Daemon, Nursery
from waiting import eventually

DASK_MODULES = ("distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "dask.__main__")
"""What the processes of a Dask cluster have to import; one may be forked once another process has."""


class DaskCluster:
    """A scheduler and its workers, each worker with 4 threads and 2 GPUs that are none.

    Args:
        nursery: starts them.
        folder: where their logs are.
        workers: how many.
        tls: options that give certificates.
    """

    def __init__(self, nursery: Nursery, folder: Path, workers: int = 2, tls: tuple[str, ...] = ()) -> None:
        self._nursery = nursery
        self.folder = folder
        self._tls = tls
        self._number = 0
        self.workers: list[Daemon] = []
        self.file = folder / "scheduler.json"
        command = ["--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", *command)
        self.scheduler.says("Scheduler at:")
        self.address = self.scheduler.said().partition("Scheduler at:")[2].split()[0]
        self.add_workers(workers)

    @property
    def engine(self) -> str:
        """The word for it."""
        return "dask://" + self.address.partition("://")[2]

    def add_workers(self, number: int = 1) -> None:
        """Start more workers, and wait until the scheduler has them."""
        new = [self.start_worker() for _ in range(number)]
        for worker in new:
            worker.says("Registered to")
        self.workers += new

    def start_worker(self, **environ: str) -> Daemon:
        """Start one more worker; with variables of its own, it imports all anew."""
        self._number += 1
        name = f"w{self._number}"
        return self._start(
            "worker",
            *(self.address, "--name", name, "--nworkers", "1", "--nthreads", "4", "--no-nanny", "--no-dashboard"),
            *("--memory-limit", "0", "--local-directory", str(self.folder / name), "--death-timeout", "60"),
            *("--resources", "GPU=2"),
            **environ,
        )

    def stop(self) -> None:
        """Stop everything, the workers first."""
        for each in (*self.workers, self.scheduler):
            each.kill()

    def _start(self, kind: str, *arguments: str, **environ: str) -> Daemon:
        where = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        log = self.folder / f"{kind}{self._number}.log"
        command = ("-m", "dask", kind, *arguments, *where, *self._tls)
        if environ:
            return self._nursery.start(sys.executable, *command, log=log, **environ)
        return self._nursery.fork(*command, log=log)


class SlurmCluster:
    """A real Slurm of two nodes on this machine, each of 4 CPUs and 2 GPUs that are none; needs root, and no systemd.

    Args:
        folder: where all of it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "slurm.conf"
        self.nodes: dict[str, Daemon] = {}
        self._nursery = Nursery()
        for name in ("control", "n1", "n2"):
            (folder / name).mkdir()
        self._write_key()
        self._write_config(*free_ports(4))
        gate = folder / "munge.socket"
        files = [f"--{name}-file={folder / f'munge.{name}'}" for name in ("pid", "log", "seed")]
        key = f"--key-file={folder / 'munge.key'}"
        self._start("munged", "--foreground", "--force", f"--socket={gate}", key, *files)
        eventually(gate.exists, "munged does not start", READY_SECONDS)
        self._start("slurmctld", "-D", "-c")
        for name in ("n1", "n2"):
            self.start_node(name)
        self._wait_for_nodes()

    @staticmethod
    def is_installed() -> bool:
        """Whether its daemons are here."""
        return all(map(os.path.isabs, map(find_daemon, ("munged", "slurmctld", "slurmd"))))

    @property
    def environ(self) -> dict[str, str]:
        """What Slurm's commands need to find it."""
        return {"SLURM_CONF": str(self.config)}

    def says(self, *command: str) -> str:
        """Run one of Slurm's commands; returns what it prints."""
        environ = {**os.environ, **self.environ}
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=60
        ).stdout.strip()

    def allocate(self, *options: str) -> dict[str, str]:
        """Get an allocation of both nodes; returns the variables that say so to a program inside."""
        environ = {**os.environ, **self.environ}
        command = ["salloc", "--no-shell", "-N2", "-n8", *options]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
        job = done.stderr.partition("job allocation ")[2].split()[0]
        return {**self.environ, "SLURM_JOB_ID": job, "SLURM_JOBID": job}

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self.nodes[name] = self._start("slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill a node with all that runs on it, as a power cut would; the controller is told, and need not find out."""
        self.nodes[name].kill()
        for step in daemons("slurmstepd"):
            family = descendants(step)
            if any(
                (environ_of(pid).get("SLURM_CONF"), environ_of(pid).get("SLURMD_NODENAME")) == (str(self.config), name)
                for pid in family
            ):
                for pid in (step, *family):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        self.says("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=killed")

    def revive_node(self, name: str) -> None:
        """Have a node back that was killed."""
        self.start_node(name)
        self.says("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self._wait_for_nodes()

    def stop(self) -> None:
        """Kill everything: the jobs, too."""
        self._nursery.close()

    def _wait_for_nodes(self) -> None:
        def are_ready() -> bool:
            return self.says("sinfo", "-h", "-t", "idle", "-o", "%D") == "2"

        eventually(are_ready, "the nodes are not ready", READY_SECONDS)

    def _start(self, program: str, *arguments: str) -> Daemon:
        log = self.folder / f"{program}-{len(self.nodes)}.log"
        return self._nursery.start(find_daemon(program), *arguments, log=log, **self.environ)

    def _write_key(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)

    def _write_config(self, control: int, spare: int, *nodes: int) -> None:
        host, at = os.uname().nodename.partition(".")[0], self.folder
        for number in (0, 1):
            os.mknod(at / f"gpu{number}", 0o20600, os.makedev(1, 3))
        (at / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={at}/gpu[0-1]\n")
        lines = "\n".join(
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=2000 Gres=gpu:2"
            for number, port in enumerate(nodes, 1)
        )
        self.config.write_text(
            f"""
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={control}
SlurmdPort={spare}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket
CredType=cred/munge
StateSaveLocation={at}/control
SlurmctldPidFile={at}/control/pid
SlurmdSpoolDir={at}/%n
SlurmdPidFile={at}/%n/pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
MinJobAge=300
KillWait=2
SlurmdTimeout=10
ReturnToService=2
MpiDefault=none
GresTypes=gpu
{lines}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
        )


def find_daemon(name: str) -> str:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") or name


def free_ports(number: int) -> list[int]:
    """Find ports that nobody uses; they are not ours until somebody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def daemons(name: str) -> list[int]:
    """List the processes whose title begins with a name."""
    return [
        int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _read(pid, "cmdline").startswith(name.encode())
    ]


def descendants(pid: int) -> list[int]:
    """List the children of a process, and theirs."""
    children = [int(each) for each in _read(str(pid), f"task/{pid}/children").split()]
    return [*children, *(each for child in children for each in descendants(child))]


def environ_of(pid: int) -> dict[str, str]:
    """Read the variables of a process."""
    words = (word.partition("=") for word in os.fsdecode(_read(str(pid), "environ")).split("\0"))
    return {name: value for name, _, value in words}


def _read(pid: str, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has just ended
        return b""
