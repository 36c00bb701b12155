"""Time points as timesteps: the position of each row of a long table within its series."""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.clock import Clock, Reading, Readings, TimeColumn

__all__ = [
    "EvenStep",
    "ScannedStep",
    "Step",
    "StepScan",
    "check_density",
    "is_auto",
    "steps_and_gaps",
    "steps_by_order",
    "steps_by_time",
]


class EvenStep(NamedTuple):
    """The step, a number or a Timedelta, that ``"auto"`` found in a table, for another.

    As with ``"auto"``, every gap must be a whole multiple of it.
    """

    length: Any


class ScannedStep(NamedTuple):
    """The step of a table and how its time points are read, for a part of it.

    Attributes
    ----------
    step : "auto", None, float, str, Timedelta or EvenStep
    reading : Reading
        What reads the time points of the whole table.
    counts_local_days : bool
        Whether the table has a row for each day on the local clock, however long the
        day is.
    shortest : number, Timedelta or None
        The step that ``"auto"`` stands for.
    """

    step: Any
    reading: Reading
    counts_local_days: bool
    shortest: Any


Step = str | float | pd.Timedelta | EvenStep | ScannedStep | None
"""The time from one timestep to the next; see `from_long`."""

STEP_TOLERANCE = 1e-3
"""Fraction of a step by which a gap may differ from a whole number of steps, due to rounding."""
BIN_TOLERANCE = 1e-7
"""The same for a time point that begins a bin, unless its own rounding is larger."""
MAX_STEPS_PER_ROW = 100
"""A grid with more timesteps per row than this is a mistake, not a table with gaps."""
UNREACHABLE_STEPS = 2**40
"""More timesteps than any table has; sums of such numbers still fit into 64 bits."""
LARGEST_SHIFT = np.timedelta64(3, "h")
"""No clock is put forward or back by more."""
SHORTEST_MONTH = pd.Timedelta(days=28)

Ints = NDArray[np.int64]


def is_auto(step: Any) -> bool:
    """Return whether a step is ``"auto"``; it may be of any type, such as an array."""
    return isinstance(step, str) and step == "auto"


def steps_by_order(codes: Ints) -> Ints:
    """Return the position of each row among the rows of its series, in the order of the table."""
    return pd.Series(codes).groupby(codes).cumcount().to_numpy().astype(np.int64)


def steps_by_time(
    codes: Ints,
    times: pd.Series[Any],
    ids: pd.Index[Any],
    step: Step,
    time_format: str | None = None,
) -> Ints:
    """Return the timestep of each row, counted from the first time point of its series.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        The series of each row.
    times : Series of length n_rows
        Time points that `seqfeat.series.clock` reads, in any order.
    ids : Index
        The names of the series.
    step : "auto", None, float, str, Timedelta, EvenStep or ScannedStep
        See `from_long`.
    time_format : str, default=None
        See `from_long`.

    Returns
    -------
    ndarray of shape (n_rows,), int64

    Raises
    ------
    InputError
        If a time point is missing, infinite, repeated or impossible, or if the step
        does not fit the time points.
    InputTypeError
        If the time points cannot be read.
    """
    return steps_and_gaps(codes, times, ids, step, time_format)[0]


def steps_and_gaps(
    codes: Ints,
    times: pd.Series[Any],
    ids: pd.Index[Any],
    step: Step,
    time_format: str | None = None,
) -> tuple[Ints, NDArray[np.float64]]:
    """Return the timestep of each row as `steps_by_time`, and the time since the row before it.

    That is 0 for the first row of a series, in seconds between dates and for durations, and
    otherwise in the numbers' own unit. Shapes: (n_rows,), (n_rows,).
    """
    column = TimeColumn(times)
    if isinstance(step, ScannedStep):
        step, reading, counts_local_days, shortest = step
        rows = _SortedRows.of(reading.read(column), codes)
    else:
        readings = Readings(time_format)
        readings.add(column)
        reading = readings.chosen()
        rows = _SortedRows.of(reading.read(column), codes)
        gaps = _GapSummary.of(rows)
        counts_local_days, shortest = gaps.count_local_days, gaps.length
    # A day on the local clock is not always one of 24 hours, and this is the time that passed.
    passed = rows.seconds()
    if counts_local_days:
        rows = rows.on_local_clock()
    return _Grid(rows, times, ids, reading.name, shortest).steps(step), passed


