"""What a network computes between its LSTM layers, as functions of LLVM code.

Matrices are row-major and as wide as whole vectors; ``n_...vectors`` count those of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from seqfeat.recurrence.vector_code import (
    INDEX,
    POINTER,
    Builder,
    Value,
    VectorCode,
    index,
    loop,
)

__all__ = ["declare_between"]

Body = Callable[..., None]


def declare_between(code: VectorCode) -> list[Any]:
    """Write the functions."""
    return [
        blockwise(code, "add", lambda builder, x, y: builder.fadd(x, y)),
        blockwise(code, "subtract", lambda builder, x, y: builder.fsub(x, y)),
        blockwise(code, "multiply", lambda builder, x, y: builder.fmul(x, y)),
        square_sums(code),
        column_sums(code),
        last_steps(code),
        put_last_steps(code),
        cut_windows(code),
        row_by_row(code, "copy_rows", lambda builder, x, y: y),
        row_by_row(code, "add_rows", lambda builder, x, y: builder.fadd(x, y)),
    ]


def blockwise(code: VectorCode, name: str, combine: Callable[..., Value]) -> Any:
    """Write ``result[block] = combine(x[block], y)``: `y` has a block's `n_vectors`.

    Arguments: ``x, n_blocks, y, n_vectors, result``, which may be `x`.
    """
    function, builder = begin(code, name, [POINTER, INDEX, POINTER, INDEX, POINTER])
    x, n_blocks, y, n_vectors, result = function.args

    def one_vector(block: Value, vector: Value) -> None:
        offset = builder.add(builder.mul(block, n_vectors), vector)
        left, right = at(code, builder, x, offset), at(code, builder, y, vector)
        combined = combine(builder, code.load(builder, left), code.load(builder, right))
        code.store(builder, combined, at(code, builder, result, offset))

    nested(builder, (n_blocks, n_vectors), one_vector)
    builder.ret_void()
    return function


def row_by_row(code: VectorCode, name: str, combine: Callable[..., Value]) -> Any:
    """Write ``x = combine(x, y)`` for matrices of any width.

    Arguments: ``x, x_row, y, y_row, n_rows, n_columns``; two rows are so many floats apart.
    """
    function, builder = begin(code, name, [POINTER, INDEX, POINTER, INDEX, INDEX, INDEX])
    x, x_row, y, y_row, n_rows, n_columns = function.args
    whole = builder.mul(builder.sdiv(n_columns, index(code.lanes)), index(code.lanes))

    def one_row(row: Value) -> None:
        left = code.place(builder, x, builder.mul(row, x_row))
        right = code.place(builder, y, builder.mul(row, y_row))

        def some_columns(vectors: VectorCode, column: Value) -> None:
            into = vectors.place(builder, left, column)
            value = vectors.load(builder, vectors.place(builder, right, column))
            vectors.store(builder, combine(builder, vectors.load(builder, into), value), into)

        loop(builder, whole, lambda column: some_columns(code, column), step=code.lanes)
        loop(builder, n_columns, lambda column: some_columns(code.single, column), start=whole)

    loop(builder, n_rows, one_row)
    builder.ret_void()
    return function


def square_sums(code: VectorCode) -> Any:
    """Write sums of squares, a vector of them. Arguments: ``x, n_vectors, result``."""
    function, builder = begin(code, "square_sums", [POINTER, INDEX, POINTER])
    x, n_vectors, result = function.args

    def one_vector(vector: Value, total: Value) -> list[Value]:
        value = code.load(builder, at(code, builder, x, vector))
        return [code.multiply_add(builder, value, value, total)]

    (total,), _ = loop(builder, n_vectors, one_vector, carried=[code.constant(0.0)])
    code.store(builder, total, result)
    builder.ret_void()
    return function


def column_sums(code: VectorCode) -> Any:
    """Write the sums over a block's rows, of every block.

    Arguments: ``x`` (n_blocks, n_rows, n_vectors), ``n_blocks, n_rows, n_vectors, result``
    (n_blocks, n_vectors).
    """
    function, builder = begin(code, "column_sums", [POINTER, INDEX, INDEX, INDEX, POINTER])
    x, n_blocks, n_rows, n_vectors, result = function.args

    def one_column(block: Value, vector: Value) -> None:
        def one_row(row: Value, total: Value) -> list[Value]:
            number = builder.add(builder.mul(block, n_rows), row)
            offset = builder.add(builder.mul(number, n_vectors), vector)
            return [builder.fadd(total, code.load(builder, at(code, builder, x, offset)))]

        (total,), _ = loop(builder, n_rows, one_row, carried=[code.constant(0.0)])
        offset = builder.add(builder.mul(block, n_vectors), vector)
        code.store(builder, total, at(code, builder, result, offset))

    nested(builder, (n_blocks, n_vectors), one_column)
    builder.ret_void()
    return function


def last_steps(code: VectorCode) -> Any:
    """Write a copy of each series' last step.

    Arguments: ``outputs`` (L, B, n_vectors), ``n_steps`` (B,) of int64, ``n_series, n_vectors,
    result`` (B, n_vectors).
    """
    function, builder = begin(code, "last_steps", [POINTER, POINTER, INDEX, INDEX, POINTER])
    outputs, n_steps, n_series, n_vectors, result = function.args

    def one_vector(series: Value, vector: Value) -> None:
        there = place_of_last(code, builder, n_steps, n_series, n_vectors, series, vector)
        here = builder.add(builder.mul(series, n_vectors), vector)
        value = code.load(builder, at(code, builder, outputs, there))
        code.store(builder, value, at(code, builder, result, here))

    nested(builder, (n_series, n_vectors), one_vector)
    builder.ret_void()
    return function


def put_last_steps(code: VectorCode) -> Any:
    """Write the gradient of `last_steps`: its own at each series' last step and 0 elsewhere.

    Arguments: ``gradient`` (B, n_vectors), ``n_steps`` (B,) of int64, ``n_series, n_vectors,
    longest, result`` (L, B, n_vectors), with `longest` for L.
    """
    function, builder = begin(
        code, "put_last_steps", [POINTER, POINTER, INDEX, INDEX, INDEX, POINTER]
    )
    gradient, n_steps, n_series, n_vectors, longest, result = function.args
    n_values = builder.mul(longest, builder.mul(n_series, n_vectors))
    code.set_zero(builder, result, n_values)

    def one_vector(series: Value, vector: Value) -> None:
        there = place_of_last(code, builder, n_steps, n_series, n_vectors, series, vector)
        here = builder.add(builder.mul(series, n_vectors), vector)
        value = code.load(builder, at(code, builder, gradient, here))
        code.store(builder, value, at(code, builder, result, there))

    nested(builder, (n_series, n_vectors), one_vector)
    builder.ret_void()
    return function


def cut_windows(code: VectorCode) -> Any:
    """Write `seqfeat.network.windows` of series, by time, with zeros behind their ends.

    Arguments: ``values`` (B, T, C), ``series_row, n_series, n_timesteps, n_channels``, where two
    series are `series_row` floats apart; ``length, stride``, in timesteps; ``result`` (L, B, D),
    ``n_windows, n_vectors``, with `n_windows` for L and D in whole vectors.
    """
    arguments = [POINTER, INDEX, INDEX, INDEX, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin(code, "cut_windows", arguments)
    values, series_row, n_series, n_timesteps, n_channels = function.args[:5]
    length, stride, result, n_windows, n_vectors = function.args[5:]
    n_whole = builder.mul(length, n_channels)

    def one_window(window: Value, series: Value) -> None:
        first = builder.mul(builder.mul(window, stride), n_channels)
        source = code.place(builder, values, builder.mul(series, series_row), first)
        row = builder.add(builder.mul(window, n_series), series)
        into = at(code, builder, result, builder.mul(row, n_vectors))
        code.set_zero(builder, into, n_vectors)
        left = builder.sub(builder.mul(n_timesteps, n_channels), first)
        n_values = builder.select(builder.icmp_signed("<", left, n_whole), left, n_whole)
        whole = builder.mul(builder.sdiv(n_values, index(code.lanes)), index(code.lanes))

        def copy(vectors: VectorCode, offset: Value) -> None:
            value = vectors.load(builder, vectors.place(builder, source, offset))
            vectors.store(builder, value, vectors.place(builder, into, offset))

        loop(builder, whole, lambda offset: copy(code, offset), step=code.lanes)
        loop(builder, n_values, lambda offset: copy(code.single, offset), start=whole)

    nested(builder, (n_windows, n_series), one_window)
    builder.ret_void()
    return function


def place_of_last(
    code: VectorCode,
    builder: Builder,
    n_steps: Value,
    n_series: Value,
    n_vectors: Value,
    series: Value,
    vector: Value,
) -> Value:
    last = builder.sub(load_index(builder, n_steps, series), index(1))
    row = builder.add(builder.mul(last, n_series), series)
    return builder.add(builder.mul(row, n_vectors), vector)


def begin(code: VectorCode, name: str, arguments: list[Any]) -> tuple[Any, Builder]:
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


def nested(builder: Builder, counts: tuple[Value, ...], body: Body) -> None:
    """Write loops within loops, the last of `counts` innermost."""

    def inside(numbers: tuple[Value, ...]) -> None:
        if len(numbers) == len(counts):
            body(*numbers)
        else:
            loop(builder, counts[len(numbers)], lambda number: inside((*numbers, number)))

    inside(())
