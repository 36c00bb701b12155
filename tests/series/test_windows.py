"""Long recordings cut into windows: every cut is compared with a plain loop."""

from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from seqfeat.exceptions import InputError, InputTypeError, ShortRecordingWarning
from seqfeat.series import overlap_mean, windows
from seqfeat.series.windows import Cut
from tests.series.inputs import error_of


def loop(values, length, stride):
    """Return windows and their starts, one by one."""
    starts = [s for s in range(0, len(values), stride) if s + length <= len(values)]
    return np.array([values[s : s + length] for s in starts]), starts


def majority(labels):
    """Return the most frequent label, of several the one that comes first."""
    votes = Counter(label for label in labels if not pd.isna(label))
    return max(votes, key=lambda it: (votes[it], -list(labels).index(it))) if votes else None


def recording(n=100, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, channels))


def table(n=60, people=("ann", "bob"), step=0.5):
    """Return a table of recordings, each of which begins at another time."""
    parts = [
        pd.DataFrame(recording(n, 2, seed), columns=["x", "y"]).assign(
            who=name,
            t=100.0 * seed + step * np.arange(n),
            kind=[f"{name}{i // 7}" for i in range(n)],
        )
        for seed, name in enumerate(people)
    ]
    return pd.concat(parts, ignore_index=True)


# Arrays


@pytest.mark.parametrize("length", [1, 7, 99, 100])
@pytest.mark.parametrize("stride", [1, 3, 7, 200, None])
def test_windows_of_an_array_are_those_of_a_loop(length, stride):
    values = recording()
    X, y, groups, starts = windows(values, length, stride)
    expected, expected_starts = loop(values, length, stride or length)
    np.testing.assert_array_equal(X, expected)
    assert y is None
    assert groups.tolist() == [0] * len(X)
    assert starts.tolist() == expected_starts


def test_windows_of_one_array_are_a_view_that_cannot_be_written_to():
    values = recording(1000)
    X = windows(values, 100, 1).X
    assert np.shares_memory(X, values)
    assert not X.flags.writeable
    assert values.flags.writeable


def test_windows_of_a_file_of_an_array_stay_on_disk(tmp_path):
    np.save(tmp_path / "run 1.npy", recording(1000))
    X, _, groups, _ = windows(tmp_path / "run 1.npy", 100, 10)
    base = X
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert set(groups) == {"run 1"}


@pytest.mark.parametrize(
    "make",
    [
        lambda values: values[:, 0],
        lambda values: values[:, :1].tolist(),
        lambda values: torch.tensor(values[:, 0]),
        lambda values: pd.Series(values[:, 0]),
        lambda values: pd.DataFrame(values[:, :1]),
        lambda values: pl.DataFrame(values[:, :1]),
    ],
    ids=["array", "list", "tensor", "series", "pandas", "polars"],
)
def test_one_channel_in_any_form_is_one_channel(make):
    values = recording()
    np.testing.assert_array_equal(windows(make(values), 9, 4).X, loop(values[:, :1], 9, 4)[0])


def test_numbers_keep_their_type():
    for dtype in ("float32", "int16", "int64", "float64"):
        assert windows(np.arange(20, dtype=dtype), 5).X.dtype == dtype


@pytest.mark.parametrize("kind", ["dict", "list", "generator", "3D"])
def test_several_arrays_are_several_recordings(kind):
    arrays = {"b": recording(50), "a": recording(50, seed=1)}
    given = {
        "dict": lambda: arrays,
        "list": lambda: list(arrays.values()),
        "generator": lambda: iter(arrays.values()),
        "3D": lambda: np.stack(list(arrays.values())),
    }[kind]()
    X, _, groups, starts = windows(given, 20, 15)
    expected = [loop(values, 20, 15) for values in arrays.values()]
    np.testing.assert_array_equal(X, np.concatenate([it[0] for it in expected]))
    names = ["b", "a"] if kind == "dict" else [0, 1]
    assert groups.tolist() == np.repeat(names, 3).tolist()
    assert starts.tolist() == [0, 15, 30] * 2


def test_recordings_too_short_for_a_window_are_named():
    given = {"long": np.zeros(10), "s1": np.zeros(3), "s2": np.zeros(9)}
    with pytest.warns(ShortRecordingWarning, match="2 of 3 recordings .* 10 .*'s1', 's2'"):
        X, _, groups, _ = windows(given, 10)
    assert X.shape == (1, 10, 1)
    assert groups.tolist() == ["long"]


