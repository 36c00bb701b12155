"""One fit on all workers of a Dask cluster, each of which holds some of the series."""

from __future__ import annotations

import math
import os
import socket
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlparse

import numpy as np
from sklearn.pipeline import Pipeline

from seqfeat import distributed as sharing
from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cluster.extra import dask_module, workers_of
from seqfeat.exceptions import DistributedError, InputError, InputTypeError

__all__ = ["fit"]

Model = TypeVar("Model", LSTMAutoencoder, Pipeline)


def fit(
    model: Model, X: Any, y: Any = None, *, client: Any = None, timeout: float = 600.0
) -> Model:
    """Fit one model to the series of a Dask array, on the workers of a cluster.

    Data-parallel training, as in `seqfeat.distributed.fit`: each worker holds the
    series of neighbouring chunks and they add up their gradients, for which they talk to
    each other over `torch.distributed`, not through the scheduler.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        In a pipeline the autoencoder comes first; what follows it is fitted by one worker.
    X : dask.array.Array of shape (n_samples, n_timesteps, n_channels)
        Series; or (n_samples, n_timesteps) for one channel. At least a chunk for each
        worker, or some workers take no part.
    y : array-like or dask.array.Array of shape (n_samples,), default=None
        Labels.
    client : distributed.Client, default=None
        The cluster; by default the current client's.
    timeout : float, default=600
        Seconds that workers wait for each other before they give up.

    Returns
    -------
    model
        The same object, fitted.

    Raises
    ------
    DistributedError
        If there is no worker, or if one ended or did not answer in time. With
        ``checkpoint_dir``, a folder that all workers see, the next call goes on.
    InputError
        If `X` or `y` cannot be used.
    ImportError
        If Dask is missing: ``pip install 'seqfeat[cluster]'``.

    Notes
    -----
    All workers work at once: each needs a free thread. A worker's series are in its memory,
    as they are in the array, while the fit lasts. Workers with a GPU of their own, such as
    those of dask-cuda, use it.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from distributed import Client
    >>> from seqfeat import LSTMAutoencoder, cluster
    >>> X = da.from_array(np.sin(np.arange(1200).reshape(60, 20, 1) / 5), chunks=(20, 20, 1))
    >>> with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
    ...     model = cluster.fit(LSTMAutoencoder(4, max_iter=2, random_state=0), X)
    >>> model.transform(X.compute()).shape
    (60, 4)
    """
    distributed = dask_module("distributed")
    client = client or distributed.get_client()
    workers = sorted(workers_of(client))
    if not workers:
        raise DistributedError(
            "the cluster has no workers now. Start some, for instance `dask worker ADDRESS`, and "
            "call client.wait_for_workers(n) before."
        )
    parts = _parts(X, y, workers)
    address = _address(client, parts[0][0])
    kept = client.scatter(model, broadcast=True, hash=False)
    futures = [
        client.submit(
            _fit_share,
            kept,
            client.compute(series, workers=[worker], allow_other_workers=False),
            labels,
            rank,
            len(parts),
            _neighbours([worker for worker, _, _ in parts], rank),
            address,
            timeout,
            workers=[worker],
            allow_other_workers=False,
            pure=False,
        )
        for rank, (worker, series, labels) in enumerate(parts)
    ]
    fitted = _first_result(client, futures)
    model.__dict__ = fitted.__dict__
    return model


def _parts(X: Any, y: Any, workers: list[str]) -> list[tuple[str, Any, Any]]:
    """Return workers, each with a task that makes its series and with its labels."""
    array = dask_module("dask.array")
    if not isinstance(X, array.Array) or X.ndim not in (2, 3):
        shape = f" of shape {X.shape}" if hasattr(X, "shape") else ""
        raise InputTypeError(
            f"X is {type(X).__name__}{shape}; seqfeat.cluster.fit takes a Dask array of shape "
            "(n_samples, n_timesteps, n_channels): dask.array.from_array(X, chunks=...)."
        )
    if math.isnan(X.shape[0]):
        X = X.compute_chunk_sizes()
    sizes = [size for size in X.chunks[0] if size]
    if y is not None and len(y) != sum(sizes):
        raise InputError(f"y has {len(y)} labels for {sum(sizes)} series; each needs one.")
    # Edges of chunks that are nearest to equal shares.
    ends = np.concatenate([[0], np.cumsum(sizes)])
    wanted = np.linspace(0, ends[-1], min(len(workers), len(sizes)) + 1)
    edges = sorted({int(ends[np.abs(ends - edge).argmin()]) for edge in wanted})
    blocks = [slice(start, stop) for start, stop in pairwise(edges)]
    whole = dask_module("dask").delayed(np.concatenate)
    labels = np.asarray(y) if y is not None else None
    return [
        (
            worker,
            whole(list(X[rows].rechunk(_whole_series(X)).to_delayed().ravel())),
            None if labels is None else labels[rows],
        )
        for worker, rows in zip(workers, blocks, strict=False)
    ]


def _whole_series(X: Any) -> dict[int, int]:
    return dict.fromkeys(range(1, X.ndim), -1)


def _address(client: Any, worker: str) -> str:
    """Return where the workers meet: at the first one, on a port that is free there."""
    host = urlparse(worker).hostname
    port = client.submit(
        _free_port, host, workers=[worker], allow_other_workers=False, pure=False
    ).result()
    return f"tcp://[{host}]:{port}" if host is not None and ":" in host else f"tcp://{host}:{port}"


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def _neighbours(workers: list[str], rank: int) -> sharing.Neighbours:
    """Return which of the workers on its machine one is, and how many they are."""
    hosts = [urlparse(worker).hostname for worker in workers]
    return sharing.Neighbours(hosts[:rank].count(hosts[rank]), hosts.count(hosts[rank]))


def _fit_share(
    model: Any,
    series: Any,
    labels: Any,
    rank: int,
    world_size: int,
    neighbours: sharing.Neighbours,
    address: str,
    timeout: float,
) -> Any:
    """Fit with the other workers; the first one's model is what counts."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        # Whoever started this worker has put its own GPU first.
        neighbours = neighbours._replace(local_rank=0)
    with sharing.meeting(address, timeout, neighbours, rank, world_size):
        fitted = sharing.fit(model, series, labels)
    return fitted if rank == 0 else None


def _first_result(client: Any, futures: list[Any]) -> Any:
    """Return the first worker's model once all are done; end all when one fails."""
    distributed = dask_module("distributed")
    try:
        for future in distributed.as_completed(futures):
            _refuse_failure(future)
        return futures[0].result()
    finally:
        client.cancel(futures)


def _refuse_failure(future: Any) -> None:
    """Raise what a worker raised; the loss of a worker in our words."""
    distributed = dask_module("distributed")
    if future.status in ("finished",):
        return
    error = future.exception() if future.status == "error" else None
    if error is None or isinstance(error, (distributed.KilledWorker, distributed.CancelledError)):
        raise DistributedError(
            "a worker that took part in this fit was lost. With checkpoint_dir set to a folder "
            f"that all workers see, the next call goes on. Dask says: {error!r}"
        )
    raise error
