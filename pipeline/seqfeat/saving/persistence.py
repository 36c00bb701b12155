"""`save` and `load`: fitted estimators as atomic, checksummed files with a card."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import joblib
from sklearn.utils.validation import check_is_fitted

from seqfeat.exceptions import InputError, ModelFileError, ModelVersionError, ModelVersionWarning
from seqfeat.runtime.atomic_files import pending_path, promote_pending, replace_pair
from seqfeat.runtime.checked_state import check_version
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.saving.cards import (
    CARD_VERSION,
    Card,
    card_path,
    installed_versions,
    make_card,
    read_card,
)
from seqfeat.version import release

__all__ = ["check_can_save", "load", "load_card", "save"]

FORMATS = {".joblib": "joblib", ".skops": "skops"}
VERSION_SENSITIVE = ("scikit-learn", "numpy")
"""Libraries whose saved objects may not load with another minor version."""
TRUSTED_TYPES = {"seqfeat.autoencoder.LSTMAutoencoder"}
"""Types that skops does not trust by default, but we do."""


def save(
    estimator: Any,
    path: str | Path,
    *,
    metrics: Mapping[str, float] | None = None,
    notes: str | None = None,
    reading: Mapping[str, Any] | None = None,
    format: str | None = None,
) -> Path:
    """Save a fitted estimator, with a card next to it that describes it.

    Saving is atomic. Even if the disk is full or the process is killed, existing files
    are never damaged, and `load` finds either the old model or the new one.

    Parameters
    ----------
    estimator : estimator
        A fitted pipeline, search or `LSTMAutoencoder`.
    path : str or Path
        ``NAME.joblib`` or ``NAME.skops``; the card is saved as ``NAME.json``. Missing
        folders are created.
    metrics : dict of str to float, default=None
        Metrics to record in the card, such as the test accuracy.
    notes : str, default=None
        Anything else worth recording, such as what the model was trained on.
    reading : dict, default=None
        The arguments of `seqfeat.series.read` with which the training series were read.
        The commands use them as defaults when they read other series for this model.
    format : {"joblib", "skops"}, default=None
        None infers the format from the suffix. joblib is fast and supports every
        estimator, but loading a joblib file executes code, so use it only among people
        who trust each other. Loading a skops file executes no code and permits known
        types only; it requires ``seqfeat[secure]``.

    Returns
    -------
    path : Path
        The model file.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    InputError
        If the suffix, the format or a metric is invalid.
    ModelFileError
        If the card would overwrite a file that is not this model's card.
    OSError
        If the files cannot be written. No partial files are left behind.

    See Also
    --------
    load : Load a saved estimator. ``joblib.load`` opens ``.joblib`` files as well, but
        does not check them.

    Examples
    --------
    >>> import tempfile, seqfeat
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = seqfeat.make_classifier(8, max_iter=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = seqfeat.save(pipeline, f"{folder}/speakers.joblib", notes="Japanese Vowels")
    ...     again = seqfeat.load(path)
    >>> (again.predict(X) == pipeline.predict(X)).all()
    np.True_
    """
    target = Path(os.path.realpath(path))
    format = _check_format(target, format)
    check_is_fitted(estimator)
    data = _serialize(estimator, format)
    card = make_card(estimator, data, target, format, metrics, notes, reading)
    _check_card_replaceable(target)
    card_data = json.dumps(card, indent=2, allow_nan=False).encode() + b"\n"
    try:
        replace_pair(target, data, card_path(target), card_data, card["sha256"])
    except OSError as error:
        reason = f"not saved, and any existing file is unchanged: {error.strerror or error}"
        raise OSError(error.errno, reason, str(target)) from error
    return target


def load(path: str | Path, *, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator that `save` saved, after checking it against its card.

    The file is read once. Its size, its SHA-256 and the versions are checked before
    those same bytes are deserialized.

    .. warning::
       Loading a joblib file executes code. The hash detects damage, but does not prove
       who made the file: load joblib files only from people you trust, and ask others
       for skops files.

    Parameters
    ----------
    path : str or Path
        The model file.
    trusted : iterable of str, default=()
        Types to permit in a skops file in addition to those of scikit-learn, NumPy and
        seqfeat, such as ``"my_package.MyClassifier"``.

    Returns
    -------
    estimator : estimator
        The fitted estimator.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ModelFileError
        If there is no card, the file does not match its card, it cannot be opened, or
        it contains untrusted types.
    ModelVersionError
        If the file was saved by a newer version of seqfeat.

    Warns
    -----
    ModelVersionWarning
        If the file was saved with another minor version of scikit-learn or NumPy, which
        do not guarantee that saved models load across minor versions.

    See Also
    --------
    save : Save a fitted estimator.
    """
    target = Path(os.path.realpath(path))
    data, card = _read_pair(target)
    _check_versions(target, card)
    if card.get("format") == "skops":
        _import_skops()  # if missing, that is the error to report, not an unreadable file
    try:
        return _deserialize(data, card["format"], set(trusted), target)
    except ModelFileError:
        raise
    except Exception as error:
        raise _loading_error(target, card, error) from error


def load_card(path: str | Path) -> Card:
    """Return a model's card after checking the model file against it.

    The model itself is not deserialized.

    Parameters
    ----------
    path : str or Path
        The model file.

    Returns
    -------
    card : dict
        The card that `save` wrote.

    Raises
    ------
    FileNotFoundError, ModelFileError, ModelVersionError
        As `load`, except for errors that only deserializing the model reveals.
    """
    target = Path(os.path.realpath(path))
    _, card = _read_pair(target)
    _check_versions(target, card)
    return card


def check_can_save(path: str | Path) -> None:
    """Raise whatever `save` would raise for this path, to fail before a long training.

    The folder is created if it is missing.
    """
    target = Path(os.path.realpath(path))
    if _check_format(target, None) == "skops":
        _import_skops()
    _check_card_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder is not writable", str(target.parent))


def _check_format(target: Path, format: str | None) -> str:
    """Return the format of a model file; its suffix and `format` must agree."""
    by_suffix = FORMATS.get(target.suffix)
    if by_suffix is None:
        raise InputError(
            f"{target.name} has the suffix {target.suffix!r}; use .joblib, or .skops for a file "
            "that executes no code."
        )
    if format not in (None, by_suffix):
        raise InputError(
            f"format={format!r}, but the suffix of {target.name} stands for {by_suffix}; use one "
            f"of {', '.join(f'{name!r} with {suffix}' for suffix, name in FORMATS.items())}."
        )
    return by_suffix


def _serialize(estimator: Any, format: str) -> bytes:
    if format == "skops":
        data: bytes = _import_skops().dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        return data
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


def _deserialize(data: bytes, format: str, trusted: set[str], target: Path) -> Any:
    if format == "joblib":
        return joblib.load(io.BytesIO(data))
    skops = _import_skops()
    found = set(skops.get_untrusted_types(data=data))
    unknown = sorted(found - TRUSTED_TYPES - trusted)
    if unknown:
        raise ModelFileError(
            f"{target} contains types that are not trusted: {', '.join(unknown)}. If you know "
            f"them, pass trusted={unknown!r}."
        )
    return skops.loads(data, trusted=sorted(found))


def _import_skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError("skops files require skops: pip install 'seqfeat[secure]'") from error
    return skops.io


def _check_card_replaceable(target: Path) -> None:
    """Raise if the card would overwrite another model's card, or a file that is not a card."""
    path = card_path(target)
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "not saved: the name of the card is taken by a folder", str(path)
        )
    other = read_card(path).get("file")
    if other != target.name and path.with_name(str(other)).exists():
        raise ModelFileError(
            f"{path} is the card of {other}, and the card of {target.name} would overwrite it. "
            "Choose another name."
        )