def test_no_window_at_all_is_an_error():
    message = error_of(windows, {"a": np.zeros(3), "b": np.zeros(7)}, 10)
    assert "no recording has 10 timesteps" in message
    assert "'b' with 7" in message
    assert "length=" in message


# Labels


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_those_of_the_majority(stride, seed):
    rng = np.random.default_rng(seed)
    labels = np.array(["walk", "sit", None, "01", "NA"], dtype=object)[rng.integers(0, 5, 90)]
    labels[40:60] = None
    y = windows(recording(90), 6, stride, label=labels).y
    assert y.tolist() == [majority(row) for row in loop(labels, 6, stride)[0]]


def test_the_first_of_equally_frequent_labels_is_taken():
    y = windows(np.zeros(8), 4, label=["b", "a", "a", "b", "a", "b", "a", "b"]).y
    assert y.tolist() == ["b", "a"]


def test_labels_may_be_those_of_the_last_timestep():
    labels = ["a", "a", "b", "c", "c", None]
    assert windows(np.zeros(6), 3, label=labels, label_from="last").y.tolist() == ["b", None]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 1, 3, 1]),
        np.array([2**63 + 5, 1] * 2, dtype="uint64"),
        np.array([True, False] * 2),
        np.array(["001", "12E2", "nan", "1.10"]),
        [1, "1", 1, "1"],
        pd.Series(["x", "y"] * 2, dtype="category"),
        pd.Series([5, 6] * 2, dtype="Int64"),
        pd.Series(["x", "y"] * 2, index=list("abcd")),
        np.array([0.5, 1.0] * 2),
    ],
    ids=lambda it: str(getattr(it, "dtype", "mixed")),
)
def test_labels_come_out_as_they_went_in(labels):
    y = windows(np.zeros(8), 2, label=np.repeat(np.asarray(labels, dtype=object), 2).tolist()).y
    assert y.tolist() == list(labels)
    y = windows(np.zeros(4), 1, label=labels).y
    assert y.tolist() == list(labels)
    assert [type(one) for one in y.tolist()] == [
        type(one) for one in np.asarray(labels, dtype=object).tolist()
    ]


def test_windows_without_a_label_have_none_or_nan():
    assert windows(np.zeros(4), 2, label=["a", None, None, np.nan]).y.tolist() == ["a", None]
    y = windows(np.zeros(4), 2, label=[1.0, np.nan, np.nan, np.nan]).y
    np.testing.assert_array_equal(y, [1.0, np.nan])


def test_labels_of_several_recordings():
    given = {"a": np.zeros(4), "b": np.zeros(6)}
    each = {"b": ["x"] * 4 + ["y"] * 2, "a": [1] * 4}
    assert windows(given, 2, label=each).y.tolist() == [1, 1, "x", "x", "y"]
    assert windows(given, 2, label={"a": "u", "b": "v"}).y.tolist() == ["u"] * 2 + ["v"] * 3
    assert windows([*given.values()], 2, label=["u", "v"]).y.tolist() == ["u"] * 2 + ["v"] * 3


@pytest.mark.parametrize(
    ("given", "label", "words"),
    [
        (np.zeros(4), ["a"] * 3, ["4 rows and 3 labels"]),
        ({"r": np.zeros(4)}, {"s": ["a"] * 4}, ["different names", "same keys"]),
        ({"r": np.zeros(4)}, "kind", ["label='kind'", "dict or list"]),
        ([np.zeros(4)] * 2, ["a"] * 3, ["2 recordings"]),
    ],
)
def test_labels_that_do_not_fit_are_an_error(given, label, words):
    message = error_of(windows, given, 2, label=label)
    for word in words:
        assert word in message


# Tables


@pytest.mark.parametrize("library", ["pandas", "polars", "shuffled"])
def test_windows_of_a_table_are_those_of_its_recordings(library):
    frame = table()
    given = {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "shuffled": frame.sample(frac=1, random_state=1),
    }[library]
    X, y, groups, starts = windows(
        given, 4.0, 1.5, by="who", time="t", channels=["x", "y"], label="kind"
    )
    names = given["who"].unique().to_list() if library == "polars" else given["who"].unique()
    expected = {name: frame[frame["who"] == name] for name in ("ann", "bob")}
    cuts = {name: loop(it[["x", "y"]].to_numpy(), 8, 3) for name, it in expected.items()}
    assert set(names) == set(groups)
    for name, (values, places) in cuts.items():
        np.testing.assert_array_equal(X[groups == name], values)
        assert starts[groups == name].tolist() == expected[name]["t"].iloc[places].tolist()
        rows = loop(expected[name]["kind"].to_numpy(), 8, 3)[0]
        assert y[groups == name].tolist() == list(map(majority, rows))


