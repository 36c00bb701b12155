"""``seqfeat info``: a model's card, checked."""

from __future__ import annotations

import argparse
from typing import Any

from seqfeat.cards import Card
from seqfeat.cli.console import Console
from seqfeat.persistence import checked_card

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result, the card."""
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
        said = {name: value for name, value in card["reading"].items() if value is not None}
        lines.append(("read with", ", ".join(f"{name} {_shown(it)}" for name, it in said.items())))
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
    length = asked["n_timesteps"]
    text = (
        f"series of {asked['n_channels']} channels and {length} timesteps (up to "
        f"{asked['longest_training_series']} in the training); missing values: {asked['missing']}"
    )
    return [("takes", text), ("gives", f"{asked['embedding_dim']} features for each series")]


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