class StepScan:
    """The step of a table of which only a part is in memory at a time.

    Parameters
    ----------
    step, time_format
        As in `from_long`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqfeat.series.time_grid import StepScan
    >>> scan = StepScan()
    >>> scan.update(np.array([0, 0]), pd.Series(["2024-01-01", "2024-01-03"]))
    >>> scan.update(np.array([0, 0]), pd.Series(["2024-01-01", "2024-01-02"]))
    >>> scan.length
    Timedelta('1 days 00:00:00')
    """

    def __init__(self, step: Step = "auto", time_format: str | None = None) -> None:
        self._step = step
        self._readings = Readings(time_format)
        self._gaps: dict[str, _GapSummary] = {}
        self._errors: dict[str, InputError] = {}

    def update(self, codes: Ints, times: pd.Series[Any]) -> None:
        """Add a part of the table that holds whole series."""
        if not len(times):
            return
        column = TimeColumn(times, self._readings.n_rows)
        self._readings.add(column)
        for reading in self._readings.possible():
            try:
                rows = _SortedRows.of(reading.read(column), codes)
            except InputError as error:
                # It counts only if no later row rules this reading out.
                self._errors.setdefault(reading.name, error)
                continue
            so_far = self._gaps.get(reading.name, _GapSummary())
            self._gaps[reading.name] = so_far.merge(_GapSummary.of(rows))

    @property
    def n_rows(self) -> int:
        """The number of rows so far."""
        return self._readings.n_rows

    def merge(self, other: StepScan) -> None:
        """Add what another scan found in the rows that follow."""
        self._readings.merge(other._readings)
        for name, gaps in other._gaps.items():
            self._gaps[name] = self._gaps.get(name, _GapSummary()).merge(gaps)
        self._errors = {**other._errors, **self._errors}

    def step(self) -> ScannedStep:
        """Return the step with which each part is read as it is in the whole table.

        Raises
        ------
        InputError
            If the time points of the table cannot be read.
        """
        reading = self._readings.chosen()
        if reading.name in self._errors:
            raise self._errors[reading.name]
        gaps = self._gaps[reading.name]
        return ScannedStep(self._step, reading, gaps.count_local_days, gaps.length)

    @property
    def length(self) -> Any:
        """The step that ``"auto"`` stands for, a number or a Timedelta.

        None if no series has two rows at different times.
        """
        return self.step().shortest


def check_density(lengths: Ints, n_rows: int, ids: pd.Index[Any]) -> None:
    """Check that a grid is not almost empty, before memory is allocated for it."""
    if lengths.sum() > MAX_STEPS_PER_ROW * n_rows:
        longest = int(lengths.argmax())
        raise InputError(
            f"series {ids[longest]} would have {lengths[longest]} timesteps, and all series "
            f"together {lengths.sum()}, for only {n_rows} rows. Check for stray time points, pass "
            "a longer step=..., or pass step=None to use the rows themselves as timesteps."
        )


# Gaps between rows


