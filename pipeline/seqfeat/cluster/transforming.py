"""`transform`: a fitted model over Dask arrays and frames."""

from __future__ import annotations

from typing import Any

from seqfeat.cluster.arrays import transform_array
from seqfeat.cluster.extra import dask_module
from seqfeat.cluster.frames import LongLayout, transform_frame
from seqfeat.cluster.models import sent
from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.time_grid import Step

__all__ = ["transform"]


def transform(
    model: Any,
    data: Any,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    *,
    step: Step = "auto",
) -> Any:
    """Embed the series of a Dask array or frame, lazily, a part at a time.

    What comes out equals ``model.transform`` of the same data in memory. Each chunk or
    partition is a task on one thread, and takes the memory of its series and of a batch.
    The model goes to each worker once. Nothing but a series of zeros is computed before
    the result is.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        Fitted, and able to `transform`. It is copied: what happens to it later does not
        change the result. On workers with a GPU ``device="auto"`` uses it.
    data : dask.array.Array or dask.dataframe.DataFrame
        An array of shape (n_samples, n_timesteps, n_channels), or (n_samples,
        n_timesteps) if `fit` saw a table. Chunks along the samples stay as they are, of
        unequal or unknown sizes too; those along time and channels are merged. Or a long
        table, partitioned by series: all rows of a series in one partition.
    series_id : str, optional
        Of a long table, the column, or index, that tells which series a row belongs to.
    time, channels, step
        Of a long table, as in `~seqfeat.series.from_long`. ``step="auto"`` reads ids and
        times once more before everything else, to find the shortest gap of all; a step
        that is named, or None, spares that.

    Returns
    -------
    features : dask.array.Array or dask.dataframe.DataFrame
        Of an array, shape (n_samples, n_features) in the chunks of the samples. Of a
        long table, a row for each series, in order of first appearance; the index holds
        the ids and the columns are those of ``model.get_feature_names_out()``.

    Raises
    ------
    InputTypeError
        If `data` is no Dask array or frame.
    InputError
        If the shape, the channels or the columns do not suit the model. What is wrong
        with the values is raised when the result is computed, as is, with its id, a
        series whose rows lie in two partitions.
    ImportError
        Without ``seqfeat[cluster]``.

    Notes
    -----
    Where the frame's divisions are known and are those of `series_id`, as after
    ``frame.set_index(series_id)``, no series can lie in two partitions, and the result
    streams. Otherwise the workers keep the features, not the series, until the ids of
    all partitions have been compared.

    Examples
    --------
    >>> import numpy as np
    >>> import dask.array as da
    >>> from seqfeat import LSTMAutoencoder, cluster
    >>> X = np.sin(np.arange(20) / 3 + np.arange(100)[:, None])[:, :, None]
    >>> model = LSTMAutoencoder(embedding_dim=4, max_iter=20, random_state=0).fit(X)
    >>> features = cluster.transform(model, da.from_array(X, chunks=(30, -1, -1)))
    >>> features.chunks
    ((30, 30, 30, 10), (4,))
    >>> bool(np.allclose(features.compute(), model.transform(X), atol=1e-5))
    True
    """
    if isinstance(data, dask_module("dask.array").Array):
        _refuse_parts_of_tables(series_id=series_id, time=time, channels=channels, step=step)
        return transform_array(sent(model), data)
    if isinstance(data, dask_module("dask.dataframe").DataFrame):
        return transform_frame(sent(model), data, LongLayout(series_id, time, channels, step))
    raise InputTypeError(
        f"data is a {type(data).__module__}.{type(data).__qualname__}; seqfeat.cluster.transform "
        "takes a dask.array.Array or a dask.dataframe.DataFrame. What is in memory goes to "
        "model.transform, or through dask.array.from_array."
    )


def _refuse_parts_of_tables(**parts: Any) -> None:
    for name, value in parts.items():
        if value is not None and not (
            name == "step" and isinstance(value, str) and value == "auto"
        ):
            raise InputError(
                f"{name}={value!r} is about long tables, but data is an array; leave it out."
            )