def _read_pair(target: Path) -> tuple[bytes, Card]:
    """Return a model's bytes and its card.

    If another process saves the model at the same moment, the two may have been read on
    different sides of that. They match when they are read again, so a mismatch is
    reported only once the same bytes have failed three times.
    """
    failed: list[bytes] = []
    while True:
        data = _read_model(target)
        try:
            return data, _find_card(target, data)
        except ModelFileError:
            if failed.count(data) == 2:
                raise
            failed = [*failed[-1:], data]


def _read_model(target: Path) -> bytes:
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {target}.") from None
    except IsADirectoryError as error:
        raise ModelFileError(f"{target} is a folder; pass a .joblib or .skops file.") from error
    if not data:
        raise ModelFileError(f"{target} is empty. Restore it from a copy, or save it again.")
    return data


def _find_card(target: Path, data: bytes) -> Card:
    """Return the card that matches the model's bytes, which may still be pending."""
    digest = hashlib.sha256(data).hexdigest()
    pending = pending_path(card_path(target), digest)
    paths = [path for path in (card_path(target), pending) if path.exists()]
    if not paths:
        raise ModelFileError(
            f"{target} has no card, {card_path(target).name}, to check it against. If it was saved "
            "without seqfeat.save and you trust its source, joblib.load opens it unchecked; that "
            "executes code."
        )
    cards = [read_card(path) for path in paths]
    for path, card in zip(paths, cards, strict=True):
        if card["sha256"] == digest:
            if path == pending:  # a save was killed just before its end
                promote_pending(target, data, card_path(target), digest)
            _check_card_fields(card, target)
            return card
    size = cards[0].get("bytes")
    raise ModelFileError(
        f"{target} does not match its card, {card_path(target).name}: it has {len(data)} bytes "
        f"and the SHA-256 {digest[:12]}..., but the card says {size} and "
        f"{str(cards[0]['sha256'])[:12]}.... It was damaged or replaced; restore both files "
        "together from a copy."
    )


