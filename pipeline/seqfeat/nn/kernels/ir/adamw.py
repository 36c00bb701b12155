"""An update of the weights as LLVM code."""

from __future__ import annotations

from typing import Any

from seqfeat.nn.kernels.ir.vectors import (
    INDEX,
    POINTER,
    Value,
    VectorCode,
    begin_function,
    index,
    loop,
)

__all__ = ["N_SETTINGS", "declare_adamw"]

N_SETTINGS = 8


def declare_adamw(code: VectorCode) -> Any:
    """Write ``adamw`` (Loshchilov & Hutter, 2019), as `torch.optim.AdamW` does it.

    Arguments: ``weights, gradients, means, squares, n_values, settings``. The latter are
    float32: what the gradients are multiplied with, what is left of the weights, the shares
    of the new in the means, of the old and of the new in the squares, the step's size, what
    the squares' root is multiplied with, and what is added to it.
    """
    function, builder = begin_function(
        code, "adamw", [POINTER, POINTER, POINTER, POINTER, INDEX, POINTER]
    )
    weights, gradients, means, squares, n_values, settings = function.args
    arrays = weights, gradients, means, squares
    whole = code.whole(builder, n_values)

    def update(vectors: VectorCode, start: Value, stop: Value) -> None:
        places = [vectors.place(builder, settings, index(number)) for number in range(N_SETTINGS)]
        clip, left, new_mean, old_square, new_square, size, correction, least = (
            vectors.load_repeated(builder, place) for place in places
        )

        def some_values(offset: Value) -> None:
            at = [vectors.place(builder, array, offset) for array in arrays]
            weight, gradient, mean, square = (vectors.load(builder, place) for place in at)
            gradient = builder.fmul(gradient, clip)
            mean = vectors.multiply_add(builder, new_mean, builder.fsub(gradient, mean), mean)
            squared = builder.fmul(new_square, builder.fmul(gradient, gradient))
            square = vectors.multiply_add(builder, old_square, square, squared)
            deviation = vectors.square_root(builder, square)
            deviation = vectors.multiply_add(builder, deviation, correction, least)
            change = builder.fdiv(builder.fmul(size, mean), deviation)
            vectors.store(builder, builder.fsub(builder.fmul(weight, left), change), at[0])
            vectors.store(builder, mean, at[2])
            vectors.store(builder, square, at[3])

        loop(builder, stop, some_values, start=start, step=vectors.lanes)

    update(code, index(0), whole)
    # What does not fill a vector.
    update(code.single, whole, n_values)
    builder.ret_void()
    return function
