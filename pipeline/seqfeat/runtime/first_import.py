"""Imports of libraries that change the process they run in. Standard library only."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["first_import"]


@contextmanager
def first_import(library: str) -> Iterator[None]:
    """If a library is first imported in this context, undo what that does to the whole process.

    Some add warning filters or environment variables, which are the caller's to choose.
    """
    if library in sys.modules:
        yield
        return
    environment = dict(os.environ)
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)
