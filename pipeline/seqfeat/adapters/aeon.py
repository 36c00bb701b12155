"""`AeonTransformer`, an `LSTMAutoencoder` as a collection transformer of aeon."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from seqfeat.adapters.traits import traits_of
from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.series import from_channels_first

try:
    from aeon.transformations.collection import BaseCollectionTransformer
except ModuleNotFoundError as error:
    raise ImportError(
        "seqfeat.adapters.aeon needs aeon. Install it with: pip install 'seqfeat[aeon]'"
    ) from error

__all__ = ["AeonTransformer"]


class AeonTransformer(BaseCollectionTransformer):
    """An `LSTMAutoencoder` as a collection transformer of aeon.

    It takes what aeon's transformers take, channels first, of one length or not,
    and returns one embedding per series.

    Parameters
    ----------
    autoencoder : LSTMAutoencoder
        Cloned, not fitted. ``missing="mask"`` lets aeon pass NaN, and
        ``target_weight > 0`` makes it ask for labels.

    Attributes
    ----------
    autoencoder_ : LSTMAutoencoder
        The fitted one, which reads channels last.

    See Also
    --------
    seqfeat.adapters.sktime.SktimeTransformer : The same for sktime.

    Notes
    -----
    aeon forgets an earlier fit before it checks the data of a new one, so neither
    ``warm_start`` nor surviving a fit that fails is to be had here; use
    `LSTMAutoencoder` for both.

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
        """Return aeon's tags; some follow from the autoencoder's parameters.

        Returns
        -------
        tags : dict
        """
        # Not set once with set_tags: set_params("autoencoder__missing") would not reach them.
        traits = traits_of(self.autoencoder, type(self).__name__)
        tags: dict[str, Any] = super().get_tags()
        return tags | {
            "requires_y": traits.needs_labels,
            "capability:missing_values": traits.reads_missing_values,
            "removes_missing_values": traits.reads_missing_values,
        }

    def _fit(self, X: Any, y: Any = None) -> Self:
        self.autoencoder_: LSTMAutoencoder = clone(self.autoencoder).fit(from_channels_first(X), y)
        return self

    def _transform(self, X: Any, y: Any = None) -> NDArray[np.floating[Any]]:
        return self.autoencoder_.transform(from_channels_first(X))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        # What aeon's checks make instances of.
        return [
            {"autoencoder": LSTMAutoencoder(4, max_iter=2)},
            {"autoencoder": LSTMAutoencoder(4, max_iter=2, missing="mask", target_weight=0.5)},
        ]
