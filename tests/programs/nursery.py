"""Starts programs for whoever writes to its standard input, and kills them when that ends; see `tests/nursery.py`.

It reads one JSON object per line and answers each by a line. What its children leave behind becomes its child. A
Python program may be forked from it, and finds the modules imported that were named on the command line.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36  # of prctl(2); where there is none, only the children themselves are killed
prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)
codes: dict[int, int] = {}


def main() -> None:
    if os.fork():
        os._exit(0)  # so it is nobody's child
    os.setsid()
    prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    say(os.getpid())
    for line in sys.stdin:
        request = json.loads(line)
        say(start(**request) if "argv" in request else codes.get(request["pid"]))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while children := [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        reap()


def say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def reap() -> None:
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    except ChildProcessError:
        return


def start(argv: list[str], log: str, environ: dict[str, str], is_forked: bool) -> int:
    if not (pid := os.fork()):
        become(argv, log, environ, is_forked)
    return pid


def become(argv: list[str], log: str, environ: dict[str, str], is_forked: bool) -> NoReturn:
    try:
        prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
        os.chdir(os.path.dirname(log))
        os.environ.clear()
        os.environ |= environ
        if not is_forked:
            os.execvp(argv[0], argv)
        run_python(argv)
    except SystemExit as end:
        finish(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
    except BaseException:
        traceback.print_exc()
        finish(1)
    finish(0)


def run_python(argv: list[str]) -> None:
    """Do what `python ARGV` does."""
    match argv:
        case ["-m", module, *words]:
            sys.argv = [module, *words]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [script, *words]:
            sys.argv = [script, *words]
            runpy.run_path(script, run_name="__main__")


def finish(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
