"""`SktimeTransformer`: an `LSTMAutoencoder` as a transformer of sktime."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import pandas as pd
from sklearn.base import clone

from seqfeat.adapters.capabilities import Capabilities
from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.runtime.first_import import first_import

try:
    with first_import("sktime"):
        from sktime.transformations.base import BaseTransformer
except ModuleNotFoundError as error:
    raise ImportError(
        "seqfeat.adapters.sktime needs sktime; install it with: pip install 'seqfeat[sktime]'"
    ) from error

__all__ = ["SktimeTransformer"]


class SktimeTransformer(BaseTransformer):
    """An `LSTMAutoencoder` as a series-to-features transformer of sktime.

    It accepts every panel format of sktime, with equal or unequal lengths, and returns
    a DataFrame with one embedding per series.

    Parameters
    ----------
    autoencoder : LSTMAutoencoder
        The autoencoder, which is cloned before it is fitted. With
        ``missing="mask"``, sktime lets NaN pass; with ``target_weight > 0``, it
        requires labels.

    Attributes
    ----------
    autoencoder_ : LSTMAutoencoder
        The fitted autoencoder.

    See Also
    --------
    seqfeat.adapters.aeon.AeonTransformer : The same for aeon.

    Notes
    -----
    sktime resets an estimator before it validates the data of a new fit. Hence
    ``warm_start`` has no effect here, and an earlier fit is lost if a later one fails;
    use `LSTMAutoencoder` directly where this matters.

    Build pipelines with ``*`` or with sktime's own classes: no transformer of
    sktime 1.2 works as a step of a scikit-learn 1.9 `~sklearn.pipeline.Pipeline`.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sktime.datasets import load_basic_motions
    >>> from seqfeat import LSTMAutoencoder
    >>> from seqfeat.adapters.sktime import SktimeTransformer
    >>> X, y = load_basic_motions(split="train", return_type="pd-multiindex")
    >>> autoencoder = LSTMAutoencoder(embedding_dim=16, max_iter=30, random_state=0)
    >>> pipeline = SktimeTransformer(autoencoder) * RidgeClassifier()
    >>> pipeline.fit(X, y).predict(X).shape
    (40,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The seqfeat developers",
        "maintainers": "The seqfeat developers",
        # A list of DataFrames, each of shape (n_timesteps, n_channels), of any lengths.
        "X_inner_mtype": "df-list",
        "y_inner_mtype": "numpy1D",
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:transform-labels": "Primitives",
        "scitype:instancewise": False,
        "fit_is_empty": False,
        "capability:unequal_length": True,
        "capability:unequal_length:removes": True,
        "capability:categorical_in_X": False,
    }

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        self.autoencoder = autoencoder
        super().__init__()
        # fit calls __init__ again, so the tags also follow a later set_params.
        capabilities = Capabilities.of(autoencoder, type(self).__name__)
        self.set_tags(
            **{
                "requires_y": capabilities.needs_labels,
                "capability:missing_values": capabilities.accepts_missing_values,
                "capability:missing_values:removes": capabilities.accepts_missing_values,
            }
        )

    def _fit(self, X: list[pd.DataFrame], y: Any = None) -> Self:
        self.autoencoder_: LSTMAutoencoder = clone(self.autoencoder).fit(_to_arrays(X), y)
        return self

    def _transform(self, X: list[pd.DataFrame], y: Any = None) -> pd.DataFrame:
        embeddings = self.autoencoder_.transform(_to_arrays(X))
        return pd.DataFrame(embeddings, columns=self.autoencoder_.get_feature_names_out())

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return the parameters of the instances that sktime's estimator checks run on.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored, as there is only one set.

        Returns
        -------
        params : list of dict
        """
        return [
            {"autoencoder": LSTMAutoencoder(4, max_iter=2)},
            {"autoencoder": LSTMAutoencoder(4, max_iter=2, missing="mask", target_weight=0.5)},
        ]


def _to_arrays(X: list[pd.DataFrame]) -> list[Any]:
    return [series.to_numpy() for series in X]
