"""``seqfeat evaluate``: how well a model does on labelled series."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from seqfeat.cli.console import Console, table
from seqfeat.cli.errors import UserError
from seqfeat.cli.evaluation import RunningScore, accuracy_interval
from seqfeat.cli.models import Model, open_model
from seqfeat.cli.sources import Batch, Source, naming_series, open_source, stream
from seqfeat.cli.training_sets import comparable, without_gaps

__all__ = ["run"]

MOST_SHOWN = 20
"""Classes of a confusion matrix that fits on a terminal."""

Result = dict[str, Any]


def run(options: argparse.Namespace, console: Console) -> Result:
    """Carry the command out and return its result."""
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    score = RunningScore(model.parts.autoencoder)
    labels: list[Any] = []
    predictions: list[Any] = []
    for batch in stream(source, console):
        with naming_series(batch.ids):
            score.add(model.parts.series(batch.X))
            if model.predicts:
                labels.append(_labels(batch, source))
                predictions.append(model.estimator.predict(batch.X))
    result: Result = {"command": "evaluate", "n_series": score.n_series}
    if model.predicts:
        result |= _comparison(model, np.concatenate(labels), np.concatenate(predictions))
    result["r_squared"] = score.r_squared
    _show(result, model, console)
    return result


def _labels(batch: Batch, source: Source) -> np.ndarray[Any, Any]:
    if batch.y is None:
        raise UserError(f"{source.name} has no labels to compare with; pass --label COLUMN.")
    return without_gaps(batch.y, batch.ids)


def _comparison(
    model: Model, labels: np.ndarray[Any, Any], predictions: np.ndarray[Any, Any]
) -> Result:
    """Return how predictions compare with labels."""
    classes = np.asarray(model.estimator.classes_)
    labels = comparable(labels, classes, str(model.path))
    names = np.unique(np.concatenate([classes, labels]))
    n_right = int((labels == predictions).sum())
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=names, zero_division=0
    )
    per_class = zip(names.tolist(), precision, recall, f1, support, strict=True)
    there = np.isin(names, labels)
    return {
        "accuracy": n_right / len(labels),
        "accuracy_interval": accuracy_interval(n_right, len(labels)),
        "balanced_accuracy": float(np.mean(recall[there])),
        "macro_f1": float(np.mean(f1[there | np.isin(names, predictions)])),
        "classes": names,
        "per_class": {
            str(name): {"precision": p, "recall": r, "f1": f, "n_series": int(n)}
            for name, p, r, f, n in per_class
        },
        "confusion_matrix": confusion_matrix(labels, predictions, labels=names),
        "unknown_labels": np.setdiff1d(labels, classes),
    }


def _show(result: Result, model: Model, console: Console) -> None:
    if "accuracy" in result:
        low, high = result["accuracy_interval"]
        console.say(
            f"Accuracy {result['accuracy']:.3f} on {result['n_series']:,} series (95 % interval "
            f"{low:.3f} to {high:.3f}); balanced {result['balanced_accuracy']:.3f}, macro F1 "
            f"{result['macro_f1']:.3f}"
        )
        recorded = (model.card.get("metrics") or {}).get("test_accuracy")
        if recorded is not None:
            console.say(f"When it was trained, on the series held out then: {recorded:.3f}")
    console.say(f"Reconstruction: R squared {result['r_squared']:.3f} (0 predicts the mean)")
    if "accuracy" not in result:
        return
    for name in result["unknown_labels"].tolist():
        console.complain(f"warning: label {name} is no class of the model, so all such are wrong")
    rows = [
        (name, *(f"{it[key]:.3f}" for key in ("precision", "recall", "f1")), f"{it['n_series']:,}")
        for name, it in result["per_class"].items()
    ]
    console.say("\n" + table(rows, ("class", "precision", "recall", "F1", "series")))
    _show_matrix(result, console)


def _show_matrix(result: Result, console: Console) -> None:
    names = [str(name) for name in result["classes"]]
    if len(names) > MOST_SHOWN:
        console.say(f"\n(Confusion matrix of {len(names)} classes: --json)")
        return
    matrix = result["confusion_matrix"]
    rows = [(name, *row) for name, row in zip(names, matrix.tolist(), strict=True)]
    console.say("\nPredicted (columns) for each class (rows):\n" + table(rows, ("", *names)))
