"""A journal as a long sweep leaves it, written at once: to run 10,000 runs takes the time of all tests."""

import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import product
from pathlib import Path

from taskexp.record.journal.database import FILE_NAME, make

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LOOPS = {"--lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], "--width": [64, 128, 256, 512, 1024], "--opt": ["adam", "sgd"]}
SLOTS = 8


def make_journal(folder: Path, count: int = 10_000) -> Path:
    """Write a journal of so many runs of a training program: 50 points in repeats, a few failures."""
    (folder / "logs").mkdir(parents=True)
    path = folder / FILE_NAME
    make(path)
    dice = random.Random(7)
    points = list(product(*LOOPS.values()))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO driver (first_attempt, start_time, end_time, host, pid, start_ticks, boot_id, pid_namespace, "
            "script, arguments, cwd, git_commit, git_dirty, python, taskexp) VALUES (0, ?, ?, 'node-7', 1, 1, '', 0, "
            "?, ?, ?, ?, 0, '3.11.7', '0.1.0')",
            (
                BEGAN.isoformat(),
                (BEGAN + timedelta(days=1)).isoformat(),
                *map(json.dumps, ("/home/ann/sweep.py", ["--quick"], "/home/ann")),
                "0123456789" * 4,
            ),
        )
        begins = [0.0] * SLOTS
        for index in range(count):
            lr, width, opt = points[index * len(points) // count]
            repeat = index % max(1, count // len(points))
            connection.execute(_INSERT, _row(folder, index, repeat, lr, width, opt, begins, dice))
    return folder


_COLUMNS = (
    "fingerprint, number, driver, point_index, repeat, params, argv, env, cwd, slot, devices, log, begin_time, pid, "
    "status, returncode, error, start_time, end_time, duration, max_rss_bytes, max_rss_inherited, user_seconds, "
    "system_seconds, leaked, host, metrics"
)
_INSERT = f"INSERT INTO attempt ({_COLUMNS}) VALUES ({', '.join('?' * (_COLUMNS.count(',') + 1))})"


def _row(folder, index, repeat, lr, width, opt, begins, dice):
    slot = begins.index(min(begins))
    seconds = round(width**0.5 * dice.uniform(0.8, 1.2), 3)
    fails = dice.random() < 0.01
    began = BEGAN + timedelta(seconds=begins[slot])
    begins[slot] += seconds + 0.1
    params = {"--lr": lr, "--width": width, "--opt": opt, "--seed": repeat}
    argv = ["python", "train.py", *(str(word) for pair in params.items() for word in pair)]
    loss = abs(dice.gauss(0.3 + abs(lr - 1e-3) * 50 + 20 / width + 0.1 * (opt == "sgd"), 0.02))
    metrics = {} if fails else {"loss": loss, "throughput": 1e5 / width * dice.uniform(0.9, 1.1)}
    log = f"{index}.log"
    if fails:
        (folder / "logs" / log).write_text(f"step 1\nTraceback: loss of run {index} is nan\n")
    return (
        blake2b(str(index).encode(), digest_size=16).digest(),
        *(1, 1, index, repeat, json.dumps(params), json.dumps(argv), "{}", "null", slot, "{}", log, began.isoformat()),
        *(1000 + index, "failed" if fails else "succeeded", int(fails), None, began.isoformat()),
        *((began + timedelta(seconds=seconds)).isoformat(), seconds, width << 20, 0, seconds * 0.9, 0.1, 0, "node-7"),
        json.dumps(metrics),
    )
