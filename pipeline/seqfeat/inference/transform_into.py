"""`transform_into`: the features of a set larger than memory, written to a file or an array."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.atomic_files import replacing
from seqfeat.series.lazy_array import LazyArray, is_lazy

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
        parts written before.

    Returns
    -------
    target
        The array, or a read-only memory map of the file.

    Raises
    ------
    InputError
        If `X` cannot be used, or if `target` has another shape, in which case nothing is written.
    InputTypeError
        If `model` has no `transform`, or if `target` cannot be written to.

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
    series = LazyArray(X) if is_lazy(X) else X
    n_samples = len(series)
    first = _part(series, slice(0, min(n_samples, _part_size(series))))
    features = np.asarray(model.transform(first))
    shape = (n_samples, features.shape[1])
    with ExitStack() as stack:
        array = target
        if isinstance(target, (str, os.PathLike)):
            _check_suffix(target)
            new = stack.enter_context(replacing(Path(target)))
            array = open_memmap(new, mode="w+", dtype=features.dtype, shape=shape)
        _check_target(array, shape)
        array[: len(features)] = features
        for start in range(len(features), n_samples, len(features)):
            rows = slice(start, min(start + len(features), n_samples))
            array[rows] = np.asarray(model.transform(_part(series, rows)))
        if array is target:
            return target
        array.flush()
    return np.load(os.fspath(target), mmap_mode="r")


def _part(series: Any, rows: slice) -> Any:
    return series.iloc[rows] if hasattr(series, "iloc") else series[rows]


def _part_size(series: Any) -> int:
    shape = getattr(series, "shape", ())
    values = int(np.prod(shape[1:])) if len(shape) > 1 else max(np.size(one) for one in series)
    return max(1, PART_BYTES // (8 * max(1, values)))


def _check_suffix(target: str | os.PathLike[str]) -> None:
    if Path(target).suffix != ".npy":
        raise InputError(f"target={os.fspath(target)!r}; the name of the file must end in .npy.")


def _check_target(array: Any, shape: tuple[int, int]) -> None:
    if not hasattr(array, "shape") or not hasattr(array, "__setitem__"):
        raise InputTypeError(
            f"target is {type(array).__name__}; pass the path of a .npy file, or an array whose "
            "slices can be assigned."
        )
    if tuple(array.shape) != shape:
        raise InputError(
            f"target has shape {tuple(array.shape)}, but the features of these series have shape "
            f"{shape}."
        )