def test_lengths_in_rows_and_in_time_are_the_same():
    frame = table()
    in_rows = windows(frame, 8, 3, by="who", time="t", label="kind")
    for unit, extents in {
        "s": (np.timedelta64(4, "s"), "1.5s"),
        "h": (pd.Timedelta("4h"), "1.5h"),
    }.items():
        dates = frame.assign(t=pd.Timestamp("2024-02-28") + pd.to_timedelta(frame["t"], unit=unit))
        in_time = windows(dates, *extents, by="who", time="t", label="kind")
        np.testing.assert_array_equal(in_time.X, in_rows.X)
        np.testing.assert_array_equal(in_time.y, in_rows.y)
        expected = pd.Timestamp("2024-02-28") + pd.to_timedelta(in_rows.starts, unit=unit)
        np.testing.assert_array_equal(in_time.starts, expected)


@pytest.mark.parametrize("zone", [None, "Europe/Zurich"])
@pytest.mark.parametrize("name", [None, "when"])
def test_an_index_of_dates_is_the_time(zone, name):
    dates = pd.date_range("2024-03-31", periods=30, freq="10min", tz=zone, name=name)
    frame = pd.DataFrame({"x": np.arange(30.0)}, index=dates)
    X, _, _, starts = windows(frame, "1h", "30min")
    assert X.shape == (9, 6, 1)
    assert pd.DatetimeIndex(starts).equals(dates[:25:3].rename(None)._with_freq(None))


def test_a_frame_indexed_by_recording_and_time_needs_no_names():
    frame = table()
    indexed = frame.set_index(["who", "t"]).drop(columns="kind")
    for one, other in zip(
        windows(indexed, 4.0),
        windows(frame, 4.0, by="who", time="t", channels=["x", "y"]),
        strict=True,
    ):
        assert one is other is None or (one == other).all()


def test_an_index_of_a_parquet_file_is_the_time(tmp_path):
    frame = pd.DataFrame({"x": np.arange(20.0)}, pd.date_range("2024", periods=20, freq="h"))
    frame.to_parquet(tmp_path / "one.parquet")
    assert windows(tmp_path / "one.parquet", "5h").X.shape == (4, 5, 1)
    both = pd.concat({"a": frame, "b": frame}, names=["who", "when"])
    both.to_parquet(tmp_path / "two.parquet")
    X, _, groups, _ = windows(tmp_path / "two.parquet", "5h")
    assert X.shape == (8, 5, 1)
    assert groups.tolist() == ["a"] * 4 + ["b"] * 4


def test_an_index_that_nobody_named_is_no_channel():
    frame = pd.DataFrame({"x": np.arange(9.0)}, index=pd.Index(np.arange(9.0), name="seconds"))
    assert windows(frame, 3).X.shape == (3, 3, 1)
    X, _, _, starts = windows(frame, 3.0, time="seconds")
    assert X.shape == (3, 3, 1)
    assert starts.tolist() == [0.0, 3.0, 6.0]


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_tables_in_a_collection_are_recordings_and_joined_by_name(kind):
    one, other = table(people=["ann"]), table(people=["ann", "bob"]).iloc[60:]
    frames = {"1": one, "2": other[other.columns[::-1]]}
    given = frames if kind == "dict" else list(frames.values())
    X, y, groups, _ = windows(given, 4.0, time="t", channels=["y", "x"], label="kind")
    both = pd.concat([one, other], ignore_index=True)
    expected = windows(both, 4.0, by="who", time="t", channels=["y", "x"], label="kind")
    np.testing.assert_array_equal(X, expected.X)
    np.testing.assert_array_equal(y, expected.y)
    assert list(dict.fromkeys(groups)) == (["1", "2"] if kind == "dict" else [0, 1])


def test_tables_with_different_channels_are_an_error():
    frame = table(people=["ann"]).drop(columns=["who", "kind"])
    message = error_of(windows, {"p": frame, "q": frame.rename(columns={"y": "z"})}, 4, time="t")
    assert "recording 'q' has the channels ['x', 'z'], recording 'p' has ['x', 'y']" in message


