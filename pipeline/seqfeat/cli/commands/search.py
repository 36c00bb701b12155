"""``seqfeat search``: find the best embedding size."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from seqfeat.cli.console import Console
from seqfeat.cli.models import MODEL_SUFFIXES, fit, make_estimator, save_model, size_parameter
from seqfeat.cli.outputs import check_output, check_picture, format_size
from seqfeat.cli.sizes import best_size, check_dask, search_sizes, size_rows, size_table
from seqfeat.cli.sources import open_source
from seqfeat.cli.training_sets import read_training_set
from seqfeat.saving.persistence import check_can_save
from seqfeat.series import LabelledSeries

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    if options.output is not None:
        check_output(options.output, MODEL_SUFFIXES, options.data)
        check_can_save(options.output)
    if options.plot is not None:
        check_picture("--plot", options.plot, options.data)
    if options.cluster is not None:
        check_dask(options.cluster)
    # Wrong parameters are found before the data is read.
    autoencoder = make_estimator(options, with_labels=True)["autoencoder"]
    source = open_source(options.data, options, demo_split="train")
    # Before the search, after which the file may be gone.
    reading = source.card_entry()
    labelled, _ = read_training_set(source, autoencoder, console)
    estimator = make_estimator(options, with_labels=labelled.y is not None)
    n_sizes = len(options.embedding_dim)
    console.status(
        f"Cross-validating {n_sizes} embedding size{'' if n_sizes == 1 else 's'} with "
        f"{options.cv} folds..."
    )
    search = search_sizes(estimator, labelled, options, console)
    rows = size_rows(search, labelled)
    best = best_size(rows)
    quantity = "Accuracy" if labelled.y is not None else "R squared of the reconstruction"
    if options.target is not None:
        quantity = "R squared of the predictions"
    console.print(f"{quantity}, mean and std of {options.cv} folds:\n{size_table(rows, best)}")
    result: dict[str, Any] = {"command": "search", "sizes": rows, "best": best}
    if options.output is not None:
        chosen = next(row for row in rows if row["embedding_dim"] == best)
        estimator.set_params(**{size_parameter(estimator): best})
        card = {"notes": options.notes or _describe(options, source.name), "reading": reading}
        result |= _train(estimator, labelled, chosen, card, options, console)
    if options.plot is not None:
        _plot(search, rows, options.plot)
        console.print(f"Wrote {options.plot}.")
    return result


def _train(
    estimator: Any,
    labelled: LabelledSeries,
    chosen: dict[str, Any],
    card: dict[str, Any],
    options: argparse.Namespace,
    console: Console,
) -> dict[str, Any]:
    """Train the best estimator on all series, and save it with its scores."""
    fitted, seconds = fit(estimator, labelled, console)
    metric = "cv_accuracy" if labelled.y is not None else "cv_r_squared"
    if options.target is not None:
        metric = "cv_r2"
    metrics = {
        metric: chosen["score"],
        f"{metric}_std": chosen["score_std"],
        "cv_folds": options.cv,
        "fit_seconds": round(seconds, 2),
    }
    n_bytes = save_model(fitted, options.output, console, metrics=metrics, **card)
    interrupted = ", training interrupted" if console.interrupts.received else ""
    console.print(
        f"Saved {options.output} ({chosen['embedding_dim']} features, "
        f"{format_size(n_bytes)}{interrupted})."
    )
    return {
        "interrupted": console.interrupts.received,
        "output": options.output,
        "bytes": n_bytes,
    }


def _describe(options: argparse.Namespace, name: str) -> str:
    sizes = ", ".join(map(str, options.embedding_dim))
    return f"best of the embedding sizes {sizes}, trained on {name}"


def _plot(search: Any, rows: list[dict[str, Any]], path: str) -> None:
    display = import_module("seqfeat.display").EmbeddingSizeDisplay
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    drawn = display.from_estimator(search, file_bytes=[row["file_bytes"] for row in rows])
    drawn.figure_.savefig(path, dpi=130)
