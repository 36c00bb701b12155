"""``seqfeat info``: verify a model file or an ONNX graph, and show its card."""

from __future__ import annotations

import argparse
import warnings
from shlex import quote
from typing import Any

from seqfeat.cli.console import Console, format_list
from seqfeat.cli.errors import OPTIONS
from seqfeat.cli.models import MODEL_SUFFIXES
from seqfeat.cli.outputs import check_suffix, format_size
from seqfeat.exceptions import DeviceWarning
from seqfeat.runtime.device import resolve_device, untried_note
from seqfeat.saving.card_format import Card
from seqfeat.saving.persistence import load_card

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return the card."""
    check_suffix(options.model, (*MODEL_SUFFIXES, ".onnx"), "MODEL")
    card = load_card(options.model)
    for name, value in _describe(options.model, card):
        console.print(f"{name:<12} {value}".rstrip())
    return card


def _describe(path: str, card: Card) -> list[tuple[str, str]]:
    """Return the lines that describe a card, each with its heading."""
    versions = (f"{name} {version}" for name, version in card["versions"].items())
    kind = "ONNX graph of " if card["format"] == "onnx" else ""
    lines = [
        ("model", f"{path} ({kind}{card['estimator']}, {format_size(card['bytes'])})"),
        ("checksum", f"verified (SHA-256 {card['sha256'][:16]}...)"),
        ("saved", str(card["saved"])),
        ("versions", ", ".join(versions)),
    ]
    if card.get("input"):
        lines += _describe_input(card["input"])
    if card.get("reading"):
        lines.append(("read with", _as_options(card["reading"])))
    if card.get("classes"):
        lines.append(("classes", _describe_classes(card["classes"])))
    for i, (name, value) in enumerate((card.get("metrics") or {}).items()):
        lines.append(("" if i else "metrics", f"{name} = {value:.6g}"))
    if card.get("notes"):
        lines.append(("notes", str(card["notes"])))
    lines.append(("parameters", _describe_parameters(card)))
    if card["format"] != "onnx":
        lines.append(("device", _describe_device()))
    lines.append(("warning", card["notice"]))
    return lines


def _describe_device() -> str:
    """Return what ``--device auto`` is on this machine, and whether seqfeat has been run on one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeviceWarning)
        device = resolve_device("auto").type
    note = untried_note(device)
    return f"auto is {device} on this machine{f'; {note}' if note else ''}"


def _describe_input(expected: dict[str, Any]) -> list[tuple[str, str]]:
    length, longest = expected["n_timesteps"], expected["longest_training_series"]
    if length == "any":
        timesteps = f"any number of timesteps (up to {longest} in training)"
    else:
        timesteps = f"{length} timesteps"
    missing = "masked" if expected["missing"] == "mask" else "not allowed"
    n_channels = expected["n_channels"]
    channels = f"{n_channels} channel{'' if n_channels == 1 else 's'}"
    return [
        ("input", f"series with {channels} and {timesteps}; missing values: {missing}"),
        ("output", f"{expected['embedding_dim']} features per series"),
    ]


def _as_options(reading: dict[str, Any]) -> str:
    """Return how the training data was read, as options of the command line."""
    names = [
        "label" if reading.get("target") is None else "target",
        "series_id",
        "time",
        "time_format",
        "channels",
        "step",
    ]
    names += ["separator", "decimal", "encoding", "na_values"]
    values = {name: reading.get(name) for name in names}
    if reading.get("even_step") is not None:
        values["step"] = reading["even_step"]
    options = [
        f"{OPTIONS[name]} {quote(','.join(value) if isinstance(value, list) else str(value))}"
        for name, value in values.items()
        if value not in (None, "auto", [])
    ]
    if reading.get("elapsed"):
        options.append("--elapsed")
    if isinstance(reading.get("header"), bool):
        options.append("--header" if reading["header"] else "--no-header")
    return " ".join([*options, *(["--channels-first"] if reading.get("channels_first") else [])])


def _describe_classes(classes: Any) -> str:
    if not isinstance(classes, list):
        return str(classes)
    return f"{len(classes)} ({format_list(classes, head=10, tail=1)})"


def _describe_parameters(card: Card) -> str:
    """Return the steps of a pipeline as they were written, or an autoencoder's parameters."""
    parameters = {name: value for name, value in card["parameters"].items() if name != "memory"}
    steps = [name for name, value in parameters.items() if "(" in str(value) and "__" not in name]
    if steps:
        return "; ".join(str(parameters[name]) for name in steps)
    return ", ".join(f"{name}={value}" for name, value in parameters.items())
