"""An LSTM over all steps of a batch, and its gradient, as functions of LLVM code.

Everything is row-major and time comes first: the gates have the shape (L, B, 4, H), outputs
and cell states (L + 1, B, H), where the first is the state before the first step. B series,
L steps, H hidden units, a multiple of the vectors' lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from seqfeat.nn.kernels.ir.matmul import PANEL_WIDTH, Products
from seqfeat.nn.kernels.ir.vectors import (
    INDEX,
    POINTER,
    Builder,
    Value,
    VectorCode,
    begin_function,
    index,
    loop,
)

__all__ = ["declare_backward", "declare_forward", "sigmoid", "tanh"]

ROWS_TOGETHER = 64
"""Rows of gates, series x steps, whose gradients become gradients of the weights together."""


class Sizes(NamedTuple):
    """Numbers that both functions count with."""

    n_series: Value
    n_vectors: Value
    units: Value
    gates: Value


def sizes(code: VectorCode, builder: Builder, n_series: Value, n_vectors: Value) -> Sizes:
    """Return the sizes of a layer whose units fill `n_vectors`."""
    units = builder.mul(n_vectors, index(code.lanes))
    return Sizes(n_series, n_vectors, units, builder.mul(units, index(4)))


def for_each_vector(code: VectorCode, builder: Builder, size: Sizes, body: Any) -> None:
    """Call ``body(series, offset of its units, offset of a vector in it)``."""

    def one_series(series: Value) -> None:
        state = builder.mul(series, size.units)
        loop(
            builder,
            size.n_vectors,
            lambda number: body(series, state, builder.mul(number, index(code.lanes))),
        )

    loop(builder, size.n_series, one_series)


def gate_places(
    code: VectorCode, builder: Builder, gates: Value, size: Sizes, series: Value, vector: Value
) -> list[Value]:
    """Return where a vector of each gate lies: input, forget, cell, output."""
    place = code.place(builder, gates, builder.mul(series, size.gates), vector)
    places = [place]
    for _ in range(3):
        places.append(code.place(builder, places[-1], size.units))
    return places


def declare_forward(code: VectorCode, products: Products) -> Any:
    """Write ``lstm_forward``.

    Arguments: ``start, start_step, start_row`` (what the gates begin with: the bias, and what of
    the input does not change), ``inputs, inputs_step, inputs_row, depth``, ``input_panels,
    input_panels_step, hidden_panels``, ``gates, gates_step, outputs, cells, cells_step``,
    ``n_series, n_steps, n_vectors``. The numbers named ``..._step`` are the distances of two
    steps, or panels, in floats; with 0 for gates and cells only the last step's are kept.
    """
    arguments = [POINTER, INDEX, INDEX, POINTER, INDEX, INDEX, INDEX, POINTER, INDEX, POINTER]
    arguments += [POINTER, INDEX, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX]
    function, builder = begin_function(code, "lstm_forward", arguments)
    start, start_step, start_row, inputs, inputs_step, inputs_row, depth = function.args[:7]
    input_panels, input_panels_step, hidden_panels = function.args[7:10]
    gates, gates_step, outputs, cells, cells_step = function.args[10:15]
    n_series, n_steps, n_vectors = function.args[15:]
    size = sizes(code, builder, n_series, n_vectors)
    outputs_step = builder.mul(n_series, size.units)
    panel_row = index(PANEL_WIDTH * code.lanes)
    hidden_panels_step = builder.mul(panel_row, size.units)
    for before_first in (outputs, cells):
        code.set_zero(builder, before_first, builder.mul(n_series, n_vectors))

    def one_step(step: Value) -> None:
        now = code.place(builder, gates, builder.mul(step, gates_step))
        next_gates = code.place(builder, now, gates_step)
        before = code.place(builder, outputs, builder.mul(step, outputs_step))
        cells_before = code.place(builder, cells, builder.mul(step, cells_step))
        begin = code.place(builder, start, builder.mul(step, start_step))
        seen = code.place(builder, inputs, builder.mul(step, inputs_step))
        # Four gates make as many panels of four vectors as there are vectors in one gate.
        right = (input_panels, panel_row, input_panels_step, n_vectors, depth)
        into = (now, size.gates, n_series)
        builder.call(products.panels, [seen, inputs_row, *right, begin, start_row, *into])
        # Before the first step the outputs are 0.
        with builder.if_then(builder.icmp_signed(">", step, index(0))):
            right = (hidden_panels, panel_row, hidden_panels_step, n_vectors, size.units)
            builder.call(products.panels, [before, size.units, *right, now, size.gates, *into])
        after = code.place(builder, before, outputs_step)
        cells_after = code.place(builder, cells_before, cells_step)

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            places = gate_places(code, builder, now, size, series, vector)
            raw = [code.load(builder, place) for place in places]
            # Fetched, so that the next step's products do not wait to write there.
            for place in gate_places(code, builder, next_gates, size, series, vector):
                code.prefetch(builder, place, to_write=True)
            gate, forget, out = (sigmoid(code, builder, raw[number]) for number in (0, 1, 3))
            update = tanh(code, builder, raw[2])
            for value, place in zip((gate, forget, update, out), places, strict=True):
                code.store(builder, value, place)
            cell = code.load(builder, code.place(builder, cells_before, state, vector))
            cell = code.multiply_add(builder, forget, cell, builder.fmul(gate, update))
            code.store(builder, cell, code.place(builder, cells_after, state, vector))
            hidden = builder.fmul(out, tanh(code, builder, cell))
            code.store(builder, hidden, code.place(builder, after, state, vector))

        for_each_vector(code, builder, size, one_vector)

    loop(builder, n_steps, one_step)
    builder.ret_void()
    return function


def declare_backward(code: VectorCode, products: Products) -> Any:
    """Write ``lstm_backward``, which puts the gradient of what entered the gates in their place.

    Arguments: ``gates``, ``cells``, ``gradient, gradient_step, gradient_row`` (of the outputs),
    ``hidden_weights`` (4H, H), ``scratch`` (2 B H and as many as H or D); ``over_steps`` (n_sums,
    4, H), which becomes the sum of the gates' gradients over all steps, and ``n_sums``, B or 1,
    which is the sum over all series as well; then, for the other gradients, ``outputs`` and
    ``d_hidden_weights`` (4H, H); ``inputs`` (L, B, D) and ``d_input_weights`` (4H, D),
    ``n_input_vectors`` in D or 0 to leave these out; ``input_weights`` (4H, D) and ``d_inputs``
    (L, B, D), ``n_d_input_vectors`` in D or 0; ``n_series, n_steps, n_vectors``.
    """
    arguments = [POINTER, POINTER, POINTER, INDEX, INDEX]
    arguments += [POINTER] * 3 + [INDEX] + [POINTER] * 2
    arguments += [POINTER, POINTER, INDEX] * 2 + [INDEX] * 3
    function, builder = begin_function(code, "lstm_backward", arguments)
    gates, cells, gradient, gradient_step, gradient_row = function.args[:5]
    hidden_weights, scratch, over_steps, n_sums = function.args[5:9]
    outputs, d_hidden_weights, inputs, d_input_weights, n_input_vectors = function.args[9:14]
    input_weights, d_inputs, n_d_input_vectors = function.args[14:17]
    n_series, n_steps, n_vectors = function.args[17:]
    size = sizes(code, builder, n_series, n_vectors)
    gates_step = builder.mul(n_series, size.gates)
    state_step = builder.mul(n_series, size.units)
    one = code.constant(1.0)
    carried_hidden = scratch
    carried_cell = code.place(builder, carried_hidden, state_step)
    zeros = code.place(builder, carried_cell, state_step)
    n_state_vectors = builder.mul(n_series, n_vectors)
    code.set_zero(builder, scratch, builder.mul(n_state_vectors, index(2)))
    n_columns = larger(builder, n_input_vectors, n_d_input_vectors)
    code.set_zero(builder, zeros, larger(builder, n_vectors, n_columns))
    code.set_zero(builder, over_steps, builder.mul(builder.mul(n_sums, n_vectors), index(4)))
    of_each = builder.icmp_signed(">", n_sums, index(1))

    def at(matrix: Value, step: Value, distance: Value) -> Value:
        return code.place(builder, matrix, builder.mul(step, distance))

    def one_step(step: Value) -> None:
        now = at(gates, step, gates_step)
        cells_before = at(cells, step, state_step)
        outputs_after = at(outputs, builder.add(step, index(1)), state_step)
        incoming = at(gradient, step, gradient_step)

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            def load(where: Value) -> Value:
                return code.load(builder, code.place(builder, where, state, vector))

            multiply, minus = builder.fmul, builder.fsub
            places = gate_places(code, builder, now, size, series, vector)
            # In four places at once, which the CPU does not guess by itself.
            next_series = builder.add(series, index(1))
            for place in gate_places(code, builder, now, size, next_series, vector):
                code.prefetch(builder, place, to_write=True)
            gate, forget, update, out = (code.load(builder, place) for place in places)
            # The cell's tanh, which would take longer to find again; no gate is 0.
            shown = load(outputs_after)
            squashed = builder.fdiv(shown, out)
            row = builder.mul(series, gradient_row)
            hidden = code.load(builder, code.place(builder, incoming, row, vector))
            hidden = builder.fadd(hidden, load(carried_hidden))
            through_squashed = multiply(hidden, shown)
            slope = minus(multiply(hidden, out), multiply(through_squashed, squashed))
            cell = builder.fadd(load(carried_cell), slope)
            gradients = (
                multiply(multiply(cell, update), multiply(gate, minus(one, gate))),
                multiply(multiply(cell, load(cells_before)), multiply(forget, minus(one, forget))),
                multiply(multiply(cell, gate), minus(one, multiply(update, update))),
                multiply(through_squashed, minus(one, out)),
            )
            which = builder.select(of_each, series, index(0))
            totals = gate_places(code, builder, over_steps, size, which, vector)
            for value, place, total in zip(gradients, places, totals, strict=True):
                code.store(builder, value, place)
                code.store(builder, builder.fadd(code.load(builder, total), value), total)
            carried = code.place(builder, carried_cell, state, vector)
            code.store(builder, multiply(cell, forget), carried)

        for_each_vector(code, builder, size, one_vector)
        # Nobody asks for the gradient of the outputs before the first step.
        with builder.if_then(builder.icmp_signed(">", step, index(0))):
            right = (hidden_weights, size.units, n_vectors, size.gates, zeros, index(0))
            builder.call(
                products.plain,
                [now, size.gates, *right, carried_hidden, size.units, n_series],
            )

    def add_weights(first: Value, stop: Value, right: Value, n_columns: Value, to: Value) -> None:
        """Add the gates' gradients at some steps, transposed, times a matrix (L, B, ...)."""
        width = builder.mul(n_columns, index(code.lanes))
        depth = builder.mul(builder.sub(stop, first), n_series)
        rows = (at(right, first, builder.mul(n_series, width)), width, n_columns, depth)
        left = at(gates, first, gates_step)
        # Nothing was written there before the last steps'.
        is_first = builder.icmp_signed("==", stop, n_steps)
        start = builder.select(is_first, zeros, to)
        start_row = builder.select(is_first, index(0), width)
        builder.call(
            products.transposed,
            [left, size.gates, *rows, start, start_row, to, width, size.gates],
        )

    def some_steps(number: Value) -> None:
        """Go back some steps, and use their gradients while they are in the cache."""
        stop = builder.sub(n_steps, builder.mul(number, together))
        first = larger(builder, builder.sub(stop, together), index(0))
        loop(
            builder,
            builder.sub(stop, first),
            lambda done: one_step(builder.sub(builder.sub(stop, index(1)), done)),
        )
        # The outputs before the first step are 0.
        add_weights(larger(builder, first, index(1)), stop, outputs, n_vectors, d_hidden_weights)
        add_weights(first, stop, inputs, n_input_vectors, d_input_weights)
        width = builder.mul(n_d_input_vectors, index(code.lanes))
        right = (input_weights, width, n_d_input_vectors, size.gates, zeros, index(0))
        into = at(d_inputs, first, builder.mul(n_series, width))
        n_rows = builder.mul(builder.sub(stop, first), n_series)
        left = at(gates, first, gates_step)
        builder.call(products.plain, [left, size.gates, *right, into, width, n_rows])

    together = larger(builder, builder.sdiv(index(ROWS_TOGETHER), n_series), index(1))
    n_parts = builder.sdiv(builder.sub(builder.add(n_steps, together), index(1)), together)
    loop(builder, n_parts, some_steps)
    builder.ret_void()
    return function


