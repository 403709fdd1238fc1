"""Recipe: a batch script that starts Dask workers in a job of Slurm."""

import argparse
import shlex
import sys

EXAMPLE = """\
  taskexp recipe --nodes 2 --cpus 16 --gpus 4 --partition gpu > workers.sh
  sbatch workers.sh
  taskexp run --engine dask-file:scheduler.json --resources GPU=1 'python train.py --lr {1e-3,1e-4}'

The scheduler and the workers live as long as the job."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `recipe` takes."""
    parser.add_argument("--nodes", type=_positive, default=1, metavar="N", help="one worker on each (default: 1)")
    parser.add_argument("--cpus", type=_positive, default=1, metavar="N", help="runs at once on a node (default: 1)")
    parser.add_argument("--gpus", type=_positive, metavar="N", help="GPUs of a node, which runs ask for by --resources")
    parser.add_argument("--time", metavar="LIMIT", help="the time limit of the job, as sbatch has it")
    parser.add_argument("--partition", metavar="NAME", help="where the job runs")
    parser.add_argument("--interface", metavar="NAME", help="the network that they speak on, such as ib0")
    parser.add_argument(
        "--scheduler-file", default="scheduler.json", metavar="FILE", help="where the driver finds the scheduler"
    )
    parser.add_argument("--tls-ca-file", metavar="PEM", help="whom to trust; with the next two, all is encrypted")
    parser.add_argument("--tls-cert", metavar="PEM", help="the certificate of the scheduler and the workers")
    parser.add_argument("--tls-key", metavar="PEM", help="the key of that")


def main(arguments: argparse.Namespace) -> int:
    """Write the script."""
    print(_script(arguments), end="")
    return 0


def _script(wanted: argparse.Namespace) -> str:
    options = {
        "job-name": "taskexp-dask",
        "nodes": wanted.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": wanted.cpus,
        "gres": wanted.gpus and f"gpu:{wanted.gpus}",
        "time": wanted.time,
        "partition": wanted.partition,
        "output": "workers-%j.out",
    }
    header = "\n".join(f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None)
    where = {"interface": wanted.interface}
    where |= {name: getattr(wanted, name.replace("-", "_")) for name in ("tls-ca-file", "tls-cert", "tls-key")}
    common = [word for name, value in where.items() if value for word in (f"--{name}", value)]
    if wanted.tls_ca_file:
        common += ["--protocol", "tls"]
    file = ["--scheduler-file", wanted.scheduler_file]
    gpus = ["--resources", f"GPU={wanted.gpus}"] if wanted.gpus else []
    dask = [sys.executable, "-m", "dask"]
    scheduler = shlex.join([*dask, "scheduler", *file, "--port", "0", "--no-dashboard", *common])
    worker = shlex.join(
        [
            *(
                *dask,
                "worker",
                *file,
                "--nworkers",
                "1",
                "--nthreads",
                str(wanted.cpus),
                "--no-nanny",
                "--no-dashboard",
            ),
            *("--memory-limit", "0", "--local-directory", "/tmp", *gpus, *common),
        ]
    )
    return f"""#!/bin/sh
{header}
# The scheduler is on the first node; all nodes see this folder, where it says its address.
rm -f {shlex.quote(wanted.scheduler_file)}
{scheduler} &
srun sh -c {shlex.quote(f'exec {worker} --name "$SLURMD_NODENAME"')}
"""


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "number of 1 or more"  # argparse names the function in its message
