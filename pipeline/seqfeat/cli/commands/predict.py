"""``seqfeat predict``: predict the class, or the number, of each series."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.errors import UserError, rewording_errors
from seqfeat.cli.models import Model, open_model
from seqfeat.cli.outputs import (
    TABLE_SUFFIXES,
    CSVWriter,
    Writer,
    check_output,
    ids_by_name,
    open_writer,
)
from seqfeat.cli.sources import DataSource, SeriesBatch, open_source

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    if options.output is not None:
        check_output(options.output, TABLE_SUFFIXES, options.data, options.model)
    model = open_model(options)
    model.check_predicts()
    if options.probabilities and not hasattr(model.estimator, "predict_proba"):
        raise UserError("--probabilities: this model does not provide any.")
    source = open_source(options.data, options, trained=model.reading)
    if options.output is not None:
        with open_writer(options.output, safe_csv=options.safe_csv) as writer:
            n_series = _write(model, source, writer, options, console)
        console.print(f"Wrote the predictions for {n_series:,} {source.noun} to {options.output}.")
        return {"command": "predict", "n_series": n_series, "output": options.output}
    if not console.is_json:
        n_series = _write(
            model, source, CSVWriter(console.output, is_safe=options.safe_csv), options, console
        )
        return {"command": "predict", "n_series": n_series}
    collected = _Collector()
    n_series = _write(model, source, collected, options, console)
    return {"command": "predict", "n_series": n_series, **collected.columns}


class _Collector:
    """Collects predictions for JSON."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}

    def write(self, frame: pd.DataFrame) -> None:
        for level, ids in ids_by_name(frame.index).items():
            self.columns.setdefault(level, []).extend(ids)
        for name in frame:
            key = "predictions" if name == "prediction" else str(name)
            self.columns.setdefault(key, []).extend(frame[name].tolist())


def _write(
    model: Model, source: DataSource, writer: Writer, options: argparse.Namespace, console: Console
) -> int:
    """Write the predictions batch by batch, and return the number of series."""
    n_series = 0
    for batch in source.batches(console):
        writer.write(_predict(model, batch, with_probabilities=options.probabilities))
        n_series += len(batch)
    return n_series


def _predict(model: Model, batch: SeriesBatch, *, with_probabilities: bool) -> pd.DataFrame:
    with rewording_errors(batch.ids):
        if not with_probabilities:
            predictions = np.asarray(model.estimator.predict(batch.X))
            if predictions.ndim == 1:
                return pd.DataFrame({"prediction": predictions}, index=batch.ids)
            # Numbers of a model that was trained in Python.
            names = [f"prediction_{number}" for number in range(predictions.shape[1])]
            return pd.DataFrame(predictions, index=batch.ids, columns=names)
        probabilities = model.estimator.predict_proba(batch.X)
    classes = np.asarray(model.estimator.classes_)
    columns = {"prediction": classes[probabilities.argmax(axis=1)]}
    for name, column in zip(classes, probabilities.T, strict=True):
        columns[f"probability_{name}"] = column
    return pd.DataFrame(columns, index=batch.ids)
