"""Pooling of a layer's outputs over each series' valid steps, and its gradient.

The counterpart of `seqfeat.nn.pooling`. Outputs lie by time: (L, B, H), H in whole vectors. Steps
run outermost, as outputs of neighbouring steps lie far apart in memory::

    mean = sum(x[t]) / n                    d_x[t]  = d_mean / n
    std = sqrt(sum((x[t] - mean)²) / n + e)         + d_std * (x[t] - mean) / (n * std)
    max, min = max(x[t]), min(x[t])                 + d_max / number of steps at the maximum, if
                                                      x[t] is the maximum; the minimum likewise

for the valid steps t < n of a series; the gradient at all other steps is 0.
"""

from __future__ import annotations

from typing import Any

from seqfeat.nn.kernels.ir.kernel import Kernel, floats, indices
from seqfeat.nn.kernels.ir.vectors import (
    FLOAT,
    Value,
    VectorCode,
    index,
    load_index,
    loop,
    nested_loops,
)
from seqfeat.nn.pooling import MIN_VARIANCE, STATISTICS

__all__ = ["KERNELS", "POOL", "POOL_BACKWARD", "write_pooling"]

UNITS = "n_vectors * lanes"


def _declare(pooling: str, statistics: tuple[str, ...]) -> tuple[Kernel, Kernel]:
    """Declare a pooling and its gradient: one row a series, the statistics one after the other."""
    outputs = floats("n_steps", "n_series", UNITS)
    pooled = floats("n_series", f"{len(statistics)}", UNITS, strides=["pooled_row", "pooled_step"])
    return (
        Kernel(f"pool_{pooling}", outputs=outputs, n_valid=indices("n_series"), pooled=pooled),
        Kernel(
            f"pool_{pooling}_backward",
            outputs=outputs,
            n_valid=indices("n_series"),
            pooled=pooled,
            d_pooled=pooled,
            scratch=floats("n_series", "4", UNITS),
            d_outputs=outputs,
        ),
    )


_DECLARED = {pooling: _declare(pooling, statistics) for pooling, statistics in STATISTICS.items()}
POOL = {pooling: kernels[0] for pooling, kernels in _DECLARED.items()}
"""Pool (L, B, H) into (B, number of statistics, H); `n_valid` are the series' valid steps."""
POOL_BACKWARD = {pooling: kernels[1] for pooling, kernels in _DECLARED.items()}
"""Write the gradient of the outputs, given that of what was pooled."""

KERNELS = [*POOL.values(), *POOL_BACKWARD.values()]

EXTREMES = {"max": ">", "min": "<"}


def write_pooling(code: VectorCode) -> None:
    """Write every pooling and its gradient."""
    for pooling, statistics in STATISTICS.items():
        PoolingCode(code, POOL[pooling], statistics).write_forward()
        PoolingCode(code, POOL_BACKWARD[pooling], statistics).write_backward()


