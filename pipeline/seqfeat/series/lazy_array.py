"""`LazyArray`: an array of Zarr, h5py or Dask, read a few rows at a time.

The three have in common a `shape`, a `dtype`, slicing, and chunks that are read
as a whole. None of them is imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.numbers import as_numbers

__all__ = ["LazyArray", "LazyRows", "is_lazy"]

LIBRARIES = {"zarr", "h5py", "dask"}


def is_lazy(X: Any) -> bool:
    """Return whether `X` is an array of Zarr, h5py or Dask."""
    return type(X).__module__.partition(".")[0] in LIBRARIES and hasattr(X, "shape")


class LazyArray:
    """A view of an array on disk or in a task graph; indexing it returns NumPy arrays.

    Parameters
    ----------
    array : array of Zarr, h5py or Dask
        Real numbers, with any number of dimensions.
    adds_channel_axis : bool, default=False
        Whether to append an axis of length 1, for a table of one channel.
    """

    def __init__(self, array: Any, adds_channel_axis: bool = False) -> None:
        if hasattr(array, "to_dask_array"):
            raise InputTypeError(
                f"X is a Dask {type(array).__name__}; pass an array. For a table with one row per "
                "series, that is X.to_dask_array(lengths=True). For a long table, convert the file "
                "to an array with seqfeat.read_into, or use seqfeat.cluster.transform, which "
                "accepts Dask frames."
            )
        if any(size != size for size in array.shape):
            raise InputError(
                f"X has shape {tuple(array.shape)}, with axes of unknown size. Call "
                "X.compute_chunk_sizes() first."
            )
        self.array = array
        self.adds_channel_axis = adds_channel_axis
        self.shape = tuple(int(size) for size in array.shape) + (1,) * adds_channel_axis
        self.ndim = len(self.shape)
        # The same dtypes are rejected or converted as for arrays in memory.
        self.dtype = as_numbers(np.empty((1,), dtype=array.dtype)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read one row, a slice of rows or an array of rows, and index the result with the rest."""
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, (int, np.integer)):
            row: NDArray[Any] = self._read(int(rows), int(rows) + 1)[0][tuple(rest)]
            return row
        selected: NDArray[Any] = self._read_rows(rows)[(slice(None), *rest)]
        return selected

    def with_channel_axis(self) -> LazyArray:
        """Return the same array with an axis of length 1 appended."""
        return LazyArray(self.array, adds_channel_axis=True)

    def _read_rows(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._read(start, max(start, stop))[::step]
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        values = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for places in np.split(order, self._read_boundaries(rows[order])):
            if len(places):
                first = int(rows[places[0]])
                block = self._read(first, int(rows[places[-1]]) + 1)
                values[places] = block[rows[places] - first]
        return values

    def _read_boundaries(self, ascending: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where ascending rows have to be split into separate reads.

        Rows in the same chunk are read together, and so are consecutive rows.
        """
        chunks = np.searchsorted(self._chunk_ends(), ascending, side="right")
        is_boundary = (np.diff(ascending) > 1) & (np.diff(chunks) > 0)
        return np.flatnonzero(is_boundary) + 1

    def _chunk_ends(self) -> NDArray[np.int64]:
        """Return the row at which each chunk ends; without chunks, every row is its own."""
        chunks = getattr(self.array, "chunks", None)
        if not chunks:
            return np.arange(1, len(self) + 1)
        row_chunks = chunks[0]
        if isinstance(row_chunks, int):
            return np.append(np.arange(row_chunks, len(self), row_chunks), len(self))
        return np.cumsum(row_chunks)

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        block = self.array[start:stop]
        block = block.compute() if hasattr(block, "compute") else block
        values = as_numbers(block).astype(self.dtype, copy=False)
        return values[..., None] if self.adds_channel_axis else values


class LazyRows(LazyArray):
    """Some rows of a lazy array, ascending, as a lazy array."""

    def __init__(self, whole: LazyArray, rows: NDArray[np.int64]) -> None:
        self.whole, self.rows = whole, rows
        self.shape = (len(rows), *whole.shape[1:])
        self.ndim, self.dtype = whole.ndim, whole.dtype

    def _read_rows(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        return self.whole._read_rows(self.rows[rows])

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        return self._read_rows(slice(start, stop))
