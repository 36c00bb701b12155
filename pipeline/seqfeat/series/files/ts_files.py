"""`.ts` files of the UCR and UEA archive as series."""

from __future__ import annotations

from pathlib import Path

from seqfeat.exceptions import InputError
from seqfeat.series.arrays import from_channels_first
from seqfeat.series.long import LabelledSeries

__all__ = ["read_ts"]


def read_ts(path: Path) -> LabelledSeries:
    """Return the series of a file and their labels."""
    try:
        from aeon.datasets import load_from_ts_file
    except ImportError as error:
        raise ImportError("the .ts format needs aeon: pip install 'seqfeat[ts]'") from error
    try:
        X, y, header = load_from_ts_file(str(path), return_meta_data=True)
    except Exception as error:  # aeon's parser raises errors of all kinds
        raise InputError(
            f"{path} cannot be read by aeon as a .ts file ({str(error).strip()}). Its header must "
            "end with @data, and each line after it must hold one series."
        ) from error
    if len(X) == 0:
        raise InputError(f"{path} holds no series; a .ts file has them after the line @data.")
    has_labels = header["classlabel"] or header["targetlabel"]
    return LabelledSeries(from_channels_first(X), y if has_labels else None)
