"""The search over embedding sizes by cross-validation, on this machine or a Dask cluster."""

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

from seqfeat.cli.console import Console, format_table, progress_bars
from seqfeat.cli.errors import UserError
from seqfeat.cli.evaluation import RecordingFolds, make_folds
from seqfeat.cli.models import size_parameter
from seqfeat.cli.outputs import format_size
from seqfeat.cluster import searching
from seqfeat.series import LabelledSeries
from seqfeat.sklearn_compat import watched

__all__ = ["best_size", "check_dask", "search_sizes", "size_rows", "size_table"]

MIN_EPOCHS = 5
"""Epochs for which successive halving trains every size."""

MAX_EPOCHS = 30
"""Epochs of the last round if ``--max-iter`` does not say."""

CLUSTER_TIMEOUT = 10
"""Seconds to wait for the scheduler of a cluster."""

Row = dict[str, Any]
"""The results for one size."""


def search_sizes(
    estimator: Any, labelled: LabelledSeries, options: argparse.Namespace, console: Console
) -> Any:
    """Run a search over the embedding sizes and return it; the best size is not refitted."""
    search = _make_search(estimator, labelled, options)
    progress = watched(search, progress_bars(console, max_propagation_depth=0))
    if isinstance(search.cv, RecordingFolds):
        console.status(search.cv.describe(labelled.X))
    on_cluster = _on_cluster(options.cluster, labelled)
    with warnings.catch_warnings(), on_cluster, console.interrupts.aborting(), progress:
        # Its score shows that a size is too small.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(*labelled)
    return search


def _make_search(estimator: Any, labelled: LabelledSeries, options: argparse.Namespace) -> Any:
    size = size_parameter(estimator)
    grid = {size: options.embedding_dim}
    parameters = {
        "cv": make_folds(labelled, options),
        "n_jobs": options.jobs if options.cluster is None else -1,
        "error_score": "raise",
        "refit": False,
    }
    if options.strategy == "grid":
        return GridSearchCV(estimator, grid, scoring=score_and_bytes, **parameters)
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401  (enables the import)
    from sklearn.model_selection import HalvingGridSearchCV

    max_iter = _max_iter_parameter(size)
    n_epochs = estimator.get_params()[max_iter]
    if n_epochs == "auto":
        n_epochs = MAX_EPOCHS
    return HalvingGridSearchCV(
        estimator,
        grid,
        resource=max_iter,
        max_resources=n_epochs,
        min_resources=min(MIN_EPOCHS, n_epochs),
        random_state=options.random_state,
        **parameters,
    )


def _max_iter_parameter(size: str) -> str:
    return size.replace("embedding_dim", "max_iter")


def score_and_bytes(estimator: Any, X: Any, y: Any = None) -> dict[str, float]:
    """Return the score of an estimator and the size of its file."""
    return {"score": float(estimator.score(X, y)), "bytes": float(file_bytes(estimator))}


def file_bytes(estimator: Any) -> int:
    """Return the number of bytes that an estimator takes as a joblib file."""
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.tell()


def check_dask(cluster: str) -> Any:
    """Return the module ``dask.distributed``, or raise an error if it is not installed."""
    try:
        return import_module("dask.distributed")
    except ImportError as error:
        raise ImportError(
            f"--cluster {cluster} needs Dask: pip install 'seqfeat[cluster]'"
        ) from error


@contextmanager
def _on_cluster(cluster: str | None, labelled: LabelledSeries) -> Iterator[None]:
    """Run a search of these series on a Dask cluster, if there is one."""
    if cluster is None:
        yield
        return
    try:
        client = check_dask(cluster).Client(cluster, timeout=CLUSTER_TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--cluster {cluster}: cannot connect to a scheduler ({error}). Start one with "
            "'dask scheduler' and pass the address that it prints."
        ) from error
    with client, searching(*labelled, client=client):
        yield


def size_rows(search: Any, labelled: LabelledSeries) -> list[Row]:
    """Return the score, the seconds of a fit and the bytes of the file of each size."""
    results = search.cv_results_
    name = size_parameter(search.estimator)
    # After halving, the last round of a size is the one with the most epochs.
    last_round = {parameters[name]: i for i, parameters in enumerate(results["params"])}
    rows = []
    for size, i in sorted(last_round.items()):
        if "mean_test_bytes" in results:
            n_bytes = int(results["mean_test_bytes"][i])
        else:
            n_bytes = _untrained_bytes(search.estimator, name, size, labelled)
        row = {
            "embedding_dim": size,
            "score": float(results["mean_test_score"][i]),
            "score_std": float(results["std_test_score"][i]),
            "fit_seconds": float(results["mean_fit_time"][i]),
            "file_bytes": n_bytes,
        }
        if "n_resources" in results:
            row["epochs"] = int(results["n_resources"][i])
        rows.append(row)
    return rows


def _untrained_bytes(estimator: Any, name: str, size: int, labelled: LabelledSeries) -> int:
    """Return the bytes of a file with untrained weights, which take as many as trained ones."""
    untrained = clone(estimator).set_params(**{name: size, _max_iter_parameter(name): 0})
    return file_bytes(untrained.fit(*labelled))


def best_size(rows: list[Row]) -> int:
    """Return the size with the best score of those trained longest; the smallest if several tie."""
    max_epochs = max(row.get("epochs", 0) for row in rows)
    finalists = [row for row in rows if row.get("epochs", 0) == max_epochs]
    # Means of equal scores may differ in their last digits.
    scores = np.round([row["score"] for row in finalists], 9)
    return int(finalists[int(np.argmax(scores))]["embedding_dim"])


def size_table(rows: list[Row], best: int) -> str:
    """Return the sizes as a table for people, in which the best one is marked."""
    has_epochs = "epochs" in rows[0]
    header = ("features", "score", "std", "fit time", "file size")
    cells = [
        (
            f"{row['embedding_dim']}",
            f"{row['score']:.3f}",
            f"{row['score_std']:.3f}",
            f"{row['fit_seconds']:.1f} s",
            format_size(row["file_bytes"]),
            *((str(row["epochs"]),) if has_epochs else ()),
            "best" if row["embedding_dim"] == best else "",
        )
        for row in rows
    ]
    return format_table(cells, (*header, *(("epochs",) if has_epochs else ()), ""))
