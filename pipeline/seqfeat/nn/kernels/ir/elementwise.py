"""Arithmetic on whole arrays: sums, products, copies, sums of squares, scaling and conversion.

An array is seen as blocks, each as long as the second operand: so a row can be added to every row
of a matrix, and two arrays of one size are a single block.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from seqfeat.nn.kernels.ir.kernel import Kernel, doubles, floats
from seqfeat.nn.kernels.ir.vectors import (
    FLOAT,
    Value,
    VectorCode,
    index,
    loop,
    nested_loops,
)

__all__ = [
    "ADD",
    "ADD_ROWS",
    "ADD_ROWS_AND_SQUARE",
    "COLUMN_SUMS",
    "COPY_ROWS",
    "FLOAT32_TO_FLOAT64",
    "FLOAT64_TO_FLOAT32",
    "KERNELS",
    "MULTIPLY",
    "SCALE",
    "SQUARE_SUMS",
    "SUBTRACT",
    "write_elementwise",
]


def _blockwise(name: str) -> Kernel:
    vectors = "n_vectors * lanes"
    return Kernel(
        name,
        x=floats("n_blocks", vectors),
        y=floats(vectors),
        result=floats("n_blocks", vectors),
    )


ADD, SUBTRACT, MULTIPLY = map(_blockwise, ("add", "subtract", "multiply"))
"""``result[block] = x[block] + y``, and so on; `result` may be `x`."""

COPY_ROWS = Kernel(
    "copy_rows",
    target=floats("n_rows", "n_columns", strides=["target_row"]),
    source=floats("n_rows", "n_columns", strides=["source_row"]),
)
ADD_ROWS = Kernel("add_rows", **COPY_ROWS.parameters)
"""``target += source``"""
ADD_ROWS_AND_SQUARE = Kernel(
    "add_rows_and_square", **COPY_ROWS.parameters, squares=doubles("double_lanes")
)
"""``target += source``; add the squares of the result to `squares`, whose sum is their total."""

SQUARE_SUMS = Kernel("square_sums", x=floats("n_vectors * lanes"), result=floats("lanes"))
"""Sum the squares of `x` lane by lane; the sum of the result is their total."""
COLUMN_SUMS = Kernel(
    "column_sums",
    x=floats("n_blocks", "n_rows", "n_vectors * lanes"),
    result=floats("n_blocks", "n_vectors * lanes"),
)
"""Sum the rows of each block."""

SCALE = Kernel(
    "scale",
    values=doubles("n_series", "n_timesteps", "n_channels"),
    mean_and_scale=doubles("2", "n_channels"),
    result=floats("n_series", "n_timesteps", "n_channels"),
    largest=floats("1"),
)
"""``result = (values - mean) / scale``, 0 for NaN, and the largest magnitude of the result."""
FLOAT32_TO_FLOAT64 = Kernel(
    "float32_to_float64", x=floats("n_vectors * lanes"), result=doubles("n_vectors * lanes")
)
FLOAT64_TO_FLOAT32 = Kernel(
    "float64_to_float32",
    x=doubles("n_rows", "n_columns", strides=["x_row"]),
    result=floats("n_rows", "n_columns"),
)

KERNELS = [
    ADD,
    SUBTRACT,
    MULTIPLY,
    COPY_ROWS,
    ADD_ROWS,
    ADD_ROWS_AND_SQUARE,
    SQUARE_SUMS,
    COLUMN_SUMS,
    SCALE,
    FLOAT32_TO_FLOAT64,
    FLOAT64_TO_FLOAT32,
]


def write_elementwise(code: VectorCode) -> None:
    """Write all of these kernels."""
    _write_blockwise(code, ADD, lambda builder, x, y: builder.fadd(x, y))
    _write_blockwise(code, SUBTRACT, lambda builder, x, y: builder.fsub(x, y))
    _write_blockwise(code, MULTIPLY, lambda builder, x, y: builder.fmul(x, y))
    _write_rows(code, COPY_ROWS, lambda builder, x, y: y)
    _write_rows(code, ADD_ROWS, lambda builder, x, y: builder.fadd(x, y))
    _write_add_rows_and_square(code)
    _write_square_sums(code)
    _write_column_sums(code)
    _write_scale(code)
    _write_float32_to_float64(code)
    _write_float64_to_float32(code)


def _write_blockwise(code: VectorCode, kernel: Kernel, combine: Callable[..., Value]) -> None:
    builder, a = kernel.begin(code)

    def one_vector(block: Value, vector: Value) -> None:
        number = builder.add(builder.mul(block, a.n_vectors), vector)
        x = code.load(builder, code.vector_at(builder, a.x, number))
        y = code.load(builder, code.vector_at(builder, a.y, vector))
        code.store(builder, combine(builder, x, y), code.vector_at(builder, a.result, number))

    nested_loops(builder, (a.n_blocks, a.n_vectors), one_vector)
    builder.ret_void()


def _write_rows(code: VectorCode, kernel: Kernel, combine: Callable[..., Value]) -> None:
    builder, a = kernel.begin(code)

    def one_row(row: Value) -> None:
        target = code.offset(builder, a.target, builder.mul(row, a.target_row))
        source = code.offset(builder, a.source, builder.mul(row, a.source_row))

        def some_columns(vectors: VectorCode, column: Value) -> None:
            into = vectors.offset(builder, target, column)
            value = vectors.load(builder, vectors.offset(builder, source, column))
            vectors.store(builder, combine(builder, vectors.load(builder, into), value), into)

        code.loop_over_elements(builder, a.n_columns, some_columns)

    loop(builder, a.n_rows, one_row)
    builder.ret_void()


def _write_add_rows_and_square(code: VectorCode) -> None:
    builder, a = ADD_ROWS_AND_SQUARE.begin(code)
    single, wide = code.half, code.double
    whole = single.floor_to_vectors(builder, a.n_columns)

    def one_row(row: Value, total: Value) -> list[Value]:
        target = code.offset(builder, a.target, builder.mul(row, a.target_row))
        source = code.offset(builder, a.source, builder.mul(row, a.source_row))

        def add(vectors: VectorCode, column: Value, wide: VectorCode, total: Value) -> Value:
            into, other = (vectors.offset(builder, side, column) for side in (target, source))
            value = builder.fadd(vectors.load(builder, into), vectors.load(builder, other))
            vectors.store(builder, value, into)
            value = builder.fpext(value, wide.type)
            return wide.multiply_add(builder, value, value, total)

        def some_columns(column: Value, total: Value) -> list[Value]:
            return [add(single, column, wide, total)]

        def one_column(column: Value) -> None:
            total = wide.single.load(builder, a.squares)
            total = add(code.single, column, wide.single, total)
            wide.single.store(builder, total, a.squares)

        (total,), _ = loop(builder, whole, some_columns, step=single.lanes, carried=[total])
        loop(builder, a.n_columns, one_column, start=whole)
        return [total]

    (total,), _ = loop(builder, a.n_rows, one_row, carried=[wide.constant(0.0)])
    total = builder.fadd(total, wide.load(builder, a.squares))
    wide.store(builder, total, a.squares)
    builder.ret_void()


def _write_square_sums(code: VectorCode) -> None:
    builder, a = SQUARE_SUMS.begin(code)

    def one_vector(vector: Value, total: Value) -> list[Value]:
        value = code.load(builder, code.vector_at(builder, a.x, vector))
        return [code.multiply_add(builder, value, value, total)]

    (total,), _ = loop(builder, a.n_vectors, one_vector, carried=[code.constant(0.0)])
    code.store(builder, total, a.result)
    builder.ret_void()


def _write_column_sums(code: VectorCode) -> None:
    builder, a = COLUMN_SUMS.begin(code)

    def one_vector(block: Value, vector: Value) -> None:
        def one_row(row: Value, total: Value) -> list[Value]:
            row = builder.add(builder.mul(block, a.n_rows), row)
            number = builder.add(builder.mul(row, a.n_vectors), vector)
            value = code.load(builder, code.vector_at(builder, a.x, number))
            return [builder.fadd(total, value)]

        (total,), _ = loop(builder, a.n_rows, one_row, carried=[code.constant(0.0)])
        number = builder.add(builder.mul(block, a.n_vectors), vector)
        code.store(builder, total, code.vector_at(builder, a.result, number))

    nested_loops(builder, (a.n_blocks, a.n_vectors), one_vector)
    builder.ret_void()


def _write_scale(code: VectorCode) -> None:
    builder, a = SCALE.begin(code)
    single, double = code.single, code.double.single
    zero = ir.Constant(FLOAT, 0.0)

    def one_value(row: Value, channel: Value) -> None:
        offset = builder.add(builder.mul(row, a.n_channels), channel)
        value = double.load_scalar(builder, double.offset(builder, a.values, offset))
        address = double.offset(builder, a.mean_and_scale, channel)
        mean = double.load_scalar(builder, address)
        scale = double.load_scalar(builder, double.offset(builder, address, a.n_channels))
        scaled = builder.fptrunc(builder.fdiv(builder.fsub(value, mean), scale), FLOAT)
        is_observed = builder.fcmp_ordered("==", scaled, scaled)
        scaled = builder.select(is_observed, scaled, zero)
        single.store(builder, scaled, single.offset(builder, a.result, offset))
        is_negative = builder.fcmp_ordered("<", scaled, zero)
        magnitude = builder.select(is_negative, builder.fneg(scaled), scaled)
        is_larger = builder.fcmp_ordered(">", magnitude, single.load_scalar(builder, a.largest))
        with builder.if_then(is_larger, likely=False):
            single.store(builder, magnitude, a.largest)

    single.store(builder, zero, a.largest)
    n_rows = builder.mul(a.n_series, a.n_timesteps)
    nested_loops(builder, (n_rows, a.n_channels), one_value)
    builder.ret_void()


def _write_float32_to_float64(code: VectorCode) -> None:
    builder, a = FLOAT32_TO_FLOAT64.begin(code)
    single, double = code.half, code.double

    def one_vector(number: Value) -> None:
        value = single.load(builder, single.vector_at(builder, a.x, number))
        value = builder.fpext(value, double.type)
        double.store(builder, value, double.vector_at(builder, a.result, number))

    loop(builder, builder.mul(a.n_vectors, index(2)), one_vector)
    builder.ret_void()


def _write_float64_to_float32(code: VectorCode) -> None:
    builder, a = FLOAT64_TO_FLOAT32.begin(code)
    single, double = code.single, code.double.single

    def one_value(row: Value, column: Value) -> None:
        source = builder.add(builder.mul(row, a.x_row), column)
        value = double.load_scalar(builder, double.offset(builder, a.x, source))
        target = builder.add(builder.mul(row, a.n_columns), column)
        value = builder.fptrunc(value, FLOAT)
        single.store(builder, value, single.offset(builder, a.result, target))

    nested_loops(builder, (a.n_rows, a.n_columns), one_value)
    builder.ret_void()
