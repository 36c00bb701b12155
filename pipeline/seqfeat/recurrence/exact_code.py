"""What inference computes in float64, before and after a network, as functions of LLVM code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from seqfeat.recurrence.vector_code import (
    FLOAT,
    INDEX,
    POINTER,
    Value,
    VectorCode,
    at,
    begin_function,
    index,
    nested,
    store_index,
)

__all__ = ["declare_exact"]


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
