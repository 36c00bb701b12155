"""An LSTM layer over all steps of a batch, and its gradient.

Time comes first and rows are contiguous: B series, L steps, H hidden units in whole vectors.
The gates, in PyTorch's order, are input i, forget f, cell g and output o. Forward::

    h[0] = c[0] = 0
    for t in range(L):
        i, f, g, o = start[t] + inputs[t] @ input_weights.T + h[t] @ hidden_weights.T
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o);  g = tanh(g)
        c[t + 1] = f * c[t] + i * g
        h[t + 1] = o * tanh(c[t + 1])

and backward, where ``dx`` is the gradient of the loss with respect to x::

    dh = dc = 0
    for t in reversed(range(L)):
        dh = dh + d_outputs[t];     u = h[t + 1] / o            # u = tanh(c[t + 1])
        dc = dc + dh * o * (1 - u * u)
        di = dc * g * i * (1 - i);  df = dc * c[t] * f * (1 - f)
        dg = dc * i * (1 - g * g);  do = dh * u * o * (1 - o)
        d_bias += di, df, dg, do
        dc = dc * f;                dh = (di, df, dg, do) @ hidden_weights
        # every few steps, while the gates' gradients are in the cache:
        d_hidden_weights += (di, df, dg, do).T @ h[t]
        d_input_weights += (di, df, dg, do).T @ inputs[t]
        d_inputs[t] = (di, df, dg, do) @ input_weights
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from seqfeat.nn.kernels.ir.kernel import Kernel, floats
from seqfeat.nn.kernels.ir.matmul import (
    PANEL_VECTORS,
    PRODUCT,
    PRODUCT_OF_PANELS,
    PRODUCT_TRANSPOSED,
)
from seqfeat.nn.kernels.ir.vectors import (
    Builder,
    Value,
    VectorCode,
    index,
    loop,
    maximum,
    nested_loops,
)

__all__ = ["KERNELS", "LSTM_BACKWARD", "LSTM_FORWARD", "write_lstm"]

UNITS, GATES = "n_vectors * lanes", "4 * n_vectors * lanes"

LSTM_FORWARD = Kernel(
    "lstm_forward",
    start=floats("n_steps", "n_series", GATES, strides=["start_step", "start_row"]),
    inputs=floats("n_steps", "n_series", "depth", strides=["inputs_step", "inputs_row"]),
    input_panels=floats("n_vectors", "depth", "4 * lanes", strides=["input_panels_step"]),
    hidden_panels=floats("n_vectors", UNITS, "4 * lanes"),
    gates=floats("n_steps", "n_series", GATES, strides=["gates_step"]),
    outputs=floats("n_steps + 1", "n_series", UNITS),
    cells=floats("n_steps + 1", "n_series", UNITS, strides=["cells_step"]),
)
"""Run a layer: from what the gates start with (the bias, and the part of the input that is the
same at every step) to all gates, outputs h and cell states c. With a stride of 0, gates and cells
keep the last step only."""

LSTM_BACKWARD = Kernel(
    "lstm_backward",
    "n_sums in (1, n_series)",
    "n_zeros >= lanes * max(n_vectors, n_input_vectors, n_d_input_vectors)",
    gates=floats("n_steps", "n_series", GATES),
    cells=floats("n_steps + 1", "n_series", UNITS),
    outputs=floats("n_steps + 1", "n_series", UNITS),
    d_outputs=floats("n_steps", "n_series", UNITS, strides=["d_outputs_step", "d_outputs_row"]),
    d_bias=floats("n_sums", GATES),
    hidden_weights=floats(GATES, UNITS),
    d_hidden_weights=floats(GATES, UNITS),
    inputs=floats("n_steps", "n_series", "n_input_vectors * lanes"),
    d_input_weights=floats(GATES, "n_input_vectors * lanes"),
    input_weights=floats(GATES, "n_d_input_vectors * lanes"),
    d_inputs=floats("n_steps", "n_series", "n_d_input_vectors * lanes"),
    d_hidden=floats("n_series", UNITS),
    d_cells=floats("n_series", UNITS),
    zeros=floats("n_zeros"),
)
"""Find a layer's gradients; those of the gates take the place of the gates.

