"""The autoencoder with a classifier: `make_classifier`, and a fitted pipeline taken apart again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError

__all__ = ["PipelineParts", "make_classifier", "pipeline_parts"]


def make_classifier(
    embedding_dim: int | None = 64,
    classifier: ClassifierMixin | None = None,
    *,
    memory: Any = None,
    **autoencoder_params: Any,
) -> Pipeline:
    """Return a pipeline that embeds series and classifies the embeddings.

    Parameters
    ----------
    embedding_dim : int or None, default=64
        Length of the embedding; None keeps all statistics, see `LSTMAutoencoder`.
    classifier : estimator, default=None
        Any scikit-learn classifier. None is ``LogisticRegression(C=10, tol=1e-3, max_iter=1000)``,
        or for the thousands of features of ``embedding_dim=None``
        ``RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))``.
    memory : str or object with the joblib.Memory interface, default=None
        Cache for fitted autoencoders, so that a search over the classifier's parameters trains
        each autoencoder only once. Across calls it is of use only if ``random_state`` is set.
    **autoencoder_params
        Passed on to `LSTMAutoencoder`. With ``target_weight=0.5``, the labels that the classifier
        needs serve the features as well, which pays if `embedding_dim` is small.

    Returns
    -------
    pipeline : `~sklearn.pipeline.Pipeline`
        With the steps ``"autoencoder"``, ``"scaler"`` and ``"classifier"``; in a search, the
        parameters are named accordingly, such as ``autoencoder__embedding_dim``.

    See Also
    --------
    LSTMAutoencoder : The transformer alone.

    Examples
    --------
    >>> from seqfeat import make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = make_classifier(embedding_dim=16, max_iter=5, random_state=0)
    >>> pipeline.fit(X, y).predict(X).shape
    (270,)
    """
    if classifier is None and embedding_dim is None:
        classifier = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    elif classifier is None:
        classifier = LogisticRegression(C=10, tol=1e-3, max_iter=1000)
    return Pipeline(
        [
            ("autoencoder", LSTMAutoencoder(embedding_dim, **autoencoder_params)),
            ("scaler", StandardScaler()),
            ("classifier", classifier),
        ],
        memory=memory,
    )


@dataclass(frozen=True)
class PipelineParts:
    """The steps of a fitted model, in order.

    Attributes
    ----------
    before : list of transformers
        Transformers of series, before the autoencoder; none in most models.
    autoencoder : LSTMAutoencoder
    after : list of transformers
        Transformers of embeddings, such as a scaler.
    classifier : classifier or None
        The last step, if it is a classifier.
    """

    before: list[Any]
    autoencoder: LSTMAutoencoder
    after: list[Any]
    classifier: Any | None

    def series(self, X: Any) -> Any:
        """Return the series as the autoencoder receives them."""
        return _transform(self.before, X)

    def features(self, embeddings: Any) -> Any:
        """Return the embeddings as the classifier receives them."""
        return _transform(self.after, embeddings)


def pipeline_parts(model: Any) -> PipelineParts:
    """Take a model apart, without copying anything.

    Parameters
    ----------
    model : LSTMAutoencoder, Pipeline or search
        Pipelines may be nested. A search such as `~sklearn.model_selection.GridSearchCV`
        stands for its best estimator.

    Returns
    -------
    parts : PipelineParts

    Raises
    ------
    InputError
        If not exactly one step is an `LSTMAutoencoder`, or if the last step predicts anything
        but classes.
    """
    steps = list(_steps(model))
    positions = [i for i, step in enumerate(steps) if isinstance(step, LSTMAutoencoder)]
    if len(positions) != 1:
        raise InputError(
            f"{type(model).__name__} has {len(positions)} steps that are an LSTMAutoencoder; pass "
            "a fitted LSTMAutoencoder, or a fitted Pipeline with exactly one."
        )
    (position,) = positions
    before, autoencoder, after = steps[:position], steps[position], steps[position + 1 :]
    classifier = after.pop() if after and _is_last_step(after[-1]) else None
    if classifier is not None and not is_classifier(classifier):
        raise InputError(
            f"the last step is {type(classifier).__name__}, which predicts no classes; pass the "
            "pipeline without it, model[:-1]."
        )
    return PipelineParts(before, autoencoder, after, classifier)


def _steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a model, including those of nested pipelines and searches."""
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        yield from _steps(best)
    elif isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _steps(step)
    elif model is not None and model != "passthrough":
        yield model


def _is_last_step(step: Any) -> bool:
    """Tell whether a step predicts; a discriminant analysis does although it also transforms."""
    return not hasattr(step, "transform") or is_classifier(step)


def _transform(transformers: list[Any], values: Any) -> Any:
    for transformer in transformers:
        values = transformer.transform(values)
    return values
