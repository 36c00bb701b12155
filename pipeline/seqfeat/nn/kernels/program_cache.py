"""Memory, and programs of many shapes that use it one after the other."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from seqfeat.nn.kernels.encoder import EncoderProgram, PartShape

__all__ = ["ProgramCache"]

MOST_PROGRAMS = 64
"""That are kept: parts of a batch come in many lengths, and again in every epoch."""

P = TypeVar("P", bound=EncoderProgram)


def storage_of(n_floats: int) -> Tensor:
    """Return memory that the system has back as soon as nobody needs it.

    On Unix the C library keeps it, and has another heap for each thread.
    """
    if os.name != "posix":
        return torch.empty(n_floats)
    try:
        # Private: a forked process gets a copy.
        pages = mmap.mmap(-1, 4 * n_floats, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise torch.OutOfMemoryError(f"no {4e-6 * n_floats:.0f} MB of memory") from error
    return torch.frombuffer(pages, dtype=torch.float32)


class ProgramCache(Generic[P]):
    """Where one part of a batch at a time is worked on.

    Parameters
    ----------
    write : callable
        Writes the program for a shape, in a storage.
    """

    def __init__(self, write: Callable[[PartShape, Tensor], P]) -> None:
        self.write = write
        self.programs: dict[PartShape, P] = {}
        self.storage = torch.empty(0)

    def program(self, shape: PartShape) -> P:
        """Return the program for a shape, ready to run."""
        if shape not in self.programs:
            program = self.write(shape, self.storage)
            if program.n_floats > len(self.storage) or len(self.programs) == MOST_PROGRAMS:
                self.programs.clear()
            if program.n_floats > len(self.storage):
                # Not both at once.
                self.storage = torch.empty(0)
                self.storage = storage_of(program.n_floats)
                program = self.write(shape, self.storage)
            program.finish()
            self.programs[shape] = program
        return self.programs[shape]
