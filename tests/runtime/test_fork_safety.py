"""Locks that a forked process finds free, and what they guard whole."""

import os
import sys
import threading

import pytest

from seqfeat.runtime import fork_safety
from seqfeat.runtime.fork_safety import ForkSafeLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


def exit_status_of_child(check):
    """Fork, and return what a child exits with in which `check` has to be true."""
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Holder:
    """A thread that holds locks until it is told to let go."""

    def __init__(self, *locks):
        self.locks, self.work_is_done = locks, False
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        assert self.has_begun.wait(timeout=60)

    def work(self):
        first, second = self.locks
        with first:
            self.has_begun.set()
            self.may_end.wait(timeout=60)
            with second:
                self.work_is_done = True


def is_free(lock):
    return lock._lock.acquire(timeout=5)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_fork_waits_for_the_end_of_what_a_lock_guards(reverse):
    """In whatever order a thread takes several of them."""
    locks = [ForkSafeLock(), ForkSafeLock()]
    holder = Holder(*(reversed(locks) if reverse else locks))
    threading.Timer(0.2, holder.may_end.set).start()
    assert exit_status_of_child(lambda: holder.work_is_done and all(map(is_free, locks))) == 0
    holder.thread.join()
    assert all(is_free(lock) for lock in locks)


def test_a_fork_that_has_waited_long_enough_gives_the_child_new_locks(monkeypatch):
    monkeypatch.setattr(fork_safety, "MAX_WAIT", 0.1)
    lock = ForkSafeLock()
    holder = Holder(lock, ForkSafeLock())
    assert exit_status_of_child(lambda: is_free(lock)) == 0
    assert not lock._lock.acquire(blocking=False)
    holder.may_end.set()
    holder.thread.join()


def test_a_thread_that_forks_while_it_holds_a_lock_goes_on_in_both_processes():
    lock = ForkSafeLock()
    with lock:
        child = os.fork()
    # Leaving the context is an error if the lock is not held.
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
