"""Searching the size of the embedding by cross-validation."""

from __future__ import annotations

import argparse
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from seqfeat.cli.console import Console, progress_bars, table
from seqfeat.cli.errors import UserError
from seqfeat.cli.evaluation import folds
from seqfeat.cli.models import size_parameter
from seqfeat.cluster import searching
from seqfeat.series import LabelledSeries

__all__ = ["best_size", "distributed", "search_sizes", "size_rows", "size_table"]

LEAST_EPOCHS = 5
"""What halving gives every size at least."""

Row = dict[str, Any]


def search_sizes(
    estimator: Any, labelled: LabelledSeries, options: argparse.Namespace, console: Console
) -> Any:
    """Return a search, carried out, without a last fit on everything."""
    X, y = labelled
    search = _search(estimator, labelled, options)
    search.set_callbacks(*progress_bars(console, max_propagation_depth=0))
    on_cluster = _on(options.cluster, labelled)
    with warnings.catch_warnings(), on_cluster, options.interrupts.ending_all():
        # A size that is too small is told by its score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, y)
    return search.set_callbacks()


def _search(estimator: Any, labelled: LabelledSeries, options: argparse.Namespace) -> Any:
    grid = {size_parameter(estimator): options.embedding_dim}
    parameters = {
        "cv": folds(labelled, options),
        "n_jobs": options.jobs if options.cluster is None else -1,
        "error_score": "raise",
        "refit": False,
    }
    if options.strategy == "grid":
        return GridSearchCV(estimator, grid, scoring=score_and_bytes, **parameters)
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401  (its own condition)
    from sklearn.model_selection import HalvingGridSearchCV

    epochs = size_parameter(estimator).replace("embedding_dim", "max_iter")
    most = estimator.get_params()[epochs]
    return HalvingGridSearchCV(
        estimator,
        grid,
        resource=epochs,
        max_resources=most,
        min_resources=min(LEAST_EPOCHS, most),
        random_state=options.random_state,
        **parameters,
    )


def score_and_bytes(estimator: Any, X: Any, y: Any = None) -> dict[str, float]:
    """Score an estimator and measure the file that it would make."""
    return {"score": float(estimator.score(X, y)), "bytes": float(file_bytes(estimator))}


def file_bytes(estimator: Any) -> int:
    """Return the size of an estimator's file."""
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.tell()


def distributed(cluster: str) -> Any:
    """Return the module of Dask that knows clusters."""
    try:
        return import_module("dask.distributed")
    except ImportError as error:
        raise ImportError(
            f"--cluster {cluster} needs Dask: pip install 'seqfeat[cluster]'"
        ) from error


@contextmanager
def _on(cluster: str | None, labelled: LabelledSeries) -> Iterator[None]:
    """Run a search of these series on a Dask cluster, if one is named."""
    if cluster is None:
        yield
        return
    try:
        client = distributed(cluster).Client(cluster, timeout=10)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--cluster {cluster}: no scheduler answers there ({error}). Start one with dask "
            "scheduler, and name its address as it prints it."
        ) from error
    with client, searching(*labelled, client=client):
        yield


def size_rows(search: Any, labelled: LabelledSeries) -> list[Row]:
    """Return for each size its score, the seconds of a fit and the bytes of its file."""
    results = search.cv_results_
    name = size_parameter(search.estimator)
    latest: dict[int, int] = {}
    for place, parameters in enumerate(results["params"]):
        latest[parameters[name]] = place  # of halving, the round with the most epochs
    rows = []
    for size, place in sorted(latest.items()):
        if "mean_test_bytes" in results:
            n_bytes = int(results["mean_test_bytes"][place])
        else:
            n_bytes = _bytes_untrained(search.estimator, name, size, labelled)
        row = {
            "embedding_dim": size,
            "score": float(results["mean_test_score"][place]),
            "score_deviation": float(results["std_test_score"][place]),
            "fit_seconds": float(results["mean_fit_time"][place]),
            "file_bytes": n_bytes,
        }
        if "n_resources" in results:
            row["epochs"] = int(results["n_resources"][place])
        rows.append(row)
    return rows


def _bytes_untrained(estimator: Any, name: str, size: int, labelled: LabelledSeries) -> int:
    """Return the size of a file whose network has not been trained, but has all its weights."""
    epochs = name.replace("embedding_dim", "max_iter")
    return file_bytes(clone(estimator).set_params(**{name: size, epochs: 0}).fit(*labelled))


def best_size(rows: list[Row]) -> int:
    """Return the size with the best score, of those trained longest; of equal ones the smallest."""
    most = max(row.get("epochs", 0) for row in rows)
    finalists = [row for row in rows if row.get("epochs", 0) == most]
    # Rounded, as sums of the same scores may differ in their last digits.
    scores = np.round([row["score"] for row in finalists], 9)
    return int(finalists[int(np.argmax(scores))]["embedding_dim"])


def size_table(rows: list[Row], best: int) -> str:
    """Return the sizes for people, the best one marked."""
    has_epochs = "epochs" in rows[0]
    header = ("features", "score", "", "seconds of a fit", "file KiB")
    lines = [
        (
            f"{row['embedding_dim']}",
            f"{row['score']:.3f}",
            f"± {row['score_deviation']:.3f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['file_bytes'] / 1024:.0f}",
            *((str(row["epochs"]),) if has_epochs else ()),
            "best" if row["embedding_dim"] == best else "",
        )
        for row in rows
    ]
    return table(lines, (*header, *(("epochs",) if has_epochs else ()), ""))