`d_bias` becomes the sum over all steps, and over all series if it has one row. Either gradient
of the inputs is left out where its arrays have no columns. `d_hidden` and `d_cells` are scratch."""

KERNELS = [LSTM_FORWARD, LSTM_BACKWARD]

ROWS_TOGETHER = 64
"""Rows of gates, series times steps, that become gradients of the weights together."""


def write_lstm(code: VectorCode) -> None:
    """Write both kernels."""
    _write_forward(code)
    _write_backward(code)


class Layout(NamedTuple):
    """How rows of states and gates lie in memory."""

    n_series: Value
    n_vectors: Value
    units: Value
    gates: Value

    @classmethod
    def of(cls, code: VectorCode, builder: Builder, a: Any) -> Layout:
        """Return the layout for a kernel's arguments."""
        units = builder.mul(a.n_vectors, index(code.lanes))
        return cls(a.n_series, a.n_vectors, units, builder.mul(units, index(4)))

    def loop_over_vectors(self, code: VectorCode, builder: Builder, body: Any) -> None:
        """Call ``body(series, offset of its state, offset of a vector in it)``."""

        def one_vector(series: Value, number: Value) -> None:
            state = builder.mul(series, self.units)
            body(series, state, builder.mul(number, index(code.lanes)))

        nested_loops(builder, (self.n_series, self.n_vectors), one_vector)

    def gate_addresses(
        self, code: VectorCode, builder: Builder, gates: Value, series: Value, vector: Value
    ) -> list[Value]:
        """Return the addresses of one vector of each gate: input, forget, cell, output."""
        address = code.offset(builder, gates, builder.mul(series, self.gates), vector)
        addresses = [address]
        for _ in range(3):
            addresses.append(code.offset(builder, addresses[-1], self.units))
        return addresses


def _write_forward(code: VectorCode) -> None:
    builder, a = LSTM_FORWARD.begin(code)
    layout = Layout.of(code, builder, a)
    outputs_step = builder.mul(a.n_series, layout.units)
    panel_row = index(PANEL_VECTORS * code.lanes)
    hidden_panels_step = builder.mul(panel_row, layout.units)
    for first in (a.outputs, a.cells):
        code.store_zeros(builder, first, builder.mul(a.n_series, a.n_vectors))

    def one_step(step: Value) -> None:
        gates = code.offset(builder, a.gates, builder.mul(step, a.gates_step))
        next_gates = code.offset(builder, gates, a.gates_step)
        before = code.offset(builder, a.outputs, builder.mul(step, outputs_step))
        after = code.offset(builder, before, outputs_step)
        cells_before = code.offset(builder, a.cells, builder.mul(step, a.cells_step))
        cells_after = code.offset(builder, cells_before, a.cells_step)
        # Four gates make as many panels of four vectors as there are vectors in one gate.
        into = {
            "result": gates,
            "result_row": layout.gates,
            "n_rows": a.n_series,
            "n_panels": a.n_vectors,
            "panel_row": panel_row,
        }
        PRODUCT_OF_PANELS.emit_call(
            code,
            builder,
            left=code.offset(builder, a.inputs, builder.mul(step, a.inputs_step)),
            left_row=a.inputs_row,
            panels=a.input_panels,
            panel_step=a.input_panels_step,
            depth=a.depth,
            start=code.offset(builder, a.start, builder.mul(step, a.start_step)),
            start_row=a.start_row,
            **into,
        )
        # Before the first step the outputs are 0.
        with builder.if_then(builder.icmp_signed(">", step, index(0))):
            PRODUCT_OF_PANELS.emit_call(
                code,
                builder,
                left=before,
                left_row=layout.units,
                panels=a.hidden_panels,
                panel_step=hidden_panels_step,
                depth=layout.units,
                start=gates,
                start_row=layout.gates,
                **into,
            )

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            addresses = layout.gate_addresses(code, builder, gates, series, vector)
            raw = [code.load(builder, address) for address in addresses]
            # Prefetched, so that the next step's products do not wait to write there.
            for address in layout.gate_addresses(code, builder, next_gates, series, vector):
                code.prefetch(builder, address, to_write=True)
            i, f, o = (sigmoid(code, builder, raw[number]) for number in (0, 1, 3))
            g = tanh(code, builder, raw[2])
            for value, address in zip((i, f, g, o), addresses, strict=True):
                code.store(builder, value, address)
            c = code.load(builder, code.offset(builder, cells_before, state, vector))
            c = code.multiply_add(builder, f, c, builder.fmul(i, g))
            code.store(builder, c, code.offset(builder, cells_after, state, vector))
            h = builder.fmul(o, tanh(code, builder, c))
            code.store(builder, h, code.offset(builder, after, state, vector))

        layout.loop_over_vectors(code, builder, one_vector)

    loop(builder, a.n_steps, one_step)
    builder.ret_void()