def _check_card_fields(card: Card, target: Path) -> None:
    """Raise `ModelFileError` if a field that `load` relies on is missing or invalid."""
    try:
        if card["format"] not in FORMATS.values():
            raise ValueError(f"format is {card['format']!r}")
        int(card["card_version"])
        for name in ("seqfeat", *VERSION_SENSITIVE):
            release(card["versions"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{card_path(target)} is damaged ({type(error).__name__}: {error}). Restore it from a "
            "copy."
        ) from error


def _check_versions(target: Path, card: Card) -> None:
    """Raise if a newer seqfeat saved the model; warn if other libraries may read it differently."""
    saved, installed = card["versions"], installed_versions()
    check_version(str(target), saved["seqfeat"])
    if card["card_version"] > CARD_VERSION:
        raise ModelVersionError(
            f"{target} has a card of version {card['card_version']}, saved by seqfeat "
            f"{saved['seqfeat']}; this is seqfeat {installed['seqfeat']}, which reads version "
            f"{CARD_VERSION}. Install the newer seqfeat."
        )
    for name in VERSION_SENSITIVE:
        if _minor(saved[name]) != _minor(installed[name]):
            warn_user(
                f"{target} was saved with {name} {saved[name]}, but this is {name} "
                f"{installed[name]}, which may read it differently. Install "
                f"{name}=={saved[name]}, or fit and save the model again.",
                ModelVersionWarning,
            )


def _minor(version: str) -> tuple[int, ...]:
    return release(version)[:2]


def _loading_error(target: Path, card: Card, error: Exception) -> ModelFileError:
    """Return the error for an undamaged file that cannot be deserialized."""
    saved, installed = card["versions"], installed_versions()
    differing = [
        f"{name} {version} (here {installed.get(name)})"
        for name, version in saved.items()
        if version != installed.get(name)
    ]
    return ModelFileError(
        f"{target} is undamaged but cannot be opened: {type(error).__name__}: {error}. It was "
        f"saved by seqfeat {saved['seqfeat']} (here {installed['seqfeat']}) with "
        f"{', '.join(differing) or 'the same versions of everything'}."
    )
