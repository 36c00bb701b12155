"""``seqfeat convert``: write series in any format as one long table."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console, format_list
from seqfeat.cli.errors import rewording_errors
from seqfeat.cli.outputs import check_output, open_writer
from seqfeat.cli.sources import SeriesBatch, open_source
from seqfeat.series import as_series

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    check_output(options.output, (".csv", ".parquet"), options.data)
    source = open_source(options.data, options)
    n_series, n_rows = 0, 0
    columns: list[str] = []
    with open_writer(options.output, safe_csv=options.safe_csv) as writer:
        for batch in source.batches(console):
            with rewording_errors(batch.ids):
                frame = _as_long_table(batch)
            writer.write(frame)
            n_series, n_rows = n_series + len(batch), n_rows + len(frame)
            columns = [*map(str, frame.index.names), *map(str, frame.columns)]
    console.print(
        f"Wrote {n_series:,} {source.noun} in {n_rows:,} rows to {options.output} "
        f"(columns: {format_list(columns, head=4, tail=2)})."
    )
    return {
        "command": "convert",
        "output": options.output,
        "n_series": n_series,
        "n_rows": n_rows,
        "columns": columns,
    }


def _as_long_table(batch: SeriesBatch) -> pd.DataFrame:
    """Return one row per series and timestep; missing values become empty cells."""
    series = as_series(batch.X, missing="mask")
    is_valid = np.arange(series.values.shape[1]) < series.lengths[:, None]
    rows, timesteps = np.nonzero(is_valid)
    values = series.values[rows, timesteps]
    columns: dict[str, Any] = {"time": timesteps}
    for channel in range(series.n_channels):
        columns[f"channel_{channel}"] = values[:, channel]
    if batch.y is not None:
        columns["label"] = np.asarray(batch.y)[rows]
    return pd.DataFrame(columns, index=batch.ids[rows])
