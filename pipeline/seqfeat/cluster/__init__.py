"""Fit, search and transform on a Dask cluster. Needs ``seqfeat[cluster]``.

- `fit`: one model that all workers fit together
- `transform`: a fitted model over a Dask array or frame, lazily, a part at a time
- `searching`: scikit-learn's searches on the workers, which a killed worker does not end
"""

from seqfeat.cluster.fitting import fit
from seqfeat.cluster.searching import searching
from seqfeat.cluster.transforming import transform

__all__ = ["fit", "searching", "transform"]
