"""`read_into`: a table larger than memory as an array on disk, which `fit` reads in chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.runtime.atomic_files import replacing
from seqfeat.series.arrays import as_list, from_list
from seqfeat.series.files.reading import read
from seqfeat.series.files.streaming import read_batches
from seqfeat.series.long import LabelledSeries
from seqfeat.series.numbers import frame_as_numbers
from seqfeat.series.time_grid import Step

__all__ = ["read_into"]

new_file: Any = np.lib.format.open_memmap


def read_into(
    path: str | Path,
    target: str | Path,
    *,
    label: str | None = None,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
    time_format: str | None = None,
    elapsed: bool = False,
    separator: str = "auto",
    decimal: str = "auto",
    encoding: str = "auto",
    header: bool | str = "auto",
    na_values: Sequence[str] = (),
    batch_bytes: int | None = None,
) -> LabelledSeries:
    r"""Convert a table to an array on disk, batch by batch.

    For tables larger than memory, such as folders of Parquet files. Training reads
    all series once per epoch, in random order, which is fast for an array and slow
    for a table.

    Parameters
    ----------
    path : str or Path
        The table, as in `read`.
    target : str or Path
        The ``.npy`` file to write. It appears only when it is complete, and takes
        8 bytes per value, or 4 if the table has float32.
    label, series_id, time, channels, step, time_format, elapsed, batch_bytes
        As in `read_batches`.
    separator, decimal, encoding, header, na_values
        As in `read_batches`.

    Returns
    -------
    X : memmap of shape (n_samples, n_timesteps, n_channels)
        The array, read-only; of shape (n_samples, n_timesteps) for a wide table.
        Shorter series are padded with NaN: pass ``missing="mask"`` to the
        estimator.
    y : Series, ndarray or None
        The labels, in memory, as `read` returns them; the index holds the ids, if
        any.

    Raises
    ------
    FileNotFoundError, InputError, ImportError
        As `read_batches` does. No file is written in that case.

    Warns
    -----
    WholeTableWarning
        If the rows of a long table are not grouped by series. It is then read as a
        whole.

    Notes
    -----
    The table is read twice, first to find the number of series and the length of
    the longest. To get features together with their ids, read the table with
    `read_batches`, or use the command ``seqfeat embed``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqfeat import read_into
    >>> rows = "".join(f"{meter},{day},{day * 0.5}\n" for meter in "abcd" for day in range(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "long.csv")
    ...     _ = path.write_text("meter,day,load\n" + rows)
    ...     X, y = read_into(path, Path(folder, "long.npy"), series_id="meter", time="day")
    ...     X.shape
    (4, 3, 1)
    """
    if Path(target).suffix != ".npy":
        raise InputError(
            f"target={os.fspath(target)!r}; the target must be a .npy file. Pass a path that ends "
            "in .npy."
        )
    batches = partial(
        read_batches,
        path,
        label=label,
        series_id=series_id,
        time=time,
        channels=channels,
        step=step,
        time_format=time_format,
        elapsed=elapsed,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
        header=header,
        na_values=na_values,
        batch_bytes=batch_bytes,
    )
    form, y = _array_form(batches)
    with replacing(target) as new:
        array = new_file(new, mode="w+", dtype=form.dtype, shape=form.shape)
        start = 0
        for X, _ in batches():
            values = _padded_values(X)
            rows = array[start : start + len(values)]
            rows[:, : values.shape[1]] = values
            if values.shape[1] < form.shape[1]:
                rows[:, values.shape[1] :] = np.nan
            start += len(values)
        array.flush()
    return LabelledSeries(read(target).X, y)


class _ArrayForm(NamedTuple):
    """The shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _array_form(batches: Callable[[], Iterator[LabelledSeries]]) -> tuple[_ArrayForm, Any]:
    """Return the shape and dtype of an array that holds all batches, and the labels of all."""
    shapes, dtypes, labels = set(), set(), []
    n_series = 0
    for X, y in batches():
        values = _padded_values(X)
        n_series += len(values)
        shapes.add(values.shape[1:])
        dtypes.add(values.dtype)
        labels.append(y)
    n_timesteps = max(shape[0] for shape in shapes)
    dtype = np.result_type(*dtypes)
    if len(shapes) > 1 and dtype.kind != "f":
        dtype = np.dtype(np.float64)
    channel_axis = next(iter(shapes))[1:]
    return _ArrayForm((n_series, n_timesteps, *channel_axis), dtype), _concatenate(labels)


def _concatenate(labels: list[Any]) -> Any:
    if isinstance(labels[0], pd.Series):
        return pd.concat(labels)
    return None if labels[0] is None else np.concatenate(labels)


def _padded_values(X: Any) -> NDArray[Any]:
    """Return a batch as one array, padded with NaN."""
    if isinstance(X, pd.DataFrame):
        return frame_as_numbers(X)
    arrays = as_list(X)
    values: Any = np.asarray(X) if arrays is None else from_list(arrays).values
    return np.asarray(values)
