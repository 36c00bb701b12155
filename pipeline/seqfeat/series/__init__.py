"""Any accepted input as one canonical form, `Series`, and its scaling. NumPy and pandas only.

The modules, in reading order:

- `conversion`: `as_series`, any accepted input as `Series`, recognised and checked once
- `arrays`: arrays and lists of single series, and the order of their axes
- `numbers`: array-likes and frames as arrays of real numbers
- `tensors`: PyTorch's tensors as arrays
- `lazy_array`: arrays of Zarr, h5py and Dask, read a few rows at a time
- `nested`: tables with one row per series, whose cells hold series
- `long`: `from_long` and MultiIndex frames, one row per series and timestep
- `columns`: the columns of a table by name, and which of them are channels
- `clock`: time points as numbers on a clock, in the forms that tables have
- `time_grid`: the time points of a long table as timesteps
- `files`: `read` and `read_batches`, series and labels from files
- `windows`: long recordings cut into windows
- `series`: the canonical form
- `scaling`: masked standardisation, channel by channel
"""

from seqfeat.series.arrays import from_channels_first, warn_if_transposed
from seqfeat.series.conversion import as_series
from seqfeat.series.files.reading import read
from seqfeat.series.files.streaming import read_batches
from seqfeat.series.long import LabelledSeries, from_long
from seqfeat.series.series import Series
from seqfeat.series.windows import Windows, overlap_mean, windows

__all__ = [
    "LabelledSeries",
    "Series",
    "Windows",
    "as_series",
    "from_channels_first",
    "from_long",
    "overlap_mean",
    "read",
    "read_batches",
    "warn_if_transposed",
    "windows",
]
