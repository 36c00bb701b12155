"""Dask itself, imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["dask_module", "workers_of"]


def dask_module(name: str) -> Any:
    """Return a module of Dask.

    Raises
    ------
    ImportError
        If Dask, or what this part of it depends on, is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"seqfeat.cluster needs {name}, which cannot be imported ({error}): "
            "pip install 'seqfeat[cluster]'"
        ) from error


def workers_of(client: Any) -> dict[str, Any]:
    """Return what the scheduler says of each worker, by address.

    Every two seconds Dask's client asks for the cluster without its workers, and that answer
    may take the place of this one.
    """
    while True:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if workers or not client.nthreads():
            return dict(workers)
