"""Writing loops over vectors in LLVM's intermediate representation (IR).

llvmlite's `ir.IRBuilder` writes one instruction after the other; the functions here write what the
kernels are made of: counted loops, and the loads, stores and arithmetic of whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from llvmlite import ir

__all__ = [
    "DOUBLE",
    "FLOAT",
    "INDEX",
    "POINTER",
    "Builder",
    "Value",
    "VectorCode",
    "index",
    "load_index",
    "loop",
    "maximum",
    "minimum",
    "nested_loops",
    "store_index",
]

INDEX = ir.IntType(64)
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
POINTER = ir.PointerType(FLOAT)
"""The type of all pointers; those to other types are cast where they are used."""

Value = Any
"""A value in the code being written; llvmlite has no type annotations."""
Builder = Any
"""An `llvmlite.ir.IRBuilder`."""


def index(number: int) -> Value:
    """Return an integer constant for sizes and offsets."""
    return ir.Constant(INDEX, number)


def maximum(builder: Builder, x: Value, y: Value) -> Value:
    """Return the larger of two integers."""
    return builder.select(builder.icmp_signed(">", x, y), x, y)


def minimum(builder: Builder, x: Value, y: Value) -> Value:
    """Return the smaller of two integers."""
    return builder.select(builder.icmp_signed("<", x, y), x, y)


def loop(
    builder: Builder,
    stop: Value,
    body: Callable[..., Sequence[Value] | None],
    *,
    start: Value | None = None,
    step: int = 1,
    carried: Sequence[Value] = (),
) -> tuple[list[Value], Value]:
    """Write ``for i in range(start, stop, step)``.

    ``body(i, *carried)`` writes one iteration and returns the carried values for the next one.
    Returns the carried values after the last iteration, and the first `i` that is not below `stop`.
    """
    before = builder.block
    head, inside, after = (builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    counter = builder.phi(INDEX)
    counter.add_incoming(index(0) if start is None else start, before)
    values = []
    for value in carried:
        values.append(builder.phi(value.type))
        values[-1].add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", counter, stop), inside, after)

    builder.position_at_end(inside)
    results = body(counter, *values) or ()
    counter.add_incoming(builder.add(counter, index(step)), builder.block)
    for value, result in zip(values, results, strict=True):
        value.add_incoming(result, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return values, counter


def nested_loops(builder: Builder, counts: tuple[Value, ...], body: Callable[..., None]) -> None:
    """Write one loop inside another; the last of `counts` is the innermost."""

    def inside(numbers: tuple[Value, ...]) -> None:
        if len(numbers) == len(counts):
            body(*numbers)
        else:
            loop(builder, counts[len(numbers)], lambda number: inside((*numbers, number)))

    inside(())


class VectorCode:
    """Vectors of `lanes` numbers in an LLVM module, and what can be done with them.

    The numbers are float32 unless another `element` type is given. Offsets count elements.
    """

    def __init__(self, module: Any, lanes: int, element: Any = FLOAT) -> None:
        self.module = module
        self.lanes, self.element = lanes, element
        self.align = 8 if element is DOUBLE else 4
        self.type = ir.VectorType(element, lanes)
        kind = f"v{lanes}f{8 * self.align}"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        # Unlike llvm.fma, this rounds twice where the CPU has no fused instruction.
        self._multiply_add = ir.Function(module, signature, f"llvm.fmuladd.{kind}")
        signature = ir.FunctionType(self.type, [self.type])
        self._square_root = ir.Function(module, signature, f"llvm.sqrt.{kind}")

    @cached_property
    def single(self) -> VectorCode:
        """Vectors of one number, for the remainder that does not fill a vector."""
        return VectorCode(self.module, 1, self.element)

    @cached_property
    def half(self) -> VectorCode:
        """Vectors of half as many numbers: converted to float64 they fill a register."""
        return VectorCode(self.module, self.lanes // 2, self.element)

    @cached_property
    def double(self) -> VectorCode:
        """Vectors of float64 that fill the same registers, half as many."""
        return VectorCode(self.module, self.lanes // 2, DOUBLE)

    # Addresses

    def offset(self, builder: Builder, pointer: Value, *offsets: Value) -> Value:
        """Return the address that lies the given numbers of elements after `pointer`."""
        pointer = builder.bitcast(pointer, self.element.as_pointer())
        for offset in offsets:
            pointer = builder.gep(pointer, [offset], source_etype=self.element)
        return builder.bitcast(pointer, POINTER)

    def vector_at(self, builder: Builder, pointer: Value, number: Value) -> Value:
        """Return the address of a vector by its number."""
        return self.offset(builder, pointer, builder.mul(number, index(self.lanes)))

    # Loads and stores

    def load(self, builder: Builder, address: Value) -> Value:
        """Load a vector."""
        return self._load(builder, address, self.type)

    def load_scalar(self, builder: Builder, address: Value) -> Value:
        """Load one number, as a scalar."""
        return self._load(builder, address, self.element)

    def load_broadcast(self, builder: Builder, address: Value) -> Value:
        """Load one number into all lanes."""
        return self.broadcast(builder, self.load_scalar(builder, address))

    def _load(self, builder: Builder, address: Value, kind: Any) -> Value:
        address = builder.bitcast(address, kind.as_pointer())
        return builder.load(address, align=self.align, typ=kind)

    def store(self, builder: Builder, value: Value, address: Value) -> None:
        """Store a vector or a scalar."""
        address = builder.bitcast(address, value.type.as_pointer())
        builder.store(value, address, align=self.align)

    def store_zeros(self, builder: Builder, address: Value, n_vectors: Value) -> None:
        """Store zeros into consecutive vectors."""
        zero = self.constant(0.0)
        loop(
            builder,
            builder.mul(n_vectors, index(self.lanes)),
            lambda offset: self.store(builder, zero, self.offset(builder, address, offset)),
            step=self.lanes,
        )

    def prefetch(self, builder: Builder, address: Value, *, to_write: bool = False) -> None:
        """Prefetch the cache line of an address, which may lie beyond the end of an array."""
        number = ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [POINTER, number, number, number])
        function = self.module.declare_intrinsic("llvm.prefetch.p0", fnty=signature)
        most_local, data = number(3), number(1)
        builder.call(function, [address, number(int(to_write)), most_local, data])

    # Loops

    def floor_to_vectors(self, builder: Builder, count: Value) -> Value:
        """Round a number of elements down to whole vectors."""
        return builder.mul(builder.sdiv(count, index(self.lanes)), index(self.lanes))

    def loop_over_elements(
        self, builder: Builder, count: Value, body: Callable[[VectorCode, Value], None]
    ) -> None:
        """Call ``body(vectors, offset)`` for each whole vector, then for each remaining element."""
        whole = self.floor_to_vectors(builder, count)
        loop(builder, whole, lambda offset: body(self, offset), step=self.lanes)
        loop(builder, count, lambda offset: body(self.single, offset), start=whole)

    # Arithmetic

    def constant(self, number: float) -> Value:
        """Return a vector that holds one number in all lanes."""
        return ir.Constant(self.type, [ir.Constant(self.element, number)] * self.lanes)

    def broadcast(self, builder: Builder, number: Value) -> Value:
        """Return a vector that holds a scalar in all lanes."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(first, undefined, everywhere)

    def multiply_add(self, builder: Builder, x: Value, y: Value, z: Value) -> Value:
        """Return ``x * y + z``."""
        return builder.call(self._multiply_add, [x, y, z])

    def square_root(self, builder: Builder, x: Value) -> Value:
        """Return the square root."""
        return builder.call(self._square_root, [x])

    def polynomial(self, builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
        """Evaluate a polynomial; its constant comes first among the coefficients."""
        value = self.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = self.multiply_add(builder, value, x, self.constant(coefficient))
        return value


def load_index(builder: Builder, pointer: Value, number: Value) -> Value:
    """Load one element of an array of int64."""
    return builder.load(_index_address(builder, pointer, number), align=8, typ=INDEX)


def store_index(builder: Builder, value: Value, pointer: Value, number: Value) -> None:
    """Store one element of an array of int64."""
    builder.store(value, _index_address(builder, pointer, number), align=8)


def _index_address(builder: Builder, pointer: Value, number: Value) -> Value:
    numbers = builder.bitcast(pointer, INDEX.as_pointer())
    return builder.gep(numbers, [number], source_etype=INDEX)
