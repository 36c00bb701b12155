"""A model over Dask frames of long data, partition by partition, on real workers."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from estimators import Diary, diary_entries
from sklearn.pipeline import make_pipeline

from seqfeat import InputError, LSTMAutoencoder, cluster
from seqfeat.exceptions import InputTypeError
from seqfeat.series import from_long

LAYOUT = {"series_id": "meter", "time": "day", "channels": ["load", "heat"]}


@pytest.fixture(scope="module")
def table():
    """Series of unequal length, their rows in no order, with a column that is no channel."""
    rng = np.random.default_rng(0)
    parts = []
    for number in range(40):
        days = np.arange(rng.integers(6, 20))
        wave = np.sin(days / 3 + rng.uniform(0, 6))
        columns = {"meter": f"m{number:02}", "day": days, "load": wave, "heat": wave[::-1] + days}
        parts.append(pd.DataFrame(columns).assign(note=f"of {number}"))
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def model(table):
    X, _ = from_long(table, **LAYOUT)
    model = LSTMAutoencoder(3, max_iter=40, missing="mask", random_state=0).fit(X)
    return model.set_output(transform="pandas")


def partitioned(table, borders=("m03", "m20", "m21")):
    """Return a Dask frame whose partitions end before the given series."""
    place = np.searchsorted(borders, table["meter"], side="right")
    parts = [table[place == number] for number in range(len(borders) + 1)]
    return frame_of(parts)


def frame_of(parts):
    return dd.from_map(pd.DataFrame, parts, meta=parts[0].iloc[:0])


def assert_equal(features, local):
    """Compare what was computed in partitions with what was computed in memory."""
    assert features.index.name == "meter"
    assert list(features.columns) == [f"lstmautoencoder{number}" for number in range(3)]
    assert sorted(features.index) == sorted(local.index)
    local = local.loc[list(features.index)]
    np.testing.assert_allclose(features, local, rtol=1e-5, atol=1e-6)


def test_partitions_give_what_the_whole_table_gives(client, table, model):
    features = cluster.transform(model, partitioned(table), **LAYOUT)
    assert isinstance(features, dd.DataFrame)
    assert features.npartitions == 4
    computed = features.compute()
    assert computed.dtypes.equals(features.dtypes)
    assert_equal(computed, model.transform(from_long(table, **LAYOUT).X))
    first = table.loc[table["meter"] < "m03", "meter"].unique()
    assert list(computed.index[:3]) == list(first)


def test_all_columns_but_ids_and_times_are_channels_unless_some_are_named(client, table, model):
    values = partitioned(table.drop(columns="note"))
    features = cluster.transform(model, values, "meter", "day").compute()
    assert_equal(features, model.transform(from_long(table, **LAYOUT).X))
    with pytest.raises(InputTypeError, match=r"(?s)note.*channels=\[\.\.\.\]"):
        cluster.transform(model, partitioned(table), "meter", "day")


def test_known_divisions_are_kept_and_each_partition_stands_alone(client, table, model, tmp_path):
    diary = make_pipeline(Diary(tmp_path), model)
    frame = dd.from_pandas(table.set_index("meter"), npartitions=4)
    features = cluster.transform(diary, frame, **{**LAYOUT, "step": None})
    assert features.known_divisions
    assert features.divisions == frame.divisions
    mine = len(diary_entries(tmp_path, "transformed"))
    features.partitions[1].compute()
    assert len(diary_entries(tmp_path, "transformed")) == mine + 1
    assert_equal(features.compute(), model.transform(from_long(table, **LAYOUT, step=None).X))


def test_what_is_read_from_files_is_read_by_column(client, table, model, tmp_path):
    for number, (_, part) in enumerate(table.groupby(table["meter"].str[:2])):
        part.to_parquet(tmp_path / f"part-{number}.parquet")
    frame = dd.read_parquet(tmp_path)
    assert frame.npartitions == 4
    features = cluster.transform(model, frame, **LAYOUT)
    assert_equal(features.compute(), model.transform(from_long(table, **LAYOUT).X))


def test_the_step_is_that_of_all_partitions(client, model):
    # Alone, the first partition would take two days for a step.
    slow = pd.DataFrame({"meter": "a", "day": [0, 2, 4, 8], "load": 1.0, "heat": 2.0})
    fast = pd.DataFrame({"meter": "z", "day": [0, 1, 2, 4], "load": 3.0, "heat": 2.0})
    table = pd.concat([slow, fast], ignore_index=True)
    frame = partitioned(table, ["m"])
    local = model.transform(from_long(table, **LAYOUT).X)
    assert_equal(cluster.transform(model, frame, **LAYOUT).compute(), local)
    dates = table.assign(day=pd.Timestamp("2024-03-30") + pd.to_timedelta(table["day"], unit="D"))
    by_date = cluster.transform(model, partitioned(dates, ["m"]), **LAYOUT).compute()
    assert_equal(by_date, local)
    for step in ("2D", None):
        there = cluster.transform(model, partitioned(dates, ["m"]), **LAYOUT, step=step)
        here = model.transform(from_long(dates, **LAYOUT, step=step).X)
        assert not np.allclose(here, local)
        assert_equal(there.compute(), here)


def test_rows_may_be_taken_as_they_come(client, table, model):
    layout = {**LAYOUT, "time": None}
    features = cluster.transform(model, partitioned(table), **layout).compute()
    assert_equal(features, model.transform(from_long(table, **layout).X))


def test_a_partition_may_be_empty(client, table, model):
    features = cluster.transform(model, partitioned(table).query("meter >= 'm20'"), **LAYOUT)
    kept = table[table["meter"] >= "m20"]
    assert_equal(features.compute(), model.transform(from_long(kept, **LAYOUT).X))
    nothing = cluster.transform(model, partitioned(table).query("meter > 'z'"), **LAYOUT).compute()
    assert nothing.shape == (0, 3)


def test_the_model_is_opened_once_by_each_worker(client, table, model, tmp_path):
    diary = make_pipeline(Diary(tmp_path), model)
    borders = sorted(table["meter"].unique())[1:]
    features = cluster.transform(diary, partitioned(table, borders), **LAYOUT)
    for path in tmp_path.iterdir():
        path.unlink()
    features.compute()
    assert len(diary_entries(tmp_path, "transformed")) == 40
    openings = [process for _, process in diary_entries(tmp_path, "opened")]
    assert len(openings) == len(set(openings)) <= 2


# What is refused


def test_a_series_in_two_partitions_is_refused_by_its_id(client, table, model):
    stray = table["meter"].eq("m07") & table["day"].eq(3)
    moved = pd.concat([table[~stray].sort_values("meter"), table[stray]], ignore_index=True)
    frame = frame_of([moved[:-1], moved[-1:]])
    features = cluster.transform(model, frame, **LAYOUT)
    words = r"series m07 has rows in partitions 0 and 1 .* data\.set_index\('meter'\)"
    with pytest.raises(InputError, match=words):
        features.compute()
    with pytest.raises(InputError, match=words):
        features.partitions[0].compute()
    together = cluster.transform(model, frame.set_index("meter"), **LAYOUT).compute()
    assert_equal(together, model.transform(from_long(table, **LAYOUT).X))


def test_what_does_not_suit_the_model_is_refused_at_once(table, model):
    frame = partitioned(table)
    with pytest.raises(InputError, match=r"series_id has to name .*meter, |'meter', 'day'"):
        cluster.transform(model, frame)
    with pytest.raises(InputError, match="no column 'metre'; the table has"):
        cluster.transform(model, frame, "metre", "day")
    with pytest.raises(InputError, match="no column 'cold'"):
        cluster.transform(model, frame, "meter", "day", ["load", "cold"])
    with pytest.raises(InputError, match=r"X has 1 features, .* expecting 2"):
        cluster.transform(model, frame, "meter", "day", "load")
    with pytest.raises(InputError, match=r"step='soon'"):
        cluster.transform(model, frame, **LAYOUT, step="soon")


def test_values_that_cannot_be_used_are_named_by_their_series(client, table, model):
    infinite = table.assign(load=table["load"].where(table["meter"].ne("m20"), np.inf))
    features = cluster.transform(model, partitioned(infinite), **LAYOUT)
    with pytest.raises(InputError, match="series m20 has inf"):
        features.compute()