def larger(builder: Builder, x: Value, y: Value) -> Value:
    """Return the larger of two numbers."""
    return builder.select(builder.icmp_signed(">", x, y), x, y)


TANH_LIMIT = 7.90531110763549805
"""Beyond it, tanh is 1 but for 3e-7."""
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
"""tanh(x) = x * numerator(x²) / denominator(x²), the minimax fraction that Eigen uses."""

MINUS_LOG2_E = -1.4426950408889634
POWER = (
    1.00000007,
    6.93146967e-01,
    2.40221197e-01,
    5.55071327e-02,
    9.67554133e-03,
    1.32764720e-03,
)
"""2 ** x for x from -1/2 to 1/2, the minimax polynomial: wrong by at most 7.5e-8 of it."""
LARGEST_POWER = 126.0
"""For which neither 2 ** x nor its reciprocal leaves the range of float32."""
ROUNDING = 1.5 * 2**23
"""Added to a small float32, it leaves the nearest integer in the last bits."""
MANTISSA_BITS, BITS_OF_ONE = 23, 0x3F800000


def tanh(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return tanh to the last digits of float32; NaN stays NaN."""
    square = builder.fmul(x, x)
    numerator = builder.fmul(x, code.polynomial(builder, square, TANH_NUMERATOR))
    result = builder.fdiv(numerator, code.polynomial(builder, square, TANH_DENOMINATOR))
    # Exactly 1, as its slope, which is exactly 0 then, may meet inputs of any size.
    for comparison, sign in ((">", 1.0), ("<", -1.0)):
        is_beyond = builder.fcmp_ordered(comparison, x, code.constant(sign * TANH_LIMIT))
        result = builder.select(is_beyond, code.constant(sign), result)
    return result


def sigmoid(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return the logistic function as exactly, at least 2 ** -126; NaN stays NaN."""
    x = builder.fmul(x, code.constant(MINUS_LOG2_E))
    for comparison, sign in ((">", 1.0), ("<", -1.0)):
        limit = code.constant(sign * LARGEST_POWER)
        x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
    rounding, one = code.constant(ROUNDING), code.constant(1.0)
    shifted = builder.fadd(x, rounding)
    rest = builder.fsub(x, builder.fsub(shifted, rounding))
    # The integer becomes the exponent of a power of two.
    whole = builder.bitcast(shifted, integers(code))
    exponent = builder.shl(whole, repeated(code, MANTISSA_BITS))
    power = builder.bitcast(builder.add(exponent, repeated(code, BITS_OF_ONE)), code.type)
    exponential = code.polynomial(builder, rest, POWER)
    return builder.fdiv(one, code.multiply_add(builder, exponential, power, one))


def integers(code: VectorCode) -> Value:
    """Return the type of as many integers as a vector has floats, of as many bits."""
    return ir.VectorType(ir.IntType(32), code.lanes)


def repeated(code: VectorCode, number: int) -> Value:
    """Return a vector of the same integer."""
    return ir.Constant(integers(code), [ir.Constant(ir.IntType(32), number)] * code.lanes)
