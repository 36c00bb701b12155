"""Why a model predicts what it predicts: `occlusion`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.inference.batched import embed
from seqfeat.inference.decoding import check_finite
from seqfeat.inference.fitted import (
    check_fitted,
    fitted_backend,
    fitted_scaling,
    output_dtype,
    validate_series,
)
from seqfeat.pipeline import PipelineParts, pipeline_parts
from seqfeat.series.series import Series
from seqfeat.sklearn_compat import output_container

__all__ = ["can_occlude", "check_width", "occlude_series", "occlusion"]

BATCH_VALUES = 2**22
"""Values of the occluded copies that are embedded at once."""
MAX_BATCH_COPIES = 4096
CERTAINTIES = ("predict_proba", "decision_function")
"""Methods of a classifier that tell how sure it is of a class, the first one that it has."""

Floats = NDArray[np.float64]


def occlusion(model: Any, X: Any, *, width: int, by_channel: bool = False) -> Floats:
    """Return how much each stretch of a series contributes to its prediction.

    Each stretch of `width` timesteps is replaced by the channel's mean over the training series,
    and what is returned is how much the predicted probability of the predicted class falls [1]_. A
    positive number says that the stretch speaks for the prediction, a negative one that it speaks
    against it.

    Parameters
    ----------
    model : Pipeline or search
        A fitted model that ends in a classifier or a regressor, with exactly one
        `LSTMAutoencoder`.
    X : array-like
        Series in any form that `predict` accepts. Steps before the autoencoder are applied first;
        the stretches are those of what it receives.
    width : int
        Timesteps of a stretch. The last one of a series may be shorter.
    by_channel : bool, default=False
        Whether to replace each channel by itself instead of all together.

    Returns
    -------
    importances : ndarray of shape (n_samples, n_stretches), float64
        Or (n_samples, n_stretches, n_channels) with `by_channel`; regressors of several targets add
        an axis for these. NaN after the end of a series. For a classifier without `predict_proba`,
        how much the decision function of the predicted class falls, and for a regressor how much
        the prediction does.

    Raises
    ------
    InputError
        If the model does not end in a classifier or a regressor, if its classifier has neither
        `predict_proba` nor `decision_function`, or if `width` is less than 1.

    Notes
    -----
    Takes the time of embedding each series once for every stretch, or with `by_channel` once for
    every stretch and channel. Missing values stay missing.

    References
    ----------
    .. [1] M. D. Zeiler and R. Fergus (2014). "Visualizing and understanding convolutional
       networks". ECCV.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat import make_classifier
    >>> from seqfeat.inspection import occlusion
    >>> X = np.random.default_rng(0).normal(size=(60, 50, 2))
    >>> y = np.arange(60) % 2
    >>> X[y == 1, 20:30, 1] += 3
    >>> model = make_classifier(16, max_iter=0, random_state=0).fit(X, y)
    >>> importances = occlusion(model, X[y == 1], width=10, by_channel=True)
    >>> importances.shape
    (30, 5, 2)
    >>> stretch, channel = np.unravel_index(importances.mean(axis=0).argmax(), (5, 2))
    >>> (int(stretch), int(channel))
    (2, 1)
    """
    width = check_width(width)
    parts = pipeline_parts(model)
    check_fitted(parts.autoencoder)
    series = validate_series(parts.autoencoder, parts.series(X))
    return occlude_series(parts, series, width=width, by_channel=by_channel)


def check_width(width: Any) -> int:
    """Return the length of a stretch."""
    if isinstance(width, bool) or not isinstance(width, Integral):
        raise InputTypeError(f"width={width!r}; it must be an integer, such as 10.")
    if width < 1:
        raise InputError(f"width={width}; it must be at least 1.")
    return int(width)


def can_occlude(parts: PipelineParts) -> bool:
    """Return whether a model predicts something, and tells how sure it is."""
    if parts.regressor is not None:
        return True
    return any(hasattr(parts.classifier, name) for name in CERTAINTIES)


def occlude_series(parts: PipelineParts, series: Series, *, width: int, by_channel: bool) -> Floats:
    """Return the importances for series as the autoencoder receives them; see `occlusion`."""
    outputs = _outputs_of(parts)
    before, sign = _signed(outputs(_embed(parts.autoencoder, series)), parts)
    n_stretches = -(-series.n_timesteps // width)
    starts = np.arange(n_stretches) * width
    is_inside = starts < series.lengths[:, None]
    n_parts = series.n_channels if by_channel else 1
    shape = (len(series), n_stretches, n_parts, *before.shape[1:])
    importances = np.full(shape, np.nan)
    rows, stretches, channels = np.nonzero(np.repeat(is_inside[:, :, None], n_parts, axis=2))
    size = BATCH_VALUES // (series.n_timesteps * series.n_channels)
    size = min(max(1, size), MAX_BATCH_COPIES)
    for first in range(0, len(rows), size):
        some = slice(first, first + size)
        of_channels = channels[some] if by_channel else None
        copies = _occluded(
            series, rows[some], starts[stretches[some]], width, of_channels, parts.autoencoder.mean_
        )
        after = sign(outputs(_embed(parts.autoencoder, copies)), rows[some])
        importances[rows[some], stretches[some], channels[some]] = before[rows[some]] - after
    return importances if by_channel else importances[:, :, 0]


def _occluded(
    series: Series,
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    width: int,
    channels: NDArray[np.int64] | None,
    mean: Floats,
) -> Series:
    """Return copies of some series, in each of which a stretch is the mean."""
    values = np.asarray(series.values[rows, : series.n_timesteps])
    values = values.astype(output_dtype(series))
    steps = np.arange(values.shape[1])
    is_hidden = (steps >= starts[:, None]) & (steps < starts[:, None] + width)
    hidden = np.repeat(is_hidden[:, :, None], series.n_channels, axis=2)
    if channels is not None:
        hidden &= (np.arange(series.n_channels) == channels[:, None])[:, None, :]
    # What is missing stays missing, and so does the padding.
    hidden &= ~np.isnan(values)
    values = np.where(hidden, mean.astype(values.dtype), values)
    return replace(
        series, values=values, lengths=series.lengths[rows], ids=None, frame_rows=None, form="array"
    )


def _embed(autoencoder: LSTMAutoencoder, series: Series) -> Any:
    """Embed series, in the container in which the next step got the embeddings."""
    embeddings = np.empty((len(series), autoencoder.embedding_dim_), dtype=output_dtype(series))
    for rows, batch in embed(fitted_backend(autoencoder), series, fitted_scaling(autoencoder)):
        check_finite(batch, rows, "series {} of X is embedded as")
        embeddings[rows] = batch
    if output_container(autoencoder) == "default":
        return embeddings
    # Steps that saw names expect them.
    return pd.DataFrame(embeddings, columns=autoencoder.get_feature_names_out())


Outputs = Callable[[Any], Floats]


def _outputs_of(parts: PipelineParts) -> Outputs:
    """Return what maps embeddings to the numbers that a prediction is made from."""
    last = parts.classifier if parts.regressor is None else parts.regressor
    if last is None:
        raise InputError(
            "the model predicts nothing: its last step is neither a classifier nor a regressor. "
            "Pass a fitted pipeline that ends in one, such as that of make_classifier."
        )
    name = "predict"
    if parts.regressor is None:
        name = next((name for name in CERTAINTIES if hasattr(last, name)), "")
        if not name:
            raise InputError(
                f"{type(last).__name__} has neither predict_proba nor decision_function, so that "
                "nothing tells how sure it is. Fit the pipeline with another classifier, or with "
                "sklearn.calibration.CalibratedClassifierCV around this one."
            )
    function = getattr(last, name)
    return lambda embeddings: np.asarray(function(parts.features(embeddings)), dtype=np.float64)


def _signed(
    outputs: Floats, parts: PipelineParts
) -> tuple[Floats, Callable[[Floats, NDArray[np.int64]], Floats]]:
    """Return the outputs for the predictions, and a function of others for some of these."""
    if parts.regressor is not None:
        return outputs, lambda others, rows: others
    if outputs.ndim == 1:
        # A binary decision function, positive for the second class.
        signs = np.where(outputs > 0, 1.0, -1.0)
        return signs * outputs, lambda others, rows: signs[rows] * others
    predicted = outputs.argmax(axis=1)
    everyone = np.arange(len(outputs))
    return (
        outputs[everyone, predicted],
        lambda others, rows: others[np.arange(len(rows)), predicted[rows]],
    )
