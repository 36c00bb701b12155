"""``seqfeat anomalies --steps``: list the stretches of timesteps with the largest errors."""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.cli.console import Console, format_table
from seqfeat.cli.errors import rewording_errors
from seqfeat.cli.models import Model
from seqfeat.cli.outputs import ids_by_name, open_writer
from seqfeat.cli.sources import RECORDING, DataSource
from seqfeat.series.files.recordings import Recording

__all__ = ["run_steps"]

SMALLEST_SHARE = 0.5
"""Without a threshold, the errors of a stretch are at least this share of its series' largest."""
TIMESTEP = "timestep"
WINDOW_VALUES = 2**22
"""Values of windows that are scored at once."""

Floats = NDArray[np.float64]


def run_steps(
    options: argparse.Namespace, model: Model, source: DataSource, console: Console
) -> dict[str, Any]:
    """Run the command and return its result."""
    score = getattr(model.parts.autoencoder, "timestep_threshold_", None)
    threshold = None if score is None else -float(score)
    names = _channel_names(model)
    summary = _Summary(options.top, threshold)
    with (
        nullcontext()
        if options.output is None
        else open_writer(options.output, safe_csv=options.safe_csv) as writer
    ):
        for batch in _scored_batches(model, source, console):
            for scored in batch:
                summary.add(scored)
            if writer is not None:
                writer.write(_as_frame(batch, threshold, names if options.by_channel else []))
    noun = "series"
    if source.reading.cut is not None:
        noun = "recording" if summary.n_series == 1 else "recordings"
    _print_result(summary, names, noun, console)
    if options.output is not None:
        console.print(
            f"Wrote the errors of all {summary.n_timesteps:,} timesteps to {options.output}."
        )
    return {
        "command": "anomalies",
        "n_series": summary.n_series,
        "n_timesteps": summary.n_timesteps,
        "mean_error": summary.mean_error,
        **summary.beyond_threshold,
        **_as_json(summary.top, names),
        **({} if options.output is None else {"output": options.output}),
    }


def _channel_names(model: Model) -> list[str]:
    """Return the names of the channels, those of the training data if it had some."""
    n_channels = model.parts.autoencoder.n_channels_in_
    names = model.reading.get("channels") or []
    if len(names) == n_channels:
        return list(map(str, names))
    return [f"channel_{number}" for number in range(n_channels)]


# Scores


