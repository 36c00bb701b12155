"""A model file and its card, written and read together, whatever form the model has."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

from seqfeat.exceptions import ModelFileError
from seqfeat.runtime.atomic_files import pending_path, promote_pending, replace_pair
from seqfeat.saving.card_format import Card, card_path, encode_card, is_graph, owner, read_card

__all__ = ["check_card_replaceable", "read_model", "write_model"]

PICKLES = (
    (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
    "a pickle, as joblib and other libraries write",
)
COMPRESSED = (
    (b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ"),
    "compressed data, such as joblib can write",
)
CONTENTS = (
    PICKLES,
    COMPRESSED,
    ((b"PK\x03\x04",), "a zip archive, as .skops, .npz and .pt files are"),
    ((b"\x89PNG",), "a PNG picture"),
    ((b"\xff\xd8\xff",), "a JPEG picture"),
    ((b"GIF8",), "a GIF picture"),
    ((b"%PDF",), "a PDF document"),
    ((b"\x93NUMPY",), "a NumPy array"),
    ((b"\x89HDF",), "an HDF5 file"),
    ((b"PAR1",), "a Parquet file"),
    ((b"seqfeat checkpoint",), "a checkpoint, from which only the same fit can resume"),
)
"""How files of common kinds begin, and what they are."""
N_HEAD = 1024


def write_model(target: Path, data: bytes, card: Card) -> None:
    """Replace a model file and its card together, or neither of them.

    Raises `InputError` for a card that could not be read again, `ModelFileError` if the
    card would overwrite something else, and `OSError` if the files cannot be written.
    """
    check_card_replaceable(target)
    try:
        replace_pair(target, data, card_path(target), encode_card(card), card["sha256"])
    except OSError as error:
        reason = f"not saved, and any existing file is unchanged: {error.strerror or error}"
        raise OSError(error.errno, reason, str(target)) from error


def check_card_replaceable(target: Path) -> None:
    """Raise if the card would overwrite another model's card, or a file that is not a card."""
    path = card_path(target)
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "not saved: the name of the card is taken by a folder", str(path)
        )
    other = owner(path)
    if other is not None and other.name != target.name:
        raise ModelFileError(
            f"{path} is the card of {other.name}, and the card of {target.name} would overwrite "
            "it. Choose another name."
        )


def read_model(target: Path) -> tuple[bytes, Card]:
    """Return a model's bytes and its card, which match.

    If another process saves the model at the same moment, the two may have been read on
    different sides of that. They match when they are read again, so a mismatch is
    reported only once the same bytes have failed three times.
    """
    failed: list[bytes] = []
    while True:
        data = _read_file(target)
        try:
            return data, _find_card(target, data)
        except ModelFileError:
            if failed.count(data) == 2:
                raise
            failed = [*failed[-1:], data]


def _read_file(target: Path) -> bytes:
    """Return the content of a file that may be a model."""
    if not target.exists():
        raise FileNotFoundError(f"there is no file {target}.{_similar(target)}")
    if target.is_dir():
        raise ModelFileError(f"{target} is a folder; pass a .joblib or .skops file in it.")
    if not target.is_file():
        raise ModelFileError(f"{target} is a device or a pipe; pass a .joblib or .skops file.")
    if target.suffix == ".json":
        raise ModelFileError(
            f"{target} has the name of a card, which describes a model; pass the model itself, a "
            ".joblib or .skops file."
        )
    data = target.read_bytes()
    if not data:
        raise ModelFileError(f"{target} is empty. Restore it from a copy, or save it again.")
    return data


def _similar(target: Path) -> str:
    """Return a question if there is a model whose name only lacks its suffix."""
    names = [f"{target.name}{suffix}" for suffix in (".joblib", ".skops")]
    found = [name for name in names if target.with_name(name).exists()]
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _find_card(target: Path, data: bytes) -> Card:
    """Return the card that matches the model's bytes, which may still be pending."""
    digest = hashlib.sha256(data).hexdigest()
    pending = pending_path(card_path(target), digest)
    paths = [path for path in (card_path(target), pending) if path.exists()]
    if not paths:
        raise ModelFileError(_describe_foreign(target, data))
    cards = [read_card(path) for path in paths]
    for path, card in zip(paths, cards, strict=True):
        if card["sha256"] == digest and card["bytes"] == len(data):
            if path == pending:  # a save was killed just before its end
                promote_pending(target, data, card_path(target), digest)
            return card
    raise ModelFileError(_describe_mismatch(target, data, digest, cards[0]))


def _describe_foreign(target: Path, data: bytes) -> str:
    """Say what a file without a card is, and what to do."""
    content = _describe_content(target, data)
    way_out = f"If seqfeat saved it, copy {card_path(target).name} from where it came from"
    if is_graph(target):
        way_out += ", or export the model again"
    elif content in (PICKLES[1], COMPRESSED[1]):
        way_out += (
            ". If it was saved without seqfeat.save and you trust its source, joblib.load opens "
            "it unchecked; that executes code"
        )
    return (
        f"{target} is not a model of seqfeat, or was copied without its card: there is no "
        f"{card_path(target).name} to check it against. By its content, it is {content}. {way_out}."
    )


def _describe_content(target: Path, data: bytes) -> str:
    for beginnings, description in CONTENTS:
        if data.startswith(beginnings):
            return description
    if is_graph(target):
        return "perhaps an ONNX graph"
    try:
        text = data[:N_HEAD].decode()
    except UnicodeDecodeError as error:
        # The last character may have been cut in two.
        text = data[: error.start].decode() if error.start > N_HEAD - 4 else "\0"
    return "binary data of an unknown kind" if "\0" in text else "text"


def _describe_mismatch(target: Path, data: bytes, digest: str, card: Card) -> str:
    """Say how a file differs from the one that its card describes."""
    named = "" if card["file"] == target.name else f" The card was written for {card['file']}."
    return (
        f"{target} does not match its card, {card_path(target).name}: it has {len(data)} bytes and "
        f"the SHA-256 {digest[:12]}..., but the card says {card['bytes']} and "
        f"{card['sha256'][:12]}.... It was damaged or replaced; restore both files together from a "
        f"copy.{named}"
    )
