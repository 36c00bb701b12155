"""Checked pickles: a checksum, the version that wrote them, and attributes renamed since.

A plain pickle has neither checksum nor version. A byte that flips in one of its arrays
silently changes the model, and an attribute that a later version renamed is only
missed when somebody uses it. pickle, joblib, copy and skops all restore an estimator
through `CheckedStateMixin.__setstate__`.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from seqfeat.exceptions import ModelFileError, ModelVersionError
from seqfeat.runtime.fork_safety import ForkSafeLock
from seqfeat.version import __version__, release

__all__ = ["CheckedStateMixin", "check_version"]

VERSION_KEY = "_seqfeat_version"
CHECKSUM_KEY = "_checksum"
RENAMED_ATTRIBUTES = {"deviation_": "std_"}
"""Learned attributes that earlier versions saved under another name: old name -> new name."""
MAX_PARTS = 10**7
"""Numbers, strings and arrays in a state. Lists within lists can repeat themselves without end."""

_lock = ForkSafeLock()
"""Held during the checks: torch imports parts of itself when it is first used."""


class CheckedStateMixin:
    """Verify the pickled state of a fitted estimator when it is restored."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Return an estimator that is not fitted, even if no state follows, as in a forged file."""
        estimator = super().__new__(cls)
        vars(estimator).update(_default_parameters(cls))  # type: ignore[arg-type]
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        if "weights_" not in state:
            return state
        return {**state, VERSION_KEY: __version__, CHECKSUM_KEY: _checksum(state)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        try:
            with _lock:
                restored = self._checked(state)
        except (ModelFileError, MemoryError):
            raise
        except Exception as error:
            raise ModelFileError(
                f"this {type(self).__name__} cannot be restored ({type(error).__name__}: {error}). "
                "Its file was damaged or made by hand. Restore it from a copy, or fit it again."
            ) from error
        super().__setstate__(restored)  # type: ignore[misc]

    def _checked(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes to restore, of which none is set before all are checked."""
        if type(state) is not dict:
            raise TypeError(f"its state is of type {type(state).__name__}, not dict")
        saved, cls = dict(state), type(self)
        version, checksum = saved.pop(VERSION_KEY, None), saved.pop(CHECKSUM_KEY, None)
        check_version(f"this {cls.__name__}", version)
        restored = {RENAMED_ATTRIBUTES.get(name, name): value for name, value in saved.items()}
        if len(restored) < len(saved):
            raise ValueError(f"an attribute has both its names: {', '.join(RENAMED_ATTRIBUTES)}")
        defaults = _default_parameters(cls)  # type: ignore[arg-type]
        for name in restored.keys() - defaults.keys():
            _check_hides_nothing(cls, name, restored[name])
        restored = {**defaults, **restored}
        # Before the checksum, which reads everything there is, however long that takes.
        self._check_learned(restored)
        if "weights_" in restored:
            if version is None or checksum is None:
                raise ValueError("it has no version or no checksum")
            # It covers the names under which the state was saved.
            if checksum != _checksum(saved):
                raise ModelFileError(
                    f"this {cls.__name__} differs from the one that was saved: its checksum does "
                    "not match, so the file is damaged. Restore it from a copy, or fit it again."
                )
        return restored

    def _check_learned(self, state: dict[str, Any]) -> None:
        """Raise `ModelFileError` if the attributes of a fitted estimator contradict each other."""


def _check_hides_nothing(cls: type, name: str, value: Any) -> None:
    """Raise if an attribute would hide one of its class, or could pose as a method.

    Other attributes are kept: users add notes, and later versions of scikit-learn their own.
    """
    if type(name) is not str:
        raise TypeError(f"the name of its attribute {name!r} is no string")
    of_class = inspect.getattr_static(cls, name, None)
    is_method = callable(of_class) or hasattr(type(of_class), "__get__")
    # Subclasses may well learn something that can be called, such as a network.
    is_ours = cls.__module__.partition(".")[0] == "seqfeat"
    if is_method or (is_ours and callable(value)) or name.startswith("__"):
        raise ValueError(f"its attribute {name} would replace a method")
    if of_class is not None and name.startswith("_"):
        raise ValueError(f"its attribute {name} would replace that of its class")


# On every construction, so cached; mypy does not know that classes are hashable.
@functools.cache
def _default_parameters(cls: type) -> Mapping[str, Any]:
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
    for number, chunk in enumerate(_encode(state)):
        if number == MAX_PARTS:
            raise ValueError(f"it has more than {MAX_PARTS} numbers, strings and arrays")
        digest.update(chunk)
    return digest.hexdigest()


def _encode(value: Any) -> Iterator[bytes]:
    """Yield the content of a value, or only its type if it is neither a number nor a string.

    Arrays of objects and of variable-length strings hold pointers, so they are encoded
    element by element.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OT":
        # pickle restores arrays in the byte order of the machine.
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
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
