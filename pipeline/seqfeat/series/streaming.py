"""`read_batches`: series and labels from a file that need not fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError, WholeTableWarning
from seqfeat.series.files import SERIES, TIME, from_wide, kind_of, named_levels, read, refuse_no_id
from seqfeat.series.long import LabelledSeries, from_long, refuse_unknown
from seqfeat.series.tables import TABLES, Table, open_table
from seqfeat.series.time_grid import EvenStep, Step, shortest_gap

__all__ = ["even_step", "read_batches", "slices"]

BATCH_BYTES = 8 * 2**20
"""Bytes of values in a batch, about; what is made of them takes several times as much."""


def read_batches(
    path: str | Path,
    *,
    label: str | None = None,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
    batch_bytes: int | None = None,
) -> Iterator[LabelledSeries]:
    r"""Read series from a file, a batch at a time.

    The batches, one after the other, are what `read` would return at once, but for
    ``.npz`` and ``.ts``, which are read whole, memory is that of a batch.

    Parameters
    ----------
    path : str or Path
        The file, in any format that `read` knows.
    label, series_id, time, channels, step
        As in `read`. ``step="auto"`` is the shortest gap of the whole table, for
        which its times are read before the first batch.
    batch_bytes : int, default=None
        About how many bytes of values, 8 each, make a batch; None is 8 MiB. A single
        series that is longer is a batch of its own.

    Yields
    ------
    X : DataFrame, Series or ndarray
        A part of what `read` returns, at least one series.
    y : Series, ndarray or None
        Its labels.

    Raises
    ------
    FileNotFoundError, InputError, ImportError
        As `read`; what is wrong in a part of a table may come after earlier batches.

    Warns
    -----
    WholeTableWarning
        If the rows of a long table are not together, series by series. It is then
        read whole and yielded as one batch, as no part holds a whole series.

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
    if kind_of(path) not in TABLES:
        whole = read(path, label=label, series_id=series_id, time=time, channels=channels)
        return slices(whole, size)
    table = open_table(path)
    frame = table.empty()
    n_rows = max(1, size // (8 * max(1, frame.shape[1])))
    layout = _long_layout(frame, series_id, time, channels, label, step)
    if layout is not None:
        return _long_batches(table, layout, n_rows)
    return _wide_batches(table, frame, label, series_id, n_rows)


def even_step(path: str | Path, *, series_id: str | None = None, time: str | None = None) -> Any:
    """Return the step that ``"auto"`` finds in a long table, a number or a Timedelta, or None.

    Reads the ids and times only, in parts.
    """
    table = open_table(Path(path))
    layout = _long_layout(table.empty(), series_id, time, None, None, "auto")
    if layout is None or layout.time is None:
        return None
    return _survey(table, layout, BATCH_BYTES // 4).shortest_gap


def slices(labelled: LabelledSeries, size: int = BATCH_BYTES) -> Iterator[LabelledSeries]:
    """Yield parts of series that are in memory, or mapped into it."""
    X, y = labelled
    if X.dtype == object:
        n_bytes = 8 * sum(map(np.size, X)) // len(X)
    else:
        n_bytes = 8 * int(np.prod(X.shape[1:], dtype=np.int64))
    n_series = max(1, size // max(1, n_bytes))
    for start in range(0, len(X), n_series):
        rows = slice(start, start + n_series)
        yield LabelledSeries(X[rows], None if y is None else y[rows])


@dataclass(frozen=True)
class _LongLayout:
    """The parts that columns play in a long table; `indexed` if an index holds the first two."""

    series_id: str
    time: str | None
    channels: str | list[str] | None
    label: str | None
    step: Step
    is_indexed: bool = False

    @property
    def keys(self) -> list[str]:
        """The columns that tell series, times and labels."""
        return [name for name in (self.series_id, self.time, self.label) if name is not None]

    def read(self, frame: pd.DataFrame) -> LabelledSeries:
        """Return the series of a frame."""
        return from_long(
            frame, self.series_id, self.time, self.channels, self.label, step=self.step
        )


def _long_layout(
    frame: pd.DataFrame,
    series_id: str | None,
    time: str | None,
    channels: str | list[str] | None,
    label: str | None,
    step: Step,
) -> _LongLayout | None:
    """Return what a long table's columns are, and None of a wide one."""
    if isinstance(frame.index, pd.MultiIndex) and frame.index.nlevels == 2:
        return _LongLayout(SERIES, TIME, channels, label, step, is_indexed=True)
    if time is None and channels is None:
        return None
    ids = refuse_no_id(series_id, frame)
    named = [channels] if isinstance(channels, str) else channels or []
    refuse_unknown(frame, [ids, time, label, *named])
    return _LongLayout(ids, time, channels, label, step)


def _long_batches(table: Table, layout: _LongLayout, n_rows: int) -> Iterator[LabelledSeries]:
    survey = _survey(table, layout, n_rows)
    if survey.scattered is not None:
        warnings.warn(
            f"the rows of series {survey.scattered} are not together in {table.path.name}, so that "
            "the table is read whole into memory. Sort it by series to have it read in parts.",
            WholeTableWarning,
            stacklevel=2,
        )
        whole = table.read()
        yield layout.read(named_levels(whole) if layout.is_indexed else whole)
        return
    if layout.step == "auto" and survey.shortest_gap is not None:
        layout = replace(layout, step=EvenStep(survey.shortest_gap))
    n_read = 0
    for frame in _whole_series(_parts(table, layout, n_rows, None, survey.dtypes), layout):
        with _counted_from(n_read):
            yield layout.read(frame)
        n_read += len(frame)


def _wide_batches(
    table: Table, empty: pd.DataFrame, label: str | None, series_id: str | None, n_rows: int
) -> Iterator[LabelledSeries]:
    refuse_unknown(empty, [label, series_id])
    keys = [name for name in (label, series_id) if name is not None]
    dtypes = _dtypes(table.parts(n_rows, keys)) if keys else {}
    seen: set[Any] = set()
    n_read = 0
    for frame in table.parts(n_rows, None, dtypes):
        if isinstance(frame.index, pd.RangeIndex):
            frame.index = pd.RangeIndex(n_read, n_read + len(frame))
        with _counted_from(n_read):
            if series_id is not None:
                _refuse_repeated(frame[series_id], seen)
            yield from_wide(frame, label, series_id)
        n_read += len(frame)
    if n_read == 0:
        raise InputError(f"{table.path} has no rows; at least 1 series is required.")


def _refuse_repeated(ids: pd.Series[Any], seen: set[Any]) -> None:
    """Refuse an id that an earlier part has; `from_wide` looks within a part."""
    again = ids[ids.isin(seen)]
    if len(again):
        raise InputError(
            f"series_id={ids.name!r}: {again.iloc[0]} occurs more than once. For a long table, one "
            "row for each series and time, pass time=... as well; else ids have to differ."
        )
    seen.update(ids)


@contextmanager
def _counted_from(row: int) -> Iterator[None]:
    """Say in errors where the part begins whose rows and series they count."""
    try:
        yield
    except InputError as error:
        if row == 0:
            raise
        raise type(error)(f"in the part of the table after its first {row} rows: {error}") from None


@dataclass
class _Survey:
    """What has to be known of a long table before its first batch."""

    dtypes: dict[str, Any] = field(default_factory=dict)
    shortest_gap: Any = None
    scattered: Any = None
    seen: set[Any] = field(default_factory=set)

    def add(self, frame: pd.DataFrame, layout: _LongLayout) -> None:
        """Look at a part that begins and ends with a series."""
        ids = frame[layout.series_id]
        runs = ids[ids.ne(ids.shift())]
        again = runs[runs.duplicated() | runs.isin(self.seen)]
        if len(again):
            self.scattered = again.iloc[0]
        self.seen.update(runs)
        if layout.time is None:
            return
        gap = shortest_gap(pd.factorize(ids)[0].astype(np.int64), frame[layout.time])
        if gap is not None:
            self.shortest_gap = gap if self.shortest_gap is None else min(self.shortest_gap, gap)


def _survey(table: Table, layout: _LongLayout, n_rows: int) -> _Survey:
    """Read the ids, times and labels of a long table in parts."""
    survey = _Survey(_dtypes(_parts(table, layout, n_rows, layout.keys)))
    n_read = 0
    for frame in _whole_series(_parts(table, layout, n_rows, layout.keys, survey.dtypes), layout):
        missing = frame[layout.series_id].isna().to_numpy()
        if missing.any():
            raise InputError(
                f"row {n_read + int(np.argmax(missing))} has no series ({layout.series_id} is "
                "missing). Drop the row, or fill it."
            )
        with _counted_from(n_read):
            survey.add(frame, layout)
        n_read += len(frame)
        if survey.scattered is not None:
            break
    if n_read == 0:
        raise InputError("the table has 0 rows; at least 1 series with 1 row is required.")
    return survey


def _dtypes(parts: Iterable[pd.DataFrame]) -> dict[str, Any]:
    """Return the types of columns whose parts would be read differently: as text beside numbers.

    Otherwise an id would be 1 in one part of a CSV file and "1" in another.
    """
    found: dict[str, set[Any]] = {}
    for part in parts:
        for name, dtype in part.dtypes.items():
            found.setdefault(str(name), set()).add(dtype)
    return {
        name: np.float64 if all(pd.api.types.is_numeric_dtype(one) for one in several) else str
        for name, several in found.items()
        if len(several) > 1
    }


def _parts(
    table: Table,
    layout: _LongLayout,
    n_rows: int,
    columns: list[str] | None,
    dtypes: dict[str, Any] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield parts of a long table, whatever holds its series and times."""
    if layout.is_indexed:
        return map(named_levels, table.parts(n_rows))
    return table.parts(n_rows, columns, dtypes)


def _whole_series(parts: Iterable[pd.DataFrame], layout: _LongLayout) -> Iterator[pd.DataFrame]:
    """Yield the parts anew, so that each ends where a series does."""
    held: list[pd.DataFrame] = []
    for part in parts:
        ids = part[layout.series_id]
        last = held[-1][layout.series_id].iloc[-1] if held else ids.iloc[0]
        if (ids == last).all():
            held.append(part)
            continue
        others = np.flatnonzero((ids != ids.iloc[-1]).to_numpy())
        border = int(others[-1]) + 1 if len(others) else 0
        yield pd.concat([*held, part.iloc[:border]], ignore_index=True)
        held = [part.iloc[border:]]
    if held:
        yield pd.concat(held, ignore_index=True)
