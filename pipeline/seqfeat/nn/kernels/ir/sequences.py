"""Moving along the time axis: windows, patches, last steps, reversal.

The counterparts of the functions in `seqfeat.nn.network`. Series (B, T, C) come series by series;
inside the network, sequences lie by time: (L, B, D), D in whole vectors.
"""

from __future__ import annotations

from typing import Any

from seqfeat.nn.kernels.ir.kernel import Kernel, Size, floats, indices
from seqfeat.nn.kernels.ir.vectors import (
    Builder,
    Value,
    VectorCode,
    index,
    load_index,
    loop,
    maximum,
    minimum,
    nested_loops,
    store_index,
)

__all__ = [
    "COUNT_WINDOWS",
    "CUT_WINDOWS",
    "GATHER_LAST_STEPS",
    "JOIN_PATCHES",
    "KERNELS",
    "REVERSE_STEPS",
    "SCATTER_LAST_STEPS",
    "write_sequences",
]

WIDTH = "n_vectors * lanes"
_SEQUENCES = floats("n_steps", "n_series", WIDTH, strides=["step", "row"])

COUNT_WINDOWS = Kernel(
    "count_windows",
    "window_stride >= 1",
    lengths=indices("n_series"),
    result=indices("n_series"),
    window_len=Size(),
    window_stride=Size(),
)
"""Count the windows that cover each series."""
CUT_WINDOWS = Kernel(
    "cut_windows",
    "window_len * n_channels <= n_vectors * lanes",
    values=floats("n_series", "n_timesteps", "n_channels"),
    result=floats("n_windows", "n_series", WIDTH),
    window_len=Size(),
    window_stride=Size(),
)
"""Cut series into windows, with zeros after their ends."""
JOIN_PATCHES = Kernel(
    "join_patches",
    "patch_len * n_channels <= n_vectors * lanes",
    "n_patches * patch_len >= n_timesteps",
    patches=floats("n_patches", "n_series", WIDTH),
    result=floats("n_series", "n_timesteps", "n_channels"),
    patch_len=Size(),
)
"""Join consecutive patches into series."""
GATHER_LAST_STEPS = Kernel(
    "gather_last_steps",
    outputs=_SEQUENCES,
    n_valid=indices("n_series"),
    result=floats("n_series", WIDTH, strides=["result_row"]),
)
"""Copy each series' last valid step."""
SCATTER_LAST_STEPS = Kernel(
    "scatter_last_steps",
    gradient=floats("n_series", WIDTH, strides=["gradient_row"]),
    n_valid=indices("n_series"),
    result=_SEQUENCES,
)
"""Write the gradient of `GATHER_LAST_STEPS`: 0 at all steps but the last valid ones."""
REVERSE_STEPS = Kernel(
    "reverse_steps",
    sequences=_SEQUENCES,
    n_valid=indices("n_series"),
    result=floats("n_steps", "n_series", WIDTH, strides=["result_step", "result_row"]),
)
"""Reverse each series' valid steps; the padding stays where it is."""

KERNELS = [
    COUNT_WINDOWS,
    CUT_WINDOWS,
    JOIN_PATCHES,
    GATHER_LAST_STEPS,
    SCATTER_LAST_STEPS,
    REVERSE_STEPS,
]


def write_sequences(code: VectorCode) -> None:
    """Write all of these kernels."""
    _write_count_windows(code)
    _write_cut_windows(code)
    _write_join_patches(code)
    _write_gather_last_steps(code)
    _write_scatter_last_steps(code)
    _write_reverse_steps(code)


def _write_count_windows(code: VectorCode) -> None:
    builder, a = COUNT_WINDOWS.begin(code)

    def one_series(series: Value) -> None:
        left = builder.sub(load_index(builder, a.lengths, series), a.window_len)
        rounded = builder.add(left, builder.sub(a.window_stride, index(1)))
        more = builder.add(builder.sdiv(rounded, a.window_stride), index(1))
        is_longer = builder.icmp_signed(">", left, index(0))
        store_index(builder, builder.select(is_longer, more, index(1)), a.result, series)

    loop(builder, a.n_series, one_series)
    builder.ret_void()


def _write_cut_windows(code: VectorCode) -> None:
    builder, a = CUT_WINDOWS.begin(code)
    series_len = builder.mul(a.n_timesteps, a.n_channels)
    window_values = builder.mul(a.window_len, a.n_channels)

    def one_window(window: Value, series: Value) -> None:
        first = builder.mul(builder.mul(window, a.window_stride), a.n_channels)
        source = code.offset(builder, a.values, builder.mul(series, series_len), first)
        row = builder.add(builder.mul(window, a.n_series), series)
        target = code.vector_at(builder, a.result, builder.mul(row, a.n_vectors))
        code.store_zeros(builder, target, a.n_vectors)
        n_values = minimum(builder, builder.sub(series_len, first), window_values)
        _copy(code, builder, source, target, n_values)

    nested_loops(builder, (a.n_windows, a.n_series), one_window)
    builder.ret_void()


