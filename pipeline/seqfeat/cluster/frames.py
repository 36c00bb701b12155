"""Transform Dask dataframes in long format, partition by partition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cluster.dask_support import import_dask
from seqfeat.cluster.model_task import ModelTask, compute_features
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.series import from_long
from seqfeat.series.columns import channel_columns, check_columns
from seqfeat.series.long import step_for
from seqfeat.series.time_grid import ScannedStep, Step, StepScan

__all__ = ["LongFormat", "transform_frame"]


@dataclass(frozen=True)
class LongFormat:
    """How to read a long table; the arguments of `~seqfeat.series.from_long`."""

    series_id: str | None
    time: str | None
    channels: str | list[str] | None
    step: Step
    elapsed: bool = False

    @property
    def key_columns(self) -> list[str]:
        """The columns of series ids and, if there is one, of times."""
        return [name for name in (self.series_id, self.time) if name is not None]

    def read(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the series in a pandas DataFrame, indexed by their ids."""
        assert self.series_id is not None
        X: pd.Series[Any] = from_long(
            frame,
            self.series_id,
            self.time,
            self.channels,
            step=self.step,
            elapsed=self.elapsed,
        ).X
        return X


def transform_frame(model: ModelTask, frame: Any, layout: LongFormat) -> Any:
    """Return the features of the series in a long table as a lazy Dask dataframe."""
    layout, channels = _resolve_columns(layout, frame)
    meta = _empty_features(model.local, frame, layout)
    delayed = import_dask("dask").delayed
    transform = delayed(_transform_partition, pure=True)
    # Selecting columns anew makes Dask read each partition twice, once for the step and once for
    # the values. Sharing one read would keep all partitions in memory until the step is known.
    step = _scan_step(_select(frame, layout.key_columns), layout) if layout.time else None
    partitions = _select(frame, [*layout.key_columns, *channels]).to_delayed()
    features = [transform(part, model.task, layout, step, meta) for part in partitions]
    is_partitioned_by_id = frame.index.name == layout.series_id and frame.known_divisions
    if not is_partitioned_by_id and len(partitions) > 1:
        ids = [delayed(_index, pure=True)(part) for part in features]
        checked = delayed(_check_no_shared_series, pure=True)(ids)
        features = [delayed(_after_check, pure=True)(part, checked) for part in features]
    return import_dask("dask.dataframe").from_delayed(
        features,
        meta=meta,
        divisions=frame.divisions if is_partitioned_by_id else None,
        prefix="seqfeat-features",
        verify_meta=False,
    )


# Columns


def _resolve_columns(layout: LongFormat, frame: Any) -> tuple[LongFormat, list[str]]:
    """Check that all columns exist; return the layout with its channels, and the channels."""
    example = _example_row(frame)
    if layout.series_id is None:
        raise InputError(
            "data is a long table; series_id has to name the column with the series ids. The "
            f"table has {list(map(str, example.columns))}."
        )
    check_columns(example, list(layout.key_columns))
    channels = channel_columns(example, layout.channels, list(layout.key_columns))
    step = step_for(layout.step, layout.time, channels, elapsed=layout.elapsed)
    return replace(layout, channels=channels, step=step), channels


def _example_row(frame: Any) -> pd.DataFrame:
    """Return a made-up row with the table's columns, among them its index if that has a name."""
    row: pd.DataFrame = import_dask("dask.dataframe.utils").meta_nonempty(frame._meta).iloc[:1]
    return row.reset_index() if row.index.name is not None else row


def _select(frame: Any, names: list[str]) -> Any:
    """Select columns of a frame; a name may also be that of the index, which is always kept."""
    return frame[[name for name in names if name in frame.columns]]


# Features


def _empty_features(model: Any, frame: Any, layout: LongFormat) -> pd.DataFrame:
    """Return a feature table without rows, after checking that the table fits the model."""
    example = _example_row(frame)
    n_elapsed = int(layout.elapsed)
    if layout.time is not None and pd.api.types.is_string_dtype(example[layout.time].dtype):
        # A made-up text is no time point.
        layout = replace(layout, time=None)
    X = replace(layout, elapsed=False).read(example)
    length = pipeline_parts(model).autoencoder.n_timesteps_in_
    zeros = np.zeros((length, X.iloc[0].shape[1] + n_elapsed), dtype=X.iloc[0].dtype)
    X.iloc[0] = zeros
    features = compute_features(model, X)
    return pd.DataFrame(features, index=X.index, columns=model.get_feature_names_out()).iloc[:0]


def _transform_partition(
    frame: pd.DataFrame, model: Any, layout: LongFormat, step: Any, meta: pd.DataFrame
) -> pd.DataFrame:
    """Return the features of one partition, which may be empty after filtering."""
    if len(frame) == 0:
        return meta
    if step is not None:
        layout = replace(layout, step=step)
    X = layout.read(frame)
    with _errors_by_id(X.index):
        features = compute_features(model, X)
    return pd.DataFrame(features, index=X.index, columns=meta.columns).astype(meta.dtypes)


@contextmanager
def _errors_by_id(ids: pd.Index[Any]) -> Iterator[None]:
    """Replace row numbers in errors by series ids; the model only knows rows of the partition."""
    try:
        yield
    except InputError as error:
        message = re.sub(r"\bseries (\d+)\b", lambda row: f"series {ids[int(row[1])]}", str(error))
        raise type(error)(message) from error


# The step and the reading of time points, which have to be the same in all partitions


def _scan_step(keys: Any, layout: LongFormat) -> Any:
    """Return a task that scans the time points of all partitions."""
    delayed = import_dask("dask").delayed
    scans = [delayed(_scan_partition, pure=True)(p, layout) for p in keys.to_delayed()]
    return delayed(_merge_scans, pure=True)(scans)


def _scan_partition(frame: pd.DataFrame, layout: LongFormat) -> StepScan:
    scan = StepScan(layout.step)
    if len(frame) == 0:
        return scan
    if frame.index.name is not None:
        frame = frame.reset_index()
    ids = frame[layout.series_id]
    scan.update(pd.factorize(ids)[0].astype(np.int64), frame[layout.time])
    return scan


def _merge_scans(scans: list[StepScan]) -> ScannedStep | None:
    """Return the step of the whole table, or None if it has no rows."""
    first, *rest = scans
    for scan in rest:
        first.merge(scan)
    return first.step() if first.n_rows else None


# Series with rows in several partitions


def _index(features: pd.DataFrame) -> pd.Index[Any]:
    return features.index


def _check_no_shared_series(ids: list[pd.Index[Any]]) -> None:
    """Raise an error if a series has rows in more than one partition."""
    all_ids = ids[0].append(ids[1:])
    is_repeated = all_ids.duplicated()
    if is_repeated.any():
        shared = all_ids[is_repeated][0]
        partitions = [number for number, part in enumerate(ids) if shared in part]
        raise InputError(
            f"series {shared} has rows in partitions {partitions[0]} and {partitions[1]} of the "
            "table; all rows of a series have to be in the same partition. Repartition by series "
            f"first: data.set_index({all_ids.name!r}) or data.shuffle({all_ids.name!r})."
        )


def _after_check(features: pd.DataFrame, checked: None) -> pd.DataFrame:
    """Return the features unchanged; makes them depend on the check in the task graph."""
    return features
