"""What a network computes between its LSTM layers, as functions of LLVM code.

Matrices are row-major and as wide as whole vectors; ``n_...vectors`` count those of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from seqfeat.nn.kernels.ir.vectors import (
    FLOAT,
    INDEX,
    POINTER,
    Builder,
    Value,
    VectorCode,
    at,
    begin_function,
    index,
    load_index,
    loop,
    nested,
    store_index,
)

__all__ = ["declare_between", "declare_exact"]


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
        count_windows(code),
        row_by_row(code, "copy_rows", lambda builder, x, y: y),
        row_by_row(code, "add_rows", lambda builder, x, y: builder.fadd(x, y)),
        add_and_measure(code),
    ]


def blockwise(code: VectorCode, name: str, combine: Callable[..., Value]) -> Any:
    """Write ``result[block] = combine(x[block], y)``: `y` has a block's `n_vectors`.

    Arguments: ``x, n_blocks, y, n_vectors, result``, which may be `x`.
    """
    function, builder = begin_function(code, name, [POINTER, INDEX, POINTER, INDEX, POINTER])
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
    function, builder = begin_function(code, name, [POINTER, INDEX, POINTER, INDEX, INDEX, INDEX])
    x, x_row, y, y_row, n_rows, n_columns = function.args

    def one_row(row: Value) -> None:
        left = code.place(builder, x, builder.mul(row, x_row))
        right = code.place(builder, y, builder.mul(row, y_row))

        def some_columns(vectors: VectorCode, column: Value) -> None:
            into = vectors.place(builder, left, column)
            value = vectors.load(builder, vectors.place(builder, right, column))
            vectors.store(builder, combine(builder, vectors.load(builder, into), value), into)

        code.for_all(builder, n_columns, some_columns)

    loop(builder, n_rows, one_row)
    builder.ret_void()
    return function


def add_and_measure(code: VectorCode) -> Any:
    """Write ``x = x + y`` for matrices of any width, and add up the squares of the result.

    Arguments: those of ``add_rows``, and ``squares``, as many float64 as a vector holds, the sum of
    which is that of the squares if they were 0 before.
    """
    arguments = [POINTER, INDEX, POINTER, INDEX, INDEX, INDEX, POINTER]
    function, builder = begin_function(code, "add_and_measure", arguments)
    x, x_row, y, y_row, n_rows, n_columns, squares = function.args
    floats, doubles = code.half, code.double
    whole = floats.whole(builder, n_columns)

    def one_row(row: Value, total: Value) -> list[Value]:
        left = code.place(builder, x, builder.mul(row, x_row))
        right = code.place(builder, y, builder.mul(row, y_row))

        def add(vectors: VectorCode, column: Value, wide: VectorCode, total: Value) -> Value:
            into, source = (vectors.place(builder, side, column) for side in (left, right))
            value = builder.fadd(vectors.load(builder, into), vectors.load(builder, source))
            vectors.store(builder, value, into)
            value = builder.fpext(value, wide.type)
            return wide.multiply_add(builder, value, value, total)

        def some_columns(column: Value, total: Value) -> list[Value]:
            return [add(floats, column, doubles, total)]

        def one_column(column: Value) -> None:
            total = doubles.single.load(builder, squares)
            total = add(code.single, column, doubles.single, total)
            doubles.single.store(builder, total, squares)

        (total,), _ = loop(builder, whole, some_columns, step=floats.lanes, carried=[total])
        loop(builder, n_columns, one_column, start=whole)
        return [total]

    (total,), _ = loop(builder, n_rows, one_row, carried=[doubles.constant(0.0)])
    total = builder.fadd(total, doubles.load(builder, squares))
    doubles.store(builder, total, squares)
    builder.ret_void()
    return function


def square_sums(code: VectorCode) -> Any:
    """Write sums of squares, a vector of them. Arguments: ``x, n_vectors, result``."""
    function, builder = begin_function(code, "square_sums", [POINTER, INDEX, POINTER])
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
    function, builder = begin_function(code, "column_sums", [POINTER, INDEX, INDEX, INDEX, POINTER])
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
    function, builder = begin_function(
        code, "last_steps", [POINTER, POINTER, INDEX, INDEX, POINTER]
    )
    outputs, n_steps, n_series, n_vectors, result = function.args

    def copy(here: Value, there: Value) -> None:
        value = code.load(builder, at(code, builder, outputs, there))
        code.store(builder, value, at(code, builder, result, here))

    for_each_last(builder, n_steps, (n_series, n_vectors), copy)
    builder.ret_void()
    return function


def put_last_steps(code: VectorCode) -> Any:
    """Write the gradient of `last_steps`: its own at each series' last step and 0 elsewhere.

    Arguments: ``gradient`` (B, n_vectors), ``n_steps`` (B,) of int64, ``n_series, n_vectors,
    longest, result`` (L, B, n_vectors), with `longest` for L.
    """
    function, builder = begin_function(
        code, "put_last_steps", [POINTER, POINTER, INDEX, INDEX, INDEX, POINTER]
    )
    gradient, n_steps, n_series, n_vectors, longest, result = function.args
    n_values = builder.mul(longest, builder.mul(n_series, n_vectors))
    code.set_zero(builder, result, n_values)

    def put(here: Value, there: Value) -> None:
        value = code.load(builder, at(code, builder, gradient, here))
        code.store(builder, value, at(code, builder, result, there))

    for_each_last(builder, n_steps, (n_series, n_vectors), put)
    builder.ret_void()
    return function


def for_each_last(
    builder: Builder, n_steps: Value, sizes: tuple[Value, Value], body: Callable[..., None]
) -> None:
    """Call ``body(here, there)``: how many vectors lie before one of a series' last step.

    In an array of such steps, (B, n_vectors), and in one of all, (L, B, n_vectors).
    """
    n_series, n_vectors = sizes

    def one_vector(series: Value, vector: Value) -> None:
        last = builder.sub(load_index(builder, n_steps, series), index(1))
        row = builder.add(builder.mul(last, n_series), series)
        here, there = (
            builder.add(builder.mul(number, n_vectors), vector) for number in (series, row)
        )
        body(here, there)

    nested(builder, sizes, one_vector)


def cut_windows(code: VectorCode) -> Any:
    """Write `seqfeat.network.windows` of series, by time, with zeros behind their ends.

    Arguments: ``values`` (B, T, C), ``series_row, n_series, n_timesteps, n_channels``, where two
    series are `series_row` floats apart; ``length, stride``, in timesteps; ``result`` (L, B, D),
    ``n_windows, n_vectors``, with `n_windows` for L and D in whole vectors.
    """
    arguments = [POINTER, INDEX, INDEX, INDEX, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, "cut_windows", arguments)
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

        def copy(vectors: VectorCode, offset: Value) -> None:
            value = vectors.load(builder, vectors.place(builder, source, offset))
            vectors.store(builder, value, vectors.place(builder, into, offset))

        code.for_all(builder, n_values, copy)

    nested(builder, (n_windows, n_series), one_window)
    builder.ret_void()
    return function


def count_windows(code: VectorCode) -> Any:
    """Write `seqfeat.network.count_windows`.

    Arguments: ``lengths`` (B,) of int64, ``n_series, length, stride, result`` (B,) of int64.
    """
    arguments = [POINTER, INDEX, INDEX, INDEX, POINTER]
    function, builder = begin_function(code, "count_windows", arguments)
    lengths, n_series, length, stride, result = function.args

    def one_series(series: Value) -> None:
        left = builder.sub(load_index(builder, lengths, series), length)
        rounded = builder.add(left, builder.sub(stride, index(1)))
        more = builder.add(builder.sdiv(rounded, stride), index(1))
        reaches_over = builder.icmp_signed(">", left, index(0))
        store_index(builder, builder.select(reaches_over, more, index(1)), result, series)

    loop(builder, n_series, one_series)
    builder.ret_void()
    return function


def declare_exact(code: VectorCode, largest_scaled: float) -> list[Any]:
    """Write the functions; larger scaled values than `largest_scaled` are told of."""
    return [scale(code, largest_scaled), widen(code), narrow(code)]


def scale(code: VectorCode, largest_scaled: float) -> Any:
    """Write `seqfeat.scaling.ChannelScaling.apply`: NaN becomes 0.

    Arguments: ``values`` (B, T, C) of float64, ``mean, scale`` (C,) of float64, ``n_series x
    n_timesteps, n_channels, result`` (B, T, C), ``too_large``, an int64 that becomes 1 where a
    scaled value is, and else 0.
    """
    arguments = [POINTER, POINTER, POINTER, INDEX, INDEX, POINTER, POINTER]
    function, builder = begin_function(code, "scale", arguments)
    values, mean, divisor, n_rows, n_channels, result, too_large = function.args
    floats, doubles = code.single, code.double.single
    store_index(builder, index(0), too_large)
    largest = ir.Constant(FLOAT, largest_scaled)

    def one_value(row: Value, channel: Value) -> None:
        offset = builder.add(builder.mul(row, n_channels), channel)
        value = doubles.load_one(builder, doubles.place(builder, values, offset))
        centre, size = (
            doubles.load_one(builder, doubles.place(builder, array, channel))
            for array in (mean, divisor)
        )
        scaled = builder.fptrunc(builder.fdiv(builder.fsub(value, centre), size), FLOAT)
        is_observed = builder.fcmp_ordered("==", scaled, scaled)
        scaled = builder.select(is_observed, scaled, ir.Constant(FLOAT, 0.0))
        floats.store(builder, scaled, floats.place(builder, result, offset))
        beyond = builder.or_(
            builder.fcmp_ordered(">=", scaled, largest),
            builder.fcmp_ordered("<=", scaled, builder.fneg(largest)),
        )
        with builder.if_then(beyond, likely=False):
            store_index(builder, index(1), too_large)

    nested(builder, (n_rows, n_channels), one_value)
    builder.ret_void()
    return function


def widen(code: VectorCode) -> Any:
    """Write float32 as float64. Arguments: ``x, n_vectors, result``, `n_vectors` of float32."""
    function, builder = begin_function(code, "widen", [POINTER, INDEX, POINTER])
    x, n_vectors, result = function.args
    floats, doubles = code.half, code.double

    def one_vector(number: Value) -> None:
        value = floats.load(builder, at(floats, builder, x, number))
        value = builder.fpext(value, doubles.type)
        doubles.store(builder, value, at(doubles, builder, result, number))

    nested(builder, (builder.mul(n_vectors, index(2)),), one_vector)
    builder.ret_void()
    return function


def narrow(code: VectorCode) -> Any:
    """Write float64 as float32.

    Arguments: ``result`` (n_rows, n_columns), ``x`` (n_rows, x_row) of float64, ``x_row, n_rows,
    n_columns``.
    """
    function, builder = begin_function(code, "narrow", [POINTER, POINTER, INDEX, INDEX, INDEX])
    result, x, x_row, n_rows, n_columns = function.args
    floats, doubles = code.single, code.double.single

    def one_value(row: Value, column: Value) -> None:
        source = doubles.place(builder, x, builder.add(builder.mul(row, x_row), column))
        value = builder.fptrunc(doubles.load_one(builder, source), FLOAT)
        into = builder.add(builder.mul(row, n_columns), column)
        floats.store(builder, value, floats.place(builder, result, into))

    nested(builder, (n_rows, n_columns), one_value)
    builder.ret_void()
    return function
