"""How much each series counts in a fit, and each class in what labels decide."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.series import Series
from seqfeat.training.targets.labels import as_labels, check_index
from seqfeat.training.targets.numbers import as_floats

__all__ = ["class_weights", "relative_weights", "series_weights"]

SMALLEST = 1e-20
"""Smallest weight relative to the mean; smaller ones are 0 in float32."""

Floats = NDArray[np.float64]


def series_weights(sample_weight: Any, series: Series) -> Floats | None:
    """Return the weight of each series, or None if all count the same, once.

    Raises
    ------
    InputError
        If there is not one weight for each series, if a weight is negative or not finite, or if
        all are 0.
    InputTypeError
        If weights are not numbers.
    """
    if sample_weight is None:
        return None
    n_series, ids = len(series), series.ids
    if isinstance(sample_weight, Mapping):
        raise InputTypeError(
            "sample_weight is a dict; pass the weights in the order of the series of X, "
            "[sample_weight[name] for name in names]."
        )
    is_frame = series.frame_rows is not None
    check_index(sample_weight, ids, is_frame=is_frame, name="sample_weight")
    if isinstance(sample_weight, Real):
        weights = np.full(n_series, float(sample_weight))
    else:
        weights = as_floats(as_labels(sample_weight), "sample_weight", ids)
    if weights.shape != (n_series,):
        raise InputError(
            f"sample_weight has shape {weights.shape}, but X has {n_series} series; pass one "
            f"weight for each, an array of shape ({n_series},)."
        )
    is_wrong = ~((weights >= 0) & (weights < np.inf))
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        name = row if ids is None else ids[row]
        kind = "NaN" if np.isnan(weights[row]) else f"{weights[row]:g}"
        raise InputError(
            f"sample_weight is {kind} for series {name}; weights are finite and not negative. "
            "Correct it, or pass 0 to leave the series out."
        )
    if not weights.any():
        raise InputError(
            "sample_weight is zero for every series, so none is left to fit. Pass a positive "
            "weight for those that count, or sample_weight=None."
        )
    return None if (weights == 1.0).all() else weights


def relative_weights(weights: Floats, mean: float) -> NDArray[np.float32]:
    """Return weights relative to their mean, all of them positive in float32."""
    return np.maximum(weights / mean, SMALLEST).astype(np.float32)


def class_weights(
    class_weight: Mapping[Any, Any] | str | None, classes: NDArray[Any], counts: Floats
) -> Floats:
    """Return the factor of each class, as `~sklearn.utils.class_weight.compute_class_weight` does.

    Parameters
    ----------
    class_weight : mapping, "balanced" or None
        Factors by class, 1 for those that it lacks.
    classes : ndarray of shape (n_classes,)
        All classes.
    counts : ndarray of shape (n_classes,)
        Total weight of the series of each class, in all processes.

    Raises
    ------
    InputError
        If a key is none of the classes, or a factor is no positive number.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        n_present = np.count_nonzero(counts)
        balanced: Floats = np.ones(len(classes))
        np.divide(counts.sum() / n_present, counts, out=balanced, where=counts > 0)
        return balanced
    names = classes.tolist()
    for name, factor in class_weight.items():
        if name not in names:
            raise InputError(
                f"class_weight has the key {name!r}, which is none of the classes {names}. Remove "
                "it, or write it as in y."
            )
        if not (isinstance(factor, Real) and 0 < float(factor) < np.inf):
            raise InputError(
                f"class_weight is {factor!r} for class {name!r}; it must be a positive number. To "
                "leave a class out, give its series the sample_weight 0."
            )
    return np.array([float(class_weight.get(name, 1.0)) for name in names])
