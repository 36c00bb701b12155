"""What only the default encoder needs: how long units are above thresholds, and a series' scale.

The counterpart of `seqfeat.nn.reservoir`. Over the valid steps of a series::

    above[t] = clip((x[t] - threshold) / width + 1/2, 0, 1)
    share = sum(above[t]) / n               longest = max(stretch[t]) / n
                                            stretch[t] = (stretch[t - 1] + 1) * above[t]
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from seqfeat.nn.kernels.ir.kernel import Kernel, floats, indices
from seqfeat.nn.kernels.ir.vectors import (
    DOUBLE,
    FLOAT,
    Value,
    VectorCode,
    index,
    load_index,
    loop,
    maximum,
    minimum,
    nested_loops,
)
from seqfeat.nn.reservoir import MIN_STD, THRESHOLD_WIDTH

__all__ = ["KERNELS", "POOL_ABOVE", "STANDARDIZE_SERIES", "write_reservoir"]

UNITS = "n_vectors * lanes"

POOL_ABOVE = Kernel(
    "pool_above",
    outputs=floats("n_steps", "n_series", UNITS),
    n_valid=indices("n_series"),
    thresholds=floats(UNITS),
    stretches=floats("n_series", UNITS),
    pooled=floats("n_series", "2", UNITS, strides=["pooled_row", "pooled_step"]),
)
"""Write the share of the steps above a threshold and the longest stretch of them."""
STANDARDIZE_SERIES = Kernel(
    "standardize_series",
    values=floats("n_series", "n_timesteps", "n_channels"),
    lengths=indices("n_series"),
    result=floats("n_series", "n_timesteps", "n_channels"),
)
"""Scale each channel of each series to mean 0 and standard deviation 1, computed in float64."""

KERNELS = [POOL_ABOVE, STANDARDIZE_SERIES]


def write_reservoir(code: VectorCode) -> None:
    """Write both kernels."""
    _write_pool_above(code)
    _write_standardize_series(code)


def _write_pool_above(code: VectorCode) -> None:
    builder, a = POOL_ABOVE.begin(code)
    zero, one, half = code.constant(0.0), code.constant(1.0), code.constant(0.5)
    steepness = code.constant(1 / THRESHOLD_WIDTH)

    def clip(value: Value) -> Value:
        value = builder.select(builder.fcmp_ordered("<", value, zero), zero, value)
        return builder.select(builder.fcmp_ordered(">", value, one), one, value)

    def addresses(series: Value, vector: Value) -> tuple[Value, Value, Value]:
        """Return those of the share, the longest stretch and the present one."""
        row = code.offset(builder, a.pooled, builder.mul(series, a.pooled_row))
        share = code.vector_at(builder, row, vector)
        number = builder.add(builder.mul(series, a.n_vectors), vector)
        stretch = code.vector_at(builder, a.stretches, number)
        return share, code.offset(builder, share, a.pooled_step), stretch

    def begin(series: Value, vector: Value) -> None:
        for address in addresses(series, vector):
            code.store(builder, zero, address)

    def add_step(step: Value, series: Value, vector: Value) -> None:
        share, longest, stretch = addresses(series, vector)
        row = builder.add(builder.mul(step, a.n_series), series)
        number = builder.add(builder.mul(row, a.n_vectors), vector)
        value = code.load(builder, code.vector_at(builder, a.outputs, number))
        threshold = code.load(builder, code.vector_at(builder, a.thresholds, vector))
        distance = builder.fsub(value, threshold)
        above = clip(code.multiply_add(builder, distance, steepness, half))
        code.store(builder, builder.fadd(code.load(builder, share), above), share)
        now = builder.fmul(builder.fadd(code.load(builder, stretch), one), above)
        code.store(builder, now, stretch)
        before = code.load(builder, longest)
        is_longer = builder.fcmp_ordered(">", now, before)
        code.store(builder, builder.select(is_longer, now, before), longest)

    def one_series(step: Value, series: Value) -> None:
        is_valid = builder.icmp_signed("<", step, load_index(builder, a.n_valid, series))
        with builder.if_then(is_valid):
            loop(builder, a.n_vectors, lambda vector: add_step(step, series, vector))

    def divide(series: Value, vector: Value) -> None:
        number = builder.sitofp(load_index(builder, a.n_valid, series), FLOAT)
        count = code.broadcast(builder, number)
        for address in addresses(series, vector)[:2]:
            value = builder.fdiv(code.load(builder, address), count)
            code.store(builder, value, address)

    nested_loops(builder, (a.n_series, a.n_vectors), begin)
    nested_loops(builder, (a.n_steps, a.n_series), one_series)
    nested_loops(builder, (a.n_series, a.n_vectors), divide)
    builder.ret_void()


def _write_standardize_series(code: VectorCode) -> None:
    builder, a = STANDARDIZE_SERIES.begin(code)
    single, double = code.single, code.double.single
    nothing, one = ir.Constant(DOUBLE, 0.0), ir.Constant(DOUBLE, 1.0)

    def one_channel(series: Value, channel: Value) -> None:
        # Within the series, whatever its length is said to be.
        length = minimum(builder, load_index(builder, a.lengths, series), a.n_timesteps)
        length = maximum(builder, length, index(0))
        count = builder.sitofp(length, DOUBLE)

        def offset(step: Value) -> Value:
            row = builder.add(builder.mul(series, a.n_timesteps), step)
            return builder.add(builder.mul(row, a.n_channels), channel)

        def value_at(step: Value) -> Any:
            value = single.load_scalar(builder, single.offset(builder, a.values, offset(step)))
            return builder.fpext(value, DOUBLE)

        def add(step: Value, total: Value) -> list[Value]:
            return [builder.fadd(total, value_at(step))]

        (total,), _ = loop(builder, length, add, carried=[nothing])
        mean = builder.fdiv(total, count)

        def add_square(step: Value, total: Value) -> list[Value]:
            centred = builder.fsub(value_at(step), mean)
            return [builder.fadd(total, builder.fmul(centred, centred))]

        (squares,), _ = loop(builder, length, add_square, carried=[nothing])
        std = _square_root(double, builder, builder.fdiv(squares, count))
        is_negative = builder.fcmp_ordered("<", mean, nothing)
        size = builder.select(is_negative, builder.fneg(mean), mean)
        least = builder.fmul(builder.fadd(one, size), ir.Constant(DOUBLE, MIN_STD))
        std = builder.select(builder.fcmp_ordered(">", std, least), std, one)

        def write(step: Value) -> None:
            scaled = builder.fdiv(builder.fsub(value_at(step), mean), std)
            address = single.offset(builder, a.result, offset(step))
            single.store(builder, builder.fptrunc(scaled, FLOAT), address)

        def write_padding(step: Value) -> None:
            address = single.offset(builder, a.result, offset(step))
            single.store(builder, ir.Constant(FLOAT, 0.0), address)

        loop(builder, length, write)
        loop(builder, a.n_timesteps, write_padding, start=length)

    nested_loops(builder, (a.n_series, a.n_channels), one_channel)
    builder.ret_void()


def _square_root(double: VectorCode, builder: Any, value: Value) -> Value:
    """Return the square root of a scalar."""
    root = double.square_root(builder, double.broadcast(builder, value))
    return builder.extract_element(root, index(0))
