"""Time points as timesteps: which row of a long table is which step of its series."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["EvenStep", "Step", "refuse_sparse", "shortest_gap", "steps_in_order", "steps_of_times"]


class EvenStep(NamedTuple):
    """The step that ``"auto"`` found in a whole table, for a part of it: a number or a Timedelta.

    Every gap has to be a whole multiple of it, as with ``"auto"``.
    """

    length: Any


Step = str | float | pd.Timedelta | EvenStep | None
"""How far two timesteps are apart; see `from_long`."""

UNEVEN = 1e-3
"""Part of a step by which a gap may miss a whole number of steps: rounding, not irregularity."""
ISO_DATE = r"\d{4}-\d\d-\d\d"
SPARSE = 100
"""Timesteps for each row, beyond which a grid is a mistake and not a table with gaps."""

Ints = NDArray[np.int64]


class _Clock(NamedTuple):
    """Time points as numbers, and the duration that 1 stands for, or None for mere numbers."""

    values: NDArray[Any]
    unit: Any


def steps_in_order(codes: Ints) -> Ints:
    """Return the place of each row among the rows of its series, in the order they come in."""
    return pd.Series(codes).groupby(codes).cumcount().to_numpy().astype(np.int64)


def steps_of_times(codes: Ints, times: pd.Series[Any], ids: pd.Index[Any], step: Step) -> Ints:
    """Return the timestep at which each row lies, from 0 at its series' first time point.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Which series each row belongs to.
    times : Series of length n_rows
        Numbers, dates, durations or periods, in any order.
    ids : Index
        What the series are called.
    step : "auto", None, float, str or Timedelta
        See `from_long`.

    Raises
    ------
    InputError
        If a time point is missing or occurs twice, or if no step fits.
    """
    clock = _clock(times)
    order, is_first, gaps = _gaps(clock, codes)
    is_even = isinstance(step, EvenStep)
    if step is None or step == "auto" or is_even:
        _refuse_repeated(gaps[~is_first], order[~is_first], times, codes, ids)
    if step is None:
        n_steps = np.where(is_first, 0, 1)
    elif is_first.all() and (step == "auto" or is_even):
        n_steps = np.zeros(len(gaps), dtype=np.int64)
    elif step == "auto":
        n_steps = _whole_steps(gaps, gaps[~is_first].min(), order, times, codes, ids)
    elif isinstance(step, EvenStep):
        length = _step_length(step.length, clock.unit)
        n_steps = _whole_steps(gaps, length, order, times, codes, ids)
    else:
        return _nearest_steps(clock, codes, _step_length(step, clock.unit))
    return _restored(_running_sum(n_steps, is_first), order)


def shortest_gap(codes: Ints, times: pd.Series[Any]) -> Any:
    """Return the step that ``"auto"`` stands for, a number or a Timedelta.

    None if no series has two rows, or if two rows have one time, which is no step.
    """
    clock = _clock(times)
    _, is_first, gaps = _gaps(clock, codes)
    if is_first.all() or gaps[~is_first].min() <= 0:
        return None
    shortest = gaps[~is_first].min()
    return shortest.item() if clock.unit is None else pd.Timedelta(shortest * clock.unit)


def _gaps(clock: _Clock, codes: Ints) -> tuple[Ints, NDArray[np.bool_], NDArray[Any]]:
    """Return the rows in order of series and time, which begin a series, and the gap before each.

    Before the first row of a series the gap is 0.
    """
    order = np.lexsort((clock.values, codes))
    in_order = clock.values[order]
    is_first = np.diff(codes[order], prepend=-1) != 0
    return order, is_first, np.where(is_first, 0, np.diff(in_order, prepend=in_order[:1]))


def refuse_sparse(lengths: Ints, n_rows: int, ids: pd.Index[Any]) -> None:
    """Refuse a grid that is almost empty, before it fills the memory."""
    if lengths.sum() > SPARSE * n_rows:
        worst = int(lengths.argmax())
        raise InputError(
            f"series {ids[worst]} would have {lengths[worst]} timesteps, and all series "
            f"{lengths.sum()}, for {n_rows} rows. Check for stray time points, pass a longer step, "
            "or step=None to take the rows themselves as timesteps."
        )


def _clock(times: pd.Series[Any]) -> _Clock:
    if times.isna().any():
        row = int(np.argmax(times.isna().to_numpy()))
        raise InputError(
            f"row {row} has no time ({times.iloc[row]}); every row needs one. Drop the row, or "
            "fill it."
        )
    if isinstance(times.dtype, pd.PeriodDtype):
        return _Clock(pd.PeriodIndex(times).asi8, None)
    if pd.api.types.is_datetime64_any_dtype(times.dtype):
        dates = pd.DatetimeIndex(times)
        return _Clock(dates.asi8, np.timedelta64(1, dates.unit))
    if pd.api.types.is_timedelta64_dtype(times.dtype):
        durations = pd.TimedeltaIndex(times)
        return _Clock(durations.asi8, np.timedelta64(1, durations.unit))
    if pd.api.types.is_numeric_dtype(times.dtype) and not pd.api.types.is_bool_dtype(times.dtype):
        values = times.to_numpy(np.int64 if times.dtype.kind in "iu" else np.float64)
        if not np.isfinite(values).all():
            raise InputError("a time point is infinite; drop its row.")
        return _Clock(values, None)
    if pd.api.types.is_string_dtype(times) and times.astype(str).str.match(ISO_DATE).all():
        return _clock(pd.to_datetime(times, format="ISO8601"))
    raise InputTypeError(
        f"the time points have dtype {times.dtype}; pass numbers, dates or durations. Text is read "
        "as dates if it begins with year-month-day; convert other text with pandas.to_datetime, or "
        "pass time=None for rows that are in order."
    )


def _refuse_repeated(
    gaps: NDArray[Any], rows: Ints, times: pd.Series[Any], codes: Ints, ids: pd.Index[Any]
) -> None:
    repeated = gaps == 0
    if repeated.any():
        row = rows[int(np.argmax(repeated))]
        raise InputError(
            f"series {ids[codes[row]]} has more than one row at time {times.iloc[row]}. Keep one "
            "of them, or pass step=... to average the rows that fall into one step."
        )


def _whole_steps(
    gaps: NDArray[Any],
    shortest: Any,
    order: Ints,
    times: pd.Series[Any],
    codes: Ints,
    ids: pd.Index[Any],
) -> Ints:
    """Return each gap as a number of steps, the shortest gap being one."""
    ratios = gaps / shortest
    n_steps = np.rint(ratios)
    uneven = np.abs(ratios - n_steps) > UNEVEN * np.maximum(n_steps, 1)
    if uneven.any():
        place = int(np.argmax(uneven))
        before, after = times.iloc[order[place - 1]], times.iloc[order[place]]
        raise InputError(
            f"series {ids[codes[order[place]]]} is irregular: from {before} to {after} is "
            f"{ratios[place]:.4g} times the shortest gap of all series. Pass step=..., the time "
            "between timesteps, to average the rows of each step, or step=None to take the rows "
            "themselves as timesteps, whatever lies between them."
        )
    steps: Ints = n_steps.astype(np.int64)
    return steps


def _step_length(step: Any, unit: Any) -> float:
    """Return a step in the clock's own numbers."""
    try:
        length = float(step) if unit is None else float(_timedelta(step) / unit)
    except (TypeError, ValueError) as error:
        wanted = "a number, as the time points are" if unit is None else "a duration such as '1h'"
        raise InputError(f"step={step!r}; pass {wanted}, 'auto' or None.") from error
    if not (length > 0 and np.isfinite(length)):
        raise InputError(f"step={step!r}; a step has to be longer than 0.")
    return length


def _timedelta(step: Any) -> Any:
    """Return a duration; a bare number would be one of nanoseconds, which nobody means."""
    if isinstance(step, (int, float)):
        raise TypeError("a number has no unit")
    return np.timedelta64(pd.Timedelta(step))


def _nearest_steps(clock: _Clock, codes: Ints, length: float) -> Ints:
    starts = pd.Series(clock.values).groupby(codes).transform("min").to_numpy()
    steps: Ints = np.rint((clock.values - starts) / length).astype(np.int64)
    return steps


def _running_sum(n_steps: Ints, is_first: NDArray[np.bool_]) -> Ints:
    """Return the sum of the steps so far, which begins anew with each series."""
    total = np.cumsum(n_steps)
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(total)), 0))
    sums: Ints = total - total[starts]
    return sums


def _restored(in_order: Ints, order: Ints) -> Ints:
    steps = np.empty_like(in_order)
    steps[order] = in_order
    return steps
