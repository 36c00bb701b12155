"""A model card as a file: its fields, and a digest with which it covers itself.

A card is JSON, one object, and may be reformatted: its digest is that of its content. It is in the
field `DIGEST`, which every card has since version 2, and is checked wherever it is found.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqfeat.exceptions import InputError, ModelFileError
from seqfeat.version import release

__all__ = ["CARD_VERSION", "Card", "card_path", "encode_card", "is_graph", "owner", "read_card"]

Card = dict[str, Any]

CARD_VERSION = 2
"""Version of the card's format; a reader rejects cards of a later one."""
DIGEST = "card_sha256"
"""The field with the SHA-256 of all other fields."""
MAX_BYTES = 2**26
"""Size of the largest card. One with a million classes is half as large."""

TASKS = ("classification", "regression", "features")
"""What a model is for, by its last step."""

RESTORE = "Restore it from a copy, or save the model again."
MOVE = (
    "This is the name of the card that seqfeat writes next to a model: copy the card again from "
    "where the model came from, or move this file away and save the model again."
)


def card_path(path: Path) -> Path:
    """Return the path of a model's card.

    It is ``NAME.json`` for ``NAME.joblib`` and ``NAME.skops``, and ``NAME.onnx.json`` for
    ``NAME.onnx``, so that a model and its graph can be in one folder.
    """
    return path.with_name(f"{path.name}.json") if is_graph(path) else path.with_suffix(".json")


def is_graph(path: Path) -> bool:
    """Whether a file is an ONNX graph, by its suffix."""
    return path.suffix.lower() == ".onnx"


# Files


def encode_card(card: Card) -> bytes:
    """Return the content of a card's file: the card with its digest.

    Raises `InputError` if `read_card` would refuse it.
    """
    problem = _first_problem(card)
    if problem is not None:
        raise InputError(f"the model's card cannot be written: {problem}.")
    text = json.dumps({**card, DIGEST: _digest(card)}, indent=2, allow_nan=False)
    data = text.encode() + b"\n"
    if len(data) > MAX_BYTES:
        largest = max(card, key=lambda name: len(json.dumps(card[name])))
        raise InputError(
            f"the model's card would have {len(data)} bytes, most of them in its field {largest}, "
            f"but may have at most {MAX_BYTES}. Keep them in a file of their own."
        )
    return data


def read_card(path: Path) -> Card:
    """Return the card stored in a file, without checking which model it belongs to.

    Raises `ModelFileError` if the file is not a card, or not as it was written. The fields
    of a newer version's card, which may be others, are not checked.
    """
    card = _parse(path)
    if DIGEST in card and card[DIGEST] != _digest(card):
        raise ModelFileError(
            f"{path} was damaged or edited after it was written: its content does not match the "
            f"checksum in its field {DIGEST}. {RESTORE}"
        )
    problem = _first_problem(card)
    if problem is None and card["card_version"] == CARD_VERSION and DIGEST not in card:
        problem = f"it has no field {DIGEST}, the checksum of its content"
    if problem is not None:
        raise ModelFileError(f"{path} is damaged: {problem}. {RESTORE}")
    return card


def owner(path: Path) -> Path | None:
    """Return the file that a card names as its model, or None if there is no such file.

    Raises `ModelFileError` if `path` is not a card at all. A damaged card is one.
    """
    try:
        model = path.with_name(_parse(path)["file"])
        return model if model.is_file() else None
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, OSError):  # names no file can have
        return None


