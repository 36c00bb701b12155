"""`save_report`, which runs the analysis and writes the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from seqfeat.exceptions import InputError
from seqfeat.report.analysis import run_analysis
from seqfeat.report.page import render
from seqfeat.runtime.atomic_files import atomic_write
from seqfeat.runtime.first_import import first_import

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
    y_train: ArrayLike | None = None,
    timings: Mapping[str, float] | None = None,
    channel_names: Sequence[str] | None = None,
    was_trained_on: bool = False,
    max_points: int = 2000,
    n_anomalies: int = 12,
    random_state: int = 0,
) -> Path:
    """Write a report on a model and a set of series, as one self-contained HTML file.

    The report shows the accuracy with its confidence interval, the confusion matrix
    and scores per class; an interactive map of the embeddings, where each point shows
    its series and the reconstruction; the most anomalous series; and the loss curves,
    timings, parameters and versions. It opens offline and makes no network requests.
    It works on phones, in dark mode and with the keyboard.

    Parameters
    ----------
    model : Pipeline, LSTMAutoencoder or search
        A fitted model. Without a classifier after the autoencoder, the report covers
        only embeddings and reconstructions.
    X : array-like
        Series in any format that the model accepts, preferably not those that it was
        trained on.
    y : array-like of shape (n_samples,), default=None
        Class labels, to score the predictions and to colour the map; for a model with a
        regressor numbers, one or several columns. Without them, the map is coloured by
        the predictions.
    target : str or Path, default="report.html"
        The file to write. Missing parent folders are created. An existing file is
        replaced atomically.
    ids : array-like of shape (n_samples,), default=None
        The name of each series. By default, the ids that `X` has, or numbers.
    title : str, default=None
        The heading of the page. By default, it gives the number of series.
    notes : str, default=None
        A paragraph to show below the title, for example on the training data.
    metrics : mapping of str to float, default=None
        Additional metrics to show, for example a cross-validated score.
    baselines : mapping of str to float, default=None
        The scores of other models on the same series: accuracies, or R squared, of the
        predictions if `model` has a regressor, and otherwise of the reconstruction.
    y_train : array-like, default=None
        Labels of the training series, whose most frequent class, or mean, is a baseline. By
        default, that of `y` is, which a model could not have known.
    timings : mapping of str to float, default=None
        Duration of earlier steps, such as training, in seconds.
    channel_names : sequence of str, default=None
        The name of each channel. By default, the names that `X` has, or numbers.
    was_trained_on : bool, default=False
        Whether the model was trained on these series. If so, the page warns that the
        scores are optimistic.
    max_points : int, default=2000
        Maximum number of series to draw. Long series with many channels reduce it
        further, to keep the page below 5 MB. If there are more, a sample is drawn,
        stratified by class, and the page says so. The scores always cover all series.
    n_anomalies : int, default=12
        How many of the series with the largest reconstruction errors to show.
    random_state : int, default=0
        Seed of the sample.

    Returns
    -------
    path : Path
        The file that was written.

    Raises
    ------
    InputError
        If `X`, `y` or `ids` do not match the model or each other, or another argument
        is out of range.
    NotFittedError
        If the model is not fitted.
    ImportError
        If Bokeh is missing.
    OSError
        If the file cannot be written. An existing file is left intact.

    See Also
    --------
    seqfeat.display : Single plots, made with matplotlib.

    Notes
    -----
    The series are embedded once and reconstructed once, batch by batch; only the
    reconstructions that are drawn are kept. Labels, ids and other names cannot inject
    code into the page: they are escaped, and its content security policy allows no
    scripts but its own.

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
    _check_bokeh()
    _check_integer("max_points", max_points, 1)
    _check_integer("n_anomalies", n_anomalies, 0)
    checked = {
        name: _check_finite(name, values or {})
        for name, values in (("metrics", metrics), ("baselines", baselines), ("timings", timings))
    }
    path = Path(target)
    if path.is_dir():
        raise InputError(f"target={str(target)!r} is a folder; pass the name of a file in it.")
    analysis = run_analysis(
        model,
        X,
        y,
        ids,
        channel_names=channel_names,
        y_train=y_train,
        max_points=max_points,
        n_anomalies=n_anomalies,
        random_state=random_state,
    )
    page = render(
        analysis,
        title=title,
        notes=notes,
        n_anomalies=n_anomalies,
        was_trained_on=was_trained_on,
        **checked,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, page)
    return path


def _check_bokeh() -> None:
    try:
        with first_import("bokeh"):
            import bokeh.plotting  # noqa: F401
        import jinja2  # noqa: F401  (a dependency of Bokeh)
    except ImportError as error:
        raise ImportError(
            "save_report needs Bokeh; install it with: pip install 'seqfeat[report]'"
        ) from error


def _check_integer(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise InputError(f"{name}={value!r}; pass an integer of at least {minimum}.")


def _check_finite(name: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values as floats, after checking that all are finite numbers."""
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise InputError(f"{name}[{key!r}]={value!r}; pass finite numbers.")
    return {str(key): float(value) for key, value in values.items()}
