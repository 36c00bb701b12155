"""``seqfeat evaluate``: evaluate a model on labelled series."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from seqfeat.cli.console import Console, format_table
from seqfeat.cli.errors import UserError, rewording_errors
from seqfeat.cli.evaluation import RunningScore, accuracy_interval, number_scores
from seqfeat.cli.models import Model, open_model
from seqfeat.cli.sources import DataSource, SeriesBatch, open_source
from seqfeat.cli.training_sets import check_all_labelled, match_classes

__all__ = ["run"]

MAX_CLASSES_SHOWN = 20
"""The largest confusion matrix that fits on a terminal."""


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    score = RunningScore(model.parts.autoencoder)
    labels: list[NDArray[Any]] = []
    predictions: list[NDArray[Any]] = []
    for batch in source.batches(console):
        with rewording_errors(batch.ids):
            score.add(model.parts.series(batch.X))
            if model.is_classifier or model.is_regressor:
                batch_labels, has_label = _labels(batch, source)
                labels.append(batch_labels)
                predictions.append(model.estimator.predict(batch.X)[has_label])
    result: dict[str, Any] = {"command": "evaluate", "n_series": score.n_series}
    if labels and not sum(map(len, labels)):
        raise UserError(f"{source.name}: none of its windows has a label.")
    if model.is_regressor:
        result |= number_scores(np.concatenate(labels), np.concatenate(predictions))
    if model.is_classifier:
        result |= _compare(model, np.concatenate(labels), np.concatenate(predictions))
        if source.reading.cut is not None:
            # Windows of one recording depend on each other, so that it would be too narrow.
            result["accuracy_interval"] = None
    result["r_squared"] = score.r_squared
    _print_result(result, model, source.noun, console)
    return result


def _labels(batch: SeriesBatch, source: DataSource) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the labels, and which series have one; only windows may have none."""
    if batch.y is None:
        option = "--label" if source.reading.target is None else "--target"
        raise UserError(f"{source.name} has no labels to compare with; pass {option} COLUMN.")
    has_label = np.ones(len(batch), dtype=bool)
    if source.reading.cut is not None:
        has_label = pd.notna(batch.y).to_numpy()
    return check_all_labelled(batch.y[has_label], batch.ids[has_label]), has_label


def _compare(model: Model, labels: NDArray[Any], predictions: NDArray[Any]) -> dict[str, Any]:
    """Return the scores of predictions against labels."""
    classes = np.asarray(model.estimator.classes_)
    labels = match_classes(labels, classes, str(model.path))
    names = np.unique(np.concatenate([classes, labels]))
    n_correct = int((labels == predictions).sum())
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=names, zero_division=0
    )
    per_class = zip(names.tolist(), precision, recall, f1, support, strict=True)
    has_series = np.isin(names, labels)
    return {
        "accuracy": n_correct / len(labels),
        "accuracy_interval": accuracy_interval(n_correct, len(labels)),
        "balanced_accuracy": float(np.mean(recall[has_series])),
        "macro_f1": float(np.mean(f1[has_series | np.isin(names, predictions)])),
        "classes": names,
        "per_class": {
            str(name): {"precision": p, "recall": r, "f1": f, "n_series": int(n)}
            for name, p, r, f, n in per_class
        },
        "confusion_matrix": confusion_matrix(labels, predictions, labels=names),
        "unknown_labels": np.setdiff1d(labels, classes),
    }


def _print_result(result: dict[str, Any], model: Model, noun: str, console: Console) -> None:
    n_series = f"{result['n_series']:,} {noun}"
    r_squared = f"R squared of the reconstruction: {result['r_squared']:.3f}"
    if "r2" in result:
        console.print(
            f"R squared of the predictions {result['r2']:.3f} on {n_series}, mean absolute error "
            f"{result['mae']:.4g}"
        )
        recorded = (model.card.get("metrics") or {}).get("test_r2")
        if recorded is not None:
            console.print(f"R squared on the test set of the training: {recorded:.3f}")
        console.print(f"{r_squared} (the mean scores 0)")
        return
    if "accuracy" not in result:
        console.print(f"{r_squared} on {n_series} (the mean scores 0)")
        return
    interval = ""
    if result["accuracy_interval"] is not None:
        low, high = result["accuracy_interval"]
        interval = f" (95% CI {low:.3f} to {high:.3f})"
    console.print(
        f"Accuracy {result['accuracy']:.3f} on {n_series}{interval}, "
        f"balanced accuracy {result['balanced_accuracy']:.3f}, macro F1 {result['macro_f1']:.3f}"
    )
    recorded = (model.card.get("metrics") or {}).get("test_accuracy")
    if recorded is not None:
        console.print(f"Accuracy on the test set of the training: {recorded:.3f}")
    console.print(f"{r_squared} (the mean scores 0)")
    _print_classes(result, console)


def _print_classes(result: dict[str, Any], console: Console) -> None:
    for name in result["unknown_labels"].tolist():
        console.log(
            f"warning: label {name} is not a class of the model; its series count as errors"
        )
    rows = [
        (name, *(f"{it[key]:.3f}" for key in ("precision", "recall", "f1")), f"{it['n_series']:,}")
        for name, it in result["per_class"].items()
    ]
    console.print("\n" + format_table(rows, ("class", "precision", "recall", "F1", "series")))
    names = [str(name) for name in result["classes"]]
    if len(names) > MAX_CLASSES_SHOWN:
        console.print(f"\nThe confusion matrix of {len(names)} classes is only part of --json.")
        return
    matrix = result["confusion_matrix"].tolist()
    cells = [(name, *row) for name, row in zip(names, matrix, strict=True)]
    console.print("\nConfusion matrix (rows: label, columns: prediction)")
    console.print(format_table(cells, ("", *names)))
