"""``seqfeat anomalies``: the series that a model rebuilds worst."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console, table
from seqfeat.cli.errors import UserError
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_suffix, check_target, writing
from seqfeat.cli.sources import naming_series, open_source, stream

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    if options.top < 1:
        raise UserError(f"--top {options.top}: list at least 1.")
    if options.output is not None:
        check_target(options.output, options.data, options.model)
        check_suffix(options.output, (".csv", ".parquet", ".npy"))
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    worst = pd.DataFrame({"error": []}, dtype=np.float64)
    errors: list[Any] = []
    with nullcontext() if options.output is None else writing(options.output) as rows:
        for batch in stream(source, console):
            with naming_series(batch.ids):
                series = model.parts.series(batch.X)
                batch_errors = -model.parts.autoencoder.score_samples(series)
            frame = pd.DataFrame({"error": batch_errors}, index=batch.ids)
            errors.append(batch_errors)
            worst = frame if not len(worst) else pd.concat([worst, frame])
            worst = worst.nlargest(options.top, "error")
            if rows is not None:
                rows.write(frame)
    everything = np.concatenate(errors)
    _show(worst, everything, console)
    if options.output is not None:
        console.say(f"{options.output}: the errors of all {len(everything):,} series")
    return {
        "command": "anomalies",
        "n_series": len(everything),
        "median_error": float(np.median(everything)),
        "ids": worst.index.tolist(),
        "errors": worst["error"].tolist(),
        **({} if options.output is None else {"output": options.output}),
    }


def _show(worst: pd.DataFrame, everything: np.ndarray[Any, Any], console: Console) -> None:
    median = float(np.median(everything))
    rows = [
        (str(name), f"{error:.4g}", f"{error / median:.1f}" if median else "-")
        for name, error in worst["error"].items()
    ]
    console.say(f"Worst rebuilt of {len(everything):,} series (median error {median:.4g}):")
    console.say(table(rows, (str(worst.index.name), "error", "times the median")))
