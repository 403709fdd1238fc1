"""Devices: what slots can own on this machine; its GPUs and its CPUs."""

import os
import re
from collections.abc import Sequence

from taskexp.plan.values import checked_int
from taskexp.run.process import capture
from taskexp.words.errors import ArgumentValueError, DeviceError

CPUS = "TASKEXP_CPUS"
"""The variable of a slot that pins its runs: CPU numbers as `0,2` or `0-3`."""

GPUS = "CUDA_VISIBLE_DEVICES"
_SMI = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
_SMI_SECONDS = 30.0


def gpu_slots(per_run: int = 1) -> dict[str, list[str]]:
    """Find the GPUs of this machine, as slots: no two runs at a time see the same one.

    A CUDA_VISIBLE_DEVICES that is set is honoured: what it lists is all there is. Else `nvidia-smi` is asked.

    Args:
        per_run: how many GPUs each run sees. What is left over when they are divided is not used.

    Returns:
        `slots` for a loop: `{"CUDA_VISIBLE_DEVICES": ["0", "1"]}`, with two per run `["0,1", "2,3"]`.

    Raises:
        ArgumentTypeError, ArgumentValueError: `per_run` is no int, below 1, or more than there are.
        DeviceError: there is no GPU to be seen.
    """
    return {GPUS: _shared_out(_visible_gpus(), per_run, "gpu_slots", "GPUs")}


def cpu_slots(per_run: int = 1) -> dict[str, list[str]]:
    """Find the CPUs that this process may use, as slots: every run is pinned to CPUs of its own.

    The run and all that it starts stay on them. CPUs that are threads of one core stand side by side, so that
    `per_run=2` gives whole cores where a core has two threads.

    Args:
        per_run: how many CPUs each run has. What is left over when they are divided is not used.

    Returns:
        `slots` for a loop: `{"TASKEXP_CPUS": ["0", "1"]}`, with two per run `["0,4", "1,5"]`. Any loop pins the
        runs of a slot that has this variable.

    Raises:
        ArgumentTypeError, ArgumentValueError: `per_run` is no int, below 1, or more than there are.
        DeviceError: this system cannot pin a process (macOS).
    """
    if not hasattr(os, "sched_getaffinity"):
        raise DeviceError("cpu_slots: this system cannot pin a process to CPUs; leave cpu_slots out")
    cpus = sorted(os.sched_getaffinity(0), key=lambda cpu: (_first_thread(cpu), cpu))
    return {CPUS: _shared_out([str(cpu) for cpu in cpus], per_run, "cpu_slots", "CPUs")}


def usable_cpus() -> int:
    """Count the CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_cpus(text: str, where: str) -> frozenset[int]:
    """Read CPU numbers as `0,2` or `0-3`. Raises ArgumentValueError."""
    cpus: list[int] = []
    for part in text.split(","):
        if (match := re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)) is None:
            raise ArgumentValueError(f"{where}: {text!r} is no list of CPUs; write numbers such as '0,2' or '0-3'")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < 1 << 16:
            raise ArgumentValueError(f"{where}: {part.strip()!r} is no range of CPUs; write the smaller number first")
        cpus += range(first, last + 1)
    return frozenset(cpus)


def _shared_out(devices: Sequence[str], per_run: int, call: str, kind: str) -> list[str]:
    number = checked_int(per_run, f"{call}: per_run")
    if number < 1:
        raise ArgumentValueError(f"{call}: per_run={number}: every run has at least one of the {kind}; give 1 or more")
    if number > len(devices):
        raise ArgumentValueError(
            f"{call}: per_run={number} is more than the {len(devices)} {kind} there are; give no more than that"
        )
    return [",".join(devices[first : first + number]) for first in range(0, len(devices) - number + 1, number)]


def _visible_gpus() -> list[str]:
    listed = os.environ.get(GPUS)
    if listed is None:
        return _asked_gpus()
    gpus: list[str] = []
    for gpu in map(str.strip, listed.split(",")):
        if gpu.startswith("-") or gpu in ("", "NoDevFiles"):
            break  # as CUDA reads it: from here on nothing is visible
        gpus.append(gpu)
    if not gpus:
        raise DeviceError(f"gpu_slots: {GPUS}={listed!r} hides every GPU; unset it, or list the GPUs to be used")
    return gpus


def _asked_gpus() -> list[str]:
    printed = capture(_SMI, os.curdir, _SMI_SECONDS)
    if printed is None:
        raise DeviceError(
            f"gpu_slots: found no GPU: {GPUS} is not set, and nvidia-smi is missing or fails; "
            f"set {GPUS} to the GPUs to be used"
        )
    gpus = [match[1] for line in printed.splitlines() if (match := re.match(r"\s*(?:GPU )?(\d+)\b", line))]
    if not gpus:
        raise DeviceError(f"gpu_slots: nvidia-smi names no GPU; set {GPUS} to the GPUs to be used")
    return gpus


def _first_thread(cpu: int) -> int:
    """Return the lowest CPU that is a thread of the same core."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
            return min(parse_cpus(file.read(), "thread_siblings_list"))
    except (OSError, ArgumentValueError):  # an unusual /sys: the CPU stands for itself
        return cpu
