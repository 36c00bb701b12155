"""``seqfeat embed``: the features of each series, into a file."""

from __future__ import annotations

import argparse
import time
from typing import Any

import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_suffix, check_target, writing
from seqfeat.cli.sources import naming_series, open_source, stream

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    check_target(options.output, options.data, options.model)
    check_suffix(options.output, (".csv", ".parquet", ".npy"))
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    names = [f"feature_{place}" for place in range(model.parts.autoencoder.embedding_dim_)]
    started, n_series = time.perf_counter(), 0
    with writing(options.output) as rows:
        for batch in stream(source, console):
            with naming_series(batch.ids):
                features = model.embed(batch.X)
            rows.write(pd.DataFrame(features, index=batch.ids, columns=names))
            n_series += len(batch)
    seconds = time.perf_counter() - started
    console.say(
        f"{options.output}: {n_series:,} series, {len(names)} features each ({seconds:.1f} s)"
    )
    return {
        "command": "embed",
        "output": options.output,
        "n_series": n_series,
        "embedding_dim": len(names),
        "seconds": seconds,
    }
