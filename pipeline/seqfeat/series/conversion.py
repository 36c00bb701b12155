"""`as_series`: any accepted input, recognised once and checked once.

Values are not cast, copied or filled here: they keep their dtype until a block of
rows is scaled, so a memory-mapped array is never read into memory as a whole, and
a small float64 signal on a large offset keeps its digits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.series.arrays import as_list, from_array, from_list, ids_of, is_mne, mne_as_array
from seqfeat.series.columns import warn_of_index_columns
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.long import LabelledSeries, from_multi_index
from seqfeat.series.nested import from_nested, is_nested
from seqfeat.series.numbers import as_numbers, frame_as_numbers, frame_from_library, is_frame
from seqfeat.series.series import Series

__all__ = ["as_series"]


@without_float_errors
def as_series(X: Any, *, missing: str = "error") -> Series:
    """Convert any accepted input to `Series`, and check its values.

    Parameters
    ----------
    X : array-like
        One of: an array of shape (N, T, C); an array or table of shape (N, T),
        with one channel; a list, tuple, iterator, object array or pandas Series of
        N arrays, tensors or frames of shape (T_i, C) or (T_i,), where the columns
        of frames are matched by name; a dict of them by id; a DataFrame with one
        row per series whose cells hold series; a DataFrame with a MultiIndex
        (series, time) and one column per channel. Also a DataArray or Dataset of
        xarray, and the Epochs of MNE. Real numbers of any dtype. Arrays may be
        memory-mapped, or belong to Zarr, h5py or Dask: those are read a few rows at
        a time. The input is never written to.
    missing : {"error", "mask"}, default="error"
        How to treat NaN. ``"error"`` raises an error. ``"mask"`` treats NaN as not
        observed: timesteps at the end of a series without any observed channel
        shorten the series, and any other NaN is a missing value.

    Returns
    -------
    Series
        A view of `X` where its form allows it.

    Raises
    ------
    InputError
        If the shape is not supported, a series is empty, or `X` contains infinity,
        or NaN with ``missing="error"``, or integers that float64 does not hold.
    InputTypeError
        If `X` does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.series import as_series
    >>> series = as_series([np.ones((5, 2)), np.ones((3, 2))])
    >>> series.values.shape, series.lengths.tolist()
    ((2, 5, 2), [5, 3])
    """
    if not isinstance(missing, str) or missing not in ("error", "mask"):
        raise InputError(f"missing={missing!r}; pass 'error' or 'mask'.")
    return _check_values(_recognize(X), missing)


def _recognize(X: Any) -> Series:
    """Return any accepted input as `Series`, without a look at its values."""
    if isinstance(X, np.ndarray) and X.dtype != object:
        return from_array(as_numbers(X))
    if is_lazy(X):
        return from_array(LazyArray(X))
    if is_frame(X):
        return _from_frame(X)
    if hasattr(X, "dims") and hasattr(X, "coords"):
        return from_array(*_from_xarray(X))
    if is_mne(X):
        return from_array(mne_as_array(X))
    if isinstance(X, LabelledSeries):
        raise InputTypeError("X holds series and their labels; pass X.X, and X.y as y.")
    if (items := as_list(X)) is not None:
        return from_list(items, ids=ids_of(X)) if items else from_array(np.empty(0))
    return from_array(as_numbers(X))


def _from_frame(X: Any) -> Series:
    frame = X if isinstance(X, pd.DataFrame) else frame_from_library(X)
    _check_names(frame)
    warn_of_index_columns(frame)
    if isinstance(frame.index, pd.MultiIndex):
        return from_multi_index(frame)
    ids = frame.index if frame is X else None
    if is_nested(frame):
        names = list(frame.columns)
        arrays = from_nested(frame)
        have_names = len(names) == arrays[0].shape[1] and all(isinstance(one, str) for one in names)
        return replace(from_list(arrays, ids), channel_names=names if have_names else None)
    return from_array(frame_as_numbers(frame), ids)


# Labelled arrays of other libraries, without importing them

TIME_NAMES = {"time", "times", "t", "timestep", "timesteps", "step", "timepoint", "timepoints"}
CHANNEL_NAMES = {"channel", "channels", "feature", "features", "variable", "variables"}


def _from_xarray(X: Any) -> tuple[NDArray[Any], pd.Index[Any] | None]:
    """Return a DataArray or a Dataset of xarray with channels last, and the ids of its series."""
    if hasattr(X, "data_vars"):
        _check_same_dims(X)
        X = X.to_dataarray(dim="channel").transpose(..., "channel")
    names = [str(name).lower() for name in X.dims]
    roles = [
        "time" if name in TIME_NAMES else "channel" if name in CHANNEL_NAMES else ""
        for name in names
    ]
    if sorted(roles) == ["", "channel", "time"] or roles == ["", "", "time"]:
        order = [roles.index("", 0), roles.index("time"), 3 - roles.index("time") - roles.index("")]
        X = X.transpose(*(X.dims[place] for place in order))
    elif "time" in roles[:1] or "channel" in roles[:2]:
        raise InputError(
            f"X has the dimensions {tuple(X.dims)}; seqfeat reads (series, time, channel), or "
            "(series, time) for one channel. Reorder them with X.transpose(...); for one series, "
            "add a dimension with X.expand_dims('series')."
        )
    index = X.indexes.get(X.dims[0]) if X.dims else None
    return as_numbers(X.to_numpy()), None if isinstance(index, pd.MultiIndex) else index


def _check_same_dims(X: Any) -> None:
    """Check that no variable of a Dataset would be repeated along dimensions that it lacks."""
    dims = {name: tuple(variable.dims) for name, variable in X.items()}
    first = next(iter(dims), None)
    for name, own in dims.items():
        if own != dims[first]:
            raise InputError(
                f"variable {name!r} of X has the dimensions {own}, variable {first!r} has "
                f"{dims[first]}; each variable is read as a channel of shape (series, time). "
                "Select those that are channels: X[[...]]."
            )


def _check_names(frame: pd.DataFrame) -> None:
    """Check that no two columns have the same name, as scikit-learn compares them by name."""
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InputError(
            f"more than one column of X is called {name!r}. Rename them, or pass X.to_numpy()."
        )


def _check_values(series: Series, missing: str) -> Series:
    """Check for infinity and NaN; with ``missing="mask"``, shorten series that end in NaN."""
    if series.values.dtype.kind != "f" or _is_finite(series.values):
        return series
    lengths = series.lengths.copy()
    is_complete = True
    steps = np.arange(series.values.shape[1])
    for rows in series.blocks():
        block = series.values[rows]
        _check_infinity(block, rows.start)
        is_nan = np.isnan(block)
        # Padding that was added to a list of unequal series is not NaN of the input.
        is_nan_of_input = is_nan & (steps < series.lengths[rows, None])[:, :, None]
        if not is_nan_of_input.any():
            continue
        if missing == "error":
            _raise_nan(is_nan_of_input, rows.start)
        lengths[rows] = _observed_lengths(is_nan, rows.start)
        is_complete &= not bool(is_nan[steps < lengths[rows, None]].any())
    return replace(series, lengths=lengths, is_complete=is_complete)


def _is_finite(values: NDArray[Any] | LazyArray) -> bool:
    """Return True if all values are finite; False means that they have to be looked at.

    One pass without a temporary array: a finite sum has no NaN or infinity among its
    terms. A sum that overflows is not finite either.
    """
    if isinstance(values, LazyArray):
        return False
    return math.isfinite(np.add.reduce(values, axis=None))


def _check_infinity(block: NDArray[Any], first_row: int) -> None:
    is_infinite = np.isinf(block)
    if is_infinite.any():
        row, step, channel = np.argwhere(is_infinite)[0]
        raise InputError(
            f"Input X contains infinity: series {first_row + row} has {block[row, step, channel]} "
            f"at timestep {step}, channel {channel}. Replace it, or set it to NaN and pass "
            "missing='mask'."
        )


def _raise_nan(is_nan: NDArray[np.bool_], first_row: int) -> NoReturn:
    row, step, channel = np.argwhere(is_nan)[0]
    raise InputError(
        f"Input X contains NaN: series {first_row + row} has NaN at timestep {step}, channel "
        f"{channel}. Pass missing='mask' to read NaN as not observed (and NaN at the end as a "
        "shorter series), or fill it."
    )


def _observed_lengths(is_nan: NDArray[np.bool_], first_row: int) -> NDArray[np.int64]:
    """Return the length of each series up to its last timestep with an observed channel."""
    is_observed = np.logical_not(is_nan.all(axis=2))
    is_empty = np.logical_not(is_observed.any(axis=1))
    if is_empty.any():
        raise InputError(
            f"series {first_row + int(np.argmax(is_empty))} contains nothing but NaN; every series "
            "needs at least 1 observed value. Drop it, or pass its values."
        )
    lengths: NDArray[np.int64] = is_observed.shape[1] - np.argmax(is_observed[:, ::-1], axis=1)
    return lengths
