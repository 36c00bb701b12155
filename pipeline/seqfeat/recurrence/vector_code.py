"""Writing loops over vectors in LLVM's intermediate language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from llvmlite import ir

__all__ = [
    "FLOAT",
    "INDEX",
    "POINTER",
    "VectorCode",
    "at",
    "begin_function",
    "index",
    "load_index",
    "loop",
    "nested",
]

INDEX = ir.IntType(64)
FLOAT = ir.FloatType()
POINTER = ir.PointerType(FLOAT)

Value = Any
"""A value in the code being written; llvmlite has no type annotations."""
Builder = Any


def index(number: int) -> Value:
    """Return a constant for counting."""
    return ir.Constant(INDEX, number)


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

    ``body(i, *carried)`` writes one round and returns what the next one is to
    carry. Returned are the values carried in the end, and `i` behind its last value.
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


class VectorCode:
    """Vectors of `lanes` float32 in a module of code, and what can be done with them."""

    def __init__(self, module: Any, lanes: int) -> None:
        self.module = module
        self.lanes = lanes
        self.type = ir.VectorType(FLOAT, lanes)
        signature = ir.FunctionType(self.type, [self.type] * 3)
        # Unlike llvm.fma, two roundings where the CPU has no instruction for one.
        self._multiply_add = ir.Function(module, signature, f"llvm.fmuladd.v{lanes}f32")
        signature = ir.FunctionType(self.type, [self.type])
        self._square_root = ir.Function(module, signature, f"llvm.sqrt.v{lanes}f32")

    @cached_property
    def single(self) -> VectorCode:
        """Vectors of one float, for what does not fill those of `lanes`."""
        return VectorCode(self.module, 1)

    def constant(self, number: float) -> Value:
        """Return a vector of the same number."""
        return ir.Constant(self.type, [ir.Constant(FLOAT, number)] * self.lanes)

    def place(self, builder: Builder, pointer: Value, *offsets: Value) -> Value:
        """Return the place in memory so many floats behind `pointer`."""
        for offset in offsets:
            pointer = builder.gep(pointer, [offset], source_etype=FLOAT)
        return pointer

    def load(self, builder: Builder, place: Value) -> Value:
        """Read a vector."""
        return builder.load(builder.bitcast(place, self.type.as_pointer()), align=4, typ=self.type)

    def store(self, builder: Builder, vector: Value, place: Value) -> None:
        """Write a vector."""
        builder.store(vector, builder.bitcast(place, self.type.as_pointer()), align=4)

    def whole(self, builder: Builder, number: Value) -> Value:
        """Return how many of so many floats fill whole vectors."""
        return builder.mul(builder.sdiv(number, index(self.lanes)), index(self.lanes))

    def for_all(
        self, builder: Builder, n_floats: Value, body: Callable[[VectorCode, Value], None]
    ) -> None:
        """Call ``body(vectors, offset)`` for whole vectors, then for each float that is left."""
        whole = self.whole(builder, n_floats)
        loop(builder, whole, lambda offset: body(self, offset), step=self.lanes)
        loop(builder, n_floats, lambda offset: body(self.single, offset), start=whole)

    def set_zero(self, builder: Builder, place: Value, n_vectors: Value) -> None:
        """Write zeros into so many vectors."""
        zero = self.constant(0.0)
        stop = builder.mul(n_vectors, index(self.lanes))
        loop(
            builder,
            stop,
            lambda offset: self.store(builder, zero, self.place(builder, place, offset)),
            step=self.lanes,
        )

    def repeat(self, builder: Builder, number: Value) -> Value:
        """Return a vector with one float in all lanes."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(first, undefined, everywhere)

    def load_repeated(self, builder: Builder, place: Value) -> Value:
        """Read one float into all lanes."""
        return self.repeat(builder, builder.load(place, align=4, typ=FLOAT))

    def multiply_add(self, builder: Builder, x: Value, y: Value, z: Value) -> Value:
        """Return ``x * y + z``."""
        return builder.call(self._multiply_add, [x, y, z])

    def square_root(self, builder: Builder, x: Value) -> Value:
        """Return the square root."""
        return builder.call(self._square_root, [x])

    def polynomial(self, builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
        """Return a polynomial's value; the constant comes first among the coefficients."""
        value = self.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = self.multiply_add(builder, value, x, self.constant(coefficient))
        return value


def begin_function(code: VectorCode, name: str, arguments: list[Any]) -> tuple[Any, Builder]:
    """Begin a function."""
    signature = ir.FunctionType(ir.VoidType(), arguments)
    function = ir.Function(code.module, signature, name)
    return function, ir.IRBuilder(function.append_basic_block())


def at(code: VectorCode, builder: Builder, pointer: Value, vector: Value) -> Value:
    """Return the place so many vectors behind `pointer`."""
    return code.place(builder, pointer, builder.mul(vector, index(code.lanes)))


def load_index(builder: Builder, pointer: Value, number: Value) -> Value:
    """Read one of an array of int64."""
    numbers = builder.bitcast(pointer, INDEX.as_pointer())
    return builder.load(builder.gep(numbers, [number], source_etype=INDEX), align=8, typ=INDEX)


def nested(builder: Builder, counts: tuple[Value, ...], body: Callable[..., None]) -> None:
    """Write loops within loops, the last of `counts` innermost."""

    def inside(numbers: tuple[Value, ...]) -> None:
        if len(numbers) == len(counts):
            body(*numbers)
        else:
            loop(builder, counts[len(numbers)], lambda number: inside((*numbers, number)))

    inside(())
