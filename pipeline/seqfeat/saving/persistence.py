"""`save` and `load`: fitted estimators as files that are whole, checked and described."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import joblib
from sklearn.utils.validation import check_is_fitted

from seqfeat.exceptions import InputError, ModelFileError, ModelVersionError, ModelVersionWarning
from seqfeat.runtime.atomic_files import pending_path, promote, replace_pair
from seqfeat.runtime.checked_state import check_version
from seqfeat.saving.cards import (
    CARD_VERSION,
    Card,
    card_path,
    installed_versions,
    make_card,
    read_card,
)
from seqfeat.version import release

__all__ = ["check_can_save", "checked_card", "load", "save"]

FORMATS = {".joblib": "joblib", ".skops": "skops"}
PROMISE_NOTHING = ("scikit-learn", "numpy")
"""Libraries whose saved objects may not open in another minor version."""
OWN_TYPES = {"seqfeat.autoencoder.LSTMAutoencoder"}
"""What skops does not know and we vouch for."""


def save(
    estimator: Any,
    path: str | Path,
    *,
    metrics: Mapping[str, float] | None = None,
    notes: str | None = None,
    reading: Mapping[str, Any] | None = None,
    format: str | None = None,
) -> Path:
    """Save a fitted estimator and, beside it, a card that says what it is.

    Whatever happens meanwhile, a full disk or a kill, the files that were there
    before stay whole, and `load` finds either the old model or the new one.

    Parameters
    ----------
    estimator : estimator
        Fitted: a pipeline, a search, or an `LSTMAutoencoder`.
    path : str or Path
        ``NAME.joblib`` or ``NAME.skops``; the card becomes ``NAME.json``. Folders
        that are not there are made.
    metrics : dict of str to float, default=None
        Figures for the card, such as a test accuracy.
    notes : str, default=None
        Anything else worth knowing, such as what it was trained on.
    reading : dict, default=None
        The arguments of `seqfeat.series.read` with which its series were read, for
        whoever reads others: the commands do so unless told otherwise.
    format : {"joblib", "skops"}, default=None
        None goes by the suffix. joblib is fast and takes every estimator, but
        loading executes code, so it is for people who trust each other. skops
        executes none and admits known types only; it needs ``seqfeat[secure]``.

    Returns
    -------
    path : Path
        The model file.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    InputError
        If the suffix, the format or a metric is not allowed.
    ModelFileError
        If the card would replace a file that is not this model's card.
    OSError
        If the files cannot be written. Nothing half-written is left.

    See Also
    --------
    load : Its counterpart. A ``.joblib`` file is an ordinary one, which
        ``joblib.load`` opens as well, unchecked.

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
    format = _format(target, format)
    check_is_fitted(estimator)
    data = _dumped(estimator, format)
    card = make_card(estimator, data, target, format, metrics, notes, reading)
    _refuse_foreign_card(target)
    written = json.dumps(card, indent=2, allow_nan=False).encode() + b"\n"
    try:
        replace_pair(target, data, card_path(target), written, card["sha256"])
    except OSError as error:
        reason = f"not saved, and what was there before is whole: {error.strerror or error}"
        raise OSError(error.errno, reason, str(target)) from error
    return target


def load(path: str | Path, *, trusted: Iterable[str] = ()) -> Any:
    """Load what `save` saved, after checking it against its card.

    The file is read once; its size, its SHA-256 and the versions are checked, and
    only then the same bytes are opened.

    .. warning::
       Opening a joblib file executes code. The hash shows that a file is damaged,
       not who made it: load joblib files only from people whom you trust, and ask
       others for skops files.

    Parameters
    ----------
    path : str or Path
        The model file.
    trusted : iterable of str, default=()
        Types that a skops file may hold besides those of scikit-learn, numpy and
        seqfeat, such as ``"my_package.MyClassifier"``.

    Returns
    -------
    estimator : estimator

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If there is no card, the file is not the one of its card, it cannot be
        opened, or it holds types that are not trusted.
    ModelVersionError
        If a newer seqfeat saved it.

    Warns
    -----
    ModelVersionWarning
        If scikit-learn or numpy were of another minor version, between which they
        promise nothing for saved models.
    """
    target = Path(os.path.realpath(path))
    data, card = _pair(target)
    _check_versions(target, card)
    if card.get("format") == "skops":
        _skops()  # Where it is missing that is the error, and not a file that cannot be opened.
    try:
        return _opened(data, card["format"], set(trusted), target)
    except ModelFileError:
        raise
    except Exception as error:
        raise _unopenable(target, card, error) from error


def check_can_save(path: str | Path) -> None:
    """Refuse, before a long training, what `save` would refuse after it.

    Raises what `save` raises because of `path`. The folder is made.
    """
    target = Path(os.path.realpath(path))
    if _format(target, None) == "skops":
        _skops()
    _refuse_foreign_card(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "nothing can be written there", str(target.parent))


def checked_card(path: str | Path) -> Card:
    """Return a model's card after checking the file against it, without opening the file.

    Parameters
    ----------
    path : str or Path
        The model file.

    Returns
    -------
    card : dict
        What `save` wrote beside it.

    Raises
    ------
    FileNotFoundError, ModelFileError, ModelVersionError
        As `load`, but for what only opening the file shows.
    """
    target = Path(os.path.realpath(path))
    _, card = _pair(target)
    _check_versions(target, card)
    return card


