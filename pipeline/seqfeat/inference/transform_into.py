"""`transform_into`: the features of a set larger than memory, written to a file or an array."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.atomic_files import replacing
from seqfeat.series.arrays import as_list, is_mne, mne_as_array
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.numbers import as_numbers
from seqfeat.series.tensors import is_tensor

__all__ = ["transform_into"]

PART_BYTES = 32 * 2**20
"""Size of the series, as float64, that are read and embedded together."""

open_memmap: Any = np.lib.format.open_memmap


def transform_into(model: Any, X: Any, target: Any) -> Any:
    """Write the features of series to a file or an array, one part at a time.

    The rows are those of ``model.transform(X)``. Neither the series nor the features need to fit
    into memory.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        A fitted model with a `transform`; if a pipeline ends in a classifier, pass ``model[:-1]``.
    X : array of shape (n_samples, n_timesteps, n_channels)
        An array in memory, a memory map, or an array of Zarr, h5py or Dask; or a table, or a list
        of series.
    target : str, path or array of shape (n_samples, n_features)
        The path of a ``.npy`` file, which gets the dtype of the features and is written in full
        or, after an error, not at all; or anything with a shape whose slices can be assigned, such
        as an array, a memory map, or an array of Zarr or h5py. After an error, an array keeps the
        parts written before. Its dtype is float32, float64 or that of the features.

    Returns
    -------
    target
        The array, or a read-only memory map of the file.

    Raises
    ------
    InputError
        If `X` cannot be used, or if `target` has another shape or is read-only, in which case
        nothing is written; or if a feature is too large for the dtype of `target`.
    InputTypeError
        If `model` has no `transform`, or if `target` cannot be written to or does not hold
        numbers of at least 32 bits with a fraction.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat import LSTMAutoencoder, transform_into
    >>> X = np.sin(np.arange(1200).reshape(60, 20, 1) / 5)
    >>> model = LSTMAutoencoder(4, max_iter=2, random_state=0).fit(X)
    >>> target = np.zeros((60, 4), dtype=np.float32)
    >>> transform_into(model, X, target) is target
    True
    """
    if not hasattr(model, "transform"):
        raise InputTypeError(
            f"model is {type(model).__name__}, which has no transform; pass an LSTMAutoencoder, or "
            "a Pipeline without its classifier: model[:-1]."
        )
    series = _sliceable(X)
    n_samples = len(series)
    first = _part(series, slice(0, min(n_samples, _part_size(series))))
    features = _features(model, first)
    shape = (n_samples, features.shape[1])
    with ExitStack() as stack:
        array = target
        if isinstance(target, (str, os.PathLike)):
            _check_suffix(target)
            new = stack.enter_context(replacing(Path(target)))
            array = open_memmap(new, mode="w+", dtype=features.dtype, shape=shape)
        _check_target(array, shape, features.dtype)
        _check_memory_apart(array, X)
        _write(array, 0, features)
        for start in range(len(features), n_samples, len(features)):
            rows = slice(start, min(start + len(features), n_samples))
            _write(array, start, _features(model, _part(series, rows)))
        if array is target:
            return target
        array.flush()
    return np.load(os.fspath(target), mmap_mode="r")


# The series


def _sliceable(X: Any) -> Any:
    """Return series with a length, of which a slice of rows can be taken."""
    if is_lazy(X):
        return LazyArray(X)
    if isinstance(getattr(X, "index", None), pd.MultiIndex):
        raise InputTypeError(
            "X is a frame indexed by series and time, whose rows are not series; pass "
            "seqfeat.series.from_long(X, *X.index.names).X."
        )
    # Whatever else has no rows is rejected by the model, which says why.
    is_array = all(hasattr(X, name) for name in ("__array__", "__len__", "__getitem__"))
    has_rows = isinstance(X, (list, tuple)) or hasattr(X, "iloc") or is_array
    has_rows &= not is_tensor(X)
    series = X if has_rows else _as_rows(X)
    if not getattr(series, "shape", (1,)) or len(series) == 0:
        raise InputError("X holds 0 series; pass an array of shape (n_samples, n_timesteps, ...).")
    return series


def _as_rows(X: Any) -> Any:
    """Return a collection of series as a list, and an array as one of NumPy."""
    if is_mne(X):
        return mne_as_array(X)
    items = as_list(X)
    return as_numbers(X) if items is None else items


def _part(series: Any, rows: slice) -> Any:
    return series.iloc[rows] if hasattr(series, "iloc") else series[rows]


def _part_size(series: Any) -> int:
    shape = getattr(series, "shape", ())
    values = math.prod(shape[1:]) if len(shape) > 1 else max(map(_n_values, series))
    return max(1, PART_BYTES // (8 * max(1, values)))


def _n_values(one: Any) -> int:
    """Return the number of values of one series of a list, roughly."""
    if is_tensor(one):
        return int(one.numel())
    shape = getattr(one, "shape", None)
    if isinstance(shape, tuple):
        return math.prod(shape)
    return len(one) if hasattr(one, "__len__") else 1


def _features(model: Any, part: Any) -> NDArray[Any]:
    features = model.transform(part)
    array = np.asarray(features) if not hasattr(features, "tocsr") else None
    if array is None or array.ndim != 2:
        raise InputTypeError(
            f"the transform of {type(model).__name__} returns {type(features).__name__}, and not "
            "an array of shape (n_samples, n_features). Pass a model that returns one."
        )
    return array


# The target


def _check_suffix(target: str | os.PathLike[str]) -> None:
    name = os.fspath(target)
    if not isinstance(name, str) or Path(name).suffix != ".npy":
        raise InputError(f"target={name!r}; the name of the file must end in .npy.")


def _check_target(array: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    """Check that features of a shape and dtype can be written to an array."""
    is_array = isinstance(getattr(array, "shape", None), tuple) and hasattr(array, "__setitem__")
    own_dtype = getattr(array, "dtype", None)
    if not is_array or not isinstance(own_dtype, np.dtype) or hasattr(array, "tocsr"):
        raise InputTypeError(
            f"target is {type(array).__name__}; pass the path of a .npy file, or an array whose "
            "slices can be assigned, such as one of NumPy, Zarr or h5py."
        )
    if array.shape != shape:
        raise InputError(
            f"target has shape {array.shape}, but the features of these series have shape {shape}."
        )
    is_float = own_dtype.kind == "f" and own_dtype.itemsize >= 4
    if not is_float and own_dtype != dtype:
        raise InputTypeError(
            f"target has dtype {own_dtype}, which does not hold the features; pass an array of "
            f"float32 or {dtype}."
        )
    if _is_read_only(array):
        raise InputError("target is read-only; pass an array that can be written to, or a copy.")
    if isinstance(array, np.ma.MaskedArray):
        raise InputTypeError("target is a masked array; pass its values: target.data.")


def _is_read_only(array: Any) -> bool:
    if isinstance(array, np.ndarray):
        return not array.flags.writeable
    file = getattr(array, "file", None)
    return bool(getattr(array, "read_only", False)) or getattr(file, "mode", "") == "r"


def _check_memory_apart(array: Any, X: Any) -> None:
    """Check that writing features does not change series that are still to be read."""
    if (
        isinstance(array, np.ndarray)
        and isinstance(X, np.ndarray)
        and np.may_share_memory(array, X)
    ):
        raise InputError("target shares memory with X; pass another array, or a copy of X.")


def _write(array: Any, start: int, features: NDArray[Any]) -> None:
    """Write features to the rows from `start` on; none becomes infinite on the way."""
    with np.errstate(all="ignore"):
        values = features.astype(array.dtype)
    if values.dtype.kind == "f":
        is_too_large = np.isinf(values) & np.isfinite(features)
        if is_too_large.any():
            row, column = np.argwhere(is_too_large)[0]
            raise InputError(
                f"feature {column} of series {start + row} is {features[row, column]:g}, which "
                f"{values.dtype} does not hold; pass a target of {features.dtype}."
            )
    array[start : start + len(values)] = values