def _write_backward(code: VectorCode) -> None:
    builder, a = LSTM_BACKWARD.begin(code)
    layout = Layout.of(code, builder, a)
    gates_step = builder.mul(a.n_series, layout.gates)
    state_step = builder.mul(a.n_series, layout.units)
    one = code.constant(1.0)
    n_state_vectors = builder.mul(a.n_series, a.n_vectors)
    code.store_zeros(builder, a.d_hidden, n_state_vectors)
    code.store_zeros(builder, a.d_cells, n_state_vectors)
    code.store_zeros(builder, a.d_bias, builder.mul(builder.mul(a.n_sums, a.n_vectors), index(4)))
    sums_each_series = builder.icmp_signed(">", a.n_sums, index(1))

    def at(matrix: Value, step: Value, stride: Value) -> Value:
        return code.offset(builder, matrix, builder.mul(step, stride))

    def one_step(step: Value) -> None:
        gates = at(a.gates, step, gates_step)
        cells_before = at(a.cells, step, state_step)
        outputs_after = at(a.outputs, builder.add(step, index(1)), state_step)
        d_outputs = at(a.d_outputs, step, a.d_outputs_step)

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            def load(matrix: Value) -> Value:
                return code.load(builder, code.offset(builder, matrix, state, vector))

            mul, sub = builder.fmul, builder.fsub
            addresses = layout.gate_addresses(code, builder, gates, series, vector)
            # In four places at once, which the CPU does not predict by itself.
            next_series = builder.add(series, index(1))
            for address in layout.gate_addresses(code, builder, gates, next_series, vector):
                code.prefetch(builder, address, to_write=True)
            i, f, g, o = (code.load(builder, address) for address in addresses)
            # The cell's tanh, which would take longer to compute again; no gate is 0.
            h = load(outputs_after)
            u = builder.fdiv(h, o)
            row = builder.mul(series, a.d_outputs_row)
            dh = code.load(builder, code.offset(builder, d_outputs, row, vector))
            dh = builder.fadd(dh, load(a.d_hidden))
            dh_h = mul(dh, h)
            dc = builder.fadd(load(a.d_cells), sub(mul(dh, o), mul(dh_h, u)))
            gradients = (
                mul(mul(dc, g), mul(i, sub(one, i))),
                mul(mul(dc, load(cells_before)), mul(f, sub(one, f))),
                mul(mul(dc, i), sub(one, mul(g, g))),
                mul(dh_h, sub(one, o)),
            )
            which = builder.select(sums_each_series, series, index(0))
            sums = layout.gate_addresses(code, builder, a.d_bias, which, vector)
            for value, address, total in zip(gradients, addresses, sums, strict=True):
                code.store(builder, value, address)
                code.store(builder, builder.fadd(code.load(builder, total), value), total)
            code.store(builder, mul(dc, f), code.offset(builder, a.d_cells, state, vector))

        layout.loop_over_vectors(code, builder, one_vector)
        # Nobody needs the gradient of the outputs before the first step.
        with builder.if_then(builder.icmp_signed(">", step, index(0))):
            PRODUCT.emit_call(
                code,
                builder,
                left=gates,
                left_row=layout.gates,
                right=a.hidden_weights,
                right_row=layout.units,
                start=a.zeros,
                start_row=index(0),
                result=a.d_hidden,
                result_row=layout.units,
                n_rows=a.n_series,
                n_vectors=a.n_vectors,
                depth=layout.gates,
            )

    def add_weights(first: Value, stop: Value, right: Value, n_vectors: Value, to: Value) -> None:
        """Add the gates' gradients of some steps, transposed, times a matrix (L, B, ...)."""
        width = builder.mul(n_vectors, index(code.lanes))
        # Before the last steps', nothing has been written there.
        is_first = builder.icmp_signed("==", stop, a.n_steps)
        PRODUCT_TRANSPOSED.emit_call(
            code,
            builder,
            left=at(a.gates, first, gates_step),
            left_row=layout.gates,
            right=at(right, first, builder.mul(a.n_series, width)),
            right_row=width,
            start=builder.select(is_first, a.zeros, to),
            start_row=builder.select(is_first, index(0), width),
            result=to,
            result_row=width,
            n_rows=layout.gates,
            n_vectors=n_vectors,
            depth=builder.mul(builder.sub(stop, first), a.n_series),
        )

    def some_steps(number: Value) -> None:
        """Go back some steps, and use their gradients while they are in the cache."""
        stop = builder.sub(a.n_steps, builder.mul(number, together))
        first = maximum(builder, builder.sub(stop, together), index(0))
        loop(
            builder,
            builder.sub(stop, first),
            lambda done: one_step(builder.sub(builder.sub(stop, index(1)), done)),
        )
        # The outputs before the first step are 0.
        since = maximum(builder, first, index(1))
        add_weights(since, stop, a.outputs, a.n_vectors, a.d_hidden_weights)
        add_weights(first, stop, a.inputs, a.n_input_vectors, a.d_input_weights)
        width = builder.mul(a.n_d_input_vectors, index(code.lanes))
        PRODUCT.emit_call(
            code,
            builder,
            left=at(a.gates, first, gates_step),
            left_row=layout.gates,
            right=a.input_weights,
            right_row=width,
            start=a.zeros,
            start_row=index(0),
            result=at(a.d_inputs, first, builder.mul(a.n_series, width)),
            result_row=width,
            n_rows=builder.mul(builder.sub(stop, first), a.n_series),
            n_vectors=a.n_d_input_vectors,
            depth=layout.gates,
        )

    together = maximum(builder, builder.sdiv(index(ROWS_TOGETHER), a.n_series), index(1))
    n_parts = builder.sdiv(builder.sub(builder.add(a.n_steps, together), index(1)), together)
    loop(builder, n_parts, some_steps)
    builder.ret_void()


