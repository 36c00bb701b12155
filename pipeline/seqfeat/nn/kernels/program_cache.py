"""Programs of several shapes that share one storage, and so run one at a time."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqfeat.nn.kernels.program import Arena

__all__ = ["ProgramCache", "allocate"]

MAX_PROGRAMS = 64
"""Programs that are kept: parts of a batch come in many lengths, and again in every epoch."""


class Cacheable(Protocol):
    """What a `ProgramCache` keeps: programs that were written with one arena."""

    arena: Arena

    def finish(self, storage: Tensor) -> None:
        """Make ready to run in a storage."""


P = TypeVar("P", bound=Cacheable)


def allocate(n_floats: int) -> Tensor:
    """Return memory that goes back to the system as soon as nobody needs it.

    On Unix the C library would keep it, in a heap of its own for each thread.
    """
    if os.name != "posix":
        return torch.empty(n_floats, dtype=torch.float32, device="cpu")
    try:
        # Private: a forked process gets a copy.
        pages = mmap.mmap(-1, 4 * n_floats, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise torch.OutOfMemoryError(f"no {4e-6 * n_floats:.0f} MB of memory") from error
    return torch.from_numpy(np.frombuffer(pages, dtype=np.float32))


class ProgramCache:
    """Keeps programs by whatever tells them apart, and the storage that they work in."""

    def __init__(self) -> None:
        self.programs: dict[Hashable, Any] = {}
        self.storage = torch.empty(0, dtype=torch.float32, device="cpu")

    def get(self, key: Hashable, write: Callable[[], P]) -> P:
        """Return a program, ready to run; `write` writes it if it is not there."""
        if key not in self.programs:
            program = write()
            n_floats = program.arena.n_floats
            if n_floats > len(self.storage) or len(self.programs) == MAX_PROGRAMS:
                self.programs.clear()
            if n_floats > len(self.storage):
                # Not both at once.
                self.storage = torch.empty(0, dtype=torch.float32, device="cpu")
                self.storage = allocate(n_floats)
            program.finish(self.storage)
            self.programs[key] = program
        kept: P = self.programs[key]
        return kept
