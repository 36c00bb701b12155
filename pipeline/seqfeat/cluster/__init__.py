"""One fit on the workers of a Dask cluster. Needs ``seqfeat[cluster]``."""
