"""Calls of the kernels that are put together once and run in one go, and their memory."""

from __future__ import annotations

import ctypes
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from seqfeat.nn.kernels.ir.jit import ROW, Kernels

__all__ = ["NOWHERE", "Memory", "Place", "Program", "rounded_up"]


def rounded_up(number: int, lanes: int) -> int:
    """Return how wide whole vectors are that hold so many floats."""
    return -(-number // lanes) * lanes


class Place(NamedTuple):
    """Where a matrix of float32 lies, row-major."""

    address: int
    offset: int
    """In floats, in its memory."""
    shape: tuple[int, ...]

    @property
    def n_floats(self) -> int:
        """How many floats lie there."""
        return prod(self.shape)

    def behind(self, rows: int) -> Place:
        """Return what is left behind the first rows."""
        n_floats = rows * prod(self.shape[1:])
        shape = (self.shape[0] - rows, *self.shape[1:])
        return Place(self.address + 4 * n_floats, self.offset + n_floats, shape)


NOWHERE = Place(0, 0, (0,))


class Memory:
    """Places in a storage, and beyond, which is for `n_floats` to tell."""

    def __init__(self, storage: Tensor) -> None:
        self.storage = storage
        self.n_floats = 0
        self.released: list[tuple[int, int]] = []
        """Where those places begin that nobody needs any more, and end."""

    def take(self, *shape: int) -> Place:
        """Return the first place that is large enough, or the next."""
        n_floats = prod(shape)
        for number, (start, stop) in enumerate(self.released):
            if start + n_floats <= stop:
                self.released[number] = start + n_floats, stop
                break
        else:
            start = self.n_floats
            self.n_floats += n_floats
        return Place(self.storage.data_ptr() + 4 * start, start, shape)

    def release(self, *places: Place) -> None:
        """Let calls that come behind those written so far have the places."""
        ends = [(place.offset, place.offset + place.n_floats) for place in places]
        self.released, ends = [], sorted(self.released + ends)
        for start, stop in ends:
            if self.released and self.released[-1][1] == start:
                start = self.released.pop()[0]
            self.released.append((start, stop))

    def tensor(self, place: Place) -> Tensor:
        """Return what is there."""
        return self.storage[place.offset : place.offset + place.n_floats].view(place.shape)


class Program:
    """Calls of the kernels with all their arguments.

    Whoever writes it keeps the memory alive that its addresses point to.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.rows: list[list[int]] = []

    def call(self, name: str, *arguments: int) -> int:
        """Add a call, and return its number; arguments are those that the modules of code name."""
        row = [self.kernels.callers[name], *arguments]
        self.rows.append(row + [0] * (ROW - len(row)))
        return len(self.rows) - 1

    def copy(self, into: Tensor, source: Tensor) -> None:
        """Add calls that copy a tensor of up to three axes, the last of which lies in order."""
        self._row_by_row("copy_rows", into, source)

    def add(self, into: Tensor, source: Tensor) -> None:
        """Add calls that add such a tensor to another."""
        self._row_by_row("add_rows", into, source)

    def add_and_measure(self, into: Tensor, source: Tensor, squares: int) -> None:
        """The same, and add up the squares of the sums, in so many float64 as fill a vector."""
        self._row_by_row("add_and_measure", into, source, squares)

    def _row_by_row(self, name: str, into: Tensor, source: Tensor, *more: int) -> None:
        assert into.shape == source.shape
        if into.is_contiguous() and source.is_contiguous():
            into, source = into.flatten(), source.flatten()
        if into.dim() == 1:
            into, source = into[None], source[None]
        if into.dim() == 3:
            if all(each.stride(0) == each.shape[1] * each.stride(1) for each in (into, source)):
                into, source = into.flatten(0, 1), source.flatten(0, 1)
            else:
                for one, other in zip(into, source, strict=True):
                    self._row_by_row(name, one, other, *more)
                return
        places = into.data_ptr(), into.stride(0), source.data_ptr(), source.stride(0)
        self.call(name, *places, *into.shape, *more)

    def finish(self) -> None:
        """Bring it into the form in which it runs."""
        self.numbers = torch.tensor(self.rows, dtype=torch.int64)
        self.address = self.numbers.data_ptr()
        self.written = (ctypes.c_int64 * self.numbers.numel()).from_address(self.address)

    def change(self, number: int, *arguments: int) -> None:
        """Give the call of that number other arguments, from the first on."""
        begin = number * ROW + 1
        self.written[begin : begin + len(arguments)] = list(arguments)

    def run(self) -> None:
        """Run all calls, in order, without Python's lock."""
        if self.rows:
            self.kernels.run_program(self.address, len(self.rows))
