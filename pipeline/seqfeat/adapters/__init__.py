"""`LSTMAutoencoder` as a transformer of other time-series libraries.

- `seqfeat.adapters.aeon`: `AeonTransformer`; needs ``seqfeat[aeon]``
- `seqfeat.adapters.sktime`: `SktimeTransformer`; needs ``seqfeat[sktime]``
- `seqfeat.adapters.capabilities`: which data an autoencoder accepts, for both
"""

__all__: list[str] = []
