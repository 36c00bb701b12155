"""Locks that no other thread holds while the process forks. Standard library only.

`os.fork` copies the calling thread alone. A lock that another thread held at that moment would stay
locked in the child for ever, and what it guards would be half done: a module half imported, or a
kernel half compiled. So a fork waits until all these locks are free, and holds them meanwhile.
"""

from __future__ import annotations

# Both take locks of their own at a fork. Those that registered first take them last, so that a
# thread that we wait for can have them in the meantime.
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import threading
import time
from itertools import count
from weakref import WeakValueDictionary

__all__ = ["ForkSafeLock"]

MAX_WAIT = 30.0
"""Seconds after which a fork no longer waits; the child gets new locks for those that are taken."""

_locks: WeakValueDictionary[int, ForkSafeLock] = WeakValueDictionary()
_numbers = count()


class ForkSafeLock:
    """A reentrant lock, to be used as a context manager."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks[next(_numbers)] = self

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class _Held(threading.local):
    """What a thread that forks holds meanwhile."""

    def __init__(self) -> None:
        self.locks: list[ForkSafeLock] = []


_held = _Held()


def _living_locks() -> list[ForkSafeLock]:
    # All references at once, as other threads make locks in the meantime.
    locks = (reference() for reference in _locks.valuerefs())
    return [lock for lock in locks if lock is not None]


def _take_all() -> None:
    deadline = time.monotonic() + MAX_WAIT
    while (taken := _try_all()) is not None and (left := deadline - time.monotonic()) > 0:
        # Holding none, so that whoever waits for one of them can go on.
        if taken._lock.acquire(timeout=left):
            taken._lock.release()


def _try_all() -> ForkSafeLock | None:
    """Take all locks, or none if one of them is taken, and return that one."""
    for lock in _living_locks():
        if not lock._lock.acquire(blocking=False):
            _release_all()
            return lock
        _held.locks.append(lock)
    return None


def _release_all() -> None:
    while _held.locks:
        _held.locks.pop()._lock.release()


def _release_in_child() -> None:
    for lock in _living_locks():
        if lock not in _held.locks:
            lock._lock = threading.RLock()
    _release_all()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(
        before=_take_all, after_in_parent=_release_all, after_in_child=_release_in_child
    )
