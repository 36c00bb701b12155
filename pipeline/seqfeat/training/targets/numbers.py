"""Numbers as targets: one or several for each series, checked, and standardized for the network."""

from __future__ import annotations

from decimal import Decimal
from numbers import Complex, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.scaling import ChannelScaling, block_statistics
from seqfeat.training.targets.labels import as_labels, check_not_dict, check_present

__all__ = ["are_numbers", "as_floats", "standardize_numbers", "target_numbers", "target_statistics"]


def are_numbers(y: Any, target_type: str) -> bool:
    """Return whether targets are numbers, and not classes.

    Parameters
    ----------
    y : array-like or None
    target_type : {"auto", "continuous", "multiclass"}
        As in `LSTMAutoencoder`: "auto" goes by what scikit-learn takes `y` for.
    """
    if target_type != "auto" or y is None:
        return target_type == "continuous"
    values = np.asarray(as_labels(y))
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return False
    return str(type_of_target(values)).startswith("continuous")


def target_numbers(y: Any, ids: pd.Index[Any] | None = None) -> NDArray[np.float64]:
    """Return targets as numbers of shape (n_samples, n_targets).

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    ids : Index of length n_samples, optional
        The names of the series, for errors.

    Raises
    ------
    InputError
        If numbers are missing or not finite, or if there are none.
    InputTypeError
        If there is anything but real numbers, such as texts.
    """
    if y is None:
        raise InputError(
            "numbers as targets require y to be passed, but the target y is None. Pass one number "
            "for each series, or several as columns."
        )
    check_not_dict(y)
    y = as_labels(y)
    check_present(y, ids, "number")
    values = as_floats(y, "y", ids)
    numbers = values[:, None] if values.ndim == 1 else values
    if numbers.ndim != 2 or 0 in numbers.shape:
        raise InputError(
            f"y has shape {values.shape}; numbers as targets have the shape (n_samples,), or "
            "(n_samples, n_targets) for several of each series."
        )
    is_infinite = ~np.isfinite(numbers)
    if is_infinite.any():
        row, column = np.argwhere(is_infinite)[0]
        raise InputError(
            f"Input y contains infinity: series {_name(row, ids)} has the number "
            f"{numbers[row, column]:g} in column {column}. Targets are finite; correct it, or drop "
            "the series."
        )
    return numbers


def as_floats(values: Any, name: str, ids: pd.Index[Any] | None = None) -> NDArray[np.float64]:
    """Return real numbers as float64; `name` is what they are called in `fit`.

    Raises `InputTypeError` for anything else: texts are not read, nor dates counted.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        # NumPy makes texts of numbers beside a text.
        array = np.asarray(values, dtype=object)
    if array.dtype.kind == "O":
        is_foreign = np.array([not isinstance(it, (Real, Decimal)) for it in array.ravel()], bool)
        if is_foreign.any():
            place = np.unravel_index(int(is_foreign.argmax()), array.shape)
            value = array[place].item() if isinstance(array[place], np.generic) else array[place]
            found = f"{name} holds {value!r} for series {_name(int(place[0]), ids)}"
            if isinstance(value, Complex):
                raise InputTypeError(
                    f"Complex data not supported: {found}. Pass real numbers, such as "
                    f"np.abs({name})."
                )
            raise InputTypeError(
                f"{found}, of type {type(value).__name__}; it has to hold numbers. Convert it "
                f"first, for example [float(value) for value in {name}]."
            )
    floats: NDArray[np.float64] = array.astype(np.float64)
    return floats


def _name(row: int, ids: pd.Index[Any] | None) -> Any:
    return row if ids is None or row >= len(ids) else ids[row]


def target_statistics(
    numbers: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> ChannelScaling:
    """Return mean and standard deviation of each target, over all series."""
    return block_statistics(numbers[:, None, :], weights)


def standardize_numbers(
    numbers: NDArray[np.float64], scaling: ChannelScaling
) -> NDArray[np.float32]:
    """Return numbers with mean 0 and standard deviation 1. Shape: (N, K), as given."""
    if numbers.shape[1] != len(scaling.mean):
        raise InputError(
            f"y has {numbers.shape[1]} numbers for each series, but this LSTMAutoencoder was "
            f"fitted on {len(scaling.mean)}. Pass as many, in the same order."
        )
    scaled: NDArray[np.float32] = ((numbers - scaling.mean) / scaling.scale).astype(np.float32)
    return scaled
