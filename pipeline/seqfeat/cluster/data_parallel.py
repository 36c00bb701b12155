"""`fit`: data-parallel training on the workers of a Dask cluster."""

from __future__ import annotations

import math
import os
import socket
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlparse

import numpy as np
from sklearn.pipeline import Pipeline

from seqfeat import distributed
from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cluster.dask_support import import_dask, rechunk_whole_series, worker_info
from seqfeat.exceptions import DistributedError, InputError, InputTypeError

__all__ = ["fit"]

Model = TypeVar("Model", LSTMAutoencoder, Pipeline)


def fit(
    model: Model, X: Any, y: Any = None, *, client: Any = None, timeout: float = 120.0
) -> Model:
    """Fit one model to the series of a Dask array, on all workers of a cluster together.

    Data-parallel training, as in `seqfeat.distributed.fit`: each worker holds the series of
    some adjacent chunks, and in every training step the workers sum their gradients. They
    do that over `torch.distributed`, directly with each other and not through the scheduler.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        A pipeline has to start with the autoencoder; its other steps are fitted by one worker.
    X : dask.array.Array of shape (n_samples, n_timesteps, n_channels)
        Series; or (n_samples, n_timesteps) for one channel. If there are fewer chunks than
        workers, the other workers take no part.
    y : array-like or dask.array.Array of shape (n_samples,), default=None
        Labels.
    client : distributed.Client, default=None
        The client of the cluster. By default the current client.
    timeout : float, default=120
        Seconds until a worker that gives no sign of life counts as stalled, and the others give
        up; see `seqfeat.distributed.fit`. One that is busy is waited for, however long it takes.

    Returns
    -------
    model
        The same object, fitted.

    Raises
    ------
    DistributedError
        If there are no workers, or if a worker died or stalled, which the message names. With
        ``checkpoint_dir`` set to a folder that all workers can access, the next call
        resumes from the last checkpoint.
    InputError
        If `X` or `y` cannot be used.
    ImportError
        If Dask is missing: ``pip install 'seqfeat[cluster]'``.

    Notes
    -----
    All workers train at the same time, so each needs a free thread. For the duration of the
    fit, a worker holds its series in memory, with the dtype of the array. Workers that have
    a GPU of their own, such as those of dask-cuda, use it.

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
    client = client or import_dask("distributed").get_client()
    workers = sorted(worker_info(client))
    if not workers:
        raise DistributedError(
            "the cluster has no workers. Start some, for example with `dask worker ADDRESS`, and "
            "wait for them with client.wait_for_workers(n)."
        )
    shards = _shard(X, y, workers)
    workers = [shard.worker for shard in shards]
    init_method = _init_method(client, workers[0])
    scattered = client.scatter(model, broadcast=True, hash=False)
    futures = [
        client.submit(
            _fit_shard,
            scattered,
            client.compute(shard.series, workers=[shard.worker], allow_other_workers=False),
            shard.labels,
            rank,
            len(shards),
            _local_ranks(workers, rank),
            init_method,
            timeout,
            workers=[shard.worker],
            allow_other_workers=False,
            pure=False,
        )
        for rank, shard in enumerate(shards)
    ]
    fitted = _result_of_rank_0(client, futures)
    model.__dict__ = fitted.__dict__
    return model


# Series for each worker


class _Shard(NamedTuple):
    """The part of the data that one worker trains on."""

    worker: str
    series: Any
    """A task that returns one NumPy array."""
    labels: Any


def _shard(X: Any, y: Any, workers: list[str]) -> list[_Shard]:
    """Divide the data between workers, at the chunk boundaries closest to equal shares."""
    array = import_dask("dask.array")
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
    boundaries = np.concatenate([[0], np.cumsum(sizes)])
    equal_shares = np.linspace(0, boundaries[-1], min(len(workers), len(sizes)) + 1)
    edges = sorted({int(boundaries[np.abs(boundaries - edge).argmin()]) for edge in equal_shares})
    slices = [slice(start, stop) for start, stop in pairwise(edges)]
    concatenate = import_dask("dask").delayed(np.concatenate)
    labels = None if y is None else np.asarray(y)
    return [
        _Shard(
            worker,
            concatenate(list(rechunk_whole_series(X[rows]).to_delayed().ravel())),
            None if labels is None else labels[rows],
        )
        for worker, rows in zip(workers, slices, strict=False)
    ]


# The process group of the workers


def _init_method(client: Any, worker: str) -> str:
    """Return the URL where the process group rendezvouses: a free port of the first worker."""
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


def _local_ranks(workers: list[str], rank: int) -> distributed.LocalRanks:
    """Return a worker's rank among the workers on its machine, and how many these are."""
    hosts = [urlparse(worker).hostname for worker in workers]
    return distributed.LocalRanks(hosts[:rank].count(hosts[rank]), hosts.count(hosts[rank]))


# What runs on the workers


def _fit_shard(
    model: Any,
    series: Any,
    labels: Any,
    rank: int,
    world_size: int,
    local: distributed.LocalRanks,
    init_method: str,
    timeout: float,
) -> Any:
    """Fit together with the other workers; only rank 0 returns the fitted model."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        # Whoever started this worker has already listed its own GPU first.
        local = local._replace(local_rank=0)
    with distributed.process_group(init_method, timeout, local, rank, world_size):
        fitted = distributed.fit(model, series, labels)
    return fitted if rank == 0 else None


# What comes back


def _result_of_rank_0(client: Any, futures: list[Any]) -> Any:
    """Wait for all workers and return the fitted model; if one fails, cancel the others."""
    try:
        for future in import_dask("distributed").as_completed(futures):
            _raise_failure(future)
        return futures[0].result()
    finally:
        client.cancel(futures)


def _raise_failure(future: Any) -> None:
    """Raise the error of a worker; if the worker itself was lost, raise our own error."""
    dask_distributed = import_dask("distributed")
    if future.status == "finished":
        return
    error = future.exception() if future.status == "error" else None
    lost = (dask_distributed.KilledWorker, dask_distributed.CancelledError)
    if error is None or isinstance(error, lost):
        raise DistributedError(
            "a worker was lost during the fit. With checkpoint_dir set to a folder that all "
            "workers can access, the next call resumes from the last checkpoint. Dask reports: "
            f"{error!r}"
        )
    raise error
