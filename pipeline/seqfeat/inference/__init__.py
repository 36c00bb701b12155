"""A trained network applied to any number of series.

- `batched`: embeds, reconstructs and decodes series in batches
- `decoding`: embeddings from anywhere as series, in a dtype that holds them
- `evaluation`: how well a network reconstructs a set of series
- `reconstruction`: the methods of an estimator that reconstruct series and score them
- `fitted`: the network, the scaling and the input checks of a fitted estimator
- `consistency`: whether what an estimator learned is consistent, checked when it is loaded
- `transform_into`: writes features into a file or an array, for sets larger than memory
"""

__all__: list[str] = []
