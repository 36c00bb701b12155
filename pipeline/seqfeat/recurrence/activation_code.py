"""What an LSTM's gates do to a vector, as LLVM code."""

from __future__ import annotations

from llvmlite import ir

from seqfeat.recurrence.vector_code import Builder, Value, VectorCode

__all__ = ["sigmoid", "tanh"]

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
