"""stubborn.py KIND FOLDER/POINTS/N N MARKER: what chaos.py runs, one of the kinds of programs that make trouble.

It says `s` in its file when it starts, and `2` if another attempt at the same point has not ended.
"""

import contextlib
import fcntl
import os
import resource
import signal
import sys
import time

DEADLY = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15)


def quick() -> None:
    print("done")


def forks() -> None:
    """Leave a child that holds the pipes."""
    if os.fork() == 0:
        time.sleep(1000)


def leaves_session() -> None:
    """Stay longer than the timeout, with a daemon in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    time.sleep(1000)


def is_deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def floods() -> None:
    for number in range(20_000):
        print("line", number, "of a flood", "." * 50)


def prints_bytes() -> None:
    os.write(1, os.urandom(50_000).replace(b"\n", b"") + b"\0\r\n\xff\xfe")


def closes_streams() -> None:
    os.close(1)
    os.close(2)
    time.sleep(0.05)


def dies() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), DEADLY[int(sys.argv[3]) % len(DEADLY)])


def outstays() -> None:
    """Stay longer than the timeout, as a small tree."""
    for _ in range(2):
        if os.fork() == 0:
            break
    time.sleep(1000)


def fills_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (100 << 20, 100 << 20))
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


KINDS = {
    each.__name__: each
    for each in (
        quick,
        forks,
        leaves_session,
        is_deaf,
        floods,
        prints_bytes,
        closes_streams,
        dies,
        outstays,
        fills_memory,
    )
}


def main() -> None:
    kind, path = sys.argv[1:3]
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    said = b"s"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by all that this one forks, until they end
    except BlockingIOError:
        said = b"s2"
    os.write(descriptor, said)
    with contextlib.suppress(BrokenPipeError):
        KINDS[kind]()


if __name__ == "__main__":
    main()
