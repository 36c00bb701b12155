"""Who is waited for; `tests/test_distributed.py` stops real processes."""

import time
from contextlib import contextmanager

import pytest
from torch import distributed as dist

from seqfeat.runtime.heartbeats import Heartbeats

TIMEOUT = 0.6


class Work:
    """A collective that takes some seconds."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def wait(self, limit=None):
        rest = max(0.0, self.end - time.monotonic())
        if limit is not None and rest > limit.total_seconds():
            time.sleep(limit.total_seconds())
            raise RuntimeError("Operation timed out!")
        time.sleep(rest)

    def is_completed(self):
        return time.monotonic() >= self.end


@contextmanager
def heartbeats(store, rank, *, expects_all=True):
    beats = Heartbeats(store, rank, 2, TIMEOUT, expects_all=expects_all, rank_0_hosts_store=False)
    beats.start()
    try:
        yield beats
    finally:
        beats.stop()


@pytest.fixture
def store():
    return dist.HashStore()


def test_a_process_that_gives_signs_of_life_is_waited_for(store):
    with heartbeats(store, 0) as first, heartbeats(store, 1):
        assert first.wait(Work(3 * TIMEOUT)) == []


def test_a_silent_process_has_stalled(store):
    with heartbeats(store, 0) as first:
        assert first.wait(Work(100)) == [1]


@pytest.mark.parametrize("has_started", [False, True])
def test_a_process_outside_a_shared_fit_owes_no_sign_of_life(has_started, store):
    if has_started:
        with heartbeats(store, 1):
            pass
    with heartbeats(store, 0, expects_all=False) as first:
        assert first.wait(Work(3 * TIMEOUT)) == []


def test_a_process_that_returns_to_a_shared_fit_and_falls_silent_has_stalled(store):
    with heartbeats(store, 1):
        pass
    store.set("seqfeat/heartbeats/1", "1")
    with heartbeats(store, 0, expects_all=False) as first:
        assert first.wait(Work(100)) == [1]


def test_the_error_of_a_collective_is_raised(store):
    class Failing(Work):
        def wait(self, limit=None):
            raise RuntimeError("Connection closed by peer")

    with heartbeats(store, 0) as first, pytest.raises(RuntimeError, match="closed by peer"):
        first.wait(Failing(0))
