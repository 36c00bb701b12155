"""Dask itself, imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["dask_module"]


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
