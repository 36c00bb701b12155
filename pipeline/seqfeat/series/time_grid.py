"""Time points as timesteps: the position of each row of a long table within its series."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["EvenStep", "Step", "check_density", "shortest_gap", "steps_by_order", "steps_by_time"]


class EvenStep(NamedTuple):
    """The step, a number or a Timedelta, that ``"auto"`` found in a table, for a part of it.

    As with ``"auto"``, every gap must be a whole multiple of it.
    """

    length: Any


Step = str | float | pd.Timedelta | EvenStep | None
"""The time from one timestep to the next; see `from_long`."""

STEP_TOLERANCE = 1e-3
"""Fraction of a step by which a gap may differ from a whole number of steps, due to rounding."""
MAX_STEPS_PER_ROW = 100
"""A grid with more timesteps per row than this is a mistake, not a table with gaps."""
UNREACHABLE_STEPS = 2**40
"""More timesteps than any table has; sums of such numbers still fit into 64 bits."""
ISO_DATE = r"\d{4}-\d\d-\d\d"

Ints = NDArray[np.int64]


class _Clock(NamedTuple):
    """Time points as numbers, and the duration of one unit; None if they have no duration."""

    values: NDArray[Any]
    unit: Any


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
        Numbers, dates, durations or periods, in any order.
    ids : Index
        The names of the series.
    step : "auto", None, float, str, Timedelta or EvenStep
        See `from_long`.

    Returns
    -------
    ndarray of shape (n_rows,), int64

    Raises
    ------
    InputError
        If a time point is missing, infinite or repeated, or if the step does not
        fit the time points.
    InputTypeError
        If the time points have a dtype that is not a time.
    """
    clock = _as_clock(times)
    order, is_first, gaps = _sorted_gaps(clock, codes)
    if not (step is None or step == "auto" or isinstance(step, EvenStep)):
        return _nearest_steps(clock, codes, _step_length(step, clock.unit))
    _check_unique(gaps[~is_first], order[~is_first], times, codes, ids)
    if step is None:
        n_steps = np.where(is_first, 0, 1)
    elif is_first.all():
        n_steps = np.zeros(len(gaps), dtype=np.int64)
    else:
        length = gaps[~is_first].min()
        if isinstance(step, EvenStep):
            length = _step_length(step.length, clock.unit)
        n_steps = _whole_steps(gaps, length, order, times, codes, ids)
    return _unsort(_cumulate(n_steps, is_first), order)


def shortest_gap(codes: Ints, times: pd.Series[Any]) -> Any:
    """Return the step that ``"auto"`` finds, a number or a Timedelta.

    None if no series has two rows, or if a time point occurs twice in a series.
    """
    clock = _as_clock(times)
    _, is_first, gaps = _sorted_gaps(clock, codes)
    if is_first.all() or gaps[~is_first].min() <= 0:
        return None
    shortest = gaps[~is_first].min()
    return shortest.item() if clock.unit is None else pd.Timedelta(shortest * clock.unit)


def check_density(lengths: Ints, n_rows: int, ids: pd.Index[Any]) -> None:
    """Check that a grid is not almost empty, before memory is allocated for it."""
    if lengths.sum() > MAX_STEPS_PER_ROW * n_rows:
        longest = int(lengths.argmax())
        raise InputError(
            f"series {ids[longest]} would have {lengths[longest]} timesteps, and all series "
            f"together {lengths.sum()}, for only {n_rows} rows. Check for stray time points, pass "
            "a longer step=..., or pass step=None to use the rows themselves as timesteps."
        )


