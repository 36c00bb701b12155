"""``seqfeat embed``: write the embedding of each series to a file."""

from __future__ import annotations

import argparse
import time
from typing import Any

import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.errors import rewording_errors
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import TABLE_SUFFIXES, check_output, open_writer
from seqfeat.cli.sources import open_source

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    check_output(options.output, TABLE_SUFFIXES, options.data, options.model)
    model = open_model(options)
    source = open_source(options.data, options, trained=model.reading)
    names = [f"feature_{i}" for i in range(model.parts.autoencoder.embedding_dim_)]
    started, n_series = time.perf_counter(), 0
    with open_writer(options.output, safe_csv=options.safe_csv) as writer:
        for batch in source.batches(console):
            with rewording_errors(batch.ids):
                features = model.embed(batch.X)
            writer.write(pd.DataFrame(features, index=batch.ids, columns=names))
            n_series += len(batch)
    seconds = time.perf_counter() - started
    console.print(
        f"Wrote {len(names)} features of {n_series:,} {source.noun} to {options.output} "
        f"({seconds:.1f} s)."
    )
    return {
        "command": "embed",
        "output": options.output,
        "n_series": n_series,
        "embedding_dim": len(names),
        "seconds": seconds,
    }