def _parse(path: Path) -> Card:
    """Return the JSON object in a file; raise `ModelFileError` if it cannot be a card."""
    try:
        if not path.is_file():
            raise ValueError("it is not a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"it has {size} bytes, and a card has at most {MAX_BYTES}")
        card = json.loads(path.read_bytes())
        _canonical(card)  # NaN, infinity and numbers too large for a float are not JSON
    except RecursionError:
        raise ModelFileError(
            f"{path} is not a model card: it is nested too deeply. {MOVE}"
        ) from None
    except (ValueError, OSError) as error:
        raise ModelFileError(f"{path} is not a model card: {error}. {MOVE}") from error
    if not isinstance(card, dict) or not {"card_version", "sha256", "versions"} <= set(card):
        raise ModelFileError(
            f"{path} is not a model card of seqfeat, but some other JSON file. {MOVE}"
        )
    return card


def _digest(card: Card) -> str:
    """Return the SHA-256 of all fields but the digest, whatever their order and white space."""
    return hashlib.sha256(_canonical({**card, DIGEST: None})).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


# Fields


class Field(NamedTuple):
    """What a value has to be: a test, and the words for it."""

    accepts: Callable[[Any], bool]
    expected: str

    def or_null(self) -> Field:
        return Field(lambda value: value is None or self.accepts(value), f"{self.expected} or null")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_version(value: Any) -> bool:
    try:
        return _is_text(value) and len(release(value)) > 1
    except ValueError:
        return False


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


TEXT = Field(_is_text, "text")
COUNT = Field(_is_count, "a whole number")
NUMBER = Field(_is_number, "a finite number")
VERSION = Field(_is_version, "a version, such as '1.2.3'")
OBJECT = Field(lambda value: isinstance(value, dict), "an object")
NAMES = Field(_are_names, "a list of names").or_null()
STEP = Field(lambda value: _is_text(value) or _is_number(value), "a number, text").or_null()

FIELDS = {
    "card_version": COUNT,
    "file": TEXT,
    "format": Field(
        lambda value: value in ("joblib", "skops", "onnx"), "'joblib', 'skops' or 'onnx'"
    ),
    "bytes": COUNT,
    "sha256": Field(
        lambda value: _is_text(value) and re.fullmatch("[0-9a-f]{64}", value) is not None,
        "64 hexadecimal digits",
    ),
    "saved": TEXT,
    "versions": OBJECT,
    "notes": TEXT.or_null(),
    "metrics": OBJECT,
    "input": OBJECT.or_null(),
    "reading": OBJECT.or_null(),
    "task": Field(lambda value: value in TASKS, f"{', '.join(map(repr, TASKS))}").or_null(),
    "classes": Field(lambda value: isinstance(value, (list, str)), "a list, text").or_null(),
    "estimator": TEXT,
    "parameters": OBJECT,
    "notice": TEXT,
}
IN_EVERY_VERSION = ("card_version", "file", "bytes", "sha256", "versions")
INNER_FIELDS = {
    "versions": {"seqfeat": VERSION, "scikit-learn": VERSION, "numpy": VERSION},
    "input": {
        "n_channels": COUNT,
        "n_timesteps": Field(
            lambda value: _is_count(value) or value == "any", "a whole number or 'any'"
        ),
        "longest_training_series": COUNT,
        "missing": TEXT,
        "names": NAMES,
        "embedding_dim": COUNT,
    },
    "reading": {
        "label": TEXT.or_null(),
        "target": NAMES,
        "series_id": TEXT.or_null(),
        "time": TEXT.or_null(),
        "channels": NAMES,
        "step": STEP,
        "even_step": STEP,
        "window": STEP,
        "stride": STEP,
        "label_from": TEXT.or_null(),
        "gaps": TEXT.or_null(),
        "time_format": TEXT.or_null(),
        "separator": TEXT.or_null(),
        "decimal": TEXT.or_null(),
        "encoding": TEXT.or_null(),
        "header": Field(
            lambda value: isinstance(value, bool) or value == "auto", "true, false, 'auto'"
        ).or_null(),
        "na_values": NAMES,
        "elapsed": Field(lambda value: isinstance(value, bool), "true, false").or_null(),
        "channels_first": Field(lambda value: isinstance(value, bool), "true, false").or_null(),
    },
}
OPTIONAL = {"reading", "task", *(f"reading.{name}" for name in INNER_FIELDS["reading"])}
"""Fields that a card may lack; the first cards had no `reading`, and later ones no `task`."""
EVERY_VALUE = {"versions": TEXT, "metrics": NUMBER}
"""What every value in an object has to be, whatever its name."""


def _first_problem(card: Card) -> str | None:
    """Return what is wrong with the first invalid field: what it is, and what it should be."""
    return next(_find_problems(card), None)


def _find_problems(card: Card) -> Iterator[str]:
    yield from _check_fields(card, {name: FIELDS[name] for name in IN_EVERY_VERSION})
    yield from _check_fields(card["versions"], {"seqfeat": VERSION}, "versions.")
    if card["card_version"] > CARD_VERSION:
        return
    yield from _check_fields(card, FIELDS)
    for name, fields in INNER_FIELDS.items():
        if card.get(name) is not None:
            yield from _check_fields(card[name], fields, f"{name}.")
    for name, field in EVERY_VALUE.items():
        yield from _check_fields(card[name], dict.fromkeys(card[name], field), f"{name}.")


def _check_fields(
    values: Mapping[str, Any], fields: dict[str, Field], prefix: str = ""
) -> Iterator[str]:
    for name, field in fields.items():
        if name not in values:
            if prefix + name not in OPTIONAL:
                yield f"it has no field {prefix}{name}, which is {field.expected}"
        elif not field.accepts(values[name]):
            shown = repr(values[name])
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            yield f"its field {prefix}{name} is {shown}, and should be {field.expected}"
