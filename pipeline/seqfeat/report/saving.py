"""`save_report`, which looks at a model and series and writes the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from seqfeat.exceptions import InputError
from seqfeat.report.findings import find
from seqfeat.report.page import render
from seqfeat.runtime.atomic_files import atomic_write

__all__ = ["save_report"]


def save_report(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    target: str | Path = "report.html",
    *,
    ids: ArrayLike | None = None,
    title: str | None = None,
    notes: str | None = None,
    metrics: Mapping[str, float] | None = None,
    baselines: Mapping[str, float] | None = None,
    timings: Mapping[str, float] | None = None,
    channel_names: Sequence[str] | None = None,
    was_trained_on: bool = False,
    max_points: int = 2000,
    n_anomalies: int = 12,
    random_state: int = 0,
) -> Path:
    """Write a report on a model and series: one HTML page that holds all it needs.

    What was trained on what; accuracy with its confidence interval, confusions and
    classes; a map of the embeddings, on which each point shows its series and
    its reconstruction; the most anomalous series; losses, timings, parameters and
    versions. The page opens offline and asks no host for anything, is read on a
    phone and in the dark, and by keyboard.

    Parameters
    ----------
    model : Pipeline, LSTMAutoencoder or search
        Fitted. Without a classifier behind the autoencoder, the report is on
        embeddings and reconstructions alone.
    X : array-like
        Series in any form that the model takes, best such that it was not trained on.
    y : array-like of shape (n_samples,), default=None
        Classes, to score predictions and to colour the map by. Without them it is
        coloured by predictions.
    target : str or Path, default="report.html"
        The file. Folders that are not there are made; a file that is there is
        replaced, as a whole or not at all.
    ids : array-like of shape (n_samples,), default=None
        What the series are called; None takes the names that `X` gives them, or
        numbers them.
    title : str, default=None
        The page's heading; None says how many series it is on.
    notes : str, default=None
        A paragraph below it, such as what the model was trained on.
    metrics : mapping of str to float, default=None
        Further figures, such as a cross-validated score.
    baselines : mapping of str to float, default=None
        What else was tried on these series, and its score: accuracy, or without a
        classifier R squared.
    timings : mapping of str to float, default=None
        Seconds of what was done before, such as training.
    channel_names : sequence of str, default=None
        None takes the names that `X` gives them, or numbers them.
    was_trained_on : bool, default=False
        Whether the model was trained on these series, so that their scores flatter it;
        the page then says so.
    max_points : int, default=2000
        Series to draw at most; fewer of long series with many channels, so that the
        page stays below 5 MB. They are sampled class by class, and the page says so.
        All series are in the scores.
    n_anomalies : int, default=12
        How many of the series with the largest reconstruction errors to show.
    random_state : int, default=0
        Seed of the sample.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    InputError
        If `X`, `y` or `ids` do not fit each other or the model, or another argument
        is out of range.
    NotFittedError
        If the model is not fitted.
    ImportError
        If Bokeh is missing.
    OSError
        If the file cannot be written. What was there before is whole.

    See Also
    --------
    seqfeat.display : Single pictures, by matplotlib.

    Notes
    -----
    Series are embedded once, a batch at a time, and rebuilt once for their errors;
    only what is drawn is kept. Reading a page never executes what a label or an id
    holds: they are escaped, and the page allows no script but its own.

    Examples
    --------
    >>> import tempfile
    >>> from seqfeat import make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> from seqfeat.report import save_report
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = make_classifier(8, max_iter=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_report(pipeline, X, y, f"{folder}/report.html", title="Speakers")
    ...     "<h1>Speakers</h1>" in path.read_text(encoding="utf-8")
    True
    """
    _need_bokeh()
    _refuse_fewer("max_points", max_points, 1)
    _refuse_fewer("n_anomalies", n_anomalies, 0)
    figures = {
        name: _checked(name, values or {})
        for name, values in (("metrics", metrics), ("baselines", baselines), ("timings", timings))
    }
    path = Path(target)
    if path.is_dir():
        raise InputError(f"target={str(target)!r} is a folder; name a file in it.")
    findings = find(
        model,
        X,
        y,
        ids,
        channel_names=channel_names,
        max_points=max_points,
        n_anomalies=n_anomalies,
        random_state=random_state,
    )
    page = render(
        findings,
        title=title,
        notes=notes,
        n_anomalies=n_anomalies,
        was_trained_on=was_trained_on,
        **figures,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, page)
    return path


def _need_bokeh() -> None:
    try:
        import bokeh  # noqa: F401
        import jinja2  # noqa: F401  (which Bokeh brings)
    except ImportError as error:
        raise ImportError(
            "save_report needs Bokeh; install it with: pip install 'seqfeat[report]'"
        ) from error


def _refuse_fewer(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}={value!r}; pass a whole number of at least {least}.")


def _checked(name: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return figures as floats, and refuse what is none."""
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise InputError(f"{name}[{key!r}]={value!r}; pass finite numbers.")
    return {str(key): float(value) for key, value in values.items()}
