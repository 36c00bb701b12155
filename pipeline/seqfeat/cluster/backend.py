"""joblib's backend for Dask, which here outlives the workers. Imports Dask."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import dask
from joblib._dask import DaskDistributedBackend

from seqfeat.cluster.extra import dask_module

__all__ = ["EnduringBackend"]

WARNING_OF_SIZE = "distributed.admin.large-graph-warning-threshold"


class EnduringBackend(DaskDistributedBackend):  # type: ignore[misc]
    """Runs joblib's jobs as Dask's tasks, whichever workers die.

    Parameters
    ----------
    client : dask.distributed.Client
        Of the cluster.
    **options
        Those of joblib's own backend, which end in those of ``client.submit``.
    """

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client=_Keeper(client), **options)

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Submit a job, and report it also when Dask gives it up.

        joblib would wait for ever for a job whose workers died too often.
        """
        job = super().submit(func, callback)

        def report(done: Future[Any]) -> None:
            if callback is not None and done.exception() is not None:
                callback(done.exception())

        job.add_done_callback(report)
        return job


class _Keeper:
    """A client whose data can be had again after all workers that held them have died.

    joblib scatters what is named to it, and by itself what it finds large among the
    arguments of a job, such as the rows of a fold. Scattered data are nobody's result and
    are lost with their worker. Here they are results, of tasks that open a pickle, which
    the scheduler keeps.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def scatter(self, data: Any, asynchronous: bool = False, **_: Any) -> Any:
        """Return data as futures: a list of one for each, or when awaited, of one object."""
        return self._awaited(data) if asynchronous else [self._kept(part) for part in data]

    async def _awaited(self, data: Any) -> Any:
        return self._kept(data)

    def _kept(self, data: Any) -> Any:
        pickled = dask_module("cloudpickle").dumps(data)
        # Dask warns of large tasks, as one thing to do is to scatter their data.
        with dask.config.set({WARNING_OF_SIZE: sys.maxsize}):
            return self._client.submit(pickle.loads, pickled, pure=False)
