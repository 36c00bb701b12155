"""Whatever the user has, as one canonical form. NumPy and pandas only.

- `read`, `read_batches`: files, as series and labels, whole or a part at a time
- `from_long`: long tables, one row for each series and time
- `from_channels_first`: the layout of aeon and sktime
- `as_series`: any of these, arrays, tables and lists as the canonical `Series`
"""

from seqfeat.series.arrays import from_channels_first, warn_if_transposed
from seqfeat.series.conversion import as_series
from seqfeat.series.files import read
from seqfeat.series.long import LabelledSeries, from_long
from seqfeat.series.series import Series
from seqfeat.series.streaming import read_batches

__all__ = [
    "LabelledSeries",
    "Series",
    "as_series",
    "from_channels_first",
    "from_long",
    "read",
    "read_batches",
    "warn_if_transposed",
]
