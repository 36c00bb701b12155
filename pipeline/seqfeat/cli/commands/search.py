"""``seqfeat search``: the best size of the embedding."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from seqfeat.cli.commands.train import fit
from seqfeat.cli.console import Console
from seqfeat.cli.models import MODELS, make_estimator, size_parameter
from seqfeat.cli.outputs import check_picture, check_suffix, check_target
from seqfeat.cli.sizes import best_size, distributed, search_sizes, size_rows, size_table
from seqfeat.cli.sources import open_source
from seqfeat.cli.training_sets import read_labelled
from seqfeat.saving.persistence import check_can_save, save

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    if options.output is not None:
        check_target(options.output, options.data)
        check_suffix(options.output, MODELS)
        check_can_save(options.output)
    if options.plot is not None:
        check_picture("--plot", options.plot, options.data)
    if options.cluster is not None:
        distributed(options.cluster)
    # To refuse wrong parameters before reading.
    autoencoder = make_estimator(options, with_labels=True)["autoencoder"]
    source = open_source(options.data, options, demo_split="train")
    labelled, _ = read_labelled(source, autoencoder, console)
    estimator = make_estimator(options, with_labels=labelled.y is not None)
    console.note(f"Comparing {len(options.embedding_dim)} sizes, {options.cv} folds ...")
    search = search_sizes(estimator, labelled, options, console)
    rows = size_rows(search, labelled)
    best = best_size(rows)
    score = "accuracy" if labelled.y is not None else "R squared of the reconstruction"
    console.say(f"Score: {score}, mean of {options.cv} folds\n{size_table(rows, best)}")
    if options.plot is not None:
        _plot(search, rows, options.plot)
        console.say(f"Drew {options.plot}.")
    result: dict[str, Any] = {"command": "search", "sizes": rows, "best": best}
    if options.output is None:
        return result
    estimator.set_params(**{size_parameter(estimator): best})
    fitted, seconds = fit(estimator, labelled, console)
    chosen = next(row for row in rows if row["embedding_dim"] == best)
    quantity = "cv_accuracy" if labelled.y is not None else "cv_r_squared"
    metrics = {
        quantity: chosen["score"],
        f"{quantity}_deviation": chosen["score_deviation"],
        "cv_folds": options.cv,
        "fit_seconds": round(seconds, 2),
    }
    notes = options.notes or f"best of the sizes {options.embedding_dim}, trained on {source.name}"
    save(fitted, options.output, metrics=metrics, notes=notes, reading=source.for_card())
    size = Path(options.output).stat().st_size
    cut_short = " (cut short by ctrl-C)" if options.interrupts.came else ""
    console.say(f"Saved {options.output}, {best} features ({size / 1024:.0f} KiB){cut_short}.")
    return {
        **result,
        "interrupted": options.interrupts.came,
        "output": options.output,
        "bytes": size,
    }


def _plot(search: Any, rows: list[dict[str, Any]], path: str) -> None:
    display = import_module("seqfeat.display").EmbeddingSizeDisplay
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    drawn = display.from_estimator(search, file_bytes=[row["file_bytes"] for row in rows])
    drawn.figure_.savefig(path, dpi=130)
