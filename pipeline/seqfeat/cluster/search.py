"""`searching`: run scikit-learn's searches on a Dask cluster, even if workers are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from seqfeat.cluster.dask_support import import_dask, worker_info

__all__ = ["searching"]


@contextmanager
def searching(X: Any, y: Any = None, *, client: Any = None) -> Iterator[None]:
    """Run the fits of a search on the workers of a Dask cluster.

    A context manager. Inside it, joblib runs its jobs as tasks on the cluster, and so does
    scikit-learn wherever ``n_jobs`` is left at its default: every fit of a grid search or a
    cross-validation is a task. The scores are the same as in a single process.

    ``joblib.parallel_config("dask")`` also runs a search on a cluster. Compared with it:

    - `X` and `y` are sent to each worker once, whatever their type; joblib sends a list of
      series again with every fit. The scheduler keeps a copy while the search runs.
    - If workers are killed, their fits run again on other workers, or on those that replace
      them. joblib's search fails with a ``FutureCancelledError`` if they held data.
    - A fit that Dask gives up on raises an error; joblib waits for it forever.
    - If workers declare GPUs, each fit has one to itself.

    Parameters
    ----------
    X : array-like
        The series that will be passed to the search; has to be the same object.
    y : array-like, optional
        Their labels or numbers; has to be the same object as well.
    client : dask.distributed.Client, optional
        The client of the cluster. By default the current client.

    Raises
    ------
    ImportError
        If Dask is missing: ``pip install 'seqfeat[cluster]'``.
    ValueError
        If no client is passed and there is no current one.

    Notes
    -----
    A worker declares its GPU when it is started. Start one worker per GPU::

        CUDA_VISIBLE_DEVICES=0 dask worker tcp://scheduler:8786 --resources GPU=1

    Workers without a GPU then get no fits. If a fit loses its worker more often than Dask's
    setting ``distributed.scheduler.allowed-failures`` permits (by default 3 times), for
    example because it runs out of memory, the search fails with Dask's ``KilledWorker``.

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
    client = import_dask("dask.distributed").get_client() if client is None else client
    # Imported here because the backend imports Dask.
    from seqfeat.cluster.joblib_backend import ResilientDaskBackend

    data = [part for part in (X, y) if part is not None]
    options = {"resources": {"GPU": 1}} if _declares_gpus(client) else {}
    with joblib.parallel_config(ResilientDaskBackend(client, scatter=data, **options)):
        yield


def _declares_gpus(client: Any) -> bool:
    return any(worker["resources"].get("GPU", 0) > 0 for worker in worker_info(client).values())
