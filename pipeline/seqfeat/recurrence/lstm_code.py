"""An LSTM over all steps of a batch, and its gradient, as functions of LLVM code.

Everything is row-major and time comes first: the gates have the shape (L, B, 4, H), outputs
and cell states (L + 1, B, H), where the first is the state before the first step. B series,
L steps, H hidden units, a multiple of the vectors' lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from seqfeat.recurrence.vector_code import INDEX, POINTER, Builder, Value, VectorCode, index, loop

__all__ = ["declare_backward", "declare_forward"]

TANH_LIMIT = 7.90531110763549805
"""Beyond it, tanh is 1 in float32."""
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


def tanh(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return tanh to the last digit or two of float32; NaN stays NaN."""
    for comparison, limit in ((">", TANH_LIMIT), ("<", -TANH_LIMIT)):
        bound = code.constant(limit)
        x = builder.select(builder.fcmp_ordered(comparison, x, bound), bound, x)
    square = builder.fmul(x, x)
    numerator = builder.fmul(x, code.polynomial(builder, square, TANH_NUMERATOR))
    return builder.fdiv(numerator, code.polynomial(builder, square, TANH_DENOMINATOR))


def sigmoid(code: VectorCode, builder: Builder, x: Value) -> Value:
    """Return the logistic function."""
    half = code.constant(0.5)
    return code.multiply_add(builder, tanh(code, builder, builder.fmul(x, half)), half, half)


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


def declare_forward(code: VectorCode, products: dict[int, Any]) -> Any:
    """Write ``lstm_forward``.

    Arguments: ``start, start_step, start_row`` (what the gates begin with: the bias, and what of
    the input does not change), ``inputs, inputs_step, inputs_row, depth``, ``input_panels,
    hidden_panels``, ``gates, gates_step, outputs, cells, cells_step``, ``n_series, n_steps,
    n_vectors``. The numbers named ``..._step`` are the distances of two steps, in floats; with 0
    for gates and cells only the last step's are kept.
    """
    arguments = [POINTER, INDEX, INDEX, POINTER, INDEX, INDEX, INDEX, POINTER, POINTER]
    arguments += [POINTER, INDEX, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX]
    function = ir.Function(
        code.module, ir.FunctionType(ir.VoidType(), arguments), name="lstm_forward"
    )
    start, start_step, start_row, inputs, inputs_step, inputs_row, depth = function.args[:7]
    input_panels, hidden_panels, gates, gates_step, outputs, cells, cells_step = function.args[7:14]
    n_series, n_steps, n_vectors = function.args[14:]
    builder = ir.IRBuilder(function.append_basic_block())
    size = sizes(code, builder, n_series, n_vectors)
    outputs_step = builder.mul(n_series, size.units)

    def one_step(step: Value) -> None:
        now = code.place(builder, gates, builder.mul(step, gates_step))
        before = code.place(builder, outputs, builder.mul(step, outputs_step))
        cells_before = code.place(builder, cells, builder.mul(step, cells_step))
        begin = code.place(builder, start, builder.mul(step, start_step))
        seen = code.place(builder, inputs, builder.mul(step, inputs_step))
        # Four gates make as many panels of four vectors as there are vectors in one gate.
        panels = (input_panels, n_vectors, depth, begin, start_row)
        builder.call(products[4], [seen, inputs_row, *panels, now, size.gates, n_series])
        panels = (hidden_panels, n_vectors, size.units, now, size.gates)
        builder.call(products[4], [before, size.units, *panels, now, size.gates, n_series])
        after = code.place(builder, before, outputs_step)
        cells_after = code.place(builder, cells_before, cells_step)

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            places = gate_places(code, builder, now, size, series, vector)
            raw = [code.load(builder, place) for place in places]
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


