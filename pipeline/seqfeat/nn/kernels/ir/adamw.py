"""An update of the weights, as `torch.optim.AdamW` computes it (Loshchilov & Hutter, 2019).

For every weight w with gradient g, first and second moments m and v, at step t::

    g = g * clip
    m = m + (1 - beta1) * (g - m)
    v = beta2 * v + (1 - beta2) * g * g
    w = w * (1 - lr * weight_decay) - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

Everything that is the same for all weights comes in one array, in the order of `COEFFICIENTS`.
"""

from __future__ import annotations

from seqfeat.nn.kernels.ir.kernel import Kernel, floats
from seqfeat.nn.kernels.ir.vectors import Value, VectorCode, index, loop

__all__ = ["ADAMW", "COEFFICIENTS", "KERNELS", "write_adamw"]

COEFFICIENTS = (
    "clip",
    "decay",  # 1 - lr * weight_decay
    "new_mean",  # 1 - beta1
    "old_square",  # beta2
    "new_square",  # 1 - beta2
    "step_size",  # lr / (1 - beta1 ** t)
    "root_correction",  # 1 / sqrt(1 - beta2 ** t)
    "eps",
)

ADAMW = Kernel(
    "adamw",
    weights=floats("n_values"),
    gradients=floats("n_values"),
    means=floats("n_values"),
    squares=floats("n_values"),
    coefficients=floats(f"{len(COEFFICIENTS)}"),
)

KERNELS = [ADAMW]


def write_adamw(code: VectorCode) -> None:
    """Write the kernel."""
    builder, a = ADAMW.begin(code)
    whole = code.floor_to_vectors(builder, a.n_values)

    def update(vectors: VectorCode, start: Value, stop: Value) -> None:
        addresses = [
            vectors.offset(builder, a.coefficients, index(number))
            for number in range(len(COEFFICIENTS))
        ]
        clip, decay, new_mean, old_square, new_square, step_size, root_correction, eps = (
            vectors.load_broadcast(builder, address) for address in addresses
        )

        def some_values(offset: Value) -> None:
            at = [
                vectors.offset(builder, array, offset)
                for array in (a.weights, a.gradients, a.means, a.squares)
            ]
            weight, gradient, mean, square = (vectors.load(builder, address) for address in at)
            gradient = builder.fmul(gradient, clip)
            mean = vectors.multiply_add(builder, new_mean, builder.fsub(gradient, mean), mean)
            squared = builder.fmul(new_square, builder.fmul(gradient, gradient))
            square = vectors.multiply_add(builder, old_square, square, squared)
            root = vectors.square_root(builder, square)
            divisor = vectors.multiply_add(builder, root, root_correction, eps)
            change = builder.fdiv(builder.fmul(step_size, mean), divisor)
            vectors.store(builder, builder.fsub(builder.fmul(weight, decay), change), at[0])
            vectors.store(builder, mean, at[2])
            vectors.store(builder, square, at[3])

        loop(builder, stop, some_values, start=start, step=vectors.lanes)

    update(code, index(0), whole)
    # The remainder that does not fill a vector.
    update(code.single, whole, a.n_values)
    builder.ret_void()