def _format(target: Path, format: str | None) -> str:
    by_suffix = FORMATS.get(target.suffix)
    if by_suffix is None:
        raise InputError(
            f"{target.name} has the suffix {target.suffix!r}; use .joblib, or .skops for a file "
            "that executes no code."
        )
    if format not in (None, by_suffix):
        raise InputError(
            f"format={format!r}, but {target.name} is a name for {by_suffix}; use one of "
            f"{', '.join(f'{name!r} with {suffix}' for suffix, name in FORMATS.items())}."
        )
    return by_suffix


def _dumped(estimator: Any, format: str) -> bytes:
    if format == "skops":
        dumped: bytes = _skops().dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        return dumped
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError("skops files need skops: pip install 'seqfeat[secure]'") from error
    return skops.io


def _refuse_foreign_card(target: Path) -> None:
    """Refuse to replace a card that is not this model's, or no card at all."""
    path = card_path(target)
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "not saved: a folder is in the card's place", str(path)
        )
    other = read_card(path).get("file")
    if other != target.name and path.with_name(str(other)).exists():
        raise ModelFileError(
            f"{path} is the card of {other}, and the card of {target.name} would replace it. "
            "Choose another name."
        )


def _pair(target: Path) -> tuple[bytes, Card]:
    """Return a model's bytes and its card.

    While somebody saves, one may be read before and the other after; then they fit
    when they are read again.
    """
    failed: list[bytes] = []
    while True:
        data = _bytes_of(target)
        try:
            return data, _card_of(target, data)
        except ModelFileError:
            if failed.count(data) == 2:
                raise
            failed = [*failed[-1:], data]


def _bytes_of(target: Path) -> bytes:
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {target}.") from None
    except IsADirectoryError as error:
        raise ModelFileError(f"{target} is a folder; pass a .joblib or .skops file.") from error
    if not data:
        raise ModelFileError(f"{target} is empty. Restore it from a copy, or save it again.")
    return data


def _card_of(target: Path, data: bytes) -> Card:
    """Return the card that fits the model's bytes."""
    digest = hashlib.sha256(data).hexdigest()
    pending = pending_path(card_path(target), digest)
    places = [place for place in (card_path(target), pending) if place.exists()]
    if not places:
        raise ModelFileError(
            f"{target} has no card, {card_path(target).name}, to check it against. If it was saved "
            "without seqfeat.save and you trust where it comes from, joblib.load opens it "
            "unchecked; that executes code."
        )
    cards = [read_card(place) for place in places]
    for place, card in zip(places, cards, strict=True):
        if card["sha256"] == digest:
            if place == pending:  # a save was killed just before its end
                promote(target, data, card_path(target), digest)
            return _complete(card, target)
    size = cards[0].get("bytes")
    raise ModelFileError(
        f"{target} is not the file of its card, {card_path(target).name}: it has {len(data)} bytes "
        f"with SHA-256 {digest[:12]}..., and the card says {size} with "
        f"{str(cards[0]['sha256'])[:12]}.... It was damaged or replaced; restore both files "
        "together from a copy."
    )


def _complete(card: Card, target: Path) -> Card:
    """Refuse a card of which a field that matters was damaged."""
    try:
        if card["format"] not in FORMATS.values():
            raise ValueError(f"format is {card['format']!r}")
        int(card["card_version"])
        for name in ("seqfeat", *PROMISE_NOTHING):
            release(card["versions"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{card_path(target)} is damaged ({type(error).__name__}: {error}). Restore it from a "
            "copy."
        ) from error
    return card


def _check_versions(target: Path, card: Card) -> None:
    saved, here = card["versions"], installed_versions()
    check_version(str(target), saved["seqfeat"])
    if card["card_version"] > CARD_VERSION:
        raise ModelVersionError(
            f"{target} has a card of version {card['card_version']}, saved by seqfeat "
            f"{saved['seqfeat']}; seqfeat {here['seqfeat']} knows {CARD_VERSION}. Install the "
            "newer seqfeat."
        )
    for name in PROMISE_NOTHING:
        then = saved[name]
        if _minor(then) != _minor(here[name]):
            warnings.warn(
                f"{target} was saved with {name} {then}, and this is {name} {here[name]}, which "
                f"may read it differently. Install {name}=={then}, or fit and save again.",
                ModelVersionWarning,
                stacklevel=3,
            )


def _minor(version: str) -> tuple[int, ...]:
    return release(version)[:2]


def _opened(data: bytes, format: str, trusted: set[str], target: Path) -> Any:
    if format == "joblib":
        return joblib.load(io.BytesIO(data))
    skops = _skops()
    found = set(skops.get_untrusted_types(data=data))
    unknown = sorted(found - OWN_TYPES - trusted)
    if unknown:
        raise ModelFileError(
            f"{target} holds types that are not trusted: {', '.join(unknown)}. If you know them, "
            f"pass trusted={unknown!r}."
        )
    return skops.loads(data, trusted=sorted(found))


def _unopenable(target: Path, card: Card, error: Exception) -> ModelFileError:
    here = installed_versions()
    differing = [
        f"{name} {then} (here {here.get(name)})"
        for name, then in card["versions"].items()
        if then != here.get(name)
    ]
    return ModelFileError(
        f"{target} is undamaged but cannot be opened: {type(error).__name__}: {error}. It was "
        f"saved by seqfeat {card['versions']['seqfeat']} (here {here['seqfeat']}) with "
        f"{', '.join(differing) or 'the same versions of everything'}."
    )
