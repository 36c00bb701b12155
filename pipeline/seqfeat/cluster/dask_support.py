"""Importing Dask on demand, and helpers around it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["import_dask", "rechunk_whole_series", "worker_info"]


def import_dask(name: str) -> Any:
    """Import a module of Dask, or of a package that Dask depends on.

    Raises
    ------
    ImportError
        If the module, or one of its dependencies, is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"seqfeat.cluster needs {name}, which cannot be imported ({error}): "
            "pip install 'seqfeat[cluster]'"
        ) from error


def rechunk_whole_series(array: Any) -> Any:
    """Merge the chunks of a Dask array along time and channels."""
    return array.rechunk(dict.fromkeys(range(1, array.ndim), -1))


def worker_info(client: Any) -> dict[str, Any]:
    """Return what the scheduler knows about each worker, by address.

    Every two seconds Dask's client refreshes its copy of this information without the
    workers, and that refresh can overwrite the answer to our request. An empty answer is
    therefore checked against the number of threads in the cluster.
    """
    while True:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if workers or not client.nthreads():
            return dict(workers)
