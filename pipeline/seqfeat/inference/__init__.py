"""A trained network applied to any number of series.

- `batched`: encoding, decoding and reconstructing series, a batch at a time
- `evaluation`: how well a network reconstructs a set of series
- `fitted`: what a fitted estimator knows: its network, its scaling, what input it accepts
- `transform_into`: features written into a file or an array, for sets larger than memory
"""

__all__: list[str] = []
