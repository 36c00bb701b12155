"""A fitted model as its parts: what comes before the autoencoder, it, and what comes behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.base import ClassifierMixin, is_classifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError

__all__ = ["PipelineParts", "make_classifier", "pipeline_parts"]


@dataclass(frozen=True)
class PipelineParts:
    """The steps of a model, in order.

    Attributes
    ----------
    before : list of transformers
        What series go through first; in most models nothing.
    autoencoder : LSTMAutoencoder
        The transformer of series into embeddings.
    after : list of transformers
        What embeddings go through, such as a scaler.
    classifier : classifier or None
        The last step, if it predicts.
    """

    before: list[Any]
    autoencoder: LSTMAutoencoder
    after: list[Any]
    classifier: Any | None

    def series(self, X: Any) -> Any:
        """Return series as the autoencoder gets them."""
        return _through(self.before, X)

    def features(self, embeddings: Any) -> Any:
        """Return embeddings as the classifier gets them."""
        return _through(self.after, embeddings)


def pipeline_parts(model: Any) -> PipelineParts:
    """Take a model apart; nothing is copied.

    Parameters
    ----------
    model : LSTMAutoencoder, Pipeline or search
        Of a search such as `~sklearn.model_selection.GridSearchCV`, its best
        estimator counts. Pipelines may be nested.

    Raises
    ------
    InputError
        If no step is an `LSTMAutoencoder`, or the last one predicts something
        other than classes.
    """
    steps = list(_steps(model))
    found = [place for place, step in enumerate(steps) if isinstance(step, LSTMAutoencoder)]
    if len(found) != 1:
        raise InputError(
            f"{type(model).__name__} has {len(found)} steps that are an LSTMAutoencoder; pass a "
            "fitted LSTMAutoencoder, or a fitted Pipeline with one of them among its steps."
        )
    before, autoencoder, after = steps[: found[0]], steps[found[0]], steps[found[0] + 1 :]
    classifier = after.pop() if after and not hasattr(after[-1], "transform") else None
    # A discriminant analysis transforms as well as it predicts.
    if classifier is None and after and is_classifier(after[-1]):
        classifier = after.pop()
    if classifier is not None and not is_classifier(classifier):
        raise InputError(
            f"the last step is {type(classifier).__name__}, which predicts no classes; pass "
            "the pipeline without it, model[:-1]."
        )
    return PipelineParts(before, autoencoder, after, classifier)


def _steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a model, also of pipelines and searches within it."""
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        yield from _steps(best)
    elif isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _steps(step)
    elif model is not None and model != "passthrough":
        yield model


def _through(transformers: list[Any], values: Any) -> Any:
    for transformer in transformers:
        values = transformer.transform(values)
    return values


def make_classifier(
    embedding_dim: int = 64,
    classifier: ClassifierMixin | None = None,
    *,
    memory: Any = None,
    **autoencoder_params: Any,
) -> Pipeline:
    """Return a pipeline that embeds series and classifies the embeddings.

    Parameters
    ----------
    embedding_dim : int, default=64
        Length of the embedding.
    classifier : estimator, default=None
        Any scikit-learn classifier. None is a linear discriminant analysis with
        a little shrinkage, ``LinearDiscriminantAnalysis(solver="eigen",
        shrinkage=0.1)``, which with few series for many features was at least
        as good as logistic regression and trains at once.
    memory : str or object with the joblib.Memory interface, default=None
        Where to keep fitted autoencoders, so that a search over the
        classifier's parameters trains each of them once. It needs
        ``random_state`` to be set to be of use across calls.
    **autoencoder_params
        Passed on to `LSTMAutoencoder`.

    Returns
    -------
    pipeline : `~sklearn.pipeline.Pipeline`
        With the steps ``"autoencoder"``, ``"scaler"`` and ``"classifier"``, so
        that a search names parameters such as ``autoencoder__embedding_dim``.

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
    if classifier is None:
        classifier = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    return Pipeline(
        [
            ("autoencoder", LSTMAutoencoder(embedding_dim, **autoencoder_params)),
            ("scaler", StandardScaler()),
            ("classifier", classifier),
        ],
        memory=memory,
    )