def _write_join_patches(code: VectorCode) -> None:
    builder, a = JOIN_PATCHES.begin(code)
    series_len = builder.mul(a.n_timesteps, a.n_channels)
    patch_values = builder.mul(a.patch_len, a.n_channels)

    def one_patch(patch: Value, series: Value) -> None:
        first = builder.mul(patch, patch_values)
        row = builder.add(builder.mul(patch, a.n_series), series)
        source = code.vector_at(builder, a.patches, builder.mul(row, a.n_vectors))
        target = code.offset(builder, a.result, builder.mul(series, series_len), first)
        n_values = minimum(builder, builder.sub(series_len, first), patch_values)
        _copy(code, builder, source, target, n_values)

    nested_loops(builder, (a.n_patches, a.n_series), one_patch)
    builder.ret_void()


def _copy(code: VectorCode, builder: Builder, source: Value, target: Value, count: Value) -> None:
    """Copy consecutive values, none if the count is negative."""

    def some_values(vectors: VectorCode, offset: Value) -> None:
        value = vectors.load(builder, vectors.offset(builder, source, offset))
        vectors.store(builder, value, vectors.offset(builder, target, offset))

    code.loop_over_elements(builder, maximum(builder, count, index(0)), some_values)


def _address(
    code: VectorCode, builder: Builder, matrix: Value, offsets: tuple[Value, ...], vector: Value
) -> Value:
    return code.vector_at(builder, code.offset(builder, matrix, *offsets), vector)


def _step_and_row(builder: Builder, a: Any, step: Value, series: Value) -> tuple[Value, Value]:
    return builder.mul(step, a.step), builder.mul(series, a.row)


def _last_step(builder: Builder, a: Any, series: Value) -> Value:
    """Return a series' last valid step; whatever its number says, within the sequences."""
    number = minimum(builder, load_index(builder, a.n_valid, series), a.n_steps)
    # At least 1 before the subtraction, which wraps around at the smallest integer.
    return builder.sub(maximum(builder, number, index(1)), index(1))


def _write_gather_last_steps(code: VectorCode) -> None:
    builder, a = GATHER_LAST_STEPS.begin(code)

    def one_vector(series: Value, vector: Value) -> None:
        offsets = _step_and_row(builder, a, _last_step(builder, a, series), series)
        value = code.load(builder, _address(code, builder, a.outputs, offsets, vector))
        row = (builder.mul(series, a.result_row),)
        code.store(builder, value, _address(code, builder, a.result, row, vector))

    nested_loops(builder, (a.n_series, a.n_vectors), one_vector)
    builder.ret_void()


def _write_scatter_last_steps(code: VectorCode) -> None:
    builder, a = SCATTER_LAST_STEPS.begin(code)

    def clear(step: Value, series: Value) -> None:
        offsets = _step_and_row(builder, a, step, series)
        code.store_zeros(builder, code.offset(builder, a.result, *offsets), a.n_vectors)

    def one_vector(series: Value, vector: Value) -> None:
        row = (builder.mul(series, a.gradient_row),)
        value = code.load(builder, _address(code, builder, a.gradient, row, vector))
        offsets = _step_and_row(builder, a, _last_step(builder, a, series), series)
        code.store(builder, value, _address(code, builder, a.result, offsets, vector))

    nested_loops(builder, (a.n_steps, a.n_series), clear)
    nested_loops(builder, (a.n_series, a.n_vectors), one_vector)
    builder.ret_void()


def _write_reverse_steps(code: VectorCode) -> None:
    builder, a = REVERSE_STEPS.begin(code)

    def one_row(step: Value, series: Value) -> None:
        last = _last_step(builder, a, series)
        is_padding = builder.icmp_signed(">", step, last)
        source_step = builder.select(is_padding, step, builder.sub(last, step))
        source = _step_and_row(builder, a, source_step, series)
        target = builder.mul(step, a.result_step), builder.mul(series, a.result_row)

        def one_vector(vector: Value) -> None:
            value = code.load(builder, _address(code, builder, a.sequences, source, vector))
            code.store(builder, value, _address(code, builder, a.result, target, vector))

        loop(builder, a.n_vectors, one_vector)

    nested_loops(builder, (a.n_steps, a.n_series), one_row)
    builder.ret_void()
