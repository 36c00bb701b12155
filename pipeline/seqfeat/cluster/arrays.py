"""Transform Dask arrays of series, chunk by chunk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.cluster.dask_support import import_dask, rechunk_whole_series
from seqfeat.cluster.model_task import ModelTask, compute_features
from seqfeat.exceptions import InputError

__all__ = ["transform_array"]


def transform_array(model: ModelTask, array: Any) -> Any:
    """Return the features of an array of series as a lazy Dask array."""
    _check_shape(array)
    series = rechunk_whole_series(array)
    # A single series of zeros checks that the array fits the model, and tells the number and the
    # dtype of the features.
    zeros = np.zeros((1, *array.shape[1:]), dtype=array.dtype)
    empty = compute_features(model.local, zeros)[:0]
    return import_dask("dask.array").map_blocks(
        _transform_block,
        series,
        model=model.task,
        empty=empty,
        meta=empty,
        chunks=(series.chunks[0], (empty.shape[1],)),
        drop_axis=list(range(2, array.ndim)),
        token="seqfeat-features",
    )


def _check_shape(array: Any) -> None:
    if array.ndim not in (2, 3):
        raise InputError(
            f"data has shape {array.shape}; seqfeat.cluster.transform takes arrays of shape "
            "(n_samples, n_timesteps, n_channels), or (n_samples, n_timesteps) for one channel."
        )
    unknown = [axis for axis in range(1, array.ndim) if math.isnan(array.shape[axis])]
    if unknown:
        raise InputError(
            f"data has shape {array.shape}, with an unknown size along axis {unknown[0]}; only the "
            "number of samples may be unknown. Call data.compute_chunk_sizes() first."
        )
    if 0 in array.shape:
        raise InputError(f"data has shape {array.shape}; every axis needs a size of at least 1.")


def _transform_block(
    block: NDArray[Any], *, model: Any, empty: NDArray[Any], block_info: Any = None
) -> NDArray[Any]:
    """Return the features of one chunk, which may be empty after filtering."""
    if len(block) == 0:
        return empty
    try:
        return compute_features(model, block).astype(empty.dtype, copy=False)
    except InputError as error:
        raise type(error)(f"{_describe_chunk(block_info)}: {error}") from error


def _describe_chunk(block_info: Any) -> str:
    """Say which chunk an error is about; the error itself only knows rows of the chunk."""
    start = block_info[0]["array-location"][0][0]
    if math.isnan(start):
        return f"in chunk {block_info[0]['chunk-location'][0]} (series are numbered within it)"
    return f"in the chunk that starts at series {start} (series are numbered within it)"
