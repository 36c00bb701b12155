"""`Series`, the canonical form: one padded array and the length of each series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.series.lazy_array import LazyArray

__all__ = ["FrameRows", "Series"]

Form = Literal["array", "table", "list", "frame"]

BLOCK_BYTES = 2 * 2**20
"""Bytes of input looked at together while a large array is checked or scaled."""


@dataclass(frozen=True, eq=False)
class FrameRows:
    """Where each row of a long frame went: to `steps[i]` of the series `codes[i]`."""

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
        The numbers, in the dtype they came in. NaN marks what was not observed:
        the padding behind a shorter series and missing values inside it.
    lengths : ndarray of shape (N,), int64
        Timesteps of each series, without the padding.
    is_complete : bool
        Whether every value within every length was observed.
    form : {"array", "table", "list", "frame"}
        What the input was: a 3-D array; a 2-D table (n_samples, n_timesteps) of
        one channel with, as everywhere in scikit-learn, a fixed number of
        columns; a list of single series; or a frame with a MultiIndex.
    ids : Index of length N, or None
        What the input calls its series, if it names them.
    frame_rows : FrameRows or None
        For a frame, where its rows went.
    """

    values: NDArray[Any] | LazyArray
    lengths: NDArray[np.int64]
    is_complete: bool = True
    form: Form = "array"
    ids: pd.Index[Any] | None = None
    frame_rows: FrameRows | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_timesteps(self) -> int:
        """Timesteps of the longest series; padding behind all of them does not count."""
        return int(self.lengths.max())

    @property
    def n_channels(self) -> int:
        """Channels of every series."""
        return int(self.values.shape[2])

    @property
    def is_lazy(self) -> bool:
        """Whether `values` is somewhere else, so that reading in order is quicker."""
        return isinstance(self.values, LazyArray)

    @cached_property
    def is_dense(self) -> bool:
        """Whether nothing is missing and all series are equally long."""
        return self.is_complete and bool((self.lengths == self.n_timesteps).all())

    @property
    def observed(self) -> NDArray[np.bool_] | None:
        """Which values were observed, as far as the longest series goes, or None when all were."""
        return None if self.is_dense else ~np.isnan(self.values[:, : self.n_timesteps])

    def take(self, rows: NDArray[np.int64]) -> Series:
        """Return a copy of the given series, without their names."""
        form: Form = "list" if self.form == "frame" else self.form
        return Series(self.values[rows], self.lengths[rows], self.is_complete, form)

    def like_input(
        self, values: NDArray[Any]
    ) -> NDArray[Any] | list[NDArray[Any]] | pd.Series[Any] | pd.DataFrame:
        """Return values of shape (N, T, C) in the form that the input had."""
        if self.form == "table":
            return values[:, :, 0]
        if self.form == "frame":
            rows = self.frame_rows
            assert rows is not None
            return pd.DataFrame(values[rows.codes, rows.steps], rows.index, rows.columns)
        if self.form == "list":
            cut = [row[:length] for row, length in zip(values, self.lengths, strict=True)]
            return cut if self.ids is None else series_of_arrays(cut, self.ids)
        return values

    def blocks(self) -> Iterator[slice]:
        """Yield slices of rows that together make up the set, `BLOCK_BYTES` of float64 each."""
        size = max(1, BLOCK_BYTES // (8 * self.values.shape[1] * self.n_channels))
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))


def series_of_arrays(arrays: list[NDArray[Any]], ids: pd.Index[Any]) -> pd.Series[Any]:
    """Return a pandas Series of one array each, whose index names them."""
    return pd.Series(array_of_arrays(arrays), index=ids, name="series")


def array_of_arrays(arrays: list[NDArray[Any]]) -> NDArray[np.object_]:
    """Return a one-dimensional array whose elements are arrays, also of equal shape."""
    elements = np.empty(len(arrays), dtype=object)
    for index, array in enumerate(arrays):
        elements[index] = array
    return elements
