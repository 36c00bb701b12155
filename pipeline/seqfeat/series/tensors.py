"""PyTorch's tensors as arrays, without importing PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["is_tensor", "tensor_as_array"]


def is_tensor(X: Any) -> bool:
    """Return whether `X` is a tensor, or of a subclass."""
    return hasattr(X, "detach") and hasattr(X, "layout") and hasattr(X, "is_nested")


def tensor_as_array(X: Any, name: str = "X") -> NDArray[Any]:
    """Return a tensor as an array with the same values, without a copy if possible.

    Types of less than 32 bits that NumPy lacks become float32, which holds all of their values.

    Raises
    ------
    InputError
        If the tensor is complex.
    InputTypeError
        If its values do not lie in memory as an array.
    """
    if X.is_nested:
        raise InputTypeError(
            f"{name} is a nested tensor; pass a list of tensors: list({name}.unbind())."
        )
    if str(X.layout) != "torch.strided":
        raise InputTypeError(
            f"{name} is a tensor with the layout {X.layout}; pass {name}.to_dense()."
        )
    if X.is_quantized:
        raise InputTypeError(f"{name} is a quantized tensor ({X.dtype}); pass {name}.dequantize().")
    if X.is_meta:
        raise InputTypeError(
            f"{name} is a tensor on the device 'meta', which holds no values; pass one on the CPU."
        )
    if X.is_complex():
        raise InputError(
            f"Complex data not supported: {name} has dtype {X.dtype}. Pass {name}.real and "
            f"{name}.imag as separate channels."
        )
    X = X.detach().resolve_neg().cpu()
    if X.is_floating_point() and X.element_size() < 4:
        X = X.float()
    return np.asarray(X.numpy())