# The gates' functions

TANH_LIMIT = 7.90531110763549805
"""Beyond it, tanh is 1 up to 3e-7."""
TANH_NUMERATOR = (
    4.89352455891786e-03,
    6.37261928875436e-04,
    1.48572235717979e-05,
    5.12229709037114e-08,
    -8.60467152213735e-11,
    2.00018790482477e-13,
    -2.76076847742355e-16,
)
TANH_DENOMINATOR = (
    4.89352518554385e-03,
    2.26843463243900e-03,
    1.18534705686654e-04,
    1.19825839466702e-06,
)
"""tanh(x) = x * numerator(x²) / denominator(x²), the minimax approximation that Eigen uses."""

MINUS_LOG2_E = -1.4426950408889634
POWER = (
    1.00000007,
    6.93146967e-01,
    2.40221197e-01,
    5.55071327e-02,
    9.67554133e-03,
    1.32764720e-03,
)
"""2 ** x for x in [-1/2, 1/2], a minimax polynomial with a relative error of at most 7.5e-8."""
LARGEST_POWER = 126.0
"""The largest x for which neither 2 ** x nor its reciprocal leaves the range of float32."""
ROUNDING = 1.5 * 2**23
"""Added to a small float32, it leaves the nearest integer in the last bits."""
MANTISSA_BITS, BITS_OF_ONE = 23, 0x3F800000


def tanh(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return tanh to the last digits of float32; NaN stays NaN."""
    square = builder.fmul(x, x)
    numerator = builder.fmul(x, code.polynomial(builder, square, TANH_NUMERATOR))
    result = builder.fdiv(numerator, code.polynomial(builder, square, TANH_DENOMINATOR))
    # Exactly 1: its slope, which then is exactly 0, may be multiplied with inputs of any size.
    for comparison, sign in ((">", 1.0), ("<", -1.0)):
        is_beyond = builder.fcmp_ordered(comparison, x, code.constant(sign * TANH_LIMIT))
        result = builder.select(is_beyond, code.constant(sign), result)
    return result


def sigmoid(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return the logistic function, as exactly; it is never 0, and NaN stays NaN."""
    x = builder.fmul(x, code.constant(MINUS_LOG2_E))
    for comparison, sign in ((">", 1.0), ("<", -1.0)):
        limit = code.constant(sign * LARGEST_POWER)
        x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
    rounding, one = code.constant(ROUNDING), code.constant(1.0)
    shifted = builder.fadd(x, rounding)
    rest = builder.fsub(x, builder.fsub(shifted, rounding))
    # The integer part becomes the exponent of a power of two.
    whole = builder.bitcast(shifted, _integers(code))
    exponent = builder.shl(whole, _repeat(code, MANTISSA_BITS))
    power = builder.bitcast(builder.add(exponent, _repeat(code, BITS_OF_ONE)), code.type)
    exponential = code.polynomial(builder, rest, POWER)
    return builder.fdiv(one, code.multiply_add(builder, exponential, power, one))


def _integers(code: VectorCode) -> Value:
    """Return the type of a vector of int32 as long as one of floats."""
    return ir.VectorType(ir.IntType(32), code.lanes)


def _repeat(code: VectorCode, number: int) -> Value:
    """Return a vector that holds one int32 in all lanes."""
    return ir.Constant(_integers(code), [ir.Constant(ir.IntType(32), number)] * code.lanes)
