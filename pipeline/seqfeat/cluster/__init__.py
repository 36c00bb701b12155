"""Fit, search and transform on a Dask cluster. Needs ``seqfeat[cluster]``.

- `data_parallel`: `fit`, which trains one model on all workers together
- `search`: `searching`, which runs scikit-learn's searches on the workers, even if some are killed
- `joblib_backend`: the joblib backend that it uses
- `lazy_transform`: `transform`, which applies a fitted model to a Dask array or dataframe
- `arrays`, `frames`: the two kinds of Dask collections that it takes
- `model_task`: a fitted model as a Dask task
- `dask_support`: importing Dask on demand, and helpers around it
"""

from seqfeat.cluster.data_parallel import fit
from seqfeat.cluster.lazy_transform import transform
from seqfeat.cluster.search import searching

__all__ = ["fit", "searching", "transform"]