def declare_backward(code: VectorCode, products: dict[int, Any]) -> Any:
    """Write ``lstm_backward``, which puts the gradient of what entered the gates in their place.

    Arguments: ``gates, gates_step``, ``cells, cells_step``, ``gradient, gradient_step,
    gradient_row`` (of the outputs), ``hidden_panels`` (of the untransposed weights),
    ``zeros`` (H), ``carried_hidden, carried_cell`` (B, H), which have to be 0 in the
    beginning, ``n_series, n_steps, n_vectors``.
    """
    arguments = [POINTER, INDEX, POINTER, INDEX, POINTER, INDEX, INDEX]
    arguments += [POINTER, POINTER, POINTER, POINTER, INDEX, INDEX, INDEX]
    function = ir.Function(
        code.module, ir.FunctionType(ir.VoidType(), arguments), name="lstm_backward"
    )
    gates, gates_step, cells, cells_step, gradient, gradient_step, gradient_row = function.args[:7]
    hidden_panels, zeros, carried_hidden, carried_cell, n_series, n_steps, n_vectors = (
        function.args[7:]
    )
    builder = ir.IRBuilder(function.append_basic_block())
    size = sizes(code, builder, n_series, n_vectors)
    one = code.constant(1.0)

    def one_step(steps_done: Value) -> None:
        step = builder.sub(builder.sub(n_steps, index(1)), steps_done)
        now = code.place(builder, gates, builder.mul(step, gates_step))
        cells_before = code.place(builder, cells, builder.mul(step, cells_step))
        cells_after = code.place(builder, cells_before, cells_step)
        incoming = code.place(builder, gradient, builder.mul(step, gradient_step))

        def one_vector(series: Value, state: Value, vector: Value) -> None:
            def load(where: Value) -> Value:
                return code.load(builder, code.place(builder, where, state, vector))

            multiply, minus = builder.fmul, builder.fsub
            places = gate_places(code, builder, now, size, series, vector)
            gate, forget, update, out = (code.load(builder, place) for place in places)
            squashed = tanh(code, builder, load(cells_after))
            row = builder.mul(series, gradient_row)
            hidden = code.load(builder, code.place(builder, incoming, row, vector))
            hidden = builder.fadd(hidden, load(carried_hidden))
            through_out = multiply(hidden, out)
            slope = minus(through_out, multiply(through_out, multiply(squashed, squashed)))
            cell = builder.fadd(load(carried_cell), slope)
            gradients = (
                multiply(multiply(cell, update), multiply(gate, minus(one, gate))),
                multiply(multiply(cell, load(cells_before)), multiply(forget, minus(one, forget))),
                multiply(multiply(cell, gate), minus(one, multiply(update, update))),
                multiply(multiply(hidden, squashed), multiply(out, minus(one, out))),
            )
            for value, place in zip(gradients, places, strict=True):
                code.store(builder, value, place)
            carried = code.place(builder, carried_cell, state, vector)
            code.store(builder, multiply(cell, forget), carried)

        for_each_vector(code, builder, size, one_vector)

        def carry_hidden(width: int) -> None:
            n_panels = builder.sdiv(n_vectors, index(width))
            panels = (hidden_panels, n_panels, size.gates, zeros, index(0))
            result = (carried_hidden, size.units, n_series)
            builder.call(products[width], [now, size.gates, *panels, *result])

        by_panel_width(builder, n_vectors, carry_hidden)

    loop(builder, n_steps, one_step)
    builder.ret_void()
    return function


def by_panel_width(builder: Builder, n_vectors: Value, body: Any) -> None:
    """Call ``body(width)`` for the widest panel, of 4, 2 or 1 vectors, that divides a row."""

    def divides(width: int) -> Value:
        return builder.icmp_signed("==", builder.and_(n_vectors, index(width - 1)), index(0))

    with builder.if_else(divides(4)) as (by_four, otherwise):
        with by_four:
            body(4)
        with otherwise, builder.if_else(divides(2)) as (by_two, by_one):
            with by_two:
                body(2)
            with by_one:
                body(1)
