"""`Series`, the canonical form: one padded array and the length of each series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.series.lazy_array import LazyArray, LazyRows

__all__ = ["FrameRows", "Series", "to_object_array", "to_pandas_series"]

Form = Literal["array", "table", "list", "frame"]

BLOCK_BYTES = 2 * 2**20
"""Size of a block, as float64, when a large array is checked or scaled block by block."""


@dataclass(frozen=True, eq=False)
class FrameRows:
    """The position of each row of a long frame: timestep ``steps[i]`` of series ``codes[i]``."""

    index: pd.MultiIndex
    columns: pd.Index[Any]
    codes: NDArray[np.int64]
    steps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Series:
    """N series of up to T timesteps and C channels.

    Attributes
    ----------
    values : ndarray or LazyArray of shape (N, T, C)
        The values, in the dtype of the input. NaN marks what was not observed:
        the padding after a shorter series, and missing values within a series.
    lengths : ndarray of shape (N,), int64
        Number of timesteps of each series, without padding.
    is_complete : bool
        Whether every value within the lengths was observed.
    form : {"array", "table", "list", "frame"}
        The form of the input: a 3D array; a 2D table (n_samples, n_timesteps) of
        one channel, with a fixed number of columns as everywhere in scikit-learn;
        a list of single series; or a frame with a MultiIndex.
    ids : Index of length N, or None
        The names of the series, if the input has any.
    frame_rows : FrameRows or None
        For a frame, the position of each of its rows in `values`.
    channel_names : list of str, or None
        The names of the channels, if the single series of a list are frames.
    """

    values: NDArray[Any] | LazyArray
    lengths: NDArray[np.int64]
    is_complete: bool = True
    form: Form = "array"
    ids: pd.Index[Any] | None = None
    frame_rows: FrameRows | None = None
    channel_names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_timesteps(self) -> int:
        """Length of the longest series; padding beyond it does not count."""
        return int(self.lengths.max())

    @property
    def n_channels(self) -> int:
        """Number of channels, the same in every series."""
        return int(self.values.shape[2])

    @property
    def is_lazy(self) -> bool:
        """Whether `values` is read on demand, in which case sequential access is faster."""
        return isinstance(self.values, LazyArray)

    @cached_property
    def is_dense(self) -> bool:
        """Whether no value is missing and all series have the same length."""
        return self.is_complete and bool((self.lengths == self.n_timesteps).all())

    @property
    def observed(self) -> NDArray[np.bool_] | None:
        """Mask of observed values, shape (N, n_timesteps, C), or None if all were observed."""
        return None if self.is_dense else ~np.isnan(self.values[:, : self.n_timesteps])

    def take(self, rows: NDArray[np.int64]) -> Series:
        """Return a copy of the given series, without their ids."""
        form: Form = "list" if self.form == "frame" else self.form
        return Series(self.values[rows], self.lengths[rows], self.is_complete, form)

    def subset(self, rows: NDArray[np.int64]) -> Series:
        """Return some of the series, ascending, with their ids; what is lazy is not read."""
        values, ids = self.values, self.ids
        return replace(
            self,
            values=LazyRows(values, rows) if isinstance(values, LazyArray) else values[rows],
            lengths=self.lengths[rows],
            ids=None if ids is None else ids[rows],
            frame_rows=None,
        )

    def like_input(
        self, values: NDArray[Any]
    ) -> NDArray[Any] | list[NDArray[Any]] | pd.Series[Any] | pd.DataFrame:
        """Return values of shape (N, T, C), such as a reconstruction, in the form of the input."""
        if self.form == "table":
            return values[:, :, 0]
        if self.form == "frame":
            rows = self.frame_rows
            assert rows is not None
            return pd.DataFrame(values[rows.codes, rows.steps], rows.index, rows.columns)
        if self.form == "list":
            arrays = [row[:length] for row, length in zip(values, self.lengths, strict=True)]
            return arrays if self.ids is None else to_pandas_series(arrays, self.ids)
        return values

    def blocks(self) -> Iterator[slice]:
        """Yield slices of rows, `BLOCK_BYTES` of float64 each, that together cover all series."""
        size = max(1, BLOCK_BYTES // (8 * self.values.shape[1] * self.n_channels))
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))


def to_pandas_series(arrays: list[NDArray[Any]], ids: pd.Index[Any]) -> pd.Series[Any]:
    """Return a pandas Series that holds one array per element, indexed by `ids`."""
    return pd.Series(to_object_array(arrays), index=ids, name="series")


def to_object_array(arrays: list[NDArray[Any]]) -> NDArray[np.object_]:
    """Return a 1D object array of arrays; NumPy itself would stack arrays of equal shape."""
    elements = np.empty(len(arrays), dtype=object)
    for index, array in enumerate(arrays):
        elements[index] = array
    return elements
