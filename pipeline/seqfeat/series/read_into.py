"""`read_into`: a table larger than memory as one array on disk, which `fit` reads in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.runtime.atomic_files import replacing
from seqfeat.series.arrays import as_items, from_items
from seqfeat.series.files import read
from seqfeat.series.long import LabelledSeries
from seqfeat.series.numbers import numeric_columns
from seqfeat.series.streaming import read_batches
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
    batch_bytes: int | None = None,
) -> LabelledSeries:
    r"""Write the series of a table into an array on disk, a part at a time.

    For tables larger than memory, such as folders of Parquet: each epoch of a training
    reads all series, in another order, which an array gives quickly and a table does not.

    Parameters
    ----------
    path : str or Path
        The table, as in `read`.
    target : str or Path
        A new ``.npy`` file, whole or not there at all. It takes 8 bytes for each value, 4
        where the table has float32.
    label, series_id, time, channels, step, batch_bytes
        As in `read_batches`.

    Returns
    -------
    X : memmap of shape (n_samples, n_timesteps, n_channels)
        The array, read-only; of a table with a row for each series (n_samples,
        n_timesteps). Shorter series end in NaN: pass ``missing="mask"`` to the estimator.
    y : Series, ndarray or None
        The labels, in memory, as `read` returns them; the ids, if any, are the index.

    Raises
    ------
    FileNotFoundError, InputError, ImportError
        As `read_batches`; no file is written then.

    Warns
    -----
    WholeTableWarning
        If the rows of a long table are not together, series by series. It is then
        read whole.

    Notes
    -----
    The table is read twice, the first time for the number of series and the longest one.
    To have features with their ids, read the table with `read_batches`, or use the
    command ``seqfeat embed``.

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
        raise InputError(f"target={os.fspath(target)!r}; an array of series is called *.npy.")

    def batches() -> Iterator[LabelledSeries]:
        return read_batches(
            path,
            label=label,
            series_id=series_id,
            time=time,
            channels=channels,
            step=step,
            batch_bytes=batch_bytes,
        )

    facts, y = _survey(batches)
    with replacing(target) as new:
        array = new_file(new, mode="w+", dtype=facts.dtype, shape=facts.shape)
        start = 0
        for X, _ in batches():
            values = _values(X)
            rows = array[start : start + len(values)]
            rows[:, : values.shape[1]] = values
            if values.shape[1] < facts.shape[1]:
                rows[:, values.shape[1] :] = np.nan
            start += len(values)
        array.flush()
    return LabelledSeries(read(target).X, y)


class _Facts(NamedTuple):
    """What an array is."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _survey(batches: Callable[[], Iterator[LabelledSeries]]) -> tuple[_Facts, Any]:
    """Return the shape and dtype that hold all parts, and the labels of all."""
    shapes, dtypes, labels = set(), set(), []
    n_series = 0
    for X, y in batches():
        values = _values(X)
        n_series += len(values)
        shapes.add(values.shape[1:])
        dtypes.add(values.dtype)
        labels.append(y)
    n_timesteps = max(shape[0] for shape in shapes)
    dtype = np.result_type(*dtypes)
    if len(shapes) > 1 and dtype.kind != "f":
        dtype = np.dtype(np.float64)
    rest = next(iter(shapes))[1:]
    return _Facts((n_series, n_timesteps, *rest), dtype), _joined(labels)


def _joined(labels: list[Any]) -> Any:
    if isinstance(labels[0], pd.Series):
        return pd.concat(labels)
    return None if labels[0] is None else np.concatenate(labels)


def _values(X: Any) -> NDArray[Any]:
    """Return a part as one array, padded with NaN."""
    if isinstance(X, pd.DataFrame):
        return numeric_columns(X)
    items = as_items(X)
    values: Any = np.asarray(X) if items is None else from_items(items).values
    return np.asarray(values)
