"""Programs: calls of the kernels that are put together once and run in one go.

All that lies between Python and a kernel is here. `bind` is the one place where addresses are
taken: it checks every argument against the kernel's declaration, so that nothing unchecked reaches
compiled code. A `Program` is written once for a shape of its inputs, with buffers from an `Arena`,
and can then run any number of times; what changes from run to run is an `External`::

    program = Program(kernels)
    arena = program.arena
    values = program.external(32, 100, dtype=torch.float64)
    result = arena.take(32, 100)
    program.call("float64_to_float32", x=values, result=result)
    program.finish(storage)           # a tensor of at least arena.n_floats
    values.set(tensor)
    program.run()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqfeat.nn.kernels.ir.jit import KERNELS, ROW_SIZE, CompiledKernels
from seqfeat.nn.kernels.ir.kernel import Array, Axis, Kernel, Size

__all__ = ["Arena", "Buffer", "External", "ExternalRows", "Program", "bind", "call_kernel"]

DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}
ALIGNMENT = 16
"""Floats to which the beginning of a buffer is aligned: a line of the cache."""


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous array, in elements."""
    strides, size = [], 1
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))


class Buffer(NamedTuple):
    """An array in an arena, or a view of one.

    `offset` counts floats from the beginning of the arena's storage, `strides` count elements.
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after the other, in C order."""
        return self.strides == contiguous_strides(self.shape)

    def view(self, *shape: int) -> Buffer:
        """Return the same elements in another shape."""
        if not self.is_contiguous or prod(shape) != self.n_elements:
            raise ValueError(f"{self} cannot be seen as an array of shape {shape}")
        return self._replace(shape=shape, strides=contiguous_strides(shape))

    def as_rows(self) -> Buffer:
        """Return the same elements as a matrix with a row for each element of the first axis."""
        return self.view(self.shape[0], prod(self.shape[1:]))

    def columns(self, start: int, stop: int) -> Buffer:
        """Return some elements of the last axis."""
        if not 0 <= start <= stop <= self.shape[-1]:
            raise ValueError(f"{self} has no columns from {start} to {stop}")
        return self._shifted(start, (*self.shape[:-1], stop - start))

    def rows(self, start: int, stop: int) -> Buffer:
        """Return some elements of the first axis."""
        if not 0 <= start <= stop <= self.shape[0]:
            raise ValueError(f"{self} has no rows from {start} to {stop}")
        return self._shifted(start * self.strides[0], (stop - start, *self.shape[1:]))

    def _shifted(self, n_elements: int, shape: tuple[int, ...]) -> Buffer:
        offset = self.offset + n_elements * self.dtype.itemsize // 4
        return self._replace(offset=offset, shape=shape)

    def repeat(self, count: int) -> Buffer:
        """Return a view that has a single row `count` times."""
        if self.shape[0] != 1:
            raise ValueError(f"{self} has more than one row to repeat")
        return self._replace(shape=(count, *self.shape[1:]), strides=(0, *self.strides[1:]))


class Arena:
    """Memory for the buffers of one program; how much it takes is known when all are taken."""

    def __init__(self) -> None:
        self.n_floats = 0
        """Floats that the storage has to have."""
        self.released: list[tuple[int, int]] = []
        """Begin and end of memory that nobody needs any more."""

    def take(self, *shape: int, dtype: torch.dtype = torch.float32) -> Buffer:
        """Return a buffer, in the first released memory that is large enough or else after all."""
        n_floats = _n_floats(prod(shape), dtype)
        for number, (start, stop) in enumerate(self.released):
            if start + n_floats <= stop:
                self.released[number] = start + n_floats, stop
                break
        else:
            start = self.n_floats
            self.n_floats += n_floats
        return Buffer(start, shape, contiguous_strides(shape), dtype)

    def release(self, *buffers: Buffer) -> None:
        """Let the calls that are written from here on have the memory of whole buffers."""
        ends = [(one.offset, one.offset + _n_floats(one.n_elements, one.dtype)) for one in buffers]
        self.released, ends = [], sorted(self.released + ends)
        for start, stop in ends:
            if self.released and self.released[-1][1] == start:
                start = self.released.pop()[0]
            self.released.append((start, stop))


