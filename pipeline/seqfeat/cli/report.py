"""``seqfeat report``: a model and its series on one page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from seqfeat.cli.console import Console
from seqfeat.cli.labels import as_classes
from seqfeat.cli.models import open_model
from seqfeat.cli.results import check_suffix, check_target
from seqfeat.cli.sources import ids_of, open_source
from seqfeat.cli.streams import naming_series

__all__ = ["run", "write_report"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    check_target(options.output, options.data, options.model)
    check_suffix(options.output, (".html",))
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    X, y = source.read()
    if y is not None and model.predicts:
        y = as_classes(np.asarray(y), np.asarray(model.estimator.classes_))
    write_report(
        model.estimator,
        X,
        y,
        options.output,
        title=options.title or f"{Path(options.model).stem} on {Path(source.name).name}",
        metrics=model.card.get("metrics") or {},
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
    metrics: Mapping[str, float],
    baselines: Mapping[str, float] | None = None,
    max_points: int = 2000,
    random_state: int = 0,
) -> None:
    """Write the report of a model; baselines belong to it if they were measured on `X`."""
    save_report = import_module("seqfeat.report").save_report
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    ids = ids_of(X, 0)
    with naming_series(ids):
        save_report(
            estimator,
            X,
            y,
            target=path,
            ids=ids,
            title=title,
            metrics=metrics,
            baselines=baselines,
            max_points=max_points,
            random_state=random_state,
        )
