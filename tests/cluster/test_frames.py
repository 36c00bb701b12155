"""A model applied to Dask dataframes in long format, partition by partition, on real workers."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from seqfeat import InputError, LSTMAutoencoder, cluster
from seqfeat.exceptions import InputTypeError
from seqfeat.series import from_long
from tests.cluster.estimators import Recorder, recorded

COLUMNS = {"series_id": "meter", "time": "day", "channels": ["load", "heat"]}


@pytest.fixture(scope="module")
def table():
    """Series of unequal length in a shuffled table, with a column that is not a channel."""
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
    X, _ = from_long(table, **COLUMNS)
    model = LSTMAutoencoder(3, max_iter=40, missing="mask", random_state=0).fit(X)
    return model.set_output(transform="pandas")


def partitioned(table, borders=("m03", "m20", "m21")):
    """Return a Dask dataframe with partitions that end before the given series."""
    numbers = np.searchsorted(borders, table["meter"], side="right")
    return frame_of([table[numbers == number] for number in range(len(borders) + 1)])


def frame_of(parts):
    return dd.from_map(pd.DataFrame, parts, meta=parts[0].iloc[:0])


def in_memory(model, table, **columns):
    return model.transform(from_long(table, **{**COLUMNS, **columns}).X)


def assert_same(features, expected):
    """Compare features by series; the partitions decide the order of rows."""
    assert features.index.name == "meter"
    assert list(features.columns) == [f"lstmautoencoder{number}" for number in range(3)]
    assert sorted(features.index) == sorted(expected.index)
    expected = expected.loc[list(features.index)]
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


# Features


def test_partitions_give_the_features_of_the_whole_table(client, table, model):
    features = cluster.transform(model, partitioned(table), **COLUMNS)
    assert isinstance(features, dd.DataFrame)
    assert features.npartitions == 4
    computed = features.compute()
    assert computed.dtypes.equals(features.dtypes)
    assert_same(computed, in_memory(model, table))
    first = table.loc[table["meter"] < "m03", "meter"].unique()
    assert list(computed.index[:3]) == list(first)


def test_by_default_all_columns_except_ids_and_times_are_channels(client, table, model):
    values = partitioned(table.drop(columns="note"))
    features = cluster.transform(model, values, "meter", "day").compute()
    assert_same(features, in_memory(model, table))
    with pytest.raises(InputTypeError, match=r"(?s)note.*channels=\[\.\.\.\]"):
        cluster.transform(model, partitioned(table), "meter", "day")


def test_with_known_divisions_a_partition_can_be_computed_alone(client, table, model, tmp_path):
    recording = make_pipeline(Recorder(tmp_path), model)
    frame = dd.from_pandas(table.set_index("meter"), npartitions=4)
    features = cluster.transform(recording, frame, **{**COLUMNS, "step": None})
    assert features.known_divisions
    assert features.divisions == frame.divisions
    before = len(recorded(tmp_path, "transformed"))
    features.partitions[1].compute()
    assert len(recorded(tmp_path, "transformed")) == before + 1
    assert_same(features.compute(), in_memory(model, table, step=None))


def test_parquet_files_can_be_transformed(client, table, model, tmp_path):
    for number, (_, part) in enumerate(table.groupby(table["meter"].str[:2])):
        part.to_parquet(tmp_path / f"part-{number}.parquet")
    frame = dd.read_parquet(tmp_path)
    assert frame.npartitions == 4
    features = cluster.transform(model, frame, **COLUMNS)
    assert_same(features.compute(), in_memory(model, table))


def test_the_step_is_inferred_from_all_partitions(client, model):
    # The first partition alone suggests a step of two days.
    slow = pd.DataFrame({"meter": "a", "day": [0, 2, 4, 8], "load": 1.0, "heat": 2.0})
    fast = pd.DataFrame({"meter": "z", "day": [0, 1, 2, 4], "load": 3.0, "heat": 2.0})
    table = pd.concat([slow, fast], ignore_index=True)
    frame = partitioned(table, ["m"])
    expected = in_memory(model, table)
    assert_same(cluster.transform(model, frame, **COLUMNS).compute(), expected)
    dates = table.assign(day=pd.Timestamp("2024-03-30") + pd.to_timedelta(table["day"], unit="D"))
    by_date = cluster.transform(model, partitioned(dates, ["m"]), **COLUMNS).compute()
    assert_same(by_date, expected)
    for step in ("2D", None):
        features = cluster.transform(model, partitioned(dates, ["m"]), **COLUMNS, step=step)
        with_step = in_memory(model, dates, step=step)
        assert not np.allclose(with_step, expected)
        assert_same(features.compute(), with_step)


def test_without_a_time_column_rows_are_taken_in_order(client, table, model):
    features = cluster.transform(model, partitioned(table), **{**COLUMNS, "time": None})
    assert_same(features.compute(), in_memory(model, table, time=None))


def test_partitions_may_be_empty(client, table, model):
    features = cluster.transform(model, partitioned(table).query("meter >= 'm20'"), **COLUMNS)
    assert_same(features.compute(), in_memory(model, table[table["meter"] >= "m20"]))
    nothing = cluster.transform(model, partitioned(table).query("meter > 'z'"), **COLUMNS)
    assert nothing.compute().shape == (0, 3)


# Errors


def test_a_series_in_two_partitions_is_an_error_that_names_it(client, table, model):
    stray = table["meter"].eq("m07") & table["day"].eq(3)
    moved = pd.concat([table[~stray].sort_values("meter"), table[stray]], ignore_index=True)
    frame = frame_of([moved[:-1], moved[-1:]])
    features = cluster.transform(model, frame, **COLUMNS)
    message = r"series m07 has rows in partitions 0 and 1 .* data\.set_index\('meter'\)"
    with pytest.raises(InputError, match=message):
        features.compute()
    with pytest.raises(InputError, match=message):
        features.partitions[0].compute()
    repartitioned = cluster.transform(model, frame.set_index("meter"), **COLUMNS).compute()
    assert_same(repartitioned, in_memory(model, table))


def test_a_table_that_does_not_fit_the_model_is_an_error_before_anything_is_computed(table, model):
    frame = partitioned(table)
    with pytest.raises(InputError, match=r"series_id has to name .*'meter', 'day'"):
        cluster.transform(model, frame)
    with pytest.raises(InputError, match="no column 'metre'; the table has"):
        cluster.transform(model, frame, "metre", "day")
    with pytest.raises(InputError, match="no column 'cold'"):
        cluster.transform(model, frame, "meter", "day", ["load", "cold"])
    with pytest.raises(InputError, match=r"X has 1 features, .* expecting 2"):
        cluster.transform(model, frame, "meter", "day", "load")
    with pytest.raises(InputError, match=r"step='soon'"):
        cluster.transform(model, frame, **COLUMNS, step="soon")


def test_an_error_in_the_values_names_the_series_by_its_id(client, table, model):
    infinite = table.assign(load=table["load"].where(table["meter"].ne("m20"), np.inf))
    features = cluster.transform(model, partitioned(infinite), **COLUMNS)
    with pytest.raises(InputError, match="series m20 has inf"):
        features.compute()


def test_dates_as_text_are_read_alike_in_all_partitions(client, table, model):
    """Alone, a partition with days up to the 12th could not tell day and month apart."""
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(table["day"], unit="D")
    dated = table.assign(day=days.dt.strftime("%d/%m/%Y"))
    early = dated["day"].str[:2].astype(int) <= 6
    only_early = [dated[early & (dated["meter"] < "m03")], dated[dated["meter"] >= "m03"]]
    features = cluster.transform(model, frame_of(only_early), **COLUMNS).compute()
    assert_same(features, in_memory(model, pd.concat(only_early)))


def test_the_time_since_the_row_before_is_a_channel(table):
    irregular = table.assign(day=table["day"] ** 2)
    X, _ = from_long(irregular, **COLUMNS, elapsed=True)
    model = LSTMAutoencoder(3, max_iter=0, random_state=0).fit(X)
    found = cluster.transform(model, partitioned(irregular), **COLUMNS, elapsed=True).compute()
    expected = pd.DataFrame(model.transform(X), index=X.index)
    np.testing.assert_allclose(found.loc[X.index], expected, rtol=1e-5, atol=1e-6)
