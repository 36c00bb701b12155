"""Embeddings as they came, checked and decoded into series. NumPy and torch only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.inference.batched import decode, reconstruct
from seqfeat.nn.backend import Backend
from seqfeat.series.numbers import as_numbers, frame_as_numbers
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series

__all__ = [
    "as_embeddings",
    "check_finite",
    "check_n_timesteps",
    "decode_series",
    "reconstruct_series",
    "reconstructions",
]

LARGEST_EMBEDDING = float(np.finfo(np.float32).max)
"""The network computes in float32."""

Floats = NDArray[np.floating[Any]]


def as_embeddings(X: Any, dim: int) -> Floats:
    """Return embeddings as an array of shape (N, dim) of float32 or float64.

    Raises
    ------
    InputError
        If the shape is another, or if a value is not finite or too large for the network.
    InputTypeError
        If `X` does not hold real numbers.
    """
    array = frame_as_numbers(X) if isinstance(X, pd.DataFrame) else as_numbers(X)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"X has shape {array.shape}; embeddings have the shape (n_samples, {dim}), with at "
            "least 1 sample. Pass the output of transform, or X[None] for a single embedding."
        )
    if array.shape[1] != dim:
        raise InputError(
            f"X has {array.shape[1]} columns, but the embeddings of this LSTMAutoencoder have "
            f"{dim}. Pass the output of transform."
        )
    embeddings: Floats = array.astype(np.float32 if array.dtype == np.float32 else np.float64)
    # NaN is not smaller, either.
    is_unusable = ~(np.abs(embeddings) <= LARGEST_EMBEDDING)
    if is_unusable.any():
        row, column = np.argwhere(is_unusable)[0]
        value = embeddings[row, column]
        raise InputError(
            f"X has {'NaN' if np.isnan(value) else f'{value:g}'} in row {row}, column {column}; "
            f"embeddings are finite numbers of at most {LARGEST_EMBEDDING:.1e}. Pass the output of "
            "transform."
        )
    return embeddings


def check_n_timesteps(n_timesteps: Any) -> int:
    """Return the length of decoded series."""
    if isinstance(n_timesteps, bool) or not isinstance(n_timesteps, Integral):
        raise InputTypeError(
            f"n_timesteps={n_timesteps!r}; it must be an integer, such as 100, or None for the "
            "length of the longest training series."
        )
    if n_timesteps < 1:
        raise InputError(f"n_timesteps={n_timesteps}; it must be at least 1.")
    return int(n_timesteps)


def decode_series(
    backend: Backend, embeddings: Floats, n_timesteps: int, scaling: ChannelScaling
) -> Floats:
    """Decode embeddings into series of shape (N, T, C), in the units of the training series."""
    shape = len(embeddings), n_timesteps, backend.network.architecture.n_channels
    dtype = scaling.series_dtype(embeddings.dtype)
    series = _allocate(shape, dtype)
    for rows, scaled in decode(backend, embeddings.astype(np.float32), n_timesteps):
        values = scaling.invert(scaled)
        series[rows] = values
        check_finite(series[rows], rows, "the embedding in row {} of X decodes to")
    return series


def reconstruct_series(
    backend: Backend, series: Series, scaling: ChannelScaling, dtype: np.dtype[Any]
) -> Floats:
    """Encode and decode series; the result, of shape (N, T, C), has NaN where a series ends."""
    result = np.full(series.values.shape, np.nan, dtype=scaling.series_dtype(dtype))
    for rows, values in reconstructions(backend, series, scaling):
        result[rows, : values.shape[1]] = values
    return result


def reconstructions(
    backend: Backend, series: Series, scaling: ChannelScaling
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield row numbers (B,) and reconstructions (B, T, C) in the units of the series."""
    for batch in reconstruct(backend, series, scaling):
        values = scaling.invert(batch.reconstruction)
        is_padding = np.arange(values.shape[1]) >= series.lengths[batch.rows, None]
        values[is_padding] = 0.0
        check_finite(values, batch.rows, "series {} of X is reconstructed as")
        values[is_padding] = np.nan
        yield batch.rows, values


def _allocate(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> Floats:
    """Return an empty array, if the machine's memory holds it."""
    n_series, n_timesteps, n_channels = shape
    n_bytes = n_series * n_timesteps * n_channels * dtype.itemsize
    if n_bytes > _memory_of_machine():
        raise InputError(
            f"n_timesteps={n_timesteps}; {n_series} series of that length and {n_channels} "
            f"channels take {n_bytes} bytes, and this machine has {_memory_of_machine()}. Pass a "
            "smaller n_timesteps, or fewer embeddings at a time."
        )
    return np.empty(shape, dtype=dtype)


def _memory_of_machine() -> int:
    """Return the bytes of memory of this machine, or of the largest array where it is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return int(np.iinfo(np.intp).max)


def check_finite(values: Floats, rows: NDArray[np.int64], what: str) -> None:
    """Raise `InputError` that names the first row with results that are not finite."""
    is_finite = np.isfinite(values)
    if not is_finite.all():
        row = rows[int(np.argmin(is_finite.reshape(len(values), -1).all(axis=1)))]
        raise InputError(
            f"{what.format(row)} numbers that are not finite as {values.dtype}, because it is too "
            "far from the training series. Check its numbers, or fit on series in another unit."
        )
