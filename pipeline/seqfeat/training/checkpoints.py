"""The state of a training in files, to resume from after its process was killed. NumPy only.

Files are written atomically and contain no pickles. A file is `MAGIC`, the SHA-256 of all that
follows, and a NumPy archive. Nothing of the archive is parsed unless the checksum matches, because
zipfile and NumPy raise errors of all kinds, or none, for a damaged header.

Each fit has a folder of its own, named after everything that determines its result: series,
parameters and initial weights. The same fit, run again, resumes from its checkpoints; another one,
such as the next candidate of a search, never finds them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import CheckpointWarning, InputError
from seqfeat.runtime.atomic_files import atomic_write
from seqfeat.runtime.user_warnings import warn_user

__all__ = ["Checkpoints", "digest"]

N_KEPT = 2
"""Number of files that are kept: the newest, and the one before in case that is damaged."""
MAGIC = b"seqfeat checkpoint 2\n"
"""The first bytes of a file, with the version of the format."""

State = dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one fit.

    Attributes
    ----------
    folder : Path
    every : int
        Number of epochs from one checkpoint to the next.
    """

    folder: Path
    every: int

    @classmethod
    def of_fit(cls, directory: str | os.PathLike[str], every: int, fingerprint: str) -> Checkpoints:
        """Return the checkpoints of the fit with a fingerprint; create their folder."""
        folder = Path(directory) / f"fit-{fingerprint[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"checkpoint_dir={os.fspath(directory)!r} cannot be used: {error}. Pass a folder "
                "that this process may write to, or None."
            ) from error
        return cls(folder, every)

    def newest(self) -> State | None:
        """Return the newest state that is not damaged, or None if there is none."""
        paths = self._paths()
        while paths:
            path = paths.pop()
            try:
                return _unpack(path.read_bytes())
            except (OSError, ValueError) as error:
                instead = "the one before it is used" if paths else "training starts again"
                warn_user(
                    f"the checkpoint {path} is damaged ({error}); {instead}.", CheckpointWarning
                )
        return None

    def write(self, n_iter: int, state: State) -> None:
        """Write the state after an epoch. If the disk is full, warn; training continues."""
        try:
            atomic_write(self.folder / f"epoch-{n_iter:08d}.checkpoint", _pack(state))
            for path in self._paths()[:-N_KEPT]:
                path.unlink(missing_ok=True)
        except OSError as error:
            warn_user(
                f"no checkpoint could be written after epoch {n_iter}: {error}. Training "
                "continues; if it is killed, the next fit resumes from an earlier checkpoint.",
                CheckpointWarning,
            )

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.checkpoint"))


def digest(parts: Any) -> str:
    """Return the SHA-256 of nested dicts and lists of numbers, strings and arrays."""
    sha = hashlib.sha256()
    arrays: dict[str, NDArray[Any]] = {}
    sha.update(json.dumps(_without_arrays(parts, "", arrays), sort_keys=True).encode())
    for name, array in arrays.items():
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _pack(state: State) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    rest = _without_arrays(state, "", arrays)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, state=np.array(json.dumps(rest)), **arrays)
    archive = file.getbuffer()
    return b"".join([MAGIC, hashlib.sha256(archive).digest(), archive])


def _unpack(content: bytes) -> State:
    """Return the state in a file; raise `ValueError` if a single bit of the file has changed."""
    if not content.startswith(MAGIC):
        raise ValueError("it does not begin as this version's checkpoints do")
    start = len(MAGIC) + hashlib.sha256().digest_size
    checksum, archive = content[len(MAGIC) : start], content[start:]
    if hashlib.sha256(archive).digest() != checksum:
        raise ValueError("its checksum does not match")
    with np.load(io.BytesIO(archive), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    state: State = _with_arrays(json.loads(str(arrays.pop("state"))), arrays)
    return state


ARRAY = "__array__"


def _without_arrays(value: Any, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value that JSON can hold; put its arrays into `arrays`, by their paths."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {ARRAY: path}
    if isinstance(value, Mapping):
        return {
            str(key): _without_arrays(item, f"{path}/{key}", arrays) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item, f"{path}/{at}", arrays) for at, item in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Undo `_without_arrays`, except that tuples are now lists, and keys strings."""
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return arrays[value[ARRAY]]
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    return [_with_arrays(item, arrays) for item in value] if isinstance(value, list) else value