# Files


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_file_gives_what_its_table_gives(tmp_path, suffix):
    frame = table(people=["001", "NA"])
    path = tmp_path / f"all{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    found = windows(path, 4.0, 1.5, by="who", time="t", label="kind")
    expected = windows(frame, 4.0, 1.5, by="who", time="t", label="kind")
    assert found.groups.tolist() == expected.groups.tolist()
    assert found.y.tolist() == expected.y.tolist()
    np.testing.assert_allclose(found.X, expected.X, rtol=1e-12)
    np.testing.assert_allclose(found.starts.astype(float), expected.starts)


def test_files_in_a_list_are_recordings(tmp_path):
    paths = [tmp_path / f"walk.{name}.csv" for name in "ab"]
    for seed, path in enumerate(paths):
        pd.DataFrame({"x": recording(30, 1, seed)[:, 0]}).to_csv(path, index=False)
    X, _, groups, _ = windows(paths, 10)
    assert groups.tolist() == ["walk.a"] * 3 + ["walk.b"] * 3
    np.testing.assert_allclose(X[3:].ravel(), recording(30, 1, 1)[:, 0])


def test_labels_in_an_archive_are_those_of_its_rows(tmp_path):
    labels = np.repeat(["a", "b"], 50)
    np.savez(tmp_path / "one.npz", X=recording(), y=labels)
    assert windows(tmp_path / "one.npz", 10).y.tolist() == labels[::10].tolist()


def test_series_in_an_archive_are_recordings(tmp_path):
    np.savez(tmp_path / "many.npz", X=np.zeros((3, 20, 2)), y=np.array(["a", "b", "c"]))
    _, y, groups, _ = windows(tmp_path / "many.npz", 10)
    assert y.tolist() == ["a", "a", "b", "b", "c", "c"]
    assert groups.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("times", "length", "kind", "expected"),
    [
        (["0.0", "0.50", "1.0", "1.50"], 1.0, float, [0, 1]),
        (
            ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"],
            "2D",
            pd.Timestamp,
            ["2024-02-28", "2024-03-01"],
        ),
        (
            [20240228, 20240229, 20240301, 20240302],
            "2D",
            pd.Timestamp,
            ["2024-02-28", "2024-03-01"],
        ),
        (
            ["2024-03-31T01:00+01:00", *(f"2024-03-31T0{hour}:00+02:00" for hour in (3, 4, 5))],
            "2h",
            pd.Timestamp,
            ["2024-03-31T00:00Z", "2024-03-31T02:00Z"],
        ),
        (
            [f"2024-03-31T0{hour}:00:00.5+02:00" for hour in range(4)],
            "2h",
            pd.Timestamp,
            ["2024-03-30T22:00:00.5Z", "2024-03-31T00:00:00.5Z"],
        ),
        (["00:00:01", "00:00:02", "00:00:03", "00:00:04"], "2s", pd.Timedelta, ["1s", "3s"]),
    ],
    ids=["numbers", "dates", "whole numbers", "two offsets", "zone", "durations"],
)
def test_times_in_any_form_are_read_and_windows_begin_at_them(times, length, kind, expected):
    starts = windows(pd.DataFrame({"t": times, "x": 1.0}), length, time="t").starts
    assert list(map(kind, starts)) == list(map(kind, expected))


def test_dates_in_another_form_are_read_with_their_format():
    frame = pd.DataFrame({"t": ["01/02/2024", "02/02/2024", "03/02/2024"], "x": 1.0})
    starts = windows(frame, "1D", time="t", time_format="%d/%m/%Y").starts
    assert list(map(pd.Timestamp, starts)) == [pd.Timestamp(2024, 2, day) for day in (1, 2, 3)]


# Gaps


def gappy():
    """Return a table with a row every second, without the seconds 13 to 16, and NaN at 30."""
    frame = pd.DataFrame({"t": np.arange(40.0), "x": np.arange(40.0), "y": np.arange(40.0)})
    frame.loc[30, ["x", "y"]] = np.nan
    frame.loc[5, "y"] = np.nan
    return frame.drop(index=[13, 14, 15, 16])


def test_no_window_lies_across_a_gap():
    X, _, _, starts = windows(gappy(), 4, 3, time="t")
    runs = [range(13), range(17, 30), range(31, 40)]
    assert starts.tolist() == [run[s] for run in runs for s in loop(np.array(run), 4, 3)[1]]
    assert not np.isnan(X[:, :, 0]).any()
    assert np.isnan(X[1, 2, 1])


