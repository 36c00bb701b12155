"""The number of threads among which torch divides an operation, for the calling thread. Torch only.

`torch.set_num_threads` changes more than that: what every thread gets that uses torch for the first
time from then on, and what MKL does in all of them. So where torch's libraries have them, the
functions are called that OpenMP and MKL provide for one thread alone.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from seqfeat.runtime.fork_safety import ForkSafeLock

__all__ = ["n_cpu_threads", "single_threaded", "use_one_thread"]

LIBRARIES = {"linux": "libtorch_cpu.so", "darwin": "libtorch_cpu.dylib"}
"""By platform, where OpenMP's and MKL's functions are found; elsewhere torch's own is used."""

_lock = ForkSafeLock()
_shared = {"users": 0, "restore": 0}


class Setters(NamedTuple):
    """Functions that set the number of threads for the calling thread."""

    set_openmp: Callable[[int], None]
    set_mkl: Callable[[int], int]
    """Returns the number before, or 0 if the thread had none of its own."""


class Before(NamedTuple):
    """The numbers of threads to go back to."""

    n_threads: int
    n_mkl_threads: int


@functools.cache
def _own_setters() -> Setters | None:
    """Return the functions, or None where torch was built without them."""
    path = Path(torch.__file__).parent / "lib" / LIBRARIES.get(sys.platform, "")
    try:
        library = ctypes.CDLL(str(path))  # which is loaded already
        set_openmp = library.omp_set_num_threads
        has_mkl = bool(torch._C.has_mkl)
        set_mkl = library.MKL_Set_Num_Threads_Local if has_mkl else None
    except (OSError, AttributeError):
        return None
    set_openmp.argtypes, set_openmp.restype = [ctypes.c_int], None
    if set_mkl is None:
        return Setters(set_openmp, lambda number: 0)
    set_mkl.argtypes, set_mkl.restype = [ctypes.c_int], ctypes.c_int
    return Setters(set_openmp, set_mkl)


def _limit_own(own: Setters) -> Before:
    # Asked for first: a thread takes over the common number when it first looks at it.
    found = torch.get_num_threads()
    own.set_openmp(1)
    return Before(found, own.set_mkl(1))


def _limit() -> Before:
    """Limit the calling thread to one thread, and return what to restore."""
    own = _own_setters()
    if own is not None:
        return _limit_own(own)
    found = torch.get_num_threads()
    with _lock:
        if _shared["users"] == 0:
            _shared["restore"] = found
        _shared["users"] += 1
        torch.set_num_threads(1)
    return Before(found, 0)


def _restore(before: Before) -> None:
    """Undo `_limit`, on the same thread."""
    own = _own_setters()
    if own is not None:
        own.set_openmp(before.n_threads)
        own.set_mkl(before.n_mkl_threads)
        return
    with _lock:
        # torch's number is partly common and partly a thread's own. Of several threads, each
        # restores what the first one found.
        _shared["users"] -= 1
        torch.set_num_threads(_shared["restore"])


class _OwnThread(threading.local):
    n_usable: int | None = None
    """Threads that work may be divided among in `single_threaded`; None outside of it."""


_own_thread = _OwnThread()


class single_threaded:
    """Run torch's CPU operations on the calling thread alone, in this context.

    The number of threads among which a sum is divided changes its last bits, and training
    amplifies them. On one thread, a seed gives the same weights in the main process and in a joblib
    worker, on any number of cores, and fits that run in parallel share the cores without
    oversubscribing them. A forked process needs it, too: it has none of OpenMP's threads, and
    would wait for them forever.

    Parameters
    ----------
    n_usable : int, optional
        What `n_cpu_threads` returns in this context; by default the number that torch used before.
    """

    # Embedding one series enters it, and a generator would take three times as long.

    def __init__(self, n_usable: int | None = None) -> None:
        self.n_usable = n_usable

    def __enter__(self) -> None:
        self.outer, self.before = _own_thread.n_usable, None
        if self.outer is None:
            self.before = _limit()
        found = self.outer if self.before is None else self.before.n_threads
        _own_thread.n_usable = found if self.n_usable is None else self.n_usable

    def __exit__(self, *error: object) -> None:
        _own_thread.n_usable = self.outer
        if self.before is not None:
            _restore(self.before)


def n_cpu_threads() -> int:
    """Return the number of threads that work may be divided among, torch's or our own.

    Outside of `single_threaded` it is torch's number.
    """
    n_usable = _own_thread.n_usable
    return torch.get_num_threads() if n_usable is None else n_usable


def use_one_thread() -> None:
    """Make a new worker thread run torch's CPU operations on itself, from now on.

    It may have taken over a common number of threads that another fit has just restored.
    """
    _own_thread.n_usable = 1
    own = _own_setters()
    if own is None:
        torch.set_num_threads(1)
    else:
        _limit_own(own)
