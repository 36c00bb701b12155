"""``seqfeat info``: a model's card, checked."""

from __future__ import annotations

import argparse
from typing import Any

from seqfeat.cli.console import Console
from seqfeat.cli.errors import OPTIONS
from seqfeat.cli.models import MODELS
from seqfeat.cli.outputs import check_suffix
from seqfeat.saving.cards import Card
from seqfeat.saving.persistence import checked_card

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result, the card."""
    check_suffix(options.model, MODELS, "MODEL")
    card = checked_card(options.model)
    for name, value in _lines(options.model, card):
        console.say(f"{name:<12} {value}")
    return card


def _lines(path: str, card: Card) -> list[tuple[str, str]]:
    """Return what a card says, a line each."""
    lines = [
        ("model", f"{path}, a {card['estimator']}, {card['bytes'] / 1024:.0f} KiB"),
        ("checked", f"the file is the one that was saved (SHA-256 {card['sha256'][:16]}...)"),
        ("saved", str(card["saved"])),
        ("versions", ", ".join(f"{name} {it}" for name, it in card["versions"].items())),
    ]
    if card.get("input"):
        lines += _input_lines(card["input"])
    if card.get("reading"):
        lines.append(("read with", _options(card["reading"])))
    if card.get("classes"):
        lines.append(("classes", _shown(card["classes"])))
    for name, value in (card.get("metrics") or {}).items():
        lines.append(("measured", f"{name} {value:.6g}"))
    if card.get("notes"):
        lines.append(("notes", str(card["notes"])))
    lines.append(("parameters", _parameters(card)))
    lines.append(("notice", card["notice"]))
    return lines


def _input_lines(asked: dict[str, Any]) -> list[tuple[str, str]]:
    length, longest = asked["n_timesteps"], asked["longest_training_series"]
    steps = f"any number of timesteps (up to {longest} in the training)"
    text = (
        f"series of {asked['n_channels']} channels and "
        f"{steps if length == 'any' else f'{length} timesteps'}; missing values: {asked['missing']}"
    )
    return [("takes", text), ("gives", f"{asked['embedding_dim']} features for each series")]


def _options(reading: dict[str, Any]) -> str:
    """Return how series were read as one would type it."""
    named = ("label", "series_id", "time", "channels", "step")
    said = {name: reading.get(name) for name in named}
    if reading.get("even_step") is not None:
        said["step"] = reading["even_step"]
    typed = [
        f"{OPTIONS[name]} {','.join(it) if isinstance(it, list) else it}"
        for name, it in said.items()
        if it is not None and it != "auto"
    ]
    return " ".join([*typed, *(["--channels-first"] if reading.get("channels_first") else [])])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        names = list(map(str, value))
        return ", ".join(names if len(names) <= 12 else [*names[:10], f"... ({len(names)})"])
    return str(value)


def _parameters(card: Card) -> str:
    """Return the autoencoder's parameters, and the other steps as they were written."""
    parameters = {
        name: value for name, value in card["parameters"].items() if name not in ("memory",)
    }
    steps = [name for name, value in parameters.items() if "(" in str(value) and "__" not in name]
    if steps:
        return "; ".join(str(parameters[name]) for name in steps)
    return ", ".join(f"{name}={value}" for name, value in parameters.items())
