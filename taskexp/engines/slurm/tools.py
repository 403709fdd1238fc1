"""Tools: the commands of Slurm, and what they answer."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskexp.run.process import Answer, ask
from taskexp.words.errors import EngineError

ANSWER_SECONDS = 30.0
"""How long a controller that is busy may take."""


def call(*words: str, stdin: str = "") -> Answer:
    """Run a command of Slurm's. Raises EngineError if it cannot be run."""
    try:
        return ask(words, ANSWER_SECONDS, stdin)
    except OSError as error:
        raise EngineError(f"{words[0]} cannot be run: {error.strerror or error}; is Slurm installed here?") from error


def checked_call(*words: str, stdin: str = "") -> str:
    """Run a command of Slurm's that must succeed; returns what it prints. Raises EngineError with what it says."""
    answer = call(*words, stdin=stdin)
    if answer.returncode:
        raise EngineError(f"{words[0]}: {reason_of(answer.stderr)}")
    return answer.stdout


def check_installed(*commands: str) -> None:
    """Refuse to go on where Slurm is not. Raises EngineError."""
    if missing := [command for command in commands if shutil.which(command) is None]:
        raise EngineError(f"there is no {missing[0]} on PATH; start this where Slurm is installed")


def reason_of(said: str) -> str:
    """Take what went wrong out of what a command says."""
    lines = [re.sub(r"^\w+: (error: )?", "", line) for line in said.splitlines() if line.strip()]
    return "; ".join(lines) or "it failed and does not say why"


@dataclass(frozen=True, slots=True)
class Node:
    """What an allocation has of one machine."""

    cpus: int
    gpus: int


def read_allocation(job: str) -> Sequence[Node]:
    """Read what an allocation has, node by node. Raises EngineError."""
    told = checked_call("scontrol", "show", "job", "-d", "-o", job)
    if (state := re.search(r"JobState=(\w+)", told)) and state[1] != "RUNNING":
        raise EngineError(f"the allocation {job} is {state[1]}; engine='srun' needs one that is RUNNING")
    nodes: list[Node] = []
    for match in re.finditer(r"\bNodes=(\S+) CPU_IDs=(\S+) Mem=\d+ GRES=(\S*)", told):
        names = checked_call("scontrol", "show", "hostnames", match[1]).split()
        gpus = sum(int(number) for number in re.findall(r"gpu(?::[^:,(]+)?:(\d+)", match[3]))
        nodes += [Node(_count(match[2]), gpus)] * len(names)
    return nodes


def _count(ranges: str) -> int:
    """Count what `0-3,6` names."""
    bounds = (part.partition("-") for part in ranges.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)


def options_for(resources: Mapping[str, float]) -> list[str]:
    """Write what a run takes as options of srun and sbatch."""
    others = [f"{name.lower()}:{amount:g}" for name, amount in resources.items() if name != "CPU"]
    return [f"--cpus-per-task={cpus_of(resources)}", *([f"--gres={','.join(others)}"] if others else [])]


def cpus_of(resources: Mapping[str, float]) -> int:
    """Count the CPUs that a run takes; one, if nothing is said."""
    return max(1, round(resources.get("CPU", 1)))


def environ_of_job() -> str | None:
    """Return the allocation that this program runs in."""
    return os.environ.get("SLURM_JOB_ID")
