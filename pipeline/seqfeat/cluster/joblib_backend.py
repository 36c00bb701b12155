"""A joblib backend for Dask that survives the loss of workers. Imports Dask."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import dask
from joblib._dask import DaskDistributedBackend

from seqfeat.cluster.dask_support import import_dask

__all__ = ["ResilientDaskBackend"]

LARGE_GRAPH_THRESHOLD = "distributed.admin.large-graph-warning-threshold"


class ResilientDaskBackend(DaskDistributedBackend):  # type: ignore[misc]
    """Runs joblib's jobs as Dask tasks, and repeats them if their worker dies.

    Parameters
    ----------
    client : dask.distributed.Client
        The client of the cluster.
    **options
        Options of joblib's own backend, which passes those it does not know to
        ``client.submit``.
    """

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client=_RecoverableScatterClient(client), **options)

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Submit a job, and report it as done also if Dask gives up on it.

        Without that, joblib would wait forever for a job whose workers died too often.
        """
        job = super().submit(func, callback)

        def report_failure(done: Future[Any]) -> None:
            if callback is not None and done.exception() is not None:
                callback(done.exception())

        job.add_done_callback(report_failure)
        return job


class _RecoverableScatterClient:
    """A client whose scattered data can be recovered after all workers that held it died.

    joblib scatters the data it is asked to, and any large arguments of a job, such as the
    rows of a fold. Scattered data is not the result of a task, so Dask cannot recompute it
    after losing the worker. Here it is: the result of a task that unpickles it, and the
    scheduler keeps the pickle.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def scatter(self, data: Any, asynchronous: bool = False, **_: Any) -> Any:
        """Return a list with a future per item; if asynchronous, an awaitable of one future."""
        return self._submit_async(data) if asynchronous else [self._submit(part) for part in data]

    async def _submit_async(self, data: Any) -> Any:
        return self._submit(data)

    def _submit(self, data: Any) -> Any:
        pickled = import_dask("cloudpickle").dumps(data)
        # Dask warns about large tasks and recommends scattering their data, which is what this is.
        with dask.config.set({LARGE_GRAPH_THRESHOLD: sys.maxsize}):
            return self._client.submit(pickle.loads, pickled, pure=False)
