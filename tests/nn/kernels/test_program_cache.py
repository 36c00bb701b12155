"""Storage that grows, programs that are kept, and memory that runs out."""

import mmap
import os
import subprocess
import sys

import pytest
import torch

from seqfeat.nn.kernels import program_cache
from seqfeat.nn.kernels.program import Arena
from seqfeat.nn.kernels.program_cache import ProgramCache, allocate


class Recorded:
    """A program that needs memory, and notes where it gets it."""

    def __init__(self, n_floats):
        self.arena = Arena()
        self.arena.take(n_floats)

    def finish(self, storage):
        self.storage = storage


def test_a_program_is_written_once():
    cache = ProgramCache()
    first = cache.get("key", lambda: Recorded(10))
    assert cache.get("key", lambda: Recorded(10)) is first
    assert cache.get("other", lambda: Recorded(10)) is not first


def test_programs_share_a_storage_that_grows():
    cache = ProgramCache()
    small, other = cache.get("small", lambda: Recorded(16)), cache.get("other", lambda: Recorded(8))
    assert small.storage is other.storage
    large = cache.get("large", lambda: Recorded(64))
    assert len(large.storage) == 64
    # The earlier ones worked in memory that is gone.
    assert cache.programs.keys() == {"large"}


def test_only_so_many_programs_are_kept(monkeypatch):
    monkeypatch.setattr(program_cache, "MAX_PROGRAMS", 3)
    cache = ProgramCache()
    for key in range(10):
        cache.get(key, lambda: Recorded(8))
        assert len(cache.programs) <= 3


@pytest.mark.skipif(os.name != "posix", reason="memory maps without a file are of Unix")
def test_memory_that_is_not_there_is_an_error_of_torch(monkeypatch):
    def fail(*arguments, **named):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", fail)
    with pytest.raises(torch.OutOfMemoryError, match="no 4 MB of memory"):
        ProgramCache().get("key", lambda: Recorded(1_000_000))


def test_storage_is_written_and_read():
    storage = allocate(1000)
    storage.fill_(3.0)
    assert (storage.dtype, len(storage), float(storage.sum())) == (torch.float32, 1000, 3000.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_storage_of_its_own():
    program = """
import os
from seqfeat.nn.kernels.program_cache import allocate
storage = allocate(1000)
storage.fill_(1.0)
child = os.fork()
if not child:
    storage.fill_(2.0)
    os._exit(int(storage[0]))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
assert float(storage.sum()) == 1000.0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
