"""Dask arrays of series, chunk by chunk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.cluster.extra import dask_module
from seqfeat.cluster.models import SentModel, features_of
from seqfeat.exceptions import InputError

__all__ = ["transform_array"]


def transform_array(model: SentModel, array: Any) -> Any:
    """Return the features of an array of series, lazily."""
    _refuse_shape(array)
    whole_series = array.rechunk(dict.fromkeys(range(1, array.ndim), -1))
    # A series of zeros finds what does not suit the model, and how wide and of which dtype the
    # features are.
    nothing = features_of(model.copy, np.zeros((1, *array.shape[1:]), dtype=array.dtype))[:0]
    return dask_module("dask.array").map_blocks(
        _features_of_block,
        whole_series,
        model=model.key,
        nothing=nothing,
        meta=nothing,
        chunks=(whole_series.chunks[0], (nothing.shape[1],)),
        drop_axis=list(range(2, array.ndim)),
        token="seqfeat-features",
    )


def _refuse_shape(array: Any) -> None:
    if array.ndim not in (2, 3):
        raise InputError(
            f"data has shape {array.shape}; seqfeat.cluster.transform takes arrays of shape "
            "(n_samples, n_timesteps, n_channels), or (n_samples, n_timesteps) of one channel."
        )
    unknown = [axis for axis in range(1, array.ndim) if math.isnan(array.shape[axis])]
    if unknown:
        raise InputError(
            f"data has shape {array.shape}, of unknown size along axis {unknown[0]}; only the "
            "number of samples may be unknown. Call data.compute_chunk_sizes() first."
        )
    if 0 in array.shape:
        raise InputError(f"data has shape {array.shape}; it needs at least 1 along each axis.")


def _features_of_block(
    block: NDArray[Any], *, model: Any, nothing: NDArray[Any], block_info: Any = None
) -> NDArray[Any]:
    """Return the features of one chunk, which a filter may have left without series."""
    if len(block) == 0:
        return nothing
    try:
        return features_of(model, block).astype(nothing.dtype, copy=False)
    except InputError as error:
        raise type(error)(f"{_whereabouts(block_info)}: {error}") from error


def _whereabouts(block_info: Any) -> str:
    """Say which chunk it is in whose series an error counts."""
    start = block_info[0]["array-location"][0][0]
    if math.isnan(start):
        return f"in chunk {block_info[0]['chunk-location'][0]} of the array"
    return f"in the chunk of the array after its first {start} series"
