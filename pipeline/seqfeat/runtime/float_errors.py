"""NumPy's floating-point errors, which the caller may have turned into exceptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

__all__ = ["without_float_errors"]

P = ParamSpec("P")
T = TypeVar("T")


def without_float_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that checks its results itself, whatever `numpy.seterr` says.

    A value that underflows while it is scaled is no error, and neither a warning of NumPy nor its
    FloatingPointError would name the series.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        # A new object for each call, because one object cannot be entered by two threads.
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return run
