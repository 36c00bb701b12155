"""``seqfeat anomalies``: list the series, or the stretches of them, with the largest errors."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.cli.commands.anomalous_steps import run_steps
from seqfeat.cli.console import Console, format_table
from seqfeat.cli.errors import UserError, rewording_errors
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import TABLE_SUFFIXES, check_output, ids_by_name, open_writer
from seqfeat.cli.sources import open_source

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    if options.top < 1:
        raise UserError(f"--top {options.top}: must be at least 1.")
    if options.by_channel and not options.steps:
        raise UserError("--by-channel needs --steps, which writes the error of each timestep.")
    if options.output is not None:
        check_output(options.output, TABLE_SUFFIXES, options.data, options.model)
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    if options.steps:
        return run_steps(options, model, source, console)
    score = getattr(model.parts.autoencoder, "anomaly_threshold_", None)
    threshold = None if score is None else -float(score)
    top = pd.DataFrame()
    error_batches: list[NDArray[np.float64]] = []
    with (
        nullcontext()
        if options.output is None
        else open_writer(options.output, safe_csv=options.safe_csv) as writer
    ):
        for batch in source.batches(console):
            with rewording_errors(batch.ids):
                series = model.parts.series(batch.X)
                batch_errors = -model.parts.autoencoder.score_samples(series)
            error_batches.append(batch_errors)
            frame = pd.DataFrame({"error": batch_errors}, index=batch.ids)
            if threshold is not None:
                frame["is_anomalous"] = frame["error"] > threshold
            candidates = frame if top.empty else pd.concat([top, frame])
            top = candidates.nlargest(options.top, "error")
            if writer is not None:
                writer.write(frame)
    errors = np.concatenate(error_batches)
    beyond = {}
    if threshold is not None:
        beyond = {"threshold": threshold, "n_anomalous": int((errors > threshold).sum())}
        console.print(
            f"{beyond['n_anomalous']:,} of {len(errors):,} {source.noun} have errors above "
            f"{threshold:.4g}, the threshold of the model."
        )
    _print_result(top, errors, source.noun, console)
    if options.output is not None:
        console.print(f"Wrote the errors of all {len(errors):,} {source.noun} to {options.output}.")
    return {
        "command": "anomalies",
        "n_series": len(errors),
        "median_error": float(np.median(errors)),
        **beyond,
        **ids_by_name(top.index),
        "errors": top["error"].tolist(),
        **({} if options.output is None else {"output": options.output}),
    }


def _print_result(
    top: pd.DataFrame, errors: NDArray[np.float64], noun: str, console: Console
) -> None:
    median = float(np.median(errors))
    ids = top.index.to_frame(index=False)
    marks = top.get("is_anomalous", pd.Series(False, index=top.index))
    rows = [
        (
            *map(str, names),
            f"{error:.4g}",
            f"{error / median:.1f}x" if median else "-",
            "anomalous" if is_marked else "",
        )
        for names, error, is_marked in zip(
            ids.itertuples(index=False), top["error"], marks, strict=True
        )
    ]
    console.print(
        f"Largest reconstruction errors of {len(errors):,} {noun} (median error: {median:.4g}):"
    )
    console.print(format_table(rows, (*map(str, ids.columns), "error", "vs. median", "")))
