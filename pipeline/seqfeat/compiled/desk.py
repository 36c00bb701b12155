"""Memory, and programs of many shapes that use it one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from seqfeat.compiled.encoder_program import EncoderProgram, PartShape

__all__ = ["Desk"]

MOST_PROGRAMS = 64
"""That are kept: parts of a batch come in many lengths, and again in every epoch."""

P = TypeVar("P", bound=EncoderProgram)


class Desk(Generic[P]):
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
                self.storage = torch.empty(program.n_floats)
                program = self.write(shape, self.storage)
            program.finish()
            self.programs[shape] = program
        return self.programs[shape]
