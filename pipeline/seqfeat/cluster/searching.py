"""`searching`: scikit-learn's searches on the workers of a Dask cluster, whoever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from seqfeat.cluster.extra import dask_module, workers_of

__all__ = ["searching"]


@contextmanager
def searching(X: Any, y: Any = None, *, client: Any = None) -> Iterator[None]:
    """Run the fits of a search on the workers of a Dask cluster.

    A context manager. Within it joblib's jobs, which are scikit-learn's whenever
    ``n_jobs`` is left alone, become tasks of the cluster: each fit of a grid search and
    of a cross-validation. The scores are those that one process gets.

    Compared with ``joblib.parallel_config("dask")``, which does for a search as well:

    - `X` and `y` go to each worker once, in any form; joblib sends a list of series along
      with each fit. The scheduler keeps a copy of them while the search runs.
    - When workers are killed, their fits run again elsewhere, or on the workers that take
      their place. joblib's search ends with a ``FutureCancelledError`` if they held data.
    - A fit that Dask gives up is an error; joblib waits for it for ever.
    - Where workers declare GPUs, each fit gets one to itself.

    Parameters
    ----------
    X : array-like
        The series that the search will be given, the same object.
    y : array-like, optional
        Their labels, the same object.
    client : dask.distributed.Client, optional
        None is the current one.

    Raises
    ------
    ImportError
        Without ``seqfeat[cluster]``.
    ValueError
        If there is no current client.

    Notes
    -----
    A worker declares its GPU when it is started, one worker for each GPU::

        CUDA_VISIBLE_DEVICES=0 dask worker tcp://scheduler:8786 --resources GPU=1

    Workers without one then get no fits. A fit whose workers die more often than Dask's
    setting ``distributed.scheduler.allowed-failures`` says, 3 times by default, for want of
    memory perhaps, ends the search with Dask's ``KilledWorker``.

    Examples
    --------
    >>> from dask.distributed import Client
    >>> from sklearn.model_selection import GridSearchCV
    >>> from seqfeat import cluster, make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> grid = {"autoencoder__embedding_dim": [4, 16]}
    >>> search = GridSearchCV(make_classifier(max_iter=8, random_state=0), grid, cv=2)
    >>> with Client(processes=False, dashboard_address=":0"):  # or "tcp://scheduler:8786"
    ...     with cluster.searching(X, y):
    ...         search = search.fit(X, y)
    >>> search.best_params_
    {'autoencoder__embedding_dim': 16}
    """
    client = dask_module("dask.distributed").get_client() if client is None else client
    # Only here, as joblib imports Dask with its backend.
    from seqfeat.cluster.backend import EnduringBackend

    data = [part for part in (X, y) if part is not None]
    wants = {"resources": {"GPU": 1}} if _gpus(client) else {}
    with joblib.parallel_config(EnduringBackend(client, scatter=data, **wants)):
        yield


def _gpus(client: Any) -> float:
    """Return how many GPUs the workers declare."""
    workers = workers_of(client).values()
    return float(sum(worker["resources"].get("GPU", 0) for worker in workers))
