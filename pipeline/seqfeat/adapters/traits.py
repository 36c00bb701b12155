"""What an autoencoder needs and can do, for libraries that ask before they pass data."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn.utils._param_validation import InvalidParameterError

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.training.parameters import needs_labels

__all__ = ["Traits", "traits_of"]


class Traits(NamedTuple):
    """What decides which data an autoencoder can be given."""

    needs_labels: bool
    reads_missing_values: bool


def traits_of(autoencoder: Any, adapter: str) -> Traits:
    """Return the traits that an autoencoder's parameters give it.

    Parameters
    ----------
    autoencoder : LSTMAutoencoder
        Fitted or not.
    adapter : str
        The class whose parameter it is, for the error.

    Raises
    ------
    InvalidParameterError
        If it is no `LSTMAutoencoder`.
    """
    if not isinstance(autoencoder, LSTMAutoencoder):
        raise InvalidParameterError(
            f"The 'autoencoder' parameter of {adapter} must be an instance of 'LSTMAutoencoder'. "
            f"Got {autoencoder!r} instead."
        )
    return Traits(needs_labels(autoencoder.target_weight), autoencoder.missing == "mask")
