"""`read_batches`: series and labels from a file that may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError, WholeTableWarning
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.series.files.csv_files import CsvFormat
from seqfeat.series.files.names import NameScan
from seqfeat.series.files.reading import (
    TablePlan,
    check_has_columns,
    check_has_rows,
    file_format,
    from_wide,
    key_columns,
    plan_table,
    read,
    repeated_ids_first,
)
from seqfeat.series.files.tables import TABLES, Table
from seqfeat.series.long import NO_ROWS, LabelledSeries, LongLayout
from seqfeat.series.time_grid import Step, StepScan

__all__ = ["even_step", "read_batches", "split_batches", "whole_series"]

BATCH_BYTES = 8 * 2**20
"""Approximate size of the values in a batch; processing them takes several times as much."""


def read_batches(
    path: str | Path,
    *,
    label: str | None = None,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
    time_format: str | None = None,
    elapsed: bool = False,
    separator: str = "auto",
    decimal: str = "auto",
    encoding: str = "auto",
    header: bool | str = "auto",
    na_values: Sequence[str] = (),
    batch_bytes: int | None = None,
) -> Iterator[LabelledSeries]:
    r"""Read series from a file in batches.

    Together the batches are what `read` returns. Memory is that of one batch,
    except for ``.npz`` and ``.ts``, which are read as a whole.

    Parameters
    ----------
    path : str or Path
        The file, in any format that `read` accepts.
    label, series_id, time, channels, step, time_format, elapsed
        As in `read`. ``step="auto"`` is the shortest gap of the whole table, whose
        time points are read before the first batch.
    separator, decimal, encoding, header, na_values
        As in `read`.
    batch_bytes : int, default=None
        Approximate size of the values in a batch, at 8 bytes per value; None is
        8 MiB. A longer series makes a batch of its own.

    Yields
    ------
    X : DataFrame, Series or ndarray
        A part of what `read` returns, with at least one series.
    y : Series, ndarray or None
        Its labels.

    Raises
    ------
    FileNotFoundError, InputError, ImportError
        As `read` does. Errors within a table may be raised after earlier batches
        have been yielded.

    Warns
    -----
    WholeTableWarning
        If the rows of a long table are not grouped by series. Then no part of it is
        known to hold a whole series, so the table is read as a whole and yielded as
        one batch.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqfeat.series import read_batches
    >>> rows = "".join(f"{meter},{day},{day * 0.5}\n" for meter in "abcd" for day in range(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "long.csv")
    ...     _ = path.write_text("meter,day,load\n" + rows)
    ...     batches = read_batches(path, series_id="meter", time="day", batch_bytes=200)
    ...     [list(X.index) for X, _ in batches]
    [['a', 'b'], ['c'], ['d']]
    """
    path = Path(path)
    size = BATCH_BYTES if batch_bytes is None else batch_bytes
    form = CsvFormat(separator, decimal, encoding, header, na_values)
    if file_format(path) not in TABLES:
        columns = {"label": label, "series_id": series_id, "time": time, "channels": channels}
        check_has_columns(path, form, **columns, elapsed=elapsed or None)
        return split_batches(read(path, step=step), size)
    plan = plan_table(path, label, series_id, time, channels, step, time_format, form, elapsed)
    n_columns = plan.table.empty(plan.keys).shape[1] if plan.columns is None else len(plan.columns)
    n_rows = max(1, size // (8 * max(1, n_columns)))
    if plan.layout is None:
        return _wide_batches(plan, n_rows)
    return _long_batches(plan, plan.layout, n_rows)


def even_step(
    path: str | Path,
    *,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    time_format: str | None = None,
    form: CsvFormat | None = None,
) -> Any:
    """Return the step, a number or a Timedelta, that ``"auto"`` finds in a long table, or None.

    Reads only the ids and the time points, in chunks.
    """
    plan = plan_table(Path(path), None, series_id, time, channels, "auto", time_format, form)
    if plan.layout is None or plan.layout.time is None:
        return None
    return _scan(plan, plan.layout, BATCH_BYTES // 4).steps.length


def split_batches(labelled: LabelledSeries, size: int = BATCH_BYTES) -> Iterator[LabelledSeries]:
    """Yield series that are in memory, or memory-mapped, in batches of about `size` bytes."""
    X, y = labelled
    if X.dtype == object:
        n_bytes = 8 * sum(map(np.size, X)) // len(X)
    else:
        n_bytes = 8 * int(np.prod(X.shape[1:], dtype=np.int64))
    n_series = max(1, size // max(1, n_bytes))
    for start in range(0, len(X), n_series):
        rows = slice(start, start + n_series)
        yield LabelledSeries(X[rows], None if y is None else y[rows])


# Wide tables


def _wide_batches(plan: TablePlan, n_rows: int) -> Iterator[LabelledSeries]:
    names = _scan_names(plan.table, plan.text_names, n_rows)
    seen: set[Any] = set()
    n_read = 0
    chunks = _named_chunks(plan.table, plan.keys, n_rows, plan.columns, names)
    while True:
        with repeated_ids_first(plan):
            frame = next(chunks, None)
        if frame is None:
            break
        if isinstance(frame.index, pd.RangeIndex):
            frame.index = pd.RangeIndex(n_read, n_read + len(frame))
        with _errors_after(n_read):
            if plan.series_id is not None:
                _check_unseen(frame[plan.series_id], seen)
            yield from_wide(frame, plan.label, plan.series_id)
        n_read += len(frame)
    check_has_rows(plan, n_read)


def _check_unseen(ids: pd.Series[Any], seen: set[Any]) -> None:
    """Check that no id occurs in an earlier chunk; `from_wide` checks within a chunk."""
    is_repeated = ids.isin(seen).to_numpy()
    if is_repeated.any():
        row = int(np.argmax(is_repeated))
        raise InputError(
            f"series_id={ids.name!r}: {ids.iloc[row]} occurs more than once, again in row {row}; "
            "the ids of a wide table must be unique. For a long table, with one row per series and "
            "timestep, pass time=... as well."
        )
    seen.update(ids)


# Long tables


def _long_batches(plan: TablePlan, layout: LongLayout, n_rows: int) -> Iterator[LabelledSeries]:
    n_read = 0
    for frame, layout_of_part in whole_series(plan, layout, n_rows):
        with _errors_after(n_read):
            yield layout_of_part.convert(frame)
        n_read += len(frame)


def whole_series(
    plan: TablePlan, layout: LongLayout, n_rows: int | None = None
) -> Iterator[tuple[pd.DataFrame, LongLayout]]:
    """Yield a long table in parts that hold whole series, each with how it is read.

    Each is read as it is in the whole table, which is a single part if the rows of some
    series are not together. Parts have about `n_rows`, by default those of a batch.
    """
    table = plan.table
    if n_rows is None:
        n_rows = max(1, BATCH_BYTES // (8 * max(1, len(plan.columns or []))))
    keys = _scan(plan, layout, n_rows)
    if keys.scattered_id is not None:
        warn_user(
            f"the rows of series {keys.scattered_id} are not together in {table.path.name}, so the "
            "whole table is read into memory. Sort it by series to read it in batches.",
            WholeTableWarning,
        )
        frame = layout.flatten(table.read(plan.keys, plan.columns))
        yield _with_names(frame, keys.names), layout
        return
    if layout.time is not None:
        layout = replace(layout, step=keys.steps.step())
    chunks = _flat_chunks(table, layout, n_rows, plan.columns, keys.names)
    yield from ((frame, layout) for frame in _regroup(chunks, layout))


@dataclass
class _KeyScan:
    """What must be known about the ids and time points of a long table before its first batch.

    Attributes
    ----------
    names : dict
        How the ids and labels are read, for a file without dtypes.
    steps : StepScan
        The step, and how the time points are read.
    scattered_id : object or None
        A series whose rows are not contiguous.
    seen : set
        The ids so far.
    """

    names: dict[str, NameScan]
    steps: StepScan
    scattered_id: Any = None
    seen: set[Any] = field(default_factory=set)

    def update(self, frame: pd.DataFrame, layout: LongLayout) -> None:
        """Add the keys of a chunk that holds whole series."""
        ids = frame[layout.series_id]
        runs = ids[ids.ne(ids.shift())]
        repeated = runs[runs.duplicated() | runs.isin(self.seen)]
        if len(repeated):
            self.scattered_id = repeated.iloc[0]
        self.seen.update(runs)
        if layout.time is None:
            return
        self.steps.update(pd.factorize(ids)[0].astype(np.int64), frame[layout.time])


def _scan(plan: TablePlan, layout: LongLayout, n_rows: int) -> _KeyScan:
    """Read the ids, time points and labels of a long table in chunks."""
    steps = StepScan(layout.step, layout.time_format)
    scan = _KeyScan(_scan_names(plan.table, plan.text_names, n_rows), steps)
    n_read = 0
    for frame in _regroup(
        _flat_chunks(plan.table, layout, n_rows, layout.keys, scan.names), layout
    ):
        is_missing = frame[layout.series_id].isna().to_numpy()
        if is_missing.any():
            raise InputError(
                f"row {n_read + int(np.argmax(is_missing))} has no series id ({layout.series_id} "
                "is missing). Drop the row, or fill in its id."
            )
        scan.update(frame, layout)
        n_read += len(frame)
        if scan.scattered_id is not None:
            break
    if n_read == 0:
        raise InputError(NO_ROWS)
    return scan


def _flat_chunks(
    table: Table,
    layout: LongLayout,
    n_rows: int,
    columns: list[str] | None,
    names: dict[str, NameScan],
) -> Iterator[pd.DataFrame]:
    """Yield a long table in chunks, with one row per timestep, and series and time as columns."""
    if layout.is_indexed:
        return map(layout.flatten, table.chunks(n_rows, key_columns(layout.label)))
    return map(layout.flatten, _named_chunks(table, layout.keys, n_rows, columns, names))


def _regroup(chunks: Iterable[pd.DataFrame], layout: LongLayout) -> Iterator[pd.DataFrame]:
    """Move the chunk boundaries to where one series ends and the next begins."""
    held: list[pd.DataFrame] = []
    for chunk in chunks:
        ids = chunk[layout.series_id]
        current = held[-1][layout.series_id].iloc[-1] if held else ids.iloc[0]
        if (ids == current).all():
            held.append(chunk)
            continue
        other_rows = np.flatnonzero((ids != ids.iloc[-1]).to_numpy())
        boundary = int(other_rows[-1]) + 1 if len(other_rows) else 0
        yield pd.concat([*held, chunk.iloc[:boundary]], ignore_index=True)
        held = [chunk.iloc[boundary:]]
    if held:
        yield pd.concat(held, ignore_index=True)


# Both kinds of tables


def _scan_names(table: Table, names: list[str], n_rows: int) -> dict[str, NameScan]:
    """Return how columns of ids and labels that are text are read, from all of their texts.

    Otherwise an id could be 1 in one chunk and "1" in another.
    """
    scans = {name: NameScan() for name in names}
    if scans:
        for chunk in table.chunks(n_rows, names, names):
            for name, scan in scans.items():
                scan.update(chunk[name])
    return scans


def _named_chunks(
    table: Table,
    keys: list[str],
    n_rows: int,
    columns: list[str] | None,
    names: dict[str, NameScan],
) -> Iterator[pd.DataFrame]:
    return (_with_names(chunk, names) for chunk in table.chunks(n_rows, keys, columns))


def _with_names(frame: pd.DataFrame, names: dict[str, NameScan]) -> pd.DataFrame:
    """Return a frame with its keys as numbers, or as text."""
    return frame.assign(**{name: scan.convert(frame[name]) for name, scan in names.items()})


@contextmanager
def _errors_after(n_rows: int) -> Iterator[None]:
    """Say in errors after which row of the table the rows and series are counted."""
    try:
        yield
    except InputError as error:
        if n_rows == 0:
            raise
        message = f"in the part of the table after its first {n_rows} rows: {error}"
        raise type(error)(message) from None
