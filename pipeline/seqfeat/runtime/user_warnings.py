"""Warnings that point to the user's code. Standard library only."""

from __future__ import annotations

import os
import sys
import warnings

__all__ = ["warn_user"]

_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = tuple(f"{os.sep}{name}{os.sep}" for name in ("sklearn", "joblib"))


def warn_user(message: str, category: type[Warning]) -> None:
    """Issue a warning that points to the innermost line outside seqfeat, sklearn and joblib."""
    stacklevel, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_library(frame.f_code.co_filename):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


def _is_library(filename: str) -> bool:
    return filename.startswith(_OWN_FOLDER) or any(name in filename for name in _LIBRARIES)
