"""`AeonTransformer`: an `LSTMAutoencoder` as a collection transformer of aeon."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from seqfeat.adapters.capabilities import Capabilities
from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.series import from_channels_first

try:
    from aeon.transformations.collection import BaseCollectionTransformer
except ModuleNotFoundError as error:
    raise ImportError(
        "seqfeat.adapters.aeon needs aeon; install it with: pip install 'seqfeat[aeon]'"
    ) from error

__all__ = ["AeonTransformer"]


class AeonTransformer(BaseCollectionTransformer):
    """An `LSTMAutoencoder` as a collection transformer of aeon.

    It accepts aeon's collections, with channels first and equal or unequal lengths,
    and returns one embedding per series.

    Parameters
    ----------
    autoencoder : LSTMAutoencoder
        The autoencoder, which is cloned before it is fitted. With
        ``missing="mask"``, aeon lets NaN pass; with ``target_weight > 0``, it
        requires labels.

    Attributes
    ----------
    autoencoder_ : LSTMAutoencoder
        The fitted autoencoder. Unlike this transformer, it expects channels last.

    See Also
    --------
    seqfeat.adapters.sktime.SktimeTransformer : The same for sktime.

    Notes
    -----
    aeon resets an estimator before it validates the data of a new fit. Hence
    ``warm_start`` has no effect here, and an earlier fit is lost if a later one fails;
    use `LSTMAutoencoder` directly where this matters.

    Examples
    --------
    >>> from aeon.datasets import load_basic_motions
    >>> from aeon.pipeline import make_pipeline
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from seqfeat import LSTMAutoencoder
    >>> from seqfeat.adapters.aeon import AeonTransformer
    >>> X, y = load_basic_motions(split="train")
    >>> X.shape  # channels first
    (40, 6, 100)
    >>> autoencoder = LSTMAutoencoder(embedding_dim=16, max_iter=30, random_state=0)
    >>> pipeline = make_pipeline(AeonTransformer(autoencoder), RidgeClassifier())
    >>> pipeline.fit(X, y).predict(X).shape
    (40,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "output_data_type": "Tabular",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "removes_unequal_length": True,
        "algorithm_type": "deeplearning",
    }

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        self.autoencoder = autoencoder
        super().__init__()

    def get_tags(self) -> dict[str, Any]:
        """Return aeon's tags, some of which depend on the autoencoder's parameters.

        Returns
        -------
        tags : dict
        """
        # Not in __init__ with set_tags, which a later set_params would not update.
        capabilities = Capabilities.of(self.autoencoder, type(self).__name__)
        tags: dict[str, Any] = super().get_tags()
        return tags | {
            "requires_y": capabilities.needs_labels,
            "capability:missing_values": capabilities.accepts_missing_values,
            "removes_missing_values": capabilities.accepts_missing_values,
        }

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.autoencoder_: LSTMAutoencoder = clone(self.autoencoder).fit(from_channels_first(X), y)
        return self

    def _transform(self, X: Any, y: Any = None) -> NDArray[np.floating[Any]]:
        return self.autoencoder_.transform(from_channels_first(X))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        # The instances that aeon's estimator checks run on.
        return [
            {"autoencoder": LSTMAutoencoder(4, max_iter=2)},
            {"autoencoder": LSTMAutoencoder(4, max_iter=2, missing="mask", target_weight=0.5)},
        ]