class PoolingCode:
    """Writes one kernel: passes over the valid steps, one vector of units at a time."""

    def __init__(self, code: VectorCode, kernel: Kernel, statistics: tuple[str, ...]) -> None:
        self.code, self.statistics = code, statistics
        self.builder, self.a = kernel.begin(code)

    def write_forward(self) -> None:
        """Write the statistics."""
        code, builder = self.code, self.builder
        sums = [name for name in ("mean", "std") if name in self.statistics]
        extremes = [name for name in EXTREMES if name in self.statistics]

        def begin(series: Value, vector: Value) -> None:
            value, places = self.output(index(0), series, vector), self.pooled(series, vector)
            for name in self.statistics:
                code.store(builder, code.constant(0.0) if name == "std" else value, places[name])

        def add_step(step: Value, series: Value, vector: Value) -> None:
            value, places = self.output(step, series, vector), self.pooled(series, vector)
            if "mean" in sums:
                total = builder.fadd(code.load(builder, places["mean"]), value)
                code.store(builder, total, places["mean"])
            for name in extremes:
                extreme = code.load(builder, places[name])
                is_beyond = builder.fcmp_ordered(EXTREMES[name], value, extreme)
                code.store(builder, builder.select(is_beyond, value, extreme), places[name])

        def divide(series: Value, vector: Value) -> None:
            mean = self.pooled(series, vector)["mean"]
            code.store(builder, builder.fdiv(code.load(builder, mean), self.count(series)), mean)

        def add_square(step: Value, series: Value, vector: Value) -> None:
            places = self.pooled(series, vector)
            mean, std = (code.load(builder, places[name]) for name in ("mean", "std"))
            centred = builder.fsub(self.output(step, series, vector), mean)
            total = code.multiply_add(builder, centred, centred, std)
            code.store(builder, total, places["std"])

        def take_root(series: Value, vector: Value) -> None:
            std = self.pooled(series, vector)["std"]
            variance = builder.fdiv(code.load(builder, std), self.count(series))
            variance = builder.fadd(variance, code.constant(MIN_VARIANCE))
            code.store(builder, code.square_root(builder, variance), std)

        self.for_each_vector(begin)
        self.for_each_valid_step(add_step, first=1)
        if "mean" in sums:
            self.for_each_vector(divide)
        if "std" in sums:
            self.for_each_valid_step(add_square)
            self.for_each_vector(take_root)
        builder.ret_void()

    def write_backward(self) -> None:
        """Write the gradient. The scratch holds slope and start of a line in x, and shares."""
        code, builder, a = self.code, self.builder, self.a
        zero, one = code.constant(0.0), code.constant(1.0)
        extremes = [name for name in EXTREMES if name in self.statistics]

        def prepare(series: Value, vector: Value) -> None:
            slope = start = zero
            count, d = self.count(series), self.pooled(series, vector, a.d_pooled)
            if "std" in self.statistics:
                std = code.load(builder, self.pooled(series, vector)["std"])
                d_std = code.load(builder, d["std"])
                slope = builder.fdiv(d_std, builder.fmul(count, std))
            if "mean" in self.statistics:
                start = builder.fdiv(code.load(builder, d["mean"]), count)
            values = slope, start, zero, zero
            for value, address in zip(values, self.scratch(series, vector), strict=True):
                code.store(builder, value, address)

        def count_extremes(step: Value, series: Value, vector: Value) -> None:
            value, places = self.output(step, series, vector), self.pooled(series, vector)
            counts = self.scratch(series, vector)[2:]
            for name, address in zip(extremes, counts, strict=False):
                extreme = code.load(builder, places[name])
                is_extreme = builder.fcmp_ordered("==", value, extreme)
                more = builder.select(is_extreme, one, zero)
                code.store(builder, builder.fadd(code.load(builder, address), more), address)

        def share_extremes(series: Value, vector: Value) -> None:
            d, counts = self.pooled(series, vector, a.d_pooled), self.scratch(series, vector)[2:]
            for name, address in zip(extremes, counts, strict=False):
                gradient, count = code.load(builder, d[name]), code.load(builder, address)
                code.store(builder, builder.fdiv(gradient, count), address)

        def write_gradient(step: Value, series: Value, vector: Value) -> None:
            value, places = self.output(step, series, vector), self.pooled(series, vector)
            slope, gradient, *shares = (
                code.load(builder, address) for address in self.scratch(series, vector)
            )
            if "std" in self.statistics:
                centred = builder.fsub(value, code.load(builder, places["mean"]))
                gradient = code.multiply_add(builder, centred, slope, gradient)
            for name, share in zip(extremes, shares, strict=False):
                extreme = code.load(builder, places[name])
                is_extreme = builder.fcmp_ordered("==", value, extreme)
                gradient = builder.fadd(gradient, builder.select(is_extreme, share, zero))
            code.store(builder, gradient, self.output_address(a.d_outputs, step, series, vector))

        n_rows = builder.mul(a.n_steps, a.n_series)
        code.store_zeros(builder, a.d_outputs, builder.mul(n_rows, a.n_vectors))
        self.for_each_vector(prepare)
        if extremes:
            self.for_each_valid_step(count_extremes)
            self.for_each_vector(share_extremes)
        self.for_each_valid_step(write_gradient)
        builder.ret_void()

    # Loops

    def for_each_vector(self, body: Any) -> None:
        """Call ``body(series, vector)``."""
        nested_loops(self.builder, (self.a.n_series, self.a.n_vectors), body)

    def for_each_valid_step(self, body: Any, first: int = 0) -> None:
        """Call ``body(step, series, vector)`` for the series' valid steps from `first` on."""
        builder, a = self.builder, self.a

        def one_series(step: Value, series: Value) -> None:
            is_valid = builder.icmp_signed("<", step, load_index(builder, a.n_valid, series))
            with builder.if_then(is_valid):
                loop(builder, a.n_vectors, lambda vector: body(step, series, vector))

        def one_step(step: Value) -> None:
            loop(builder, a.n_series, lambda series: one_series(step, series))

        loop(builder, a.n_steps, one_step, start=index(first))

    # Values and addresses

    def output_address(self, outputs: Value, step: Value, series: Value, vector: Value) -> Value:
        """Return the address of a vector of (L, B, H)."""
        builder, a = self.builder, self.a
        row = builder.add(builder.mul(step, a.n_series), series)
        number = builder.add(builder.mul(row, a.n_vectors), vector)
        return self.code.vector_at(builder, outputs, number)

    def output(self, step: Value, series: Value, vector: Value) -> Value:
        """Load a vector of the outputs."""
        address = self.output_address(self.a.outputs, step, series, vector)
        return self.code.load(self.builder, address)

    def pooled(self, series: Value, vector: Value, matrix: Value | None = None) -> dict[str, Value]:
        """Return the addresses of a vector of each statistic."""
        code, builder, a = self.code, self.builder, self.a
        row = code.offset(
            builder, a.pooled if matrix is None else matrix, builder.mul(series, a.pooled_row)
        )
        address, addresses = code.vector_at(builder, row, vector), {}
        for name in self.statistics:
            addresses[name] = address
            address = code.offset(builder, address, a.pooled_step)
        return addresses

    def scratch(self, series: Value, vector: Value) -> list[Value]:
        """Return the addresses of slope, start, and the shares of the maximum and minimum."""
        code, builder, a = self.code, self.builder, self.a
        units = builder.mul(a.n_vectors, index(code.lanes))
        row = code.offset(builder, a.scratch, builder.mul(builder.mul(series, index(4)), units))
        addresses = [code.vector_at(builder, row, vector)]
        for _ in range(3):
            addresses.append(code.offset(builder, addresses[-1], units))
        return addresses

    def count(self, series: Value) -> Value:
        """Return a series' number of valid steps, as a float in all lanes."""
        number = load_index(self.builder, self.a.n_valid, series)
        return self.code.broadcast(self.builder, self.builder.sitofp(number, FLOAT))
