"""Dask frames of long data, partition by partition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cluster.extra import dask_module
from seqfeat.cluster.models import SentModel, features_of
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.series import from_long
from seqfeat.series.long import refuse_unknown
from seqfeat.series.time_grid import EvenStep, Step, shortest_gap

__all__ = ["LongLayout", "transform_frame"]


@dataclass(frozen=True)
class LongLayout:
    """The parts that columns play in a long table, as in `~seqfeat.series.from_long`."""

    series_id: str | None
    time: str | None
    channels: str | list[str] | None
    step: Step

    @property
    def keys(self) -> list[str]:
        """The columns of ids and, if there is one, of times."""
        return [name for name in (self.series_id, self.time) if name is not None]

    def read(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the series of a part of the table, by their ids."""
        assert self.series_id is not None
        X: pd.Series[Any] = from_long(
            frame, self.series_id, self.time, self.channels, step=self.step
        ).X
        return X


def transform_frame(model: SentModel, frame: Any, layout: LongLayout) -> Any:
    """Return the features of the series of a long table, lazily."""
    layout = _named(layout, frame)
    meta = _meta(model.copy, frame, layout)
    delayed = dask_module("dask").delayed
    embed = delayed(_features_of_partition, pure=True)
    # Dask reads as tasks of their own what it is asked for apart, so that looking for the step
    # keeps no partition in memory.
    step = _shortest_gap(_columns(frame, layout.keys), layout) if _searches_step(layout) else None
    parts = _columns(frame, [*layout.keys, *_channels(layout)]).to_delayed()
    features = [embed(part, model.key, layout, step, meta) for part in parts]
    is_partitioned = frame.index.name == layout.series_id and frame.known_divisions
    if not is_partitioned and len(parts) > 1:
        ids = [delayed(_ids, pure=True)(part) for part in features]
        verdict = delayed(_refuse_shared, pure=True)(ids)
        features = [delayed(_after, pure=True)(part, verdict) for part in features]
    return dask_module("dask.dataframe").from_delayed(
        features,
        meta=meta,
        divisions=frame.divisions if is_partitioned else None,
        prefix="seqfeat-features",
        verify_meta=False,
    )


def _named(layout: LongLayout, frame: Any) -> LongLayout:
    """Name the parts of the table that were left to be found, and refuse what it has not."""
    table = _one_row(frame)
    if layout.series_id is None:
        raise InputError(
            "data is a long table, so that series_id has to name the column that tells which "
            f"series a row belongs to; the table has {list(map(str, table.columns))}."
        )
    refuse_unknown(table, list(layout.keys))
    channels = layout.channels
    if channels is None:
        channels = [name for name in table.columns if name not in layout.keys]
    return replace(layout, channels=[channels] if isinstance(channels, str) else list(channels))


def _channels(layout: LongLayout) -> list[str]:
    assert isinstance(layout.channels, list)
    return layout.channels


def _one_row(frame: Any) -> pd.DataFrame:
    """Return a row such as the table's, its index among the columns if it has a name."""
    row: pd.DataFrame = dask_module("dask.dataframe.utils").meta_nonempty(frame._meta).iloc[:1]
    return row.reset_index() if row.index.name is not None else row


def _columns(frame: Any, names: list[str]) -> Any:
    """Return columns of a frame, whose index stays if it has one of the names."""
    return frame[[name for name in names if name in frame.columns]]


def _meta(model: Any, frame: Any, layout: LongLayout) -> pd.DataFrame:
    """Return the features of no series; what does not suit the model is found on the way."""
    X = layout.read(_one_row(frame))
    length = pipeline_parts(model).autoencoder.n_timesteps_in_
    zeros = np.zeros((length, X.iloc[0].shape[1]), dtype=X.iloc[0].dtype)
    X.iloc[0] = zeros
    features = features_of(model, X)
    return pd.DataFrame(features, index=X.index, columns=model.get_feature_names_out()).iloc[:0]


def _features_of_partition(
    frame: pd.DataFrame, model: Any, layout: LongLayout, step: Any, meta: pd.DataFrame
) -> pd.DataFrame:
    """Return the features of one partition, which a filter may have left without rows."""
    if len(frame) == 0:
        return meta
    if step is not None:
        layout = replace(layout, step=EvenStep(step))
    X = layout.read(frame)
    with _naming_series(X.index):
        features = features_of(model, X)
    return pd.DataFrame(features, index=X.index, columns=meta.columns).astype(meta.dtypes)


@contextmanager
def _naming_series(ids: pd.Index[Any]) -> Iterator[None]:
    """Call series in errors by their ids, where models know their places in a partition only."""
    try:
        yield
    except InputError as error:
        message = re.sub(
            r"\bseries (\d+)\b", lambda place: f"series {ids[int(place[1])]}", str(error)
        )
        raise type(error)(message) from error


# The step of all partitions


def _searches_step(layout: LongLayout) -> bool:
    return layout.time is not None and isinstance(layout.step, str) and layout.step == "auto"


def _shortest_gap(keys: Any, layout: LongLayout) -> Any:
    """Return the shortest gap of all partitions, a task."""
    delayed = dask_module("dask").delayed
    gaps = [delayed(_gap_of_partition, pure=True)(part, layout) for part in keys.to_delayed()]
    return delayed(_least, pure=True)(gaps)


def _gap_of_partition(frame: pd.DataFrame, layout: LongLayout) -> Any:
    if frame.index.name is not None:
        frame = frame.reset_index()
    ids = frame[layout.series_id]
    return shortest_gap(pd.factorize(ids)[0].astype(np.int64), frame[layout.time])


def _least(gaps: list[Any]) -> Any:
    return min((gap for gap in gaps if gap is not None), default=None)


# Series that lie in two partitions


def _ids(features: pd.DataFrame) -> pd.Index[Any]:
    return features.index


def _refuse_shared(ids: list[pd.Index[Any]]) -> None:
    """Refuse a series whose rows lie in two partitions."""
    every = ids[0].append(ids[1:])
    again = every.duplicated()
    if again.any():
        shared = every[again][0]
        where = [place for place, part in enumerate(ids) if shared in part]
        raise InputError(
            f"series {shared} has rows in partitions {where[0]} and {where[1]} of the table; all "
            "rows of a series have to be in one. Partition it by series first: "
            f"data.set_index({every.name!r}) or data.shuffle({every.name!r})."
        )


def _after(features: pd.DataFrame, verdict: None) -> pd.DataFrame:
    """Return features, once all ids have been compared."""
    return features
