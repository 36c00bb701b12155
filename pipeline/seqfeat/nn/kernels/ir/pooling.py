"""`seqfeat.pooling.statistics` of a layer's outputs and their gradient, as LLVM code.

Outputs lie by time: (L, B, H), H in whole vectors. A row of pooled values holds the mean,
deviation, largest and least value of all units, ``distance`` floats apart. Steps run
outermost, as outputs of neighbouring steps lie far apart in memory.
"""

from __future__ import annotations

from typing import Any

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
)

__all__ = ["declare_statistics"]

N_STATISTICS = 4


def declare_statistics(code: VectorCode, least_variance: float) -> list[Any]:
    """Write both functions."""
    return [pool(code, least_variance), pool_backward(code)]


def pool(code: VectorCode, least_variance: float) -> Any:
    """Write ``pool``.

    Arguments: ``outputs, n_steps`` (B,) of int64, ``n_series, n_vectors, longest`` (L), ``pooled,
    pooled_row, distance``.
    """
    arguments = [POINTER, POINTER, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, "pool", arguments)
    outputs, n_steps, n_series, n_vectors, longest, pooled, pooled_row, distance = function.args

    def places(series: Value, vector: Value) -> list[Value]:
        row = code.place(builder, pooled, builder.mul(series, pooled_row))
        return statistics_at(code, builder, at(code, builder, row, vector), distance)

    def value_at(step: Value, series: Value, vector: Value) -> Value:
        return load_step(code, builder, outputs, n_series, n_vectors, step, series, vector)

    def begin_with_first(series: Value, vector: Value) -> None:
        value = value_at(index(0), series, vector)
        mean, deviation, largest, least = places(series, vector)
        for place in (mean, largest, least):
            code.store(builder, value, place)
        code.store(builder, code.constant(0.0), deviation)

    def add_step(step: Value, series: Value, vector: Value) -> None:
        value = value_at(step, series, vector)
        mean, _, largest, least = places(series, vector)
        code.store(builder, builder.fadd(code.load(builder, mean), value), mean)
        for place, comparison in ((largest, ">"), (least, "<")):
            extreme = code.load(builder, place)
            is_beyond = builder.fcmp_ordered(comparison, value, extreme)
            code.store(builder, builder.select(is_beyond, value, extreme), place)

    def divide_sum(series: Value, vector: Value) -> None:
        mean = places(series, vector)[0]
        count = count_of(code, builder, n_steps, series)
        code.store(builder, builder.fdiv(code.load(builder, mean), count), mean)

    def add_square(step: Value, series: Value, vector: Value) -> None:
        mean, deviation, *_ = places(series, vector)
        centred = builder.fsub(value_at(step, series, vector), code.load(builder, mean))
        total = code.multiply_add(builder, centred, centred, code.load(builder, deviation))
        code.store(builder, total, deviation)

    def take_root(series: Value, vector: Value) -> None:
        deviation = places(series, vector)[1]
        count = count_of(code, builder, n_steps, series)
        variance = builder.fdiv(code.load(builder, deviation), count)
        variance = builder.fadd(variance, code.constant(least_variance))
        code.store(builder, code.square_root(builder, variance), deviation)

    sizes = (n_series, n_vectors)
    nested(builder, sizes, begin_with_first)
    own_steps(builder, n_steps, longest, sizes, add_step, first=1)
    nested(builder, sizes, divide_sum)
    own_steps(builder, n_steps, longest, sizes, add_square)
    nested(builder, sizes, take_root)
    builder.ret_void()
    return function


