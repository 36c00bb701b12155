"""The autoencoder as a transformer of other time-series libraries.

Each module needs the library that it is named after, an extra of the same name,
and is imported by nobody else:

- `seqfeat.adapters.aeon`: `AeonTransformer`
- `seqfeat.adapters.sktime`: `SktimeTransformer`
"""

__all__: list[str] = []
