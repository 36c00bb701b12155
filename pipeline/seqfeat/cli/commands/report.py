"""``seqfeat report``: write an HTML report on a model and series."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.errors import rewording_errors
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_extra, check_output, format_size
from seqfeat.cli.sources import open_source, series_ids
from seqfeat.cli.training_sets import like_classes

__all__ = ["describe_metrics", "run", "write_report"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    check_output(options.output, (".html",), options.data, options.model)
    check_extra("bokeh", "a report", "report")
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    X, y = source.read(console)
    if y is not None and model.is_classifier:
        y = like_classes(np.asarray(y), np.asarray(model.estimator.classes_))
    notes = model.card.get("notes")
    write_report(
        model.estimator,
        X,
        y,
        options.output,
        title=options.title or f"{model.path.stem} on {Path(source.name).name}",
        notes=f"{model.path.name}: {notes}" if notes else None,
        metrics=model.card.get("metrics") or {},
        channel_names=source.reading.channels,
        max_points=options.max_points,
    )
    n_bytes = Path(options.output).stat().st_size
    console.print(f"Wrote {options.output} ({len(X):,} series, {format_size(n_bytes)}).")
    return {"command": "report", "output": options.output, "n_series": len(X), "bytes": n_bytes}


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
    y_train: Any = None,
    channel_names: Sequence[str] | None = None,
    was_trained_on: bool = False,
    max_points: int = 2000,
    random_state: int = 0,
) -> None:
    """Write a report with the metrics of the model's card and the baselines' scores on `X`."""
    save_report = import_module("seqfeat.report").save_report
    ids = series_ids(X)
    # The report has its own lines for these.
    others = {
        name: it
        for name, it in (baselines or {}).items()
        if name not in ("most frequent class", "mean")
    }
    with rewording_errors(ids):
        save_report(
            estimator,
            X,
            y,
            target=path,
            ids=_with_prefix(ids),
            title=title,
            notes=notes,
            metrics=describe_metrics(metrics),
            baselines=others,
            y_train=y_train,
            timings={"training": metrics["fit_seconds"]} if "fit_seconds" in metrics else None,
            channel_names=channel_names,
            was_trained_on=was_trained_on,
            max_points=max_points,
            random_state=random_state,
        )


def _with_prefix(ids: pd.Index[Any]) -> pd.Index[Any]:
    """Prefix ids that are numbers with the name of their column, and join those of windows."""
    if ids.nlevels > 1:
        return pd.Index([f"{recording} at {start}" for recording, start in ids])
    return ids.map(lambda it: f"{ids.name} {it}") if pd.api.types.is_numeric_dtype(ids) else ids


QUANTITIES = {
    "test_r2": "R squared of the predictions",
    "cv_r2": "R squared of the predictions",
    "test_mae": "mean absolute error",
    "test_accuracy": "accuracy",
    "cv_accuracy": "accuracy",
    "test_r_squared": "R squared of the reconstruction",
    "cv_r_squared": "R squared of the reconstruction",
}
BASELINE = "baseline: "


def describe_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Replace the names that `seqfeat train` gives metrics on a card by descriptions.

    Examples
    --------
    >>> from seqfeat.cli.commands.report import describe_metrics
    >>> describe_metrics({"test_series": 68, "test_accuracy": 0.9, "fit_seconds": 3.1, "mine": 5})
    {'accuracy on 68 test series': 0.9, 'mine': 5}
    >>> describe_metrics({"cv_accuracy": 0.9, "cv_folds": 3, "baseline: raw series": 0.8})
    {'accuracy, mean of 3 folds': 0.9, 'accuracy of raw series, mean of 3 folds': 0.8}
    """
    if "cv_folds" in metrics:
        where = f", mean of {metrics['cv_folds']:g} folds"
    else:
        where = f" on {metrics.get('test_series', 0):,.0f} test series"
    described = {}
    for name, value in metrics.items():
        if name in ("test_series", "cv_folds", "fit_seconds"):
            continue
        quantity = QUANTITIES.get(name.removesuffix("_std"))
        if name.startswith(BASELINE):
            is_regressor = metrics.keys() & {"test_r2", "cv_r2"}
            score = "R squared" if is_regressor else "accuracy"
            name = f"{score} of {name.removeprefix(BASELINE)}{where}"
        elif quantity is not None and name.endswith("_std"):
            name = f"{quantity}, std of the folds"
        elif quantity is not None:
            name = quantity + where
        described[name] = value
    return described
