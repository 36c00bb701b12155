"""On the workers of a Dask cluster. Needs ``seqfeat[cluster]``.

- `fit`: one model fitted by all workers together
"""

from seqfeat.cluster.fitting import fit

__all__ = ["fit"]
