"""Bringing weights into panels, as LLVM code: transposed, a few vectors of rows at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from seqfeat.recurrence.vector_code import (
    INDEX,
    POINTER,
    Builder,
    Value,
    VectorCode,
    begin_function,
    index,
    loop,
    nested,
)

__all__ = ["declare_packing"]


def declare_packing(code: VectorCode) -> Any:
    """Write ``pack``, which writes nothing where units or depth are filled up.

    Arguments: ``rows`` (n_gates, n_units, depth), ``n_gates, n_units, depth, filled_units, panels``
    (panels, filled_depth, width), ``filled_depth, width``.
    """
    arguments = [POINTER, INDEX, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, "pack", arguments)
    rows, n_gates, n_units, depth, filled_units, panels, filled_depth, width = function.args
    lanes = index(code.lanes)

    def source(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, n_units), unit)
        return code.place(builder, rows, builder.mul(row, depth))

    def into(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, filled_units), unit)
        panel, column = builder.sdiv(row, width), builder.srem(row, width)
        offset = builder.mul(builder.mul(panel, filled_depth), width)
        return code.place(builder, panels, offset, column)

    def one_square(gate: Value, block: Value, number: Value) -> None:
        """Pack as many values of as many units as a vector has lanes."""
        unit, first = builder.mul(block, lanes), builder.mul(number, lanes)
        begin_row = code.place(builder, source(gate, unit), first)
        places = [builder.mul(index(row), depth) for row in range(code.lanes)]
        vectors = [code.load(builder, code.place(builder, begin_row, place)) for place in places]
        start = code.place(builder, into(gate, unit), builder.mul(first, width))
        for row, vector in enumerate(transposed(code, builder, vectors)):
            offset = builder.mul(index(row), width)
            code.store(builder, vector, code.place(builder, start, offset))

    def some_values(gate: Value, unit: Value, start: Value) -> None:
        """Pack one unit's values from `start` on."""
        begin_row, begin_panel = source(gate, unit), into(gate, unit)

        def one_value(number: Value) -> None:
            value = code.load_one(builder, code.place(builder, begin_row, number))
            offset = builder.mul(number, width)
            code.store(builder, value, code.place(builder, begin_panel, offset))

        loop(builder, depth, one_value, start=start)

    def one_gate(gate: Value) -> None:
        whole_units, whole_depth = code.whole(builder, n_units), code.whole(builder, depth)
        blocks = builder.sdiv(n_units, lanes), builder.sdiv(depth, lanes)
        nested(builder, blocks, lambda block, number: one_square(gate, block, number))
        loop(builder, whole_units, lambda unit: some_values(gate, unit, whole_depth))
        loop(builder, n_units, lambda unit: some_values(gate, unit, index(0)), start=whole_units)

    loop(builder, n_gates, one_gate)
    builder.ret_void()
    return function


def transposed(code: VectorCode, builder: Builder, vectors: list[Value]) -> list[Value]:
    """Return a square matrix's columns, given its rows: blocks swap places, ever smaller ones."""
    vectors = list(vectors)
    size = code.lanes // 2
    while size:
        for row in (row for row in range(code.lanes) if not row & size):
            upper, lower = vectors[row], vectors[row + size]
            vectors[row] = shuffled(
                code,
                builder,
                upper,
                lower,
                [code.lanes + lane - size if lane & size else lane for lane in range(code.lanes)],
            )
            vectors[row + size] = shuffled(
                code,
                builder,
                upper,
                lower,
                [code.lanes + lane if lane & size else lane + size for lane in range(code.lanes)],
            )
        size //= 2
    return vectors


def shuffled(code: VectorCode, builder: Builder, x: Value, y: Value, lanes: list[int]) -> Value:
    """Return a vector of lanes of two, which are counted from the first of `x` on."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), lanes)
    return builder.shuffle_vector(x, y, mask)