def test_gaps_may_stay_as_missing_values():
    X, _, _, starts = windows(gappy(), 4, 3, time="t", gaps="mask")
    whole = gappy().set_index("t").reindex(np.arange(40.0)).to_numpy()
    expected, places = loop(whole, 4, 3)
    is_kept = ~np.isnan(expected).all(axis=(1, 2))
    np.testing.assert_array_equal(X, expected[is_kept])
    assert starts.tolist() == np.array(places)[is_kept].tolist()


def test_windows_that_begin_in_a_gap_begin_at_the_time_of_the_grid():
    frame = gappy().assign(t=pd.Timestamp("2024-01-01") + pd.to_timedelta(gappy()["t"], unit="s"))
    starts = windows(frame, "6s", "7s", time="t", gaps="mask").starts
    expected = pd.date_range("2024-01-01", periods=5, freq="7s")
    assert pd.DatetimeIndex(starts).equals(
        expected._with_freq(None).as_unit(pd.DatetimeIndex(starts).unit)
    )


def test_only_rows_without_any_value_are_a_gap_of_an_array():
    values = recording(30)
    values[10] = np.nan
    values[20, 1] = np.nan
    assert windows(values, 10).starts.tolist() == [0, 11]


def test_gaps_that_leave_no_window_are_an_error():
    message = error_of(windows, gappy(), 20, time="t")
    assert "no recording has 20 timesteps without a gap" in message
    assert "gaps='mask'" in message


def test_labels_of_missing_timesteps_do_not_count():
    frame = gappy().assign(kind=["a"] * 13 + ["b"] * 23)
    y = windows(frame, 5, time="t", label="kind", channels=["x", "y"], gaps="mask").y
    assert y.tolist() == ["a", "a", "a", "b", "b", "b", "b", "b"]
    frame = gappy().assign(kind=["a"] * 13 + ["b"] * 23)
    last = windows(frame, 5, time="t", label="kind", channels="x", gaps="mask", label_from="last")
    assert last.y.tolist() == ["a", "a", None, "b", "b", "b", "b", "b"]


def test_a_coarser_step_averages_before_the_cut():
    frame = pd.DataFrame({"t": np.arange(12.0), "x": np.arange(12.0), "kind": list("aabbbbcacaca")})
    X, y, _, starts = windows(frame, 2, time="t", step=3, label="kind", channels="x")
    np.testing.assert_array_equal(X.ravel(), [1.0, 4.0, 7.0, 10.0])
    assert starts.tolist() == [0.0, 6.0]
    # Each step has the label of most of its rows: a, b, c, a.
    assert y.tolist() == ["a", "c"]


# What cannot be cut


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 0}, ["length=0", "more than 0"]),
        ({"length": -3}, ["length=-3"]),
        ({"length": True}, ["length=True"]),
        ({"length": float("nan")}, ["length=nan"]),
        ({"length": float("inf")}, ["length=inf"]),
        ({"length": "128"}, ["length='128'", "unit", "128"]),
        ({"length": "soon"}, ["length='soon'"]),
        ({"length": None}, ["length=None"]),
        ({"length": pd.NaT}, ["length=NaT"]),
        ({"length": [5]}, ["length=[5]"]),
        ({"length": 8, "stride": 0}, ["stride=0"]),
        ({"length": 8, "stride": 1.0}, ["length=8 and stride=1.0 do not match", "128", "2.56"]),
        ({"length": "8s", "stride": 4}, ["length='8s' and stride=4 do not match"]),
        ({"length": 8.0, "stride": "4s"}, ["length=8.0 and stride='4s' do not match"]),
        ({"length": 8, "gaps": "drop"}, ["gaps='drop'", "'split'", "'mask'"]),
        ({"length": 8, "label_from": "first"}, ["label_from='first'", "'majority'", "'last'"]),
    ],
)
def test_a_cut_that_is_impossible_is_an_error(options, words):
    message = error_of(windows, recording(), **options)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (1.3, ["length=1.3 is 2.6 timesteps of 0.5", "Pass 1.0 or 1.5."]),
        (0.1, ["length=0.1 is 0.2 timesteps of 0.5", "Pass 0.5."]),
        ("4s", ["length='4s'", "times are numbers", "such as 2.56"]),
    ],
)
def test_a_duration_has_to_be_a_whole_number_of_timesteps(length, words):
    message = error_of(windows, table(), length, by="who", time="t", channels="x")
    for word in words:
        assert word in message