def _as_clock(times: pd.Series[Any]) -> _Clock:
    name = "time" if times.name is None else times.name
    if times.isna().any():
        row = int(np.argmax(times.isna().to_numpy()))
        raise InputError(
            f"row {row} has no time point ({name} is {times.iloc[row]}); every row needs one. Drop "
            "the row, or fill in its time."
        )
    if isinstance(times.dtype, pd.PeriodDtype):
        return _Clock(pd.PeriodIndex(times).asi8, None)
    if pd.api.types.is_datetime64_any_dtype(times.dtype):
        dates = pd.DatetimeIndex(times)
        return _Clock(dates.asi8, np.timedelta64(1, dates.unit))
    if pd.api.types.is_timedelta64_dtype(times.dtype):
        durations = pd.TimedeltaIndex(times)
        return _Clock(durations.asi8, np.timedelta64(1, durations.unit))
    if pd.api.types.is_any_real_numeric_dtype(times.dtype):
        values = times.to_numpy(np.int64 if times.dtype.kind in "iu" else np.float64)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(
                f"row {row} has an infinite time point ({name} is {values[row]}); time points must "
                "be finite. Drop the row, or correct its time."
            )
        return _Clock(values, None)
    row = 0
    if pd.api.types.is_string_dtype(times):
        is_date = times.astype(str).str.match(ISO_DATE).to_numpy()
        if is_date.all():
            return _as_clock(pd.to_datetime(times, format="ISO8601"))
        row = int(np.argmin(is_date))
    raise InputTypeError(
        f"the time points in {name!r} have dtype {times.dtype} (row {row} has {times.iloc[row]}); "
        "pass numbers, dates, durations or periods. Text is read as dates if it begins with "
        "year-month-day; convert other text with pandas.to_datetime, or pass time=None if the rows "
        "are in order."
    )


def _sorted_gaps(clock: _Clock, codes: Ints) -> tuple[Ints, NDArray[np.bool_], NDArray[Any]]:
    """Sort the rows by series and time.

    Returns the order, whether a row is the first of its series, and the time since
    the previous row, which is 0 for the first one; the last two in sorted order.
    """
    order = np.lexsort((clock.values, codes))
    times = clock.values[order]
    is_first = np.diff(codes[order], prepend=-1) != 0
    return order, is_first, np.where(is_first, 0, np.diff(times, prepend=times[:1]))


def _check_unique(
    gaps: NDArray[Any], rows: Ints, times: pd.Series[Any], codes: Ints, ids: pd.Index[Any]
) -> None:
    """Check that no time point occurs twice in a series."""
    is_repeated = gaps == 0
    if is_repeated.any():
        row = rows[int(np.argmax(is_repeated))]
        raise InputError(
            f"series {ids[codes[row]]} has more than one row at time {times.iloc[row]}, among them "
            f"row {row}. Keep one of them, or pass step=... to average the rows of each step."
        )


def _whole_steps(
    gaps: NDArray[Any],
    length: Any,
    order: Ints,
    times: pd.Series[Any],
    codes: Ints,
    ids: pd.Index[Any],
) -> Ints:
    """Return each gap as a number of steps, after checking that it is a whole number."""
    ratios = gaps / length
    n_steps = np.rint(ratios)
    is_irregular = np.abs(ratios - n_steps) > STEP_TOLERANCE * np.maximum(n_steps, 1)
    if is_irregular.any():
        place = int(np.argmax(is_irregular))
        before, after = times.iloc[order[place - 1]], times.iloc[order[place]]
        raise InputError(
            f"series {ids[codes[order[place]]]} is irregular: the gap from {before} to {after} is "
            f"{ratios[place]:.4g} times the shortest gap of all series, not a whole multiple. Pass "
            "step=..., the time from one timestep to the next, to average the rows of each step, "
            "or step=None to use the rows themselves as timesteps, whatever the time between them."
        )
    return _as_integers(n_steps)


def _as_integers(n_steps: NDArray[Any]) -> Ints:
    """Return whole numbers of steps as integers; too many remain too many, without overflow."""
    integers: Ints = np.minimum(n_steps, UNREACHABLE_STEPS).astype(np.int64)
    return integers


def _step_length(step: Any, unit: Any) -> float:
    """Return a step in units of the clock."""
    try:
        length = float(step) if unit is None else float(_as_timedelta(step) / unit)
    except (TypeError, ValueError) as error:
        is_number = unit is None
        wanted = (
            "a number, in the unit of the time points" if is_number else "a duration such as '1h'"
        )
        raise InputError(f"step={step!r}; pass {wanted}, 'auto' or None.") from error
    if not (length > 0 and np.isfinite(length)):
        raise InputError(f"step={step!r}; a step must be positive and finite, 'auto' or None.")
    return length


def _as_timedelta(step: Any) -> Any:
    """Return a duration; pandas would read a bare number as nanoseconds, which nobody means."""
    if isinstance(step, (int, float)):
        raise TypeError("a number has no unit")
    return np.timedelta64(pd.Timedelta(step))


def _nearest_steps(clock: _Clock, codes: Ints, length: float) -> Ints:
    """Return the nearest point of a grid that starts at the first time point of each series."""
    starts = pd.Series(clock.values).groupby(codes).transform("min").to_numpy()
    return _as_integers(np.rint((clock.values - starts) / length))


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