class _SortedRows(NamedTuple):
    """The rows of a table, sorted by series and time.

    Attributes
    ----------
    clock : Clock
        In the order of the table, as `codes`, the series.
    order : ndarray of shape (n_rows,)
        The row at each place.
    is_first : ndarray of shape (n_rows,)
        Whether a row is the first of its series, in sorted order.
    gaps : ndarray of shape (n_rows,)
        The time since the previous row, in sorted order; 0 for the first one.
    """

    clock: Clock
    codes: Ints
    order: Ints
    is_first: NDArray[np.bool_]
    gaps: NDArray[Any]

    @classmethod
    def of(cls, clock: Clock, codes: Ints) -> _SortedRows:
        order = np.lexsort((clock.values, codes))
        is_first = np.diff(codes[order], prepend=-1) != 0
        return cls(clock, codes, order, is_first, _gaps(clock.values[order], is_first))

    def on_local_clock(self) -> _SortedRows:
        """Return the same rows with the time points of the local clock."""
        if self.clock.local_values is None:
            return self
        values = self.clock.local_values()
        return self._replace(
            clock=self.clock._replace(values=values),
            gaps=_gaps(values[self.order], self.is_first),
        )

    def seconds(self) -> NDArray[np.float64]:
        """Return the gap before each row, in the order of the table; seconds, if they have any."""
        gaps = self.gaps.astype(np.float64)
        if self.clock.unit is not None:
            # Divided, as a billionth is no float.
            gaps = gaps * pd.Timedelta(self.clock.unit).as_unit("ns").value / 1e9
        passed = np.empty_like(gaps)
        passed[self.order] = gaps
        return passed

    @property
    def inner_gaps(self) -> NDArray[Any]:
        """The gaps between two rows of a series."""
        return self.gaps[~self.is_first]