def _n_floats(n_elements: int, dtype: torch.dtype) -> int:
    return -(-n_elements * dtype.itemsize // (4 * ALIGNMENT)) * ALIGNMENT


class External:
    """An array that is handed to a program before each run: one of its inputs or results."""

    def __init__(
        self, shape: tuple[int, ...], dtype: torch.dtype, ready: dict[External, Tensor]
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.strides = contiguous_strides(shape)
        self.positions: list[int] = []
        """Where its address stands in the program's table."""
        self.table: Any = None
        self.ready = ready

    def set(self, tensor: Tensor) -> None:
        """Use a tensor in the next run, which keeps it alive until then."""
        if (
            tensor.dtype is not self.dtype
            or tensor.shape != self.shape
            or not tensor.is_cpu
            or not tensor.is_contiguous()
        ):
            raise TypeError(
                f"a program takes a contiguous {self.dtype} of shape {self.shape} on the CPU, not "
                f"{tensor.dtype} of shape {tuple(tensor.shape)} with strides {tensor.stride()} on "
                f"{tensor.device}"
            )
        address = tensor.data_ptr()
        for position in self.positions:
            self.table[position] = address
        self.ready[self] = tensor

    def as_rows(self) -> ExternalRows:
        """Return the same elements as a matrix with a row for each element of the first axis."""
        return ExternalRows(self, (self.shape[0], prod(self.shape[1:])))


class ExternalRows(NamedTuple):
    """The first columns of an `External` that is seen as a matrix."""

    base: External
    shape: tuple[int, ...]

    @property
    def strides(self) -> tuple[int, ...]:
        """Distances of rows and of columns, in elements."""
        return self.base.strides[0], 1

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the elements."""
        return self.base.dtype

    def columns(self, start: int, stop: int) -> ExternalRows:
        """Return the first columns; `start` is 0."""
        if start != 0 or not 0 <= stop <= self.shape[1]:
            raise ValueError(f"an external array has no view of columns {start} to {stop}")
        return self._replace(shape=(self.shape[0], stop))


Argument = Tensor | Buffer | External | ExternalRows | int


class Program:
    """Calls of the kernels with their arguments, and the memory that they work in."""

    def __init__(self, kernels: CompiledKernels, arena: Arena | None = None) -> None:
        self.kernels = kernels
        self.lanes = kernels.lanes
        self.arena = Arena() if arena is None else arena
        self.rows: list[list[int]] = []
        self.externals: list[External] = []
        self.ready: dict[External, Tensor] = {}
        """Those that are set, with their tensors, which have to stay alive until after the run."""
        self.kept: list[Tensor] = []
        """Tensors whose addresses the calls hold."""
        self.relocations: list[int] = []
        """Positions in the table of addresses that count from the beginning of the storage."""

    def external(self, *shape: int, dtype: torch.dtype = torch.float32) -> External:
        """Return an array that is set before each run."""
        self.externals.append(External(shape, dtype, self.ready))
        return self.externals[-1]

    def call(self, kernel: str, **arguments: Argument) -> None:
        """Add a call; raises `TypeError` where an argument contradicts the kernel's declaration."""
        begin = len(self.rows) * ROW_SIZE + 1
        numbers = bind(self.kernels, KERNELS[kernel], arguments)
        for at, argument in enumerate(KERNELS[kernel].signature):
            if not argument.is_pointer:
                continue
            value = arguments[argument.name]
            if isinstance(value, Tensor):
                # Its memory stays, even if the tensor is given another.
                self.kept.append(value.detach())
            elif isinstance(value, Buffer):
                self.relocations.append(begin + at)
            elif isinstance(value, External):
                value.positions.append(begin + at)
            elif isinstance(value, ExternalRows):
                value.base.positions.append(begin + at)
        row = [self.kernels.trampolines[kernel], *numbers]
        self.rows.append(row + [0] * (ROW_SIZE - len(row)))

    def extend(self, other: Program) -> None:
        """Add the calls of a program that has neither buffers nor inputs."""
        if other.relocations or other.externals:
            raise ValueError("only a program without buffers and externals can be added")
        self.rows += other.rows
        self.kept += other.kept

    def copy_all(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Add calls that copy tensors, given as pairs of target and source.

        They have up to three axes, the last of which is contiguous.
        """
        for target, source in (matrices for pair in pairs for matrices in _matrices(*pair)):
            self.call("copy_rows", target=target, source=source)

    def add_all(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Add calls that add such sources to their targets."""
        for target, source in (matrices for pair in pairs for matrices in _matrices(*pair)):
            self.call("add_rows", target=target, source=source)

    def add_and_square_all(self, pairs: Iterable[tuple[Tensor, Tensor]], squares: Tensor) -> None:
        """Add calls that do so, too, and add the squares of the sums to `squares`."""
        for target, source in (matrices for pair in pairs for matrices in _matrices(*pair)):
            self.call("add_rows_and_square", target=target, source=source, squares=squares)

    def finish(self, storage: Tensor | None = None) -> None:
        """Make ready to run, with buffers in a storage, a contiguous float32 tensor."""
        self.table = np.array(self.rows, dtype=np.int64).reshape(-1)
        self.storage = storage
        if self.relocations:
            if storage is None or storage.numel() < self.arena.n_floats:
                raise ValueError(f"the program needs a storage of {self.arena.n_floats} floats")
            if storage.dtype is not torch.float32:
                raise TypeError(f"the storage of a program is float32, not {storage.dtype}")
            self.table[self.relocations] += _address(storage, "a program", "storage")
        for one in self.externals:
            one.table = self.table
        self.address, self.n_calls = self.table.ctypes.data, len(self.rows)

    def tensor(self, buffer: Buffer) -> Tensor:
        """Return a buffer of a finished program as a tensor."""
        if self.storage is None:
            raise ValueError("the program has no storage")
        storage = self.storage if buffer.dtype is torch.float32 else self.storage.view(buffer.dtype)
        offset = 4 * buffer.offset // buffer.dtype.itemsize
        return storage.as_strided(buffer.shape, buffer.strides, offset)

    def run(self, start: int = 0, stop: int | None = None) -> None:
        """Make the calls from `start` to `stop`, in order, without Python's lock.

        After the last call the externals have to be set again.
        """
        if len(self.ready) < len(self.externals):
            missing = [one.shape for one in self.externals if one not in self.ready]
            raise ValueError(f"external arrays of these shapes were not set: {missing}")
        n_calls = (self.n_calls if stop is None else stop) - start
        if n_calls:
            self.kernels.run_program(self.address + 8 * ROW_SIZE * start, n_calls)
        if stop is None:
            self.ready.clear()


def call_kernel(kernels: CompiledKernels, name: str, **arguments: Tensor | int) -> None:
    """Call one kernel at once, with tensors."""
    for parameter, value in arguments.items():
        if not isinstance(value, (Tensor, int)):
            raise TypeError(f"{name}: {parameter} is {value!r}, neither a tensor nor an int")
    kernels.functions[name](*bind(kernels, KERNELS[name], arguments))


def bind(kernels: CompiledKernels, kernel: Kernel, arguments: Mapping[str, Argument]) -> list[int]:
    """Return the arguments of the compiled function, in order; raise `TypeError` if one is wrong.

    Sizes and named strides are read off the arrays. The address of an `External` is 0, and that of
    a `Buffer` counts from the beginning of its storage.
    """
    if arguments.keys() != kernel.parameters.keys():
        raise TypeError(_wrong_names(kernel, arguments))
    addresses: dict[str, int] = {}
    layouts: list[Layout] = []
    for name in kernel.parameters:
        value = arguments[name]
        if isinstance(value, Buffer):
            addresses[name] = 4 * value.offset
            layouts.append(value[1:])
        elif isinstance(value, Tensor):
            addresses[name] = _address(value, kernel, name)
            layouts.append((value.shape, value.stride(), value.dtype))
        elif isinstance(value, (External, ExternalRows)):
            addresses[name] = 0
            layouts.append((value.shape, value.strides, value.dtype))
        elif type(value) is int:
            layouts.append(value)
        else:
            raise TypeError(f"{kernel}: {name} is {value!r}, neither an array nor an int")
    sizes = _match_layouts(kernel.name, kernels.lanes, kernels.double_lanes, tuple(layouts))
    return [addresses[one.name] if one.is_pointer else sizes[one.name] for one in kernel.signature]


Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype] | int
"""An array's shape, strides and dtype; or the value of a size."""


# The calls of a program repeat each other, and so do programs.
@lru_cache(maxsize=2**12)
def _match_layouts(
    kernel_name: str, lanes: int, double_lanes: int, layouts: tuple[Layout, ...]
) -> dict[str, int]:
    """Check the layouts of a kernel's parameters; return all sizes and named strides."""
    kernel = KERNELS[kernel_name]
    lengths_of_vectors = {"lanes": lanes, "double_lanes": double_lanes}
    found: dict[str, int] = {}
    for (name, parameter), layout in zip(kernel.parameters.items(), layouts, strict=True):
        if isinstance(parameter, Size):
            if not isinstance(layout, int) or layout < 0:
                raise TypeError(f"{kernel}: {name} is {layout}, not an int of 0 or more")
            found[name] = layout
            continue
        if isinstance(layout, int):
            raise TypeError(f"{kernel}: {name} is {layout}, not an array")
        shape, strides, dtype = layout
        axes = [Axis.parse(axis, lengths_of_vectors) for axis in parameter.shape]
        if dtype is not DTYPES[parameter.dtype] or len(shape) != len(axes):
            raise TypeError(f"{kernel}: {name} is {dtype} of shape {tuple(shape)}")
        # Shape and strides, from the last axis to the first.
        contiguous, is_empty = 1, 0 in shape
        for axis in range(len(axes) - 1, -1, -1):
            symbol, factor, added = axes[axis]
            length, stride = shape[axis], strides[axis]
            if symbol is None:
                fits = length == added
            else:
                size, rest = divmod(length - added, factor)
                fits = rest == 0 and found.setdefault(symbol, size) == size >= 0
            if not fits:
                raise TypeError(_wrong_shape(kernel, name, axis, tuple(shape), found))
            if axis < len(parameter.strides):
                named = parameter.strides[axis]
                fits = found.setdefault(named, stride) == stride >= 0 or length <= 1
            else:
                fits = stride == contiguous or length == 1 or is_empty
                contiguous *= length
            if not fits:
                raise TypeError(
                    f"{kernel}: {name} of shape {tuple(shape)} has the strides {strides}"
                )
    known = {**found, **lengths_of_vectors}
    for expression, code in kernel.requires.items():
        if not eval(code, {"max": max}, known):
            raise TypeError(f"{kernel}: not {expression}; found {_sizes(kernel, known)}")
    return found


def _sizes(kernel: Kernel, found: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes among what was found, for an error."""
    arrays = {name: one for name, one in kernel.parameters.items() if isinstance(one, Array)}
    others = {*arrays, *(stride for one in arrays.values() for stride in one.strides)}
    return {name: size for name, size in found.items() if name not in others}


def _wrong_shape(
    kernel: Kernel, name: str, axis: int, shape: tuple[int, ...], found: Mapping[str, int]
) -> str:
    return f"{kernel}: axis {axis} of {name}, shape {shape}, does not fit {_sizes(kernel, found)}"


def _wrong_names(kernel: Kernel, arguments: Mapping[str, Any]) -> str:
    missing = [name for name in kernel.parameters if name not in arguments]
    unknown = [name for name in arguments if name not in kernel.parameters]
    return f"{kernel}: missing {missing}, unknown {unknown}"


def _address(tensor: Tensor, owner: Kernel | str, name: str) -> int:
    """Return the address of a tensor on the CPU. Only `External.set` takes one as well."""
    if not tensor.is_cpu or tensor.layout is not torch.strided:
        raise TypeError(
            f"{owner}: {name} is {tensor.layout}, on {tensor.device}; it has to be strided, on "
            "the CPU"
        )
    return tensor.data_ptr()


def _matrices(target: Tensor, source: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield two tensors of the same shape, of up to three axes, as pairs of matrices."""
    if target.shape != source.shape:
        raise TypeError(f"shapes {tuple(target.shape)} and {tuple(source.shape)} differ")
    if target.is_contiguous() and source.is_contiguous():
        target, source = target.flatten(), source.flatten()
    if target.dim() == 1:
        target, source = target[None], source[None]
    if target.dim() == 2:
        yield target, source
    elif all(one.stride(0) == one.shape[1] * one.stride(1) for one in (target, source)):
        yield target.flatten(0, 1), source.flatten(0, 1)
    else:
        for one, other in zip(target, source, strict=True):
            yield from _matrices(one, other)
