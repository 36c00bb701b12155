"""`save` and `load`: fitted estimators as atomic, checksummed files with a card."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from seqfeat.exceptions import InputError, ModelFileError, ModelVersionError, ModelVersionWarning
from seqfeat.runtime.checked_state import check_version
from seqfeat.runtime.fork_safety import ForkSafeLock
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.saving.card_format import CARD_VERSION, Card
from seqfeat.saving.cards import installed_versions, make_card
from seqfeat.saving.model_files import check_card_replaceable, read_model, write_model
from seqfeat.version import release

__all__ = ["check_can_save", "load", "load_card", "save"]

FORMATS = {".joblib": "joblib", ".skops": "skops"}
VERSION_SENSITIVE = ("scikit-learn", "numpy")
"""Libraries whose saved objects may not load with another minor version."""
TRUSTED_TYPES = {
    "seqfeat.autoencoder.LSTMAutoencoder",
    "seqfeat.pipeline.Pipeline",
}
"""Types that skops does not trust by default, but we do."""

_lock = ForkSafeLock()
"""Held while files are opened, which imports what is in them."""


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
        Metrics to record in the card, such as the test accuracy or R squared.
    notes : str, default=None
        Anything else worth recording, such as what the model was trained on.
    reading : dict, default=None
        The arguments of `seqfeat.series.read` with which the training series were read;
        for numbers as targets also ``target``, a list of their names.
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
        If the suffix, the format, a metric, the notes or what was read is invalid.
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
    >>> bool((again.predict(X) == pipeline.predict(X)).all())
    True
    """
    target = Path(os.path.realpath(path))
    format = _check_format(target, format)
    check_is_fitted(estimator)
    data = _serialize(estimator, format)
    card = make_card(estimator, data, target, format, metrics, notes, reading)
    write_model(target, data, card)
    return target


def load(path: str | Path, *, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator that `save` saved, after checking it against its card.

    The file is read once. The card's own checksum, the file's size and SHA-256, and the
    versions are checked before those same bytes are deserialized.

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
        If there is no card, the card is damaged, the file does not match it, cannot be
        opened, contains untrusted types, or anything but a fitted estimator.
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
    load_card : Check a file and return its card, without executing anything.
    """
    target = Path(os.path.realpath(path))
    data, card = read_model(target)
    _check_versions(target, card)
    _check_opens(Path(path), card)
    _check_opens(target, card)
    if card["format"] == "skops":
        _import_skops()  # if missing, that is the error to report, not an unreadable file
    try:
        with _lock:
            estimator = _deserialize(data, card["format"], set(trusted), target)
        _check_estimator(estimator, target)
    except ModelFileError:
        raise
    except Exception as error:
        raise _loading_error(target, card, error) from error
    return estimator


def load_card(path: str | Path) -> Card:
    """Return the card of a model or an ONNX graph after checking the file against it.

    The model itself is not deserialized, and the graph is not run.

    Parameters
    ----------
    path : str or Path
        The file that `save` or `export_onnx` wrote.

    Returns
    -------
    card : dict
        The card that was written with it.

    Raises
    ------
    FileNotFoundError, ModelFileError, ModelVersionError
        As `load`, except for errors that only deserializing the model reveals.
    """
    target = Path(os.path.realpath(path))
    _, card = read_model(target)
    _check_versions(target, card)
    return card


def check_can_save(path: str | Path) -> None:
    """Raise whatever `save` would raise for this path, to fail before a long training.

    The folder is created if it is missing.
    """
    target = Path(os.path.realpath(path))
    if _check_format(target, None) == "skops":
        _import_skops()
    check_card_replaceable(target)
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


def _check_opens(path: Path, card: Card) -> None:
    """Raise if a file is a graph, or if its name promises another format than its card.

    Otherwise a file called ``.skops``, which executes no code, could be opened as a joblib
    file, which does, because of what its card says.
    """
    format = card["format"]
    if format == "onnx":
        raise ModelFileError(
            f"{path} is an ONNX graph, not a scikit-learn estimator. Run it with "
            "onnxruntime.InferenceSession, or load the model from which it was exported."
        )
    by_suffix = FORMATS.get(path.suffix, format)
    if format != by_suffix:
        raise ModelFileError(
            f"{path} is named like a {by_suffix} file, but its card says that it is a {format} "
            "file. Restore both from a copy, or, if you know where they come from, correct the "
            "name of the file."
        )


def _check_estimator(estimator: Any, target: Path) -> None:
    """Raise `ModelFileError` unless a file contains what `save` accepts: a fitted estimator."""
    try:
        check_is_fitted(estimator)
    except (TypeError, NotFittedError) as error:
        raise ModelFileError(
            f"{target} is undamaged but contains no fitted estimator, only an object of the type "
            f"{type(estimator).__name__}: {error}"
        ) from error


def _check_versions(target: Path, card: Card) -> None:
    """Raise if a newer seqfeat saved the model; warn if other libraries may read it differently.

    An ONNX graph runs without those libraries.
    """
    saved, installed = card["versions"], installed_versions()
    check_version(str(target), saved["seqfeat"])
    if card["card_version"] > CARD_VERSION:
        raise ModelVersionError(
            f"{target} has a card of version {card['card_version']}, saved by seqfeat "
            f"{saved['seqfeat']}; this is seqfeat {installed['seqfeat']}, which reads version "
            f"{CARD_VERSION}. Install the newer seqfeat."
        )
    for name in VERSION_SENSITIVE if card["format"] != "onnx" else ():
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
