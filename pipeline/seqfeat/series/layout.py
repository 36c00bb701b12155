"""Which axis is which: seqfeat's (N, T, C), and the (N, C, T) of aeon and sktime."""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import NDArray

from seqfeat.exceptions import InputError, LayoutWarning
from seqfeat.series.arrays import as_items
from seqfeat.series.canonical import Series, array_of_arrays
from seqfeat.series.numbers import as_numbers

__all__ = ["from_channels_first", "warn_if_transposed"]


def from_channels_first(X: Any) -> NDArray[Any]:
    """Return series in which the channels come first, as in aeon and sktime, in seqfeat's layout.

    Parameters
    ----------
    X : array-like
        An array of shape (n_samples, n_channels, n_timesteps), or a list of
        n_samples arrays of shape (n_channels, n_timesteps_i) or (n_timesteps_i,).

    Returns
    -------
    X : ndarray
        Views: of shape (n_samples, n_timesteps, n_channels), or an array of
        objects of shape (n_samples,) that holds one (n_timesteps_i, n_channels)
        array for each series, so that scikit-learn can split it.

    Raises
    ------
    InputError
        If there are too few or too many axes.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.series import from_channels_first
    >>> from_channels_first(np.zeros((10, 3, 50))).shape
    (10, 50, 3)
    >>> unequal = [np.zeros((3, 50)), np.zeros((3, 40))]
    >>> [series.shape for series in from_channels_first(unequal)]
    [(50, 3), (40, 3)]
    """
    items = as_items(X)
    if items is not None:
        return array_of_arrays([_item(index, item) for index, item in enumerate(items)])
    array = as_numbers(X)
    if array.ndim != 3:
        raise InputError(
            f"X has shape {array.shape}; from_channels_first reads (n_samples, n_channels, "
            "n_timesteps). A table (n_samples, n_timesteps) of one channel needs no conversion."
        )
    return array.transpose(0, 2, 1)


def _item(index: int, item: Any) -> NDArray[Any]:
    array = as_numbers(item)
    if array.ndim not in (1, 2):
        raise InputError(
            f"series {index} has shape {array.shape}; each series of a list must be "
            "(n_channels, n_timesteps) or (n_timesteps,)."
        )
    return array[:, None] if array.ndim == 1 else array.T


def warn_if_transposed(series: Series) -> None:
    """Warn where (N, T, C) looks like (N, C, T): more channels than timesteps."""
    _, n_timesteps, n_channels = series.values.shape
    if n_channels > n_timesteps:
        warnings.warn(
            f"X has {n_timesteps} timesteps and {n_channels} channels (shape "
            f"{series.values.shape}); seqfeat reads (n_samples, n_timesteps, n_channels). "
            "If the channels come first, pass seqfeat.series.from_channels_first(X).",
            LayoutWarning,
            stacklevel=6,
        )
