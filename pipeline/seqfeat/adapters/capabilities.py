"""Which data an autoencoder accepts, for libraries that check this by tags."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.sklearn_compat import InvalidParameterError
from seqfeat.training.parameters import needs_labels

__all__ = ["Capabilities"]


class Capabilities(NamedTuple):
    """Whether an autoencoder needs labels, and whether it accepts missing values."""

    needs_labels: bool
    accepts_missing_values: bool

    @classmethod
    def of(cls, autoencoder: Any, adapter_name: str) -> Self:
        """Return the capabilities that an autoencoder has with its current parameters.

        Parameters
        ----------
        autoencoder : LSTMAutoencoder
            Fitted or not.
        adapter_name : str
            The class it was passed to, for the error message.

        Raises
        ------
        InvalidParameterError
            If it is not an `LSTMAutoencoder`.
        """
        if not isinstance(autoencoder, LSTMAutoencoder):
            raise InvalidParameterError(
                f"The 'autoencoder' parameter of {adapter_name} must be an instance of "
                f"'LSTMAutoencoder'. Got {autoencoder!r} instead."
            )
        return cls(needs_labels(autoencoder.target_weight), autoencoder.missing == "mask")