def _gaps(times: NDArray[Any], is_first: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(is_first, 0, np.diff(times, prepend=times[:1]))


class _GapSummary(NamedTuple):
    """What the step depends on.

    Attributes
    ----------
    shortest, shortest_local : number, Timedelta or None
        The shortest gap above 0, and that on the local clock if gaps are days there.
    are_days, are_local_days : bool
        Whether all gaps are whole days of 24 hours, and of the local clock.
    """

    shortest: Any = None
    shortest_local: Any = None
    are_days: bool = True
    are_local_days: bool = True

    @classmethod
    def of(cls, rows: _SortedRows) -> _GapSummary:
        gaps, unit = rows.inner_gaps, rows.clock.unit
        if not gaps.size:
            return cls()
        shortest = _shortest(gaps, unit)
        if unit is None:
            return cls(shortest, None, are_days=False, are_local_days=False)
        if _are_days(gaps, unit):
            return cls(shortest, shortest)
        if rows.clock.local_values is None or not _are_almost_days(gaps, unit):
            return cls(shortest, None, are_days=False, are_local_days=False)
        local = rows.on_local_clock().inner_gaps
        are_local_days = _are_days(local, unit)
        return cls(
            shortest,
            _shortest(local, unit) if are_local_days else None,
            are_days=False,
            are_local_days=are_local_days,
        )

    def merge(self, other: _GapSummary) -> _GapSummary:
        """Return the summary of two parts of a table."""
        return _GapSummary(
            _shorter(self.shortest, other.shortest),
            _shorter(self.shortest_local, other.shortest_local),
            self.are_days and other.are_days,
            self.are_local_days and other.are_local_days,
        )

    @property
    def count_local_days(self) -> bool:
        """Whether the gaps are whole days on the local clock alone."""
        return self.are_local_days and not self.are_days

    @property
    def length(self) -> Any:
        """The step that ``"auto"`` stands for, or None."""
        return self.shortest_local if self.count_local_days else self.shortest


def _shortest(gaps: NDArray[Any], unit: Any) -> Any:
    """Return the shortest gap above 0, a number or a Timedelta, or None."""
    gap = gaps.min()
    if gap == 0:
        if not gaps.any():
            return None
        gap = gaps[gaps > 0].min()
    return gap.item() if unit is None else pd.Timedelta(gap * unit)


def _shorter(gap: Any, other: Any) -> Any:
    return min((one for one in (gap, other) if one is not None), default=None)


def _are_days(gaps: NDArray[Any], unit: Any) -> bool:
    day = np.timedelta64(1, "D") // unit
    return bool((gaps[0] % day == 0) and (gaps % day == 0).all() and (gaps > 0).all())


def _are_almost_days(gaps: NDArray[Any], unit: Any) -> bool:
    """Return whether gaps may be days between which the clock was put forward or back."""
    day, shift = np.timedelta64(1, "D") // unit, LARGEST_SHIFT // unit
    return bool(((gaps >= day - shift) & ((gaps + shift) % day <= 2 * shift)).all())


# The grid


class _Grid(NamedTuple):
    """The timesteps of rows; `times`, `ids` and `kind` are for errors.

    `shortest` is the shortest gap of the whole table, if there is one.
    """

    rows: _SortedRows
    times: pd.Series[Any]
    ids: pd.Index[Any]
    kind: str
    shortest: Any

    def steps(self, step: Any) -> Ints:
        """Return the timestep of each row, in the order of the table."""
        rows = self.rows
        if not (step is None or is_auto(step) or isinstance(step, EvenStep)):
            return _bins(rows, self._exact_length(step))
        self._check_unique()
        if step is None:
            n_steps = np.where(rows.is_first, 0, 1)
        elif rows.is_first.all():
            n_steps = np.zeros(len(rows.gaps), dtype=np.int64)
        elif is_auto(step):
            length = float(self._exact_length(self.shortest))
            n_steps = self._whole_steps(length, "the shortest gap of all series")
        else:
            length = float(self._exact_length(step.length))
            n_steps = self._whole_steps(length, f"the step of {step.length}")
        return _unsort(_cumulate(n_steps, rows.is_first), rows.order)

    def _check_unique(self) -> None:
        """Check that no time point occurs twice in a series."""
        is_repeated = (self.rows.gaps == 0) & ~self.rows.is_first
        if is_repeated.any():
            place = int(np.argmax(is_repeated))
            row, before = self.rows.order[place], self.rows.order[place - 1]
            raise InputError(
                f"series {self._id(row)} has more than one row at time {self.times.iloc[row]}, "
                f"rows {before} and {row}. Keep one of them, or pass step=... to average the rows "
                "of each step."
            )

    def _whole_steps(self, length: Any, what: str) -> Ints:
        """Return each gap as a number of steps, after checking that it is a whole number."""
        ratios = self.rows.gaps / length
        n_steps = np.rint(ratios)
        is_irregular = np.abs(ratios - n_steps) > STEP_TOLERANCE * np.maximum(n_steps, 1)
        if is_irregular.any():
            place = int(np.argmax(is_irregular))
            before, row = self.rows.order[place - 1], self.rows.order[place]
            raise InputError(
                f"series {self._id(row)} is irregular: the gap from {self.times.iloc[before]} (row "
                f"{before}) to {self.times.iloc[row]} (row {row}) is {ratios[place]:.4g} times "
                f"{what}, not a whole multiple. {self._advice()}"
            )
        return _as_integers(n_steps)

    def _advice(self) -> str:
        unit = self.rows.clock.unit
        if unit is not None and self.shortest >= SHORTEST_MONTH:
            return (
                "Months and years are not of one length: pass step=None to use the rows themselves "
                "as timesteps."
            )
        return (
            f"Pass step=..., the time from one timestep to the next, such as "
            f"step={self._example()!r}, to average the rows of each step, or step=None to use the "
            "rows themselves as timesteps, whatever the time between them."
        )

    def _exact_length(self, step: Any) -> Fraction:
        """Return a step in units of the clock."""
        unit = self.rows.clock.unit
        try:
            if isinstance(step, bool):
                raise TypeError("neither a number nor a duration")
            length = Fraction(float(step)) if unit is None else _exact_ratio(step, unit)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(step, float) and unit is None:
                raise self._not_positive(step) from error
            wanted = "a number, in their unit" if unit is None else "a duration"
            raise InputError(
                f"step={step!r}; the time points in {self._name!r} are {self.kind}, so pass "
                f"{wanted}, such as step={self._example()!r}, step='auto' or step=None."
            ) from error
        if length <= 0:
            raise self._not_positive(step)
        return length

    def _not_positive(self, step: Any) -> InputError:
        return InputError(
            f"step={step!r}; a step must be positive and finite, such as "
            f"step={self._example()!r}, step='auto' or step=None."
        )

    def _example(self) -> Any:
        """Return a step that fits the time points."""
        if self.rows.clock.unit is None:
            gap = self.shortest or 1
            return int(gap) if gap == int(gap) else gap
        return _short_text(self.shortest) if self.shortest is not None else "1h"

    @property
    def _name(self) -> Any:
        return "time" if self.times.name is None else self.times.name

    def _id(self, row: Any) -> Any:
        return self.ids[self.rows.codes[row]]


def _exact_ratio(step: Any, unit: Any) -> Fraction:
    """Return a duration in units; pandas would read a bare number as nanoseconds."""
    if isinstance(step, Real) or (isinstance(step, str) and _is_number(step)):
        raise TypeError("a number has no unit")
    duration = pd.Timedelta(step)
    if pd.isna(duration):
        raise ValueError("no duration")
    seconds = 86_400 * duration.days + duration.seconds
    nanoseconds = 10**9 * seconds + 1000 * duration.microseconds + duration.nanoseconds
    return Fraction(nanoseconds, unit // np.timedelta64(1, "ns"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


DURATIONS = {
    "D": pd.Timedelta(days=1),
    "h": pd.Timedelta(hours=1),
    "min": pd.Timedelta(minutes=1),
    "s": pd.Timedelta(seconds=1),
    "ms": pd.Timedelta(milliseconds=1),
    "us": pd.Timedelta(microseconds=1),
    "ns": pd.Timedelta(1, unit="ns"),
}


def _short_text(duration: Any) -> str:
    """Return a duration as text that pandas reads, such as '15min'."""
    texts = (
        f"{duration // unit}{name}"
        for name, unit in DURATIONS.items()
        if duration % unit == pd.Timedelta(0)
    )
    return next(texts)


def _bins(rows: _SortedRows, length: Fraction) -> Ints:
    """Return the bin of each row: bins of one width that begin at the first row of its series."""
    values = rows.clock.values
    first_rows = rows.order[
        np.maximum.accumulate(np.where(rows.is_first, np.arange(len(values)), 0))
    ]
    distances = values - values[_unsort(first_rows, rows.order)]
    width, scale = length.numerator, length.denominator
    if distances.dtype.kind == "i" and max(int(distances.max()) * scale, width) < 2**63:
        return _as_integers(distances * scale // width)
    ratios = distances / float(length)
    nearest = np.rint(ratios)
    # A time point that begins a bin may be rounded to just before it, as 0.3 - 0.1 is below 0.2.
    rounding = 4 * rows.clock.rounding * np.abs(values).max() / float(length)
    tolerance = min(STEP_TOLERANCE, max(BIN_TOLERANCE, rounding))
    return _as_integers(np.where(np.abs(ratios - nearest) <= tolerance, nearest, np.floor(ratios)))


def _as_integers(n_steps: NDArray[Any]) -> Ints:
    """Return whole numbers of steps as integers; too many remain too many, without overflow."""
    integers: Ints = np.minimum(n_steps, UNREACHABLE_STEPS).astype(np.int64)
    return integers


def _cumulate(n_steps: Ints, is_first: NDArray[np.bool_]) -> Ints:
    """Return the cumulative sum of the steps, which restarts at the first row of each series."""
    total = np.cumsum(n_steps)
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(total)), 0))
    sums: Ints = total - total[starts]
    return sums


def _unsort(values: Ints, order: Ints) -> Ints:
    """Return sorted values in the original order of the rows."""
    unsorted = np.empty_like(values)
    unsorted[order] = values
    return unsorted
