"""``seqfeat predict``: the label of each series."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.errors import UserError
from seqfeat.cli.models import Model, open_model
from seqfeat.cli.outputs import CsvRows, Writer, check_suffix, check_target, writing
from seqfeat.cli.sources import Batch, naming_series, open_source, stream

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    if options.output is not None:
        check_target(options.output, options.data, options.model)
        check_suffix(options.output, (".csv", ".parquet", ".npy"))
    model = open_model(options)
    model.need_predictions()
    if options.probabilities and not hasattr(model.estimator, "predict_proba"):
        raise UserError("--probabilities: the classifier of this model gives none. Leave it out.")
    source = open_source(options.data, options, trained=model.reading)
    answers = _Answers()
    with _rows(options, console, answers) as rows:
        for batch in stream(source, console):
            rows.write(_predicted(model, batch, with_probabilities=options.probabilities))
    if options.output is not None:
        console.say(f"{options.output}: predictions of {answers.n_series:,} series")
    result: dict[str, Any] = {"command": "predict", "n_series": answers.n_series}
    if options.output is not None:
        return {**result, "output": options.output}
    return {**result, "ids": answers.ids, **answers.columns}


def _predicted(model: Model, batch: Batch, *, with_probabilities: bool) -> pd.DataFrame:
    with naming_series(batch.ids):
        if not with_probabilities:
            predictions = model.estimator.predict(batch.X)
            return pd.DataFrame({"prediction": predictions}, index=batch.ids)
        probabilities = model.estimator.predict_proba(batch.X)
    classes = np.asarray(model.estimator.classes_)
    columns = {"prediction": classes[probabilities.argmax(axis=1)]}
    for place, name in enumerate(classes):
        columns[f"probability_{name}"] = probabilities[:, place]
    return pd.DataFrame(columns, index=batch.ids)


class _Answers:
    """Counts the rows that pass, and keeps them for JSON."""

    def __init__(self) -> None:
        self.n_series = 0
        self.ids: list[Any] = []
        self.columns: dict[str, list[Any]] = {}

    def keep(self, frame: pd.DataFrame) -> None:
        self.ids += frame.index.tolist()
        for name in frame:
            key = "predictions" if name == "prediction" else str(name)
            self.columns.setdefault(key, []).extend(frame[name].tolist())


class _Rows:
    def __init__(self, writer: Writer | None, answers: _Answers) -> None:
        self._writer, self._answers = writer, answers

    def write(self, frame: pd.DataFrame) -> None:
        self._answers.n_series += len(frame)
        if self._writer is None:
            self._answers.keep(frame)
        else:
            self._writer.write(frame)


@contextmanager
def _rows(options: argparse.Namespace, console: Console, answers: _Answers) -> Iterator[_Rows]:
    """Open what takes the rows: a file, stdout, or for JSON a list."""
    if options.output is not None:
        with writing(options.output) as writer:
            yield _Rows(writer, answers)
    else:
        yield _Rows(None if console.is_json else CsvRows(sys.stdout), answers)
