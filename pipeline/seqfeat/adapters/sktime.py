"""`SktimeTransformer`, an `LSTMAutoencoder` as a transformer of sktime."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import pandas as pd
from sklearn.base import clone

from seqfeat.adapters.traits import traits_of
from seqfeat.autoencoder import LSTMAutoencoder

try:
    from sktime.transformations.base import BaseTransformer
except ModuleNotFoundError as error:
    raise ImportError(
        "seqfeat.adapters.sktime needs sktime. Install it with: pip install 'seqfeat[sktime]'"
    ) from error

__all__ = ["SktimeTransformer"]


class SktimeTransformer(BaseTransformer):
    """An `LSTMAutoencoder` as a series-to-features transformer of sktime.

    It takes every panel that sktime knows, of one length or not, and returns a
    DataFrame with one embedding per series.

    Parameters
    ----------
    autoencoder : LSTMAutoencoder
        Cloned, not fitted. ``missing="mask"`` lets sktime pass NaN, and
        ``target_weight > 0`` makes it ask for labels.

    Attributes
    ----------
    autoencoder_ : LSTMAutoencoder
        The fitted one.

    See Also
    --------
    seqfeat.adapters.aeon.AeonTransformer : The same for aeon.

    Notes
    -----
    sktime forgets an earlier fit before it checks the data of a new one, so neither
    ``warm_start`` nor surviving a fit that fails is to be had here; use
    `LSTMAutoencoder` for both.

    Combine it by ``*`` or by sktime's pipelines: transformers of sktime 1.2, its own
    included, do not run as steps of a scikit-learn 1.9 `~sklearn.pipeline.Pipeline`.

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
        # A list of frames holds unequal lengths, and each is (n_timesteps, n_channels).
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
        # sktime's fit calls this again, so a nested set_params reaches the tags in time.
        traits = traits_of(autoencoder, type(self).__name__)
        self.set_tags(
            **{
                "requires_y": traits.needs_labels,
                "capability:missing_values": traits.reads_missing_values,
                "capability:missing_values:removes": traits.reads_missing_values,
            }
        )

    def _fit(self, X: list[pd.DataFrame], y: Any = None) -> Self:
        self.autoencoder_: LSTMAutoencoder = clone(self.autoencoder).fit(_arrays(X), y)
        return self

    def _transform(self, X: list[pd.DataFrame], y: Any = None) -> pd.DataFrame:
        embeddings = self.autoencoder_.transform(_arrays(X))
        return pd.DataFrame(embeddings, columns=self.autoencoder_.get_feature_names_out())

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return what sktime's checks make instances of.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored; there is one.

        Returns
        -------
        params : list of dict
        """
        return [
            {"autoencoder": LSTMAutoencoder(4, max_iter=2)},
            {"autoencoder": LSTMAutoencoder(4, max_iter=2, missing="mask", target_weight=0.5)},
        ]


def _arrays(X: list[pd.DataFrame]) -> list[Any]:
    return [series.to_numpy() for series in X]
