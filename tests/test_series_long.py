"""Long frames, MultiIndex frames and the layout of aeon and sktime."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import as_series, from_channels_first, from_long

CHANNELS = [f"lpc{channel}" for channel in range(12)]
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:the reconstruction explains"),
]


@pytest.fixture(scope="module")
def utterances():
    X, y = load_japanese_vowels(return_X_y=True)
    return X[::9], y[::9]


@pytest.fixture(scope="module")
def ids(utterances):
    return [f"u{index:03d}" for index in range(len(utterances[0]))]


@pytest.fixture(scope="module")
def table(utterances, ids):
    """The utterances as a long table, frame by frame, in no order."""
    frames = [
        pd.DataFrame(values, columns=CHANNELS).assign(
            utterance=name, second=0.01 * np.arange(len(values)), speaker=speaker
        )
        for name, values, speaker in zip(ids, *utterances, strict=True)
    ]
    return pd.concat(frames).sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture(scope="module")
def indexed(table):
    return table.set_index(["utterance", "second"])[CHANNELS]


@pytest.fixture(scope="module")
def fitted(utterances):
    return LSTMAutoencoder(4, max_iter=2, random_state=0).fit(utterances[0])


def small(**columns):
    return pd.DataFrame({"id": ["a", "a", "a", "b"], "time": [0, 1, 2, 0], "v": 1.0, **columns})


def refusal(frame, *arguments, error=InputError, **options):
    with pytest.raises(error) as caught:
        from_long(frame, *arguments, **options)
    return str(caught.value)


# Long tables


def test_an_unsorted_long_table_is_the_series_it_was_made_of(table, utterances, ids):
    X, y = from_long(table, "utterance", "second", CHANNELS, "speaker")
    assert X.index.name == "utterance"
    assert sorted(X.index) == ids
    for name, values, speaker in zip(ids, *utterances, strict=True):
        np.testing.assert_array_equal(X[name], values)
        assert y[name] == speaker


def test_series_come_in_order_of_first_appearance(table):
    X, y = from_long(table, "utterance", "second", label="speaker")
    assert X.index.tolist() == table["utterance"].unique().tolist()
    assert y.index.equals(X.index)


def test_polars_gives_the_same_as_pandas(table):
    X, y = from_long(table, "utterance", "second", CHANNELS, "speaker")
    X_polars, y_polars = from_long(
        pl.from_pandas(table), "utterance", "second", CHANNELS, "speaker"
    )
    assert X_polars.index.tolist() == X.index.tolist()
    assert y_polars.tolist() == y.tolist()
    for ours, theirs in zip(X, X_polars, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_levels_of_an_index_count_as_columns(table):
    X, _ = from_long(table, "utterance", "second", CHANNELS)
    indexed = table.set_index(["utterance", "second"])
    X_indexed, _ = from_long(indexed, "utterance", "second", CHANNELS)
    for ours, theirs in zip(X, X_indexed, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_other_column_is_a_channel_unless_they_are_named():
    frame = small(w=[1, 2, 3, 4], note="x")
    assert from_long(frame[["id", "time", "v", "w"]], "id", "time").X["a"].shape == (3, 2)
    assert from_long(frame, "id", "time", ["w"]).X["a"].ravel().tolist() == [1, 2, 3]
    message = refusal(frame, "id", "time", error=InputTypeError)
    assert message.startswith("column 'note' has dtype str")
    assert "label=" in message
    assert "channels=[...]" in message


@pytest.mark.parametrize(
    "times",
    [
        [0, 1, 3, 7],
        [0.1, 0.2, 0.4, 0.8],
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-08"]),
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-08"]).tz_localize("UTC"),
        ["2024-01-01 00:00", "2024-01-01 00:05", "2024-01-01 00:15", "2024-01-01 00:35"],
        pd.to_timedelta([0, 1, 3, 7], unit="h"),
        pd.PeriodIndex(["2024-01", "2024-02", "2024-04", "2024-08"], freq="M"),
    ],
    ids=["ints", "floats", "dates", "zoned dates", "text dates", "durations", "periods"],
)
def test_missing_time_points_become_missing_values(times):
    frame = pd.DataFrame({"id": "a", "time": times, "v": [1, 2, 3, 4]})
    X, _ = from_long(frame.iloc[::-1], "id", "time")
    np.testing.assert_array_equal(X["a"].ravel(), [1, 2, np.nan, 3, np.nan, np.nan, np.nan, 4])


def test_the_step_is_the_shortest_gap_of_all_series():
    frame = pd.DataFrame({"id": list("aabb"), "time": [0, 4, 10, 12], "v": [1, 2, 3, 4]})
    X, _ = from_long(frame, "id", "time")
    np.testing.assert_array_equal(X["a"].ravel(), [1, np.nan, 2])
    np.testing.assert_array_equal(X["b"].ravel(), [3, 4])


def test_many_decimal_steps_do_not_drift():
    n_steps = 100_000
    frame = pd.DataFrame({"id": 0, "time": 0.1 * np.arange(n_steps), "v": np.arange(n_steps)})
    X, _ = from_long(frame.drop(index=n_steps // 2), "id", "time")
    assert len(X[0]) == n_steps
    assert np.flatnonzero(np.isnan(X[0].ravel())).tolist() == [n_steps // 2]
    np.testing.assert_array_equal(X[0].ravel()[-3:], [n_steps - 3, n_steps - 2, n_steps - 1])


def test_irregular_times_name_the_gap_and_both_ways_out():
    frame = pd.DataFrame({"id": "a", "time": [0.0, 1.0, 2.4], "v": [1.0, 2.0, 3.0]})
    message = refusal(frame, "id", "time")
    assert "series a is irregular: from 1.0 to 2.4 is 1.4 times" in message
    assert "step=..." in message
    assert "step=None" in message
    in_order, _ = from_long(frame, "id", "time", step=None)
    np.testing.assert_array_equal(in_order["a"].ravel(), [1, 2, 3])


def test_a_step_averages_rows_that_meet_and_leaves_gaps():
    times = [0.0, 0.9, 1.2, 4.1]
    frame = pd.DataFrame({"id": "a", "time": times, "v": [1.0, 2.0, 4.0, 8.0]})
    X, _ = from_long(frame, "id", "time", step=1)
    np.testing.assert_array_equal(X["a"].ravel(), [1, 3, np.nan, np.nan, 8])
    frame["time"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(times, unit="h")
    X, _ = from_long(frame, "id", "time", step="1h")
    np.testing.assert_array_equal(X["a"].ravel(), [1, 3, np.nan, np.nan, 8])


@pytest.mark.parametrize("step", [0, -1.0, np.nan, "hour", "5 parsecs"])
def test_a_step_that_is_none_is_refused(step):
    assert refusal(small(), "id", "time", step=step).startswith(f"step={step!r}; ")


def test_a_bare_number_is_no_duration():
    frame = small(time=pd.to_datetime("2024-01-01") + pd.to_timedelta([0, 1, 2, 0], unit="h"))
    assert "a duration such as '1h'" in refusal(frame, "id", "time", step=3600)


def test_stray_time_points_do_not_fill_the_memory():
    frame = pd.DataFrame({"id": "a", "time": [0, 1, 10**12], "v": 1.0})
    message = refusal(frame, "id", "time")
    assert "series a would have 1000000000001 timesteps" in message
    assert "step=None" in message


def test_without_times_rows_are_in_order():
    frame = pd.DataFrame({"id": ["b", "a", "b"], "v": [1, 2, 3]})
    X, y = from_long(frame, "id", None)
    assert X["b"].ravel().tolist() == [1, 3]
    assert y is None


def test_missing_values_stay_missing_and_whole_numbers_stay_whole():
    X, _ = from_long(small(v=[1, 2, 3, 4]), "id", "time")
    assert X["a"].dtype == np.int64
    nullable = small(v=pd.array([1, None, 3, 4], dtype="Int64"))
    X, _ = from_long(nullable, "id", "time")
    np.testing.assert_array_equal(X["a"].ravel(), [1, np.nan, 3])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time": [0, 1, 1, 0]}, "series a has more than one row at time 1"),
        ({"id": ["a", None, "a", "b"]}, "row 1 has no series"),
        ({"time": [0, np.nan, 2, 0]}, "row 1 has no time"),
        ({"time": [0, np.inf, 2, 0]}, "infinite"),
        ({"time": list("xyzx")}, "time points have dtype str"),
    ],
)
def test_rows_without_a_place_are_refused(change, says):
    assert says in refusal(small(**change), "id", "time")


def test_columns_that_are_not_there_are_named():
    assert "no column 'hour'; the table has ['id', 'time', 'v']" in refusal(small(), "id", "hour")
    assert "no column 'w'" in refusal(small(), "id", "time", ["v", "w"])
    assert "more than one column is called 'v'" in refusal(
        pd.concat([small(), small()[["v"]]], axis=1), "id", "time", ["v"]
    )
    assert "at least 1 column" in refusal(small()[["id", "time"]], "id", "time")
    assert "0 rows" in refusal(small().iloc[:0], "id", "time")


def test_a_series_has_one_label():
    frame = small(label=["x", "x", "z", "y"])
    message = refusal(frame, "id", "time", "v", "label")
    assert "series a has the labels x and z in column 'label'" in message


def test_a_table_without_columns_is_no_long_table():
    assert "need no conversion" in refusal(np.zeros((3, 3)), "id", "time", error=InputTypeError)


def test_a_long_table_goes_through_a_search_and_keeps_its_ids(table):
    X, _ = from_long(table, "utterance", "second", CHANNELS)
    y = pd.Series(["a", "b"] * (len(X) // 2), index=X.index)
    pipeline = make_classifier(max_iter=2, random_state=0)
    search = GridSearchCV(pipeline, {"autoencoder__embedding_dim": [2, 4]}, cv=2).fit(X, y)
    assert search.predict(X).shape == (len(X),)
    embeddings = search.best_estimator_["autoencoder"].set_output(transform="pandas").transform(X)
    assert embeddings.index.equals(X.index)


# Frames with an index of series and time


def test_a_frame_with_two_levels_is_the_series_it_was_made_of(indexed, utterances, ids):
    series = as_series(indexed)
    assert series.form == "frame"
    assert sorted(series.ids) == ids
    for row, length, name in zip(series.values, series.lengths, series.ids, strict=True):
        np.testing.assert_array_equal(row[:length], utterances[0][ids.index(name)])


def test_a_frame_is_embedded_like_its_series_and_keeps_their_names(
    indexed, utterances, ids, fitted
):
    named = LSTMAutoencoder(4, max_iter=2, random_state=0).fit(indexed.sort_index())
    named.set_output(transform="pandas")
    embeddings = named.transform(indexed)
    assert embeddings.index.name == "utterance"
    np.testing.assert_array_equal(embeddings.loc[ids], fitted.transform(utterances[0]))
    assert named.feature_names_in_.tolist() == CHANNELS
    named.set_output(transform="default")
    assert isinstance(named.transform(indexed), np.ndarray)


def test_a_pipeline_of_frames_keeps_the_names(indexed, table):
    frame = indexed.sort_index()
    y = table.groupby("utterance")["speaker"].first()
    pipeline = make_classifier(4, max_iter=2, random_state=0).set_output(transform="pandas")
    pipeline.fit(frame, y)
    assert pipeline[:-1].transform(frame).index.equals(y.index)


def test_a_reconstruction_is_a_frame_like_the_input(indexed, utterances, ids, fitted):
    named = LSTMAutoencoder(4, max_iter=2, random_state=0).fit(indexed.sort_index())
    rebuilt = named.reconstruct(indexed)
    assert rebuilt.index.equals(indexed.index)
    assert rebuilt.columns.tolist() == CHANNELS
    expected = fitted.reconstruct(utterances[0])[7]
    np.testing.assert_array_equal(rebuilt.loc[ids[7]].sort_index(), expected)


def test_other_channels_than_in_fit_are_refused_by_name(indexed):
    named = LSTMAutoencoder(2, max_iter=1, random_state=0).fit(indexed)
    with pytest.raises(ValueError, match="must be in the same order"):
        named.transform(indexed[CHANNELS[::-1]])
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing"):
        named.transform(indexed[CHANNELS[:5]])


def test_labels_in_another_order_than_the_frame_are_refused(indexed, table):
    y = table.groupby("utterance")["speaker"].first()
    with pytest.raises(InputError, match="y names the same series as X, but in another order"):
        LSTMAutoencoder(2, max_iter=1).fit(indexed, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LSTMAutoencoder(2, max_iter=1).fit(indexed.sort_index(), table["speaker"])
    stream = LSTMAutoencoder(2, max_iter=1, random_state=0).partial_fit(indexed)
    with pytest.raises(InputError, match="y names the same series as X, but in another order"):
        stream.partial_fit(indexed, y)


def test_other_indices_are_refused(indexed):
    three = indexed.set_index("lpc0", append=True)
    with pytest.raises(InputError, match="an index of 3 levels"):
        as_series(three)
    with pytest.raises(InputError, match="a frame of 0 rows"):
        as_series(indexed.iloc[:0])


def test_missing_values_and_unequal_lengths_at_once_are_independent_of_the_form(indexed):
    """A missing frame in the middle, a channel that misses its end: list, array, frame agree."""
    frame = indexed.sort_index()
    names = frame.index.get_level_values(0).unique()[:6]
    frame = frame.loc[names].copy()
    for place, name in enumerate(names):
        rows = np.flatnonzero(frame.index.get_level_values(0) == name)
        frame.iloc[rows[2 + place % 3], :] = np.nan
        frame.iloc[rows[-2:], place] = np.nan
    gone = frame.dropna(how="all")
    items = [part.to_numpy() for _, part in frame.groupby(level=0)]
    longest = max(map(len, items))
    padded = np.full((len(items), longest + 5, 12), np.nan)
    for row, item in zip(padded, items, strict=True):
        row[: len(item)] = item
    autoencoder = LSTMAutoencoder(4, max_iter=2, missing="mask", random_state=0).fit(items)
    expected = autoencoder.transform(items)
    for form in (padded, gone, frame):
        again = LSTMAutoencoder(4, max_iter=2, missing="mask", random_state=0).fit(form)
        np.testing.assert_allclose(again.transform(form), expected, rtol=1e-5, atol=1e-6)
        if not isinstance(form, pd.DataFrame):
            np.testing.assert_allclose(autoencoder.transform(form), expected, rtol=1e-5, atol=1e-6)


def test_wide_frames_keep_their_ids(utterances):
    X = pd.DataFrame([values[:7, 0] for values in utterances[0]]).set_axis(
        [f"id{row}" for row in range(len(utterances[0]))]
    )
    autoencoder = LSTMAutoencoder(4, max_iter=1, random_state=0)
    embeddings = autoencoder.set_output(transform="pandas").fit_transform(X)
    assert embeddings.index.equals(X.index)
    polars = LSTMAutoencoder(4, max_iter=1, random_state=0).fit_transform(pl.from_pandas(X))
    np.testing.assert_array_equal(polars, embeddings)


def test_frames_in_a_list_are_not_joined_by_position():
    first = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    with pytest.raises(InputError, match=r"series 1 has the columns \['y', 'x'\], series 0"):
        as_series([first, first[["y", "x"]]])


# Channels first


def test_channels_first_is_a_view_of_the_same_series(fitted):
    X = np.random.default_rng(0).normal(size=(5, 12, 20))
    ours = from_channels_first(X)
    assert np.shares_memory(ours, X)
    np.testing.assert_array_equal(ours[2, :, 3], X[2, 3])
    assert fitted.transform(ours).shape == (5, 4)


def test_lists_of_channels_first_can_be_split(utterances, fitted):
    X = from_channels_first([values.T for values in utterances[0]])
    assert X.shape == (len(utterances[0]),)
    np.testing.assert_array_equal(fitted.transform(X[3:9]), fitted.transform(utterances[0][3:9]))
    equal = from_channels_first([np.zeros((3, 5)), np.ones((3, 5))])
    assert [item.shape for item in equal] == [(5, 3), (5, 3)]
    assert from_channels_first([np.zeros(4), np.zeros(5)])[1].shape == (5, 1)


@pytest.mark.parametrize("X", [np.zeros((4, 5)), np.zeros(4), np.zeros((2, 2, 2, 2))])
def test_channels_first_needs_three_axes(X):
    with pytest.raises(InputError, match="from_channels_first reads"):
        from_channels_first(X)


def test_channels_first_lists_need_two_axes():
    with pytest.raises(InputError, match="series 1 has shape"):
        from_channels_first([np.zeros((2, 3)), np.zeros((2, 3, 4))])
