"""Nursery: nothing that the tests have started outlives them."""

import signal
import subprocess
import sys
from pathlib import Path

from conftest import alive, eventually
from nursery import Nursery

LEAVES_A_DAEMON = '(setsid sh -c "sleep 1000; : $0" "$0" & ); sleep 1000'
USER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nursery import Nursery
folder = Path(sys.argv[2])
nursery = Nursery()
nursery.start("sh", "-c", sys.argv[3], f"{folder}-mark", log=folder / "log")
print("up", flush=True)
sys.stdin.read()
"""


def test_what_it_has_started_goes_with_whoever_asked_for_it(tmp_path):
    command = [sys.executable, "-c", USER, str(Path(__file__).parent), str(tmp_path), LEAVES_A_DAEMON]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"
        eventually(lambda: len(alive(f"{tmp_path}-mark")) >= 2, "the daemons do not start")
        user.kill()
    eventually(lambda: not alive(str(tmp_path)), "something is left")


def test_it_tells_how_its_processes_have_ended(tmp_path):
    nursery = Nursery("json")
    try:
        (tmp_path / "program.py").write_text("import sys; print('json' in sys.modules, *sys.argv[1:]); sys.exit(3)")
        forked = nursery.fork(str(tmp_path / "program.py"), "word", log=tmp_path / "forked")
        assert (forked.wait(), forked.said()) == (3, "True word\n")
        started = nursery.start("sleep", "1000", log=tmp_path / "started")
        assert nursery.code_of(started.pid) is None
        started.kill()
        assert nursery.code_of(started.pid) == -signal.SIGKILL
    finally:
        nursery.close()
