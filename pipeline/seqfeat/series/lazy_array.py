"""Arrays that are elsewhere, on a disk or yet to be computed, read a few rows at a time.

What Zarr, HDF5 and Dask have in common is `shape`, `dtype`, slices, and chunks that
are read as a whole. Imports none of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.numbers import as_numbers

__all__ = ["LazyArray", "is_lazy"]

LIBRARIES = {"zarr", "h5py", "dask"}


def is_lazy(X: Any) -> bool:
    """Tell whether `X` is an array of Zarr, h5py or Dask."""
    return type(X).__module__.partition(".")[0] in LIBRARIES and hasattr(X, "shape")


class LazyArray:
    """A view of a stored array that gives NumPy arrays, of the rows that are asked for.

    Parameters
    ----------
    array : array of Zarr, h5py or Dask
        Of any number of dimensions, numbers.
    is_table : bool, default=False
        Whether to add an axis behind, of one channel.
    """

    def __init__(self, array: Any, is_table: bool = False) -> None:
        if hasattr(array, "to_dask_array"):
            raise InputTypeError(
                f"X is a Dask {type(array).__name__}; pass an array. Of a table with a row for "
                "each series that is X.to_dask_array(lengths=True). A long table on disk becomes "
                "an array with seqfeat.read_into; seqfeat.cluster.transform takes it as it is."
            )
        if any(size != size for size in array.shape):
            raise InputError(
                f"X has shape {tuple(array.shape)}, of unknown size. Call X.compute_chunk_sizes() "
                "first."
            )
        self.array = array
        self.is_table = is_table
        self.shape = tuple(int(size) for size in array.shape) + (1,) * is_table
        self.ndim = len(self.shape)
        # Refused or converted as numbers in memory are.
        self.dtype = as_numbers(np.empty((1,), dtype=array.dtype)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a row, a slice or some rows, and of them what the rest of the key says."""
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, (int, np.integer)):
            found: NDArray[Any] = self._read(int(rows), int(rows) + 1)[0][tuple(rest)]
        else:
            found = self._rows(rows)[(slice(None), *rest)]
        return found

    def _rows(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._read(start, max(start, stop))[::step]
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        found = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for some in np.split(order, self._breaks(rows[order])):
            if len(some):
                first = int(rows[some[0]])
                found[some] = self._read(first, int(rows[some[-1]]) + 1)[rows[some] - first]
        return found

    def _breaks(self, ascending: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where, among ascending rows, one read ends and the next begins.

        Rows of one chunk are read together, and rows that follow on each other.
        """
        chunks = np.searchsorted(self._chunk_ends(), ascending, side="right")
        is_break = (np.diff(ascending) > 1) & (np.diff(chunks) > 0)
        return np.flatnonzero(is_break) + 1

    def _chunk_ends(self) -> NDArray[np.int64]:
        chunks = getattr(self.array, "chunks", None)
        if not chunks:
            return np.arange(1, len(self) + 1)
        along_rows = chunks[0]
        if isinstance(along_rows, int):
            return np.append(np.arange(along_rows, len(self), along_rows), len(self))
        return np.cumsum(along_rows)

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        part = self.array[start:stop]
        part = part.compute() if hasattr(part, "compute") else part
        values = np.asarray(part).astype(self.dtype, copy=False)
        return values[..., None] if self.is_table else values
