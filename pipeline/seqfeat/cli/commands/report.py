"""``seqfeat report``: a model and its series on one page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_extra, check_suffix, check_target
from seqfeat.cli.sources import ids_of, naming_series, open_source
from seqfeat.cli.training_sets import as_classes

__all__ = ["in_words", "run", "write_report"]

QUANTITIES = {
    "test_accuracy": "accuracy",
    "cv_accuracy": "accuracy",
    "test_r_squared": "R squared of the reconstruction",
    "cv_r_squared": "R squared of the reconstruction",
}
BASELINE = "baseline: "
MOST_FREQUENT = "most frequent class"


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    check_target(options.output, options.data, options.model)
    check_suffix(options.output, (".html",))
    check_extra("bokeh", "a report", "report")
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    X, y = source.read()
    if y is not None and model.predicts:
        y = as_classes(np.asarray(y), np.asarray(model.estimator.classes_))
    notes = model.card.get("notes")
    write_report(
        model.estimator,
        X,
        y,
        options.output,
        title=options.title or f"{Path(options.model).stem} on {Path(source.name).name}",
        notes=f"{Path(options.model).name}: {notes}" if notes else None,
        metrics=model.card.get("metrics") or {},
        channel_names=source.reading.channels,
        max_points=options.max_points,
    )
    size = Path(options.output).stat().st_size
    console.say(f"{options.output}: {len(X):,} series, {size / 2**20:.1f} MiB")
    return {"command": "report", "output": options.output, "n_series": len(X), "bytes": size}


def write_report(
    estimator: Any,
    X: Any,
    y: Any,
    path: str,
    *,
    title: str,
    notes: str | None,
    metrics: Mapping[str, float],
    baselines: Mapping[str, float] | None = None,
    channel_names: Sequence[str] | None = None,
    was_trained_on: bool = False,
    max_points: int = 2000,
    random_state: int = 0,
) -> None:
    """Write a model's report; `metrics` are those of its card, `baselines` were tried on `X`."""
    save_report = import_module("seqfeat.report").save_report
    ids = ids_of(X, 0)
    # The page has a line of its own for what is most frequent.
    tried = {name: it for name, it in (baselines or {}).items() if name != MOST_FREQUENT}
    with naming_series(ids):
        save_report(
            estimator,
            X,
            y,
            target=path,
            ids=_telling(ids),
            title=title,
            notes=notes,
            metrics=in_words(metrics),
            baselines=tried,
            timings={"training": metrics["fit_seconds"]} if "fit_seconds" in metrics else None,
            channel_names=channel_names,
            was_trained_on=was_trained_on,
            max_points=max_points,
            random_state=random_state,
        )


def _telling(ids: pd.Index[Any]) -> pd.Index[Any]:
    """Return what series are called, with the name of the column where they are mere numbers."""
    return ids.map(lambda it: f"{ids.name} {it}") if pd.api.types.is_numeric_dtype(ids) else ids


def in_words(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that `seqfeat train` puts on a card as people call them.

    Examples
    --------
    >>> from seqfeat.cli.report import in_words
    >>> in_words({"test_series": 68, "test_accuracy": 0.9, "fit_seconds": 3.1, "mine": 5})
    {'accuracy on 68 series held out of the training': 0.9, 'mine': 5}
    >>> in_words({"cv_accuracy": 0.9, "cv_folds": 3, "baseline: raw series": 0.8})
    {'accuracy, mean of 3 folds': 0.9, 'accuracy of raw series, mean of 3 folds': 0.8}
    """
    if "cv_folds" in metrics:
        where = f", mean of {metrics['cv_folds']:g} folds"
    else:
        where = f" on {metrics.get('test_series', 0):,.0f} series held out of the training"
    named = {}
    for name, value in metrics.items():
        if name in ("test_series", "cv_folds", "fit_seconds"):
            continue
        if name.startswith(BASELINE):
            name = f"accuracy of {name.removeprefix(BASELINE)}{where}"
        elif name.removesuffix("_deviation") in QUANTITIES:
            is_spread = name.endswith("_deviation")
            quantity = QUANTITIES[name.removesuffix("_deviation")]
            name = f"{quantity}, standard deviation of the folds" if is_spread else quantity + where
        named[name] = value
    return named