@dataclass(frozen=True, eq=False)
class _Scored:
    """The timesteps of a series or a recording.

    Attributes
    ----------
    id : Index of length 1
    times : Index of length n_timesteps
        With the name of the column that they become.
    by_channel : ndarray of shape (n_timesteps, n_channels)
        The squared errors; NaN where nothing was observed.
    """

    id: pd.Index[Any]
    times: pd.Index[Any]
    by_channel: Floats

    @cached_property
    def errors(self) -> Floats:
        """The mean error of each timestep over the observed channels."""
        is_observed = ~np.isnan(self.by_channel)
        total: Floats = np.where(is_observed, self.by_channel, 0.0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            errors: Floats = total / is_observed.sum(axis=1)
        return errors


def _scored_batches(model: Model, source: DataSource, console: Console) -> Iterator[list[_Scored]]:
    """Yield the scored series of one batch after the other, or one recording at a time."""
    if source.reading.cut is not None:
        for recording, starts, windows in source.recordings(console):
            yield [_score_recording(model, recording, starts, windows)]
        return
    for batch in source.batches(console):
        with rewording_errors(batch.ids):
            scores = _score(model, batch.X)
        yield [
            _Scored(
                batch.ids[number : number + 1], pd.RangeIndex(len(errors), name=TIMESTEP), errors
            )
            for number, errors in enumerate(scores)
        ]


def _score(model: Model, X: Any) -> list[Floats]:
    """Return the squared errors of each series, (n_timesteps, n_channels)."""
    series = model.parts.series(X)
    scores = model.parts.autoencoder.score_timesteps(series, by_channel=True)
    return [-score for score in scores]


def _score_recording(
    model: Model, recording: Recording, starts: NDArray[np.int64], windows: NDArray[Any]
) -> _Scored:
    """Return the mean errors over the windows that cover a timestep; others are left out."""
    length, n_channels = windows.shape[1:]
    total, n_observed = np.zeros((2, len(recording.values), n_channels))
    n_together = max(1, WINDOW_VALUES // (length * n_channels))
    name = pd.Index([recording.name], name=RECORDING)
    for first in range(0, len(windows), n_together):
        some = slice(first, first + n_together)
        with rewording_errors(name.repeat(len(windows[some]))):
            scores = _score(model, windows[some])
        for start, errors in zip(starts[some], scores, strict=True):
            covered = slice(start, start + length)
            is_observed = ~np.isnan(errors)
            total[covered] += np.where(is_observed, errors, 0.0)
            n_observed[covered] += is_observed
    (places,) = np.nonzero(n_observed.any(axis=1))
    with np.errstate(invalid="ignore"):
        errors = total[places] / n_observed[places]
    times = recording.times_at(places)
    return _Scored(name, times.rename(TIMESTEP if recording.clock is None else "time"), errors)


def _as_frame(batch: list[_Scored], threshold: float | None, channels: list[str]) -> pd.DataFrame:
    """Return the rows of the file: one a timestep, with its error and those of `channels`."""
    columns = {"error": np.concatenate([scored.errors for scored in batch])}
    if threshold is not None:
        columns["is_anomalous"] = columns["error"] > threshold
    if channels:
        by_channel = np.concatenate([scored.by_channel for scored in batch])
        columns |= {f"error_{name}": by_channel[:, i] for i, name in enumerate(channels)}
    ids = _joined([scored.id for scored in batch])
    ids = ids.repeat([len(scored.errors) for scored in batch])
    levels = [ids.get_level_values(level) for level in range(ids.nlevels)]
    times = _joined([scored.times for scored in batch])
    return pd.DataFrame(columns, index=pd.MultiIndex.from_arrays([*levels, times]))


def _joined(parts: list[pd.Index[Any]]) -> pd.Index[Any]:
    return parts[0].append(parts[1:])


# What is listed


class _Stretch(NamedTuple):
    """Consecutive timesteps of a series; their largest error, and the channel that has most."""

    error: float
    id: pd.Index[Any]
    first: Any
    last: Any
    channel: int
    share: float


class _Summary:
    """The stretches with the largest errors so far, and what is known of all timesteps."""

    def __init__(self, n_top: int, threshold: float | None) -> None:
        self.n_top = n_top
        self.threshold = threshold
        self.top: list[_Stretch] = []
        self.n_series = self.n_timesteps = self.n_anomalous = 0
        self._n_observed = 0
        self._sum = 0.0

    @property
    def mean_error(self) -> float:
        """The mean over all timesteps with an observed value."""
        return self._sum / self._n_observed if self._n_observed else math.nan

    @property
    def beyond_threshold(self) -> dict[str, float]:
        """The model's threshold and the number of timesteps beyond it, if it has one."""
        if self.threshold is None:
            return {}
        return {"threshold": self.threshold, "n_anomalous": self.n_anomalous}

    def add(self, scored: _Scored) -> None:
        """Count the timesteps of a series, and keep its stretches if they are among the worst."""
        errors = scored.errors[~np.isnan(scored.errors)]
        self.n_series += 1
        self.n_timesteps += len(scored.errors)
        self._n_observed += len(errors)
        self._sum += float(errors.sum())
        if self.threshold is not None:
            self.n_anomalous += int((errors > self.threshold).sum())
        least = self.top[-1].error if len(self.top) == self.n_top else -math.inf
        found = _stretches(scored, self.threshold, least)
        self.top = heapq.nlargest(self.n_top, [*self.top, *found], key=lambda it: it.error)


def _stretches(scored: _Scored, threshold: float | None, least: float) -> Iterator[_Stretch]:
    """Yield stretches with errors beyond the threshold, or near the largest of the series.

    Those whose largest error is not above `least` are left out.
    """
    errors = np.nan_to_num(scored.errors, nan=-1.0)
    is_high = (
        errors > threshold
        if threshold is not None
        else errors >= SMALLEST_SHARE * max(errors.max(), 0)
    )
    edges = np.flatnonzero(np.diff(is_high, prepend=False, append=False))
    for begin, end in edges.reshape(-1, 2):
        error = float(errors[begin:end].max())
        if error > least:
            by_channel = np.nansum(scored.by_channel[begin:end], axis=0)
            total = float(by_channel.sum())
            share = float(by_channel.max()) / total if total else 0.0
            edge = scored.times[begin], scored.times[end - 1]
            yield _Stretch(error, scored.id, *edge, int(by_channel.argmax()), share)


def _as_json(top: list[_Stretch], names: list[str]) -> dict[str, Any]:
    """Return the stretches column by column."""
    return {
        **(ids_by_name(_joined([it.id for it in top])) if top else {"ids": []}),
        "first": [it.first for it in top],
        "last": [it.last for it in top],
        "errors": [it.error for it in top],
        "channels": [names[it.channel] for it in top],
        "channel_shares": [it.share for it in top],
    }


def _print_result(summary: _Summary, names: list[str], noun: str, console: Console) -> None:
    if summary.threshold is not None:
        console.print(
            f"{summary.n_anomalous:,} of {summary.n_timesteps:,} timesteps have errors above "
            f"{summary.threshold:.4g}, the threshold of the model."
        )
    if not summary.top:
        return
    mean = summary.mean_error
    ids = _joined([it.id for it in summary.top]).to_frame(index=False)
    rows: list[tuple[str, ...]] = []
    for id_, it in zip(ids.itertuples(index=False), summary.top, strict=True):
        edges = (str(it.first), str(it.last))
        ratio = f"{it.error / mean:.1f}x" if mean else "-"
        channel = [f"{names[it.channel]} ({it.share:.0%})"] if len(names) > 1 else []
        rows.append((*map(str, id_), *edges, f"{it.error:.4g}", ratio, *channel))
    console.print(
        f"Largest errors in {summary.n_series:,} {noun} of {summary.n_timesteps:,} timesteps "
        f"(mean error: {mean:.4g}):"
    )
    channel = ["channel"] if len(names) > 1 else []
    header = (*map(str, ids.columns), "from", "to", "error", "vs. mean", *channel)
    console.print(format_table(rows, header))
