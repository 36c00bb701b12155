"""`transform`: apply a fitted model to Dask arrays and dataframes."""

from __future__ import annotations

from typing import Any

from seqfeat.cluster.arrays import transform_array
from seqfeat.cluster.dask_support import import_dask
from seqfeat.cluster.frames import LongFormat, transform_frame
from seqfeat.cluster.model_task import model_task
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
    elapsed: bool = False,
) -> Any:
    """Embed the series of a Dask array or dataframe lazily, chunk by chunk.

    The result equals ``model.transform`` of the same data in memory. Each chunk or
    partition is one task; it runs on one thread and needs memory for its series and one
    batch. Each worker receives the model once. Until the result is computed, the model is
    only applied to a single series of zeros, to check the input.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        Fitted, and with a `transform` method. The model is copied, so later changes to it
        do not affect the result. With ``device="auto"``, workers that have a GPU use it.
    data : dask.array.Array or dask.dataframe.DataFrame
        An array of shape (n_samples, n_timesteps, n_channels), or (n_samples,
        n_timesteps) if the model was fitted on a 2D array. Chunks along the samples are
        kept, even if their sizes are unequal or unknown; chunks along time and channels
        are merged. Or a long table, partitioned by series: all rows of a series in the
        same partition.
    series_id : str, optional
        For a long table, the column or index with the series ids.
    time, channels, step, elapsed
        For a long table, as in `~seqfeat.series.from_long`. ``step="auto"`` needs an
        additional pass over the ids and times to find the shortest gap in the whole
        table; an explicit step, or None, avoids that pass.

    Returns
    -------
    features : dask.array.Array or dask.dataframe.DataFrame
        For an array, shape (n_samples, n_features), with the same chunks along the
        samples. For a long table, one row per series, in order of first appearance, with
        the ids as index and ``model.get_feature_names_out()`` as columns.

    Raises
    ------
    InputTypeError
        If `data` is neither a Dask array nor a Dask dataframe.
    InputError
        If the shape, the channels or the columns do not fit the model. Errors in the
        values, or a series with rows in two partitions, are raised when the result is
        computed.
    ImportError
        If Dask is missing: ``pip install 'seqfeat[cluster]'``.

    Notes
    -----
    If the dataframe is indexed by `series_id` and has known divisions, as after
    ``frame.set_index(series_id)``, no series can be in two partitions, and the result is
    computed in a streaming fashion. Otherwise the workers keep all features in memory
    (but not the series) until the ids of all partitions have been compared.

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
    if isinstance(data, import_dask("dask.array").Array):
        _check_no_table_arguments(
            series_id=series_id,
            time=time,
            channels=channels,
            step=step,
            elapsed=elapsed or None,
        )
        return transform_array(model_task(model), data)
    if isinstance(data, import_dask("dask.dataframe").DataFrame):
        layout = LongFormat(series_id, time, channels, step, elapsed)
        return transform_frame(model_task(model), data, layout)
    raise InputTypeError(
        f"data is a {type(data).__module__}.{type(data).__qualname__}; seqfeat.cluster.transform "
        "takes a dask.array.Array or a dask.dataframe.DataFrame. For data in memory, call "
        "model.transform, or wrap an array with dask.array.from_array."
    )


def _check_no_table_arguments(**arguments: Any) -> None:
    for name, value in arguments.items():
        is_default = value is None or (
            name == "step" and isinstance(value, str) and value == "auto"
        )
        if not is_default:
            raise InputError(
                f"{name}={value!r} only applies to long tables, but data is an array; omit it."
            )
