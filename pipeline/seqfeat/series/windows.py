"""`windows`: long recordings, cut into windows of equal length that know their recording."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from seqfeat.exceptions import InputError, ShortRecordingWarning
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.series.files.csv_files import CsvFormat
from seqfeat.series.files.recordings import Recording, Recordings, Roles, read_recordings
from seqfeat.series.time_grid import Step

__all__ = ["Cut", "Windows", "overlap_mean", "windows"]

BLOCK_VALUES = 2**20
"""Values that are looked at together, so that temporary arrays stay small."""
HAS_UNIT = re.compile("[A-Za-z:]")

Ints = NDArray[np.int64]


class Windows(NamedTuple):
    """Windows of one or more recordings; unpacks as ``X, y, groups, starts``.

    Attributes
    ----------
    X : ndarray of shape (n_windows, length, n_channels)
        The windows, recording by recording, in order of time.
    y : ndarray of shape (n_windows,), or None
        Their labels; None if no labels were given.
    groups : ndarray of shape (n_windows,)
        The recording that each window is from.
    starts : ndarray of shape (n_windows,)
        The time of the first timestep of each window, in the unit of the time
        column; without one, its position in the recording.
    """

    X: NDArray[Any]
    y: NDArray[Any] | None
    groups: NDArray[Any]
    starts: NDArray[Any]


def overlap_mean(
    values: Sequence[ArrayLike], starts: ArrayLike, n_timesteps: int | None = None
) -> NDArray[np.float64]:
    """Average, at each timestep of a recording, what was found in the windows that cover it.

    Parameters
    ----------
    values : sequence of n_windows array-likes of shape (length,) or (length, n_columns)
        What was found at each timestep of each window, such as the result of
        `LSTMAutoencoder.score_timesteps` or `LSTMAutoencoder.transform_timesteps`. NaN is left out.
    starts : array-like of shape (n_windows,)
        The timestep of the recording, counted from 0, at which each window begins.
    n_timesteps : int, default=None
        Timesteps of the recording. None ends with the last window.

    Returns
    -------
    means : ndarray of shape (n_timesteps,) or (n_timesteps, n_columns), float64
        NaN where no window covers a timestep.

    Raises
    ------
    InputError
        If there is not one start for each window, or if a window is not within the recording.

    Examples
    --------
    >>> from seqfeat.series import overlap_mean
    >>> overlap_mean([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]], starts=[0, 2], n_timesteps=6)
    array([ 1.,  2.,  4.,  6.,  7., nan])
    """
    windows = [np.asarray(one, dtype=np.float64) for one in values]
    places = np.asarray(starts)
    if places.shape != (len(windows),) or not len(windows):
        raise InputError(
            f"starts has shape {places.shape}, but there are {len(windows)} windows; pass the "
            "timestep at which each of them begins."
        )
    ends = [int(start) + len(one) for start, one in zip(places, windows, strict=True)]
    length = max(ends) if n_timesteps is None else n_timesteps
    if places.dtype.kind not in "iu" or places.min() < 0 or max(ends) > length:
        raise InputError(
            f"starts is {places.min()} to {places.max()}, of windows that end at timestep "
            f"{max(ends) - 1} at the latest; they are whole numbers, and windows within the "
            f"{length} timesteps of the recording. Times have to be counted in timesteps first."
        )
    total, count = np.zeros((2, length, *windows[0].shape[1:]))
    for start, one in zip(places, windows, strict=True):
        covered = slice(int(start), int(start) + len(one))
        total[covered] += np.nan_to_num(one)
        count[covered] += ~np.isnan(one)
    means = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


@without_float_errors
def windows(
    recording: Any,
    length: Any,
    stride: Any = None,
    *,
    by: str | None = None,
    label: Any = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
    time_format: str | None = None,
    label_from: Literal["majority", "last"] = "majority",
    gaps: Literal["split", "mask"] = "split",
    separator: str = "auto",
    decimal: str = "auto",
    encoding: str = "auto",
    header: bool | Literal["auto"] = "auto",
    na_values: Sequence[str] = (),
) -> Windows:
    """Cut long recordings into windows of equal length.

    Parameters
    ----------
    recording : array, DataFrame, path, or a dict or list of them
        An array of shape (n_timesteps, n_channels) or (n_timesteps,); a pandas or
        Polars DataFrame with one row per timestep; or a file in any format that
        `read` accepts, which holds one of these. A pandas frame that is indexed by
        dates or durations has them as its time, one that is indexed by recording
        and time has both. Of several recordings in a dict, the keys are the names,
        in a list, the positions, and for files their names without suffix. An array
        of shape (n_recordings, n_timesteps, n_channels) is read as a list.
    length : int, float, str or Timedelta
        The length of a window: a whole number of rows, or a duration, such as
        ``"2.56s"``, or, if the time column holds numbers, a float in their unit. A
        duration must be a whole number of timesteps.
    stride : int, float, str or Timedelta, default=None
        From the beginning of one window to that of the next, in rows or as a
        duration, like `length`. None is `length`: windows side by side.
    by : str, default=None
        The column that names the recording of each row. None reads a frame as one
        recording.
    label : str or array-like, default=None
        The column with the label of each row; or an array of n_timesteps labels;
        for a dict or list, a dict or list of such arrays, or of single labels, one
        a recording. Labels come out as they went in.
    time : str, default=None
        The column with the time of each row. None takes the rows in their order.
    channels : str or list of str, default=None
        The columns that hold the values. None uses all columns without another role.
    step : "auto", float, str, Timedelta or None, default="auto"
        The time from one timestep to the next, as in `from_long`; the same in all
        recordings.
    time_format : str, default=None
        How the time points are written, as in `from_long`.
    label_from : {"majority", "last"}, default="majority"
        Whether the label of a window is the most frequent one of its timesteps, the
        one that occurs first if several are, where missing labels do not count; or
        that of its last timestep. Where that is missing, it is NaN if the labels
        are floats, and None otherwise.
    gaps : {"split", "mask"}, default="split"
        What to do about missing timesteps: those of which the table has no row,
        and rows that hold nothing but NaN. ``"split"`` makes no window across
        them, and begins anew after them. ``"mask"`` fills them with NaN, for
        estimators with ``missing="mask"``; only windows without any value are left
        out. A row in which some channels are NaN is no gap.
    separator, decimal, encoding, header, na_values
        How a CSV file is written, as in `read`.

    Returns
    -------
    Windows
        ``X, y, groups, starts``. Rows at the end that do not fill a window are left
        out.

    Raises
    ------
    InputError
        If no recording is as long as a window, a duration is not a whole number of
        timesteps, or a table cannot be read, see `from_long`.
    InputTypeError
        If a channel does not hold numbers.

    Warns
    -----
    ShortRecordingWarning
        If some of the recordings are too short for a window.

    Notes
    -----
    Windows that overlap share most of their values, and those of one recording also
    share its sensor, its person and its day. Wherever data are split, all windows of
    a recording have to be on the same side, or scores come out too high: pass
    `groups` to scikit-learn, as below. The command line does so by itself.

    For one recording without gaps, `X` is a read-only view that takes no memory, of a
    memory-mapped ``.npy`` file, too. Otherwise the windows are copied, which takes
    length / stride times the memory of the recordings. Tables, and arrays of Zarr,
    h5py and Dask, are read as a whole.

    Examples
    --------
    Four people wear a sensor that measures 50 times a second:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqfeat.series import windows
    >>> rng = np.random.default_rng(0)
    >>> recording = pd.DataFrame({
    ...     "person": np.repeat(["ann", "bob", "eve", "joe"], 500),
    ...     "seconds": np.tile(np.arange(500) / 50, 4),
    ...     "x": rng.normal(size=2000),
    ...     "activity": np.tile(np.repeat(["walk", "sit"], 250), 4),
    ... })
    >>> X, y, groups, starts = windows(
    ...     recording, 1.0, 0.5, by="person", time="seconds", label="activity"
    ... )
    >>> X.shape, groups[-1], starts[:3], y[:3].tolist()
    ((76, 50, 1), 'joe', array([0. , 0.5, 1. ]), ['walk', 'walk', 'walk'])

    Each fold tests on people that it was not trained on:

    >>> from seqfeat import make_classifier
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> model = make_classifier(4, max_iter=1, random_state=0)
    >>> cross_val_score(model, X, y, groups=groups, cv=GroupKFold(2)).shape
    (2,)
    """
    cut = Cut(length, stride, label_from, gaps)
    form = CsvFormat(separator, decimal, encoding, header, na_values)
    roles = Roles(by, time, channels, step, time_format, form)
    recordings = read_recordings(recording, roles, label)
    (found,) = cut.windows([recordings])
    return found


# How to cut


@dataclass(frozen=True)
class Cut:
    """How to cut recordings into windows; see `windows`."""

    length: Any
    stride: Any = None
    label_from: str = "majority"
    gaps: str = "split"

    def __post_init__(self) -> None:
        for name, allowed in (("label_from", ("majority", "last")), ("gaps", ("split", "mask"))):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise InputError(f"{name}={value!r}; pass {allowed[0]!r} or {allowed[1]!r}.")
        length, stride = self._extents
        if type(length) is not type(stride):
            raise InputError(
                f"length={self.length!r} and stride={self.stride!r} do not match; pass both as "
                "numbers of rows, such as 128, both as durations with their units, such as "
                "'2.56s', or both as floats, such as 2.56, where the times are numbers."
            )

    @property
    def _extents(self) -> tuple[Any, Any]:
        length = _parse_extent("length", self.length)
        return length, length if self.stride is None else _parse_extent("stride", self.stride)

    @property
    def n_overlapping(self) -> int:
        """The number of windows after a window that share timesteps with it."""
        length, stride = self._extents
        # Rounded before, as a duration is a whole number of timesteps up to rounding only.
        n_begun: int = math.ceil(round(length / stride, 6))
        return n_begun - 1

    def in_rows(self, step: Any) -> tuple[int, int]:
        """Return length and stride in rows; `step` is the time between two rows, or None."""
        length, stride = self._extents
        return _in_rows("length", length, step), _in_rows("stride", stride, step)

    def windows(self, parts: Iterable[Recordings]) -> Iterator[Windows]:
        """Yield the windows of recordings that come in parts.

        After the last part, raises an error if there were no windows at all, and warns of
        the recordings that had none.
        """
        for part, kept, length in self._placed(parts):
            yield self._join(kept, part.classes, length)

    def by_recording(
        self, parts: Iterable[Recordings]
    ) -> Iterator[tuple[Recording, Ints, NDArray[Any]]]:
        """Yield each recording with the timesteps at which its windows begin, and the windows.

        Errors and warnings are those of `windows`.
        """
        for _, kept, length in self._placed(parts):
            for one, starts in kept:
                yield one, starts, _views(one.values, length, starts)

    def _placed(
        self, parts: Iterable[Recordings]
    ) -> Iterator[tuple[Recordings, list[tuple[Recording, Ints]], int]]:
        """Yield parts, their recordings with the starts of their windows, and the length."""
        without: dict[Any, int] = {}
        n_recordings = length = 0
        for part in parts:
            length, stride = self.in_rows(part.step)
            starts = [_window_starts(it.values, length, stride, self.gaps) for it in part.all]
            kept = [it for it in zip(part.all, starts, strict=True) if len(it[1])]
            if kept:
                yield part, kept, length
            n_recordings += len(part.all)
            places = zip(part.all, starts, strict=True)
            without |= {one.name: len(one.values) for one, found in places if not len(found)}
        if without:
            _tell_of_short_recordings(without, n_recordings, length)

    def _join(self, kept: list[tuple[Recording, Ints]], classes: Any, length: int) -> Windows:
        """Return the windows of recordings that start at the given timesteps."""
        X = [_views(one.values, length, starts) for one, starts in kept]
        y = None
        if classes is not None:
            codes = [_window_codes(one.codes, length, it, self.label_from) for one, it in kept]
            y = _take(classes, np.concatenate(codes))
        times = [one.times_at(starts) for one, starts in kept]
        names = pd.Index([one.name for one, _ in kept])
        return Windows(
            X[0] if len(X) == 1 else np.concatenate(X),
            y,
            np.asarray(names.repeat([len(starts) for _, starts in kept])),
            np.asarray(times[0].append(times[1:])),
        )


def _parse_extent(name: str, extent: Any) -> Any:
    """Return a length or stride as an int, a number of rows, or as a float or Timedelta."""
    parsed: Any = None
    # NumPy counts its durations among the integers.
    if isinstance(extent, np.timedelta64):
        parsed = pd.Timedelta(extent)
    elif isinstance(extent, (int, np.integer)) and not isinstance(extent, bool):
        parsed = int(extent)
    elif isinstance(extent, (float, np.floating)):
        parsed = float(extent)
    elif not isinstance(extent, (str, bool)) or (
        isinstance(extent, str) and HAS_UNIT.search(extent)
    ):
        with suppress(TypeError, ValueError):
            parsed = pd.Timedelta(extent)
    is_duration = isinstance(parsed, pd.Timedelta)
    size = parsed.total_seconds() if is_duration else parsed
    if parsed is None or parsed is pd.NaT or not 0 < size < math.inf:
        raise InputError(
            f"{name}={extent!r}; pass a whole number of rows, such as 128, a duration with its "
            "unit, such as '2.56s', or a float, such as 2.56, where the times are numbers. It must "
            "be more than 0."
        )
    return parsed


def _in_rows(name: str, extent: Any, step: Any) -> int:
    """Return a length or stride in rows."""
    if isinstance(extent, int):
        return extent
    shown = f"{name}={_show(extent)}"
    if step is None:
        raise InputError(
            f"{shown} is a duration, but the rows have no regular times. Pass time=..., the column "
            "that holds them, or a whole number of rows."
        )
    if isinstance(extent, pd.Timedelta) != isinstance(step, pd.Timedelta):
        wanted = "a duration with its unit, such as '2.56s'"
        if not isinstance(step, pd.Timedelta):
            wanted = "a float in their unit, such as 2.56"
        times = "dates" if isinstance(step, pd.Timedelta) else "numbers"
        raise InputError(
            f"{shown}, but the times are {times}; pass {wanted}, or rows, such as 128."
        )
    n_steps = extent / step
    nearest: int = round(n_steps)
    # The step itself may be rounded in the file, which adds up over many.
    if nearest < 1 or abs(n_steps - nearest) > min(max(1e-3 * n_steps, 1e-3), 0.1):
        whole = sorted({max(1, math.floor(n_steps)), math.ceil(n_steps)})
        ways = " or ".join(_show(step * n) for n in whole)
        raise InputError(
            f"{shown} is {n_steps:.6g} timesteps of {_show(step)}; it must be a whole number of "
            f"them. Pass {ways}."
        )
    return nearest


def _show(duration: Any) -> str:
    """Write a duration as it can be passed."""
    if not isinstance(duration, pd.Timedelta):
        # With its decimal point, as an int is a number of rows.
        return repr(float(f"{float(duration):.9g}"))
    for unit in ("D", "h", "min", "s", "ms"):
        if duration >= pd.Timedelta(1, unit):
            return f"'{duration / pd.Timedelta(1, unit):.9g}{unit}'"
    return f"'{duration / pd.Timedelta(1, 'us'):.9g}us'"


# Windows of one recording


def _window_starts(values: NDArray[Any], length: int, stride: int, gaps: str) -> Ints:
    """Return the timesteps at which windows begin."""
    observed = _observed_timesteps(values)
    whole: Ints = np.arange(0, len(values) - length + 1, stride)
    if observed.all():
        return whole
    if gaps == "mask":
        n_before = np.concatenate([[0], np.cumsum(observed)])
        whole = whole[n_before[whole + length] > n_before[whole]]
        return whole
    edges = np.flatnonzero(np.diff(observed.astype(np.int8), prepend=0, append=0))
    runs = [np.arange(begin, end - length + 1, stride) for begin, end in edges.reshape(-1, 2)]
    starts: Ints = np.concatenate([whole[:0], *runs])
    return starts


def _observed_timesteps(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether a timestep holds anything but NaN."""
    observed = np.ones(len(values), dtype=bool)
    if values.dtype.kind == "f":
        size = max(1, BLOCK_VALUES // values.shape[1])
        for start in range(0, len(values), size):
            rows = slice(start, start + size)
            observed[rows] = ~np.isnan(values[rows]).all(axis=1)
    return observed


def _views(values: NDArray[Any], length: int, starts: Ints) -> NDArray[Any]:
    """Return windows of shape (n_windows, length, n_channels), as a view if they are regular."""
    views = sliding_window_view(values, length, axis=0).transpose(0, 2, 1)
    stride = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    if (np.diff(starts) == stride).all():
        return views[starts[0] : starts[-1] + 1 : stride]
    return views[starts]


def _window_codes(codes: Ints, length: int, starts: Ints, label_from: str) -> Ints:
    """Return the code of the label of each window."""
    if label_from == "last":
        last: Ints = codes[starts + length - 1]
        return last
    views = sliding_window_view(codes, length)
    size = max(1, BLOCK_VALUES // length)
    blocks = [starts[first : first + size] for first in range(0, len(starts), size)]
    codes_of_windows: Ints = np.concatenate([_most_frequent(views[it]) for it in blocks])
    return codes_of_windows


def _most_frequent(codes: Ints) -> Ints:
    """Return the most frequent code of each row, of several the first one; -1 if it has none."""
    n_columns = codes.shape[1]
    order = np.argsort(codes, axis=1, kind="stable")
    ranked = np.take_along_axis(codes, order, axis=1)
    positions = np.arange(n_columns)
    # Equal codes are neighbours now, and `first` is where the first of them was.
    is_new = np.diff(ranked, axis=1, prepend=-2) != 0
    begins = np.maximum.accumulate(np.where(is_new, positions, 0), axis=1)
    first = np.take_along_axis(order, begins, axis=1)
    counts = positions - begins + 1
    votes = np.where(ranked < 0, -1, counts * n_columns - first)
    best: Ints = np.take_along_axis(ranked, votes.argmax(axis=1)[:, None], axis=1)[:, 0]
    return best


def _take(classes: Any, codes: Ints) -> NDArray[Any]:
    """Return the labels that codes stand for; -1 stands for a missing one."""
    is_missing = codes < 0
    if not is_missing.any():
        return np.asarray(classes.take(codes))
    is_float = getattr(classes.dtype, "kind", "O") == "f"
    labels = np.full(len(codes), np.nan if is_float else None, dtype=None if is_float else object)
    labels[~is_missing] = classes.take(codes[~is_missing])
    return labels


def _tell_of_short_recordings(without: dict[Any, int], n_recordings: int, length: int) -> None:
    """Raise an error if all recordings are too short for a window, and warn of some."""
    longest = max(without, key=lambda name: without[name])
    if len(without) == n_recordings:
        unbroken = "" if without[longest] < length else " without a gap"
        raise InputError(
            f"no recording has {length} timesteps{unbroken}, the length of a window; the longest "
            f"is {longest!r} with {without[longest]}. Pass a shorter length=..., or, if there are "
            "gaps, gaps='mask'."
        )
    names = list(map(repr, without))
    shown = ", ".join(names if len(names) <= 5 else [*names[:5], "..."])
    warn_user(
        f"{len(without)} of {n_recordings} recordings do not have {length} timesteps without a "
        f"gap, and give no window: {shown}.",
        ShortRecordingWarning,
    )
