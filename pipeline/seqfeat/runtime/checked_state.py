"""Checked pickles: a checksum, the version that wrote them, and attributes renamed since.

A plain pickle has neither checksum nor version. A byte that flips in one of its arrays
silently changes the model, and an attribute that a later version renamed is only
missed when somebody uses it.
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
RENAMED_ATTRIBUTES = {"deviation_": "std_"}
"""Learned attributes that earlier versions saved under another name: old name -> new name."""


class CheckedStateMixin:
    """Verify the pickled state of a fitted estimator when it is restored."""

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
                f"this {type(self).__name__} differs from the one that was saved: its checksum "
                "does not match, so the file is damaged. Restore it from a copy, or fit it again."
            )
        # Only now, because the checksum covers the names under which the state was saved.
        state = {RENAMED_ATTRIBUTES.get(name, name): value for name, value in state.items()}
        super().__setstate__({**_default_parameters(type(self)), **state})  # type: ignore[misc]
        if "weights_" in state:
            self._check_learned()

    def _check_learned(self) -> None:
        """Raise `ModelFileError` if the restored attributes contradict each other."""


def _default_parameters(cls: type) -> dict[str, Any]:
    """Return the defaults of all parameters, some of which an earlier version did not have."""
    parameters = inspect.signature(cls).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.default is not parameter.empty
    }


def check_version(what: str, version: str | None) -> None:
    """Raise `ModelVersionError` if `what` was saved by a newer version of seqfeat."""
    if version is not None and release(version) > release(__version__):
        raise ModelVersionError(
            f"{what} was saved by seqfeat {version}, but this is seqfeat {__version__}, which may "
            f"not support everything in it. Upgrade: pip install 'seqfeat>={version}'"
        )


def _checksum(state: dict[str, Any]) -> str:
    """Return the SHA-256 of all numbers and strings in a state."""
    digest = hashlib.sha256()
    for chunk in _encode(state):
        digest.update(chunk)
    return digest.hexdigest()


def _encode(value: Any) -> Iterator[bytes]:
    """Yield the content of a value, or only its type if it is neither a number nor a string.

    Arrays of objects and of variable-length strings hold pointers, so they are encoded
    element by element.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OT":
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            yield repr(key).encode()
            yield from _encode(value[key])
    elif isinstance(value, (list, tuple, np.ndarray)):
        yield f"[{len(value)}]".encode()
        for item in value:
            yield from _encode(item)
    elif value is None or isinstance(value, (bool, int, float, str, np.generic)):
        yield f"{value!s};".encode()
    else:
        yield type(value).__qualname__.encode()
