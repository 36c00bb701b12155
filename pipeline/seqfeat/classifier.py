"""`make_classifier`, the whole two-stage classifier as a plain scikit-learn Pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat.autoencoder import LSTMAutoencoder

__all__ = ["make_classifier"]


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
