"""The threads that the user's streams and callbacks are served by."""

import os
import threading

import pytest

from taskexp.run import spool
from taskexp.run.spool import Spool
from taskexp.run.strand import HIGH_BYTES, Strand, ThreadPool


def test_jobs_run_in_order_one_at_a_time_whoever_puts_them() -> None:
    pool = ThreadPool("test")
    strand = Strand(pool)
    done: list[tuple[int, int]] = []
    putters = [
        threading.Thread(target=lambda who=who: [strand.put(lambda i=i: done.append((who, i))) for i in range(500)])
        for who in range(4)
    ]
    for putter in putters:
        putter.start()
    for putter in putters:
        putter.join()
    strand.perform(lambda: done.append((9, 0)))
    pool.close()
    assert done[-1] == (9, 0)
    for who in range(4):
        assert [i for putter, i in done if putter == who] == list(range(500))


def test_a_congested_strand_calls_back_when_it_has_caught_up() -> None:
    pool = ThreadPool("test")
    strand = Strand(pool)
    gate, drained = threading.Event(), threading.Event()
    strand.put(gate.wait)
    strand.put(lambda: None, HIGH_BYTES)
    assert strand.congested
    strand.when_drained(drained.set)
    assert not drained.is_set()
    gate.set()
    assert drained.wait(30)
    assert not strand.congested
    pool.close()


def test_no_more_threads_than_allowed_and_none_is_left() -> None:
    pool = ThreadPool("test", max_threads=3)
    gate, started = threading.Event(), threading.Semaphore(0)

    def job() -> None:
        started.release()
        gate.wait()

    for _ in range(10):
        pool.submit(job)
    for _ in range(3):
        assert started.acquire(timeout=30)
    assert not started.acquire(blocking=False)
    gate.set()
    pool.close(patience=30)
    assert not [thread for thread in threading.enumerate() if thread.name == "taskexp-test"]


@pytest.mark.fault("P15")
def test_jobs_run_all_the_same_when_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool = ThreadPool("test")
    strand = Strand(pool)
    done: list[int] = []
    for number in range(3):
        strand.put(lambda number=number: done.append(number))
    pool.close()
    assert done == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 700, 65_536])
@pytest.mark.parametrize("is_partial", [False, True], ids=["whole", "partial"])
def test_what_is_spooled_comes_back_in_order_though_the_disk_takes_it_in_parts(
    size: int, is_partial: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_some(descriptor: int, chunks: list[bytes]) -> int:
        data = b"".join(chunks)
        writes.append(len(data))
        return os.write(descriptor, data[: len(data) // 2 + 1] if is_partial else data)

    writes: list[int] = []
    monkeypatch.setattr(spool.os, "writev", write_some)
    pool = ThreadPool("test")
    kept = Spool(pool)
    chunks = [bytes([number % 251]) * size for number in range(3 * spool.MEMORY_CHUNKS if size < 65_536 else 20)]
    for chunk in chunks:
        kept.push(chunk)
    kept.strand.perform(lambda: None)
    assert b"".join(kept.chunks()) == b"".join(chunks)
    assert len(writes) > 1
    kept.close()
    pool.close()