def test_durations_of_dates_have_a_unit():
    frame = table().assign(t=pd.Timestamp("2024-01-01") + pd.to_timedelta(table()["t"], unit="s"))
    message = error_of(windows, frame, 4.0, by="who", time="t", channels="x")
    assert "length=4.0, but the times are dates" in message
    message = error_of(windows, frame, "1.75s", by="who", time="t", channels="x")
    assert "Pass '1.5s' or '2s'." in message


def test_a_duration_that_is_whole_up_to_rounding_is_whole():
    frame = pd.DataFrame({"t": (np.arange(1000) * np.float64(0.02)).round(6), "x": 1.0})
    assert windows(frame, 2.56, 1.28, time="t").X.shape == (14, 128, 1)
    frame = pd.DataFrame({"t": np.arange(1000, dtype="float32") / np.float32(50), "x": 1.0})
    assert windows(frame, 2.56, 1.28, time="t", step=0.02).X.shape == (14, 128, 1)


@pytest.mark.parametrize("options", [{}, {"time": "t", "step": None}])
def test_a_duration_needs_regular_times(options):
    frame = table(people=["ann"])
    message = error_of(windows, frame, 4.0, channels="x", **options)
    assert "length=4.0 is a duration" in message
    assert "time=..." in message


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (np.zeros(9), {"by": "who"}, ["by='who'", "no columns"]),
        (np.zeros(9), {"time": "t"}, ["time='t'", "no columns"]),
        ({"a": table()}, {"by": "who"}, ["by='who'", "recording of its own"]),
        ({"a": table(), "b": np.zeros(9)}, {}, ["recording 'b' is no table"]),
        ({}, {}, ["0 recordings"]),
        ([], {}, ["shape (0, 1)"]),
        (np.zeros((2, 3, 4, 5)), {}, ["shape (2, 3, 4, 5)"]),
        ([np.zeros((5, 2)), np.zeros((5, 3))], {}, ["recording 1 has 3 channels", "0 has 2"]),
        (["a.csv", np.zeros(9)], {}, ["a.csv"]),
        (table(), {}, ["column 'who'", "channels=[...]"]),
        (table().iloc[:0], {"channels": "x"}, ["0 rows"]),
        (table(), {"channels": "z"}, ["no column 'z'"]),
        (table(), {"channels": "x", "label": "z"}, ["no column 'z'"]),
        (np.array(["a", "b"]), {}, ["recording 0", "real numbers"]),
    ],
)
def test_what_holds_no_recordings_is_an_error(given, options, words):
    with pytest.raises((InputError, FileNotFoundError)) as caught:
        windows(given, 2, **options)
    for word in words:
        assert word in str(caught.value)


def test_text_is_an_error_of_type():
    with pytest.raises(InputTypeError, match="recording 'a'"):
        windows({"a": np.array(["x", "y"])}, 1)


# Windows that overlap


@pytest.mark.parametrize(
    ("length", "stride", "n"),
    [
        (8, None, 0),
        (8, 8, 0),
        (8, 9, 0),
        (8, 7, 1),
        (8, 4, 1),
        (8, 1, 7),
        ("3s", "2s", 1),
        (0.3, 0.1, 2),
        ("2.56s", "1.28s", 1),
        (2.56, 0.02, 127),
    ],
)
def test_windows_that_share_timesteps_are_counted(length, stride, n):
    assert Cut(length, stride).n_overlapping == n


def test_values_of_overlapping_windows_are_averaged_as_by_a_loop():
    rng = np.random.default_rng(0)
    starts, values = [0, 3, 5, 12], [rng.normal(size=(6, 2)) for _ in range(4)]
    values[1][2, 0] = np.nan
    found = overlap_mean(values, starts, 20)
    for step in range(20):
        for column in range(2):
            own = [
                one[step - start, column]
                for one, start in zip(values, starts, strict=True)
                if start <= step < start + 6
            ]
            observed = [value for value in own if not np.isnan(value)]
            expected = np.mean(observed) if observed else np.nan
            np.testing.assert_allclose(found[step, column], expected)


def test_windows_without_overlap_are_the_recording():
    recording = np.arange(12.0)
    X, _, _, starts = windows(recording[:, None], 4)
    np.testing.assert_array_equal(overlap_mean(X[:, :, 0], starts), recording)


@pytest.mark.parametrize(
    ("starts", "says"),
    [([0], "there are 2 windows"), ([0, 7], "within the 8 timesteps"), ([0, 0.5], "whole numbers")],
)
def test_windows_outside_the_recording_are_an_error(starts, says):
    with pytest.raises(InputError, match=says):
        overlap_mean(np.zeros((2, 3)), starts, 8)
