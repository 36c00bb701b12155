"""Features of sets larger than memory, written where they belong part by part."""

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

new_file: Any = np.lib.format.open_memmap

PART_BYTES = 32 * 2**20
"""Bytes of series, as float64, that are read and embedded together."""


def transform_into(model: Any, X: Any, target: Any) -> Any:
    """Write the features of series into an array or a file, part by part.

    For sets and features that are larger than memory. The same rows as
    ``model.transform(X)``.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        Fitted, with a `transform`; of a pipeline that ends in a classifier pass ``model[:-1]``.
    X : array of shape (n_samples, n_timesteps, n_channels)
        In memory, memory-mapped, or of Zarr, h5py or Dask; or a table, or a list of series.
    target : str, path or array of shape (n_samples, n_features)
        A new ``.npy`` file, float32, whole or not there at all; or anything with a shape and
        with slices that can be set: an array, a memory map, an array of Zarr or h5py. If an error
        ends the work, such an array keeps what was written so far.

    Returns
    -------
    target
        The array, or a read-only memory map of the file.

    Raises
    ------
    InputError
        If `X` cannot be used, or if `target` has another shape; nothing is written then.
    InputTypeError
        If `model` has no `transform`, or `target` is nothing that can be written to.

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
    with ExitStack() as stack:
        array = target
        if isinstance(target, (str, os.PathLike)):
            new = stack.enter_context(replacing(_checked_path(target)))
            shape = (n_samples, features.shape[1])
            array = new_file(new, mode="w+", dtype=features.dtype, shape=shape)
        _refuse_shape(array, (n_samples, features.shape[1]))
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


def _checked_path(target: str | os.PathLike[str]) -> Path:
    path = Path(target)
    if path.suffix != ".npy":
        raise InputError(f"target={os.fspath(target)!r}; a file of features is called *.npy.")
    return path


def _refuse_shape(array: Any, shape: tuple[int, int]) -> None:
    if not hasattr(array, "shape") or not hasattr(array, "__setitem__"):
        raise InputTypeError(
            f"target is {type(array).__name__}; pass the path of a .npy file, or an array that can "
            "be written to."
        )
    if tuple(array.shape) != shape:
        raise InputError(
            f"target has shape {tuple(array.shape)}, and the features of these series have {shape}."
        )