def pool_backward(code: VectorCode) -> Any:
    """Write ``pool_backward``.

    Arguments: those of ``pool``, with ``d_pooled``, of the same rows, behind ``pooled``; then
    ``scratch`` (B, 4, H) and ``d_outputs`` (L, B, H). Steps that share an extreme
    share its gradient.
    """
    arguments = [POINTER, POINTER, INDEX, INDEX, INDEX, POINTER, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, "pool_backward", [*arguments, POINTER, POINTER])
    outputs, n_steps, n_series, n_vectors, longest, pooled, d_pooled = function.args[:7]
    pooled_row, distance, scratch, d_outputs = function.args[7:]
    zero, one = code.constant(0.0), code.constant(1.0)

    def statistics_of(matrix: Value, series: Value, vector: Value) -> list[Value]:
        row = code.place(builder, matrix, builder.mul(series, pooled_row))
        places = statistics_at(code, builder, at(code, builder, row, vector), distance)
        return [code.load(builder, place) for place in places]

    def scratch_at(series: Value, vector: Value) -> list[Value]:
        """Return where slope, start, and the shares of the largest and the least value lie."""
        units = builder.mul(n_vectors, index(code.lanes))
        row = builder.mul(builder.mul(series, index(N_STATISTICS)), units)
        place = at(code, builder, code.place(builder, scratch, row), vector)
        return statistics_at(code, builder, place, units)

    def value_at(step: Value, series: Value, vector: Value) -> Value:
        return load_step(code, builder, outputs, n_series, n_vectors, step, series, vector)

    def prepare(series: Value, vector: Value) -> None:
        _, deviation, *_ = statistics_of(pooled, series, vector)
        d_mean, d_deviation, *_ = statistics_of(d_pooled, series, vector)
        count = count_of(code, builder, n_steps, series)
        slope = builder.fdiv(d_deviation, builder.fmul(count, deviation))
        start = builder.fdiv(d_mean, count)
        places = scratch_at(series, vector)
        for value, place in zip((slope, start, zero, zero), places, strict=True):
            code.store(builder, value, place)

    def count_extremes(step: Value, series: Value, vector: Value) -> None:
        value = value_at(step, series, vector)
        extremes = statistics_of(pooled, series, vector)[2:]
        for extreme, place in zip(extremes, scratch_at(series, vector)[2:], strict=True):
            is_there = builder.fcmp_ordered("==", value, extreme)
            count = builder.fadd(code.load(builder, place), builder.select(is_there, one, zero))
            code.store(builder, count, place)

    def share_extremes(series: Value, vector: Value) -> None:
        gradients = statistics_of(d_pooled, series, vector)[2:]
        for gradient, place in zip(gradients, scratch_at(series, vector)[2:], strict=True):
            code.store(builder, builder.fdiv(gradient, code.load(builder, place)), place)

    def write_gradient(step: Value, series: Value, vector: Value) -> None:
        value = value_at(step, series, vector)
        mean, _, *extremes = statistics_of(pooled, series, vector)
        slope, start, *shares = (code.load(builder, place) for place in scratch_at(series, vector))
        # d_mean / n + slope * (x - mean)
        gradient = code.multiply_add(builder, builder.fsub(value, mean), slope, start)
        for extreme, share in zip(extremes, shares, strict=True):
            is_there = builder.fcmp_ordered("==", value, extreme)
            gradient = builder.fadd(gradient, builder.select(is_there, share, zero))
        offset = step_offset(builder, n_series, n_vectors, step, series, vector)
        code.store(builder, gradient, at(code, builder, d_outputs, offset))

    sizes = (n_series, n_vectors)
    code.set_zero(builder, d_outputs, builder.mul(longest, builder.mul(n_series, n_vectors)))
    nested(builder, sizes, prepare)
    own_steps(builder, n_steps, longest, sizes, count_extremes)
    nested(builder, sizes, share_extremes)
    own_steps(builder, n_steps, longest, sizes, write_gradient)
    builder.ret_void()
    return function


def own_steps(
    builder: Builder,
    n_steps: Value,
    longest: Value,
    sizes: tuple[Value, Value],
    body: Any,
    first: int = 0,
) -> None:
    """Call ``body(step, series, vector)`` at all steps that are a series' own."""
    n_series, n_vectors = sizes

    def one_series(step: Value, series: Value) -> None:
        is_own = builder.icmp_signed("<", step, load_index(builder, n_steps, series))
        with builder.if_then(is_own):
            loop(builder, n_vectors, lambda vector: body(step, series, vector))

    loop(
        builder,
        longest,
        lambda step: nested(builder, (n_series,), lambda series: one_series(step, series)),
        start=index(first),
    )


def step_offset(
    builder: Builder, n_series: Value, n_vectors: Value, step: Value, series: Value, vector: Value
) -> Value:
    """Return how many vectors lie before one of (L, B, n_vectors)."""
    row = builder.add(builder.mul(step, n_series), series)
    return builder.add(builder.mul(row, n_vectors), vector)


def load_step(
    code: VectorCode,
    builder: Builder,
    outputs: Value,
    n_series: Value,
    n_vectors: Value,
    step: Value,
    series: Value,
    vector: Value,
) -> Value:
    """Read one of (L, B, n_vectors)."""
    offset = step_offset(builder, n_series, n_vectors, step, series, vector)
    return code.load(builder, at(code, builder, outputs, offset))


def statistics_at(code: VectorCode, builder: Builder, place: Value, distance: Value) -> list[Value]:
    """Return where a vector of all four statistics lies."""
    places = [place]
    for _ in range(N_STATISTICS - 1):
        places.append(code.place(builder, places[-1], distance))
    return places


def count_of(code: VectorCode, builder: Builder, n_steps: Value, series: Value) -> Value:
    """Return a series' number of steps, in all lanes."""
    return code.repeat(builder, builder.sitofp(load_index(builder, n_steps, series), FLOAT))
