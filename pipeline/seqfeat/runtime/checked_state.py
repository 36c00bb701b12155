"""What protects a plain pickle: a checksum, and the version that wrote it.

A pickle has neither. A byte that flips inside its arrays changes the model and
nobody notices; an attribute that a later version renamed is missed much later.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqfeat.exceptions import ModelFileError, ModelVersionError
from seqfeat.version import __version__, release

__all__ = ["CheckedStateMixin", "check_version"]

VERSION_KEY = "_seqfeat_version"
CHECKSUM_KEY = "_checksum"


class CheckedStateMixin:
    """Give fitted estimators a pickled state that is checked when it comes back."""

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        if "weights_" not in state:
            return state
        return {**state, VERSION_KEY: __version__, CHECKSUM_KEY: _checksum(state)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        check_version(f"this {type(self).__name__}", state.pop(VERSION_KEY, None))
        expected = state.pop(CHECKSUM_KEY, None)
        if expected is not None and expected != _checksum(state):
            raise ModelFileError(
                f"this {type(self).__name__} is not what was saved: its checksum differs, so the "
                "file was damaged. Restore it from a copy, or fit it again."
            )
        super().__setstate__({**_later_parameters(type(self)), **state})  # type: ignore[misc]


def _later_parameters(kind: type) -> dict[str, Any]:
    """Return defaults, for the parameters that an earlier seqfeat did not have."""
    parameters = inspect.signature(kind).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def check_version(what: str, version: str | None) -> None:
    """Refuse what a newer seqfeat saved."""
    if version is not None and release(version) > release(__version__):
        raise ModelVersionError(
            f"{what} was saved by seqfeat {version}, and this is seqfeat {__version__}, which may "
            f"not know all of it. Install the newer one: pip install 'seqfeat>={version}'"
        )


def _checksum(state: dict[str, Any]) -> str:
    """Return the SHA-256 of all numbers and texts in a state."""
    digest = hashlib.sha256()
    for part in _parts(state):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Yield a value's content; of what is neither number nor text, only the type.

    Arrays of objects, and of NumPy's texts of any length, hold pointers, so their
    elements count.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OT":
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            yield repr(key).encode()
            yield from _parts(value[key])
    elif isinstance(value, (list, tuple, np.ndarray)):
        yield f"[{len(value)}]".encode()
        for item in value:
            yield from _parts(item)
    elif value is None or isinstance(value, (bool, int, float, str, np.generic)):
        yield f"{value!s};".encode()
    else:
        yield type(value).__qualname__.encode()
