"""``seqfeat convert``: series of any form as one long table."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.outputs import check_suffix, check_target, writing
from seqfeat.cli.sources import Batch, naming_series, open_source, stream
from seqfeat.series import as_series

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    check_target(options.output, options.data)
    check_suffix(options.output, (".csv", ".parquet"))
    source = open_source(options.data, options)
    n_series, n_rows = 0, 0
    columns: list[str] = []
    with writing(options.output) as rows:
        for batch in stream(source, console):
            with naming_series(batch.ids):
                frame = _long(batch)
            rows.write(frame)
            n_series, n_rows = n_series + len(batch), n_rows + len(frame)
            columns = [str(frame.index.name), *map(str, frame.columns)]
    shown = ", ".join(columns if len(columns) <= 8 else [*columns[:4], "...", *columns[-2:]])
    console.say(f"{options.output}: {n_series:,} series in {n_rows:,} rows of {shown}")
    return {
        "command": "convert",
        "output": options.output,
        "n_series": n_series,
        "n_rows": n_rows,
        "columns": columns,
    }


def _long(batch: Batch) -> pd.DataFrame:
    """Return a row for each series and timestep; missing values are empty cells."""
    series = as_series(batch.X, missing="mask")
    is_step = np.arange(series.values.shape[1]) < series.lengths[:, None]
    owners, steps = np.nonzero(is_step)
    values = series.values[owners, steps]
    columns: dict[str, Any] = {"time": steps}
    for channel in range(series.n_channels):
        columns[f"channel_{channel}"] = values[:, channel]
    if batch.y is not None:
        columns["label"] = np.asarray(batch.y)[owners]
    return pd.DataFrame(columns, index=batch.ids[owners])
