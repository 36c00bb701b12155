"""Writing loops over vectors in LLVM's intermediate language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from llvmlite import ir

__all__ = [
    "INDEX",
    "POINTER",
    "VectorCode",
    "at",
    "begin_function",
    "index",
    "load_index",
    "loop",
    "nested",
    "store_index",
]

INDEX = ir.IntType(64)
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
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
    """Vectors of `lanes` numbers in a module of code, and what can be done with them.

    The numbers are float32, or of another `element` type; a "float" below is one of them.
    Pointers are to float32 whatever they point to.
    """

    def __init__(self, module: Any, lanes: int, element: Any = FLOAT) -> None:
        self.module = module
        self.lanes, self.element = lanes, element
        self.align = 8 if element is DOUBLE else 4
        self.type = ir.VectorType(element, lanes)
        kind = f"v{lanes}f{8 * self.align}"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        # Unlike llvm.fma, two roundings where the CPU has no instruction for one.
        self._multiply_add = ir.Function(module, signature, f"llvm.fmuladd.{kind}")
        signature = ir.FunctionType(self.type, [self.type])
        self._square_root = ir.Function(module, signature, f"llvm.sqrt.{kind}")

    @cached_property
    def single(self) -> VectorCode:
        """Vectors of one float, for what does not fill those of `lanes`."""
        return VectorCode(self.module, 1, self.element)

    @cached_property
    def half(self) -> VectorCode:
        """Vectors of half as many, which become as many float64 as fill a register."""
        return VectorCode(self.module, self.lanes // 2, self.element)

    @cached_property
    def double(self) -> VectorCode:
        """Vectors of float64 in the same registers, half as many."""
        return VectorCode(self.module, self.lanes // 2, DOUBLE)

    def constant(self, number: float) -> Value:
        """Return a vector of the same number."""
        return ir.Constant(self.type, [ir.Constant(self.element, number)] * self.lanes)

    def place(self, builder: Builder, pointer: Value, *offsets: Value) -> Value:
        """Return the place in memory so many floats behind `pointer`."""
        pointer = builder.bitcast(pointer, self.element.as_pointer())
        for offset in offsets:
            pointer = builder.gep(pointer, [offset], source_etype=self.element)
        return builder.bitcast(pointer, POINTER)

    def load(self, builder: Builder, place: Value) -> Value:
        """Read a vector."""
        return self._load(builder, place, self.type)

    def load_one(self, builder: Builder, place: Value) -> Value:
        """Read one float, and not a vector of it."""
        return self._load(builder, place, self.element)

    def _load(self, builder: Builder, place: Value, kind: Any) -> Value:
        place = builder.bitcast(place, kind.as_pointer())
        return builder.load(place, align=self.align, typ=kind)

    def store(self, builder: Builder, values: Value, place: Value) -> None:
        """Write a vector, or one float."""
        place = builder.bitcast(place, values.type.as_pointer())
        builder.store(values, place, align=self.align)

    def prefetch(self, builder: Builder, place: Value, *, to_write: bool = False) -> None:
        """Have the cache fetch what lies at a place; may be behind the end of an array."""
        number = ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [POINTER, number, number, number])
        function = self.module.declare_intrinsic("llvm.prefetch.p0", fnty=signature)
        most_local, data = number(3), number(1)
        builder.call(function, [place, number(int(to_write)), most_local, data])

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
        return self.repeat(builder, self.load_one(builder, place))

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
    return builder.load(_place_of_index(builder, pointer, number), align=8, typ=INDEX)


def store_index(builder: Builder, value: Value, pointer: Value, number: Value = None) -> None:
    """Write one of an array of int64, the first unless a number is given."""
    number = index(0) if number is None else number
    builder.store(value, _place_of_index(builder, pointer, number), align=8)


def _place_of_index(builder: Builder, pointer: Value, number: Value) -> Value:
    numbers = builder.bitcast(pointer, INDEX.as_pointer())
    return builder.gep(numbers, [number], source_etype=INDEX)


def nested(builder: Builder, counts: tuple[Value, ...], body: Callable[..., None]) -> None:
    """Write loops within loops, the last of `counts` innermost."""

    def inside(numbers: tuple[Value, ...]) -> None:
        if len(numbers) == len(counts):
            body(*numbers)
        else:
            loop(builder, counts[len(numbers)], lambda number: inside((*numbers, number)))

    inside(())
