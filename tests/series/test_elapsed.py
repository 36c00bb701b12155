"""The time since the row before as a channel: the same on every path, and worth something."""

import numpy as np
import pandas as pd
import pytest

from seqfeat import InputError, make_classifier, read_into
from seqfeat.series import from_long, read, read_batches

DATES = pd.to_datetime(
    [
        "2024-03-30 12:00:00",
        "2024-03-31 12:00:00",
        "2024-03-31 12:00:30",
        "2023-01-01 00:00:00",
        "2023-01-01 00:01:00",
    ]
)
FRAME = pd.DataFrame({"id": ["a", "a", "a", "b", "b"], "when": DATES, "v": [1.0, 2, 3, 4, 5]})
EXPECTED = {"a": [0.0, 86400.0, 30.0], "b": [0.0, 60.0]}


def gaps_of(X):
    return {name: series[:, -1].tolist() for name, series in X.items()}


def test_gaps_between_dates_are_seconds():
    X, _ = from_long(FRAME, "id", "when", elapsed=True)
    assert gaps_of(X) == EXPECTED
    np.testing.assert_array_equal(X["a"][:, 0], [1, 2, 3])


def test_on_a_local_clock_it_is_the_time_that_passed():
    """The clocks of Berlin were put forward in that night."""
    local = FRAME.assign(when=FRAME["when"].dt.tz_localize("Europe/Berlin"))
    assert gaps_of(from_long(local, "id", "when", elapsed=True).X)["a"] == [0.0, 82800.0, 30.0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_seconds_are_seconds_in_any_resolution(unit):
    frame = FRAME.assign(when=FRAME["when"].astype(f"datetime64[{unit}]"))
    assert gaps_of(from_long(frame, "id", "when", elapsed=True).X) == EXPECTED


def test_numbers_keep_their_unit_and_large_ones_their_differences():
    times = np.array([2**62, 2**62 + 3, 2**62 + 10, 7, 5])
    X, _ = from_long(FRAME.assign(when=times), "id", "when", elapsed=True)
    assert gaps_of(X) == {"a": [0.0, 3.0, 7.0], "b": [0.0, 2.0]}


def test_rows_may_be_in_any_order():
    X, _ = from_long(FRAME.iloc[[3, 1, 4, 0, 2]], "id", "when", elapsed=True)
    assert gaps_of(X) == EXPECTED


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_way_to_read_a_file_gives_the_same_channel(suffix, tmp_path):
    path = tmp_path / f"long{suffix}"
    FRAME.to_csv(path, index=False) if suffix == ".csv" else FRAME.to_parquet(path)
    roles = {"series_id": "id", "time": "when", "elapsed": True}
    assert gaps_of(read(path, **roles).X) == EXPECTED
    parts = [gaps_of(X) for X, _ in read_batches(path, **roles, batch_bytes=1)]
    assert [*parts[0], *parts[1]] == ["a", "b"]
    assert {**parts[0], **parts[1]} == EXPECTED
    array, _ = read_into(path, tmp_path / "long.npy", **roles)
    np.testing.assert_array_equal(array[0, :, 1], EXPECTED["a"])


def test_a_frame_with_an_index_has_it_too(tmp_path):
    FRAME.set_index(["id", "when"]).to_parquet(tmp_path / "indexed.parquet")
    assert gaps_of(read(tmp_path / "indexed.parquet", elapsed=True).X) == EXPECTED


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"step": 5}, "elapsed=True says how much time is between the rows, and step=5"),
        ({"time": None, "channels": ["v"]}, "elapsed=True needs the column with the time points"),
    ],
)
def test_what_contradicts_it_is_an_error(options, says):
    with pytest.raises(InputError, match=says):
        from_long(FRAME, **{"series_id": "id", "time": "when", "elapsed": True, **options})


def test_a_column_of_that_name_is_an_error(tmp_path):
    frame = FRAME.assign(elapsed=1.0)
    frame.to_csv(tmp_path / "long.csv", index=False)
    says = "has a column 'elapsed' among the channels"
    with pytest.raises(InputError, match=says):
        from_long(frame, "id", "when", elapsed=True)
    with pytest.raises(InputError, match=says):
        read(tmp_path / "long.csv", series_id="id", time="when", elapsed=True)


def test_files_without_columns_have_no_time(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 4, 1)))
    for function in (read, read_batches):
        with pytest.raises(InputError, match=r"elapsed=True, but x.npy holds arrays"):
            function(tmp_path / "x.npy", elapsed=True)


def test_where_only_the_gaps_differ_they_tell_the_classes_apart():
    """Values are noise; in one class, rows come in bursts."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(120):
        gaps = rng.exponential(1.0, 40) if number % 2 else rng.uniform(0.5, 1.5, 40)
        times = np.cumsum(gaps / gaps.mean())
        rows += [
            (number, time, value) for time, value in zip(times, rng.normal(size=40), strict=True)
        ]
    frame = pd.DataFrame(rows, columns=["id", "time", "value"])
    y = np.arange(120) % 2
    scores = {}
    for elapsed in (False, True):
        X, _ = from_long(frame, "id", "time", step=None, elapsed=elapsed)
        model = make_classifier(16, max_iter=0, random_state=0).fit(X.iloc[:80], y[:80])
        scores[elapsed] = model.score(X.iloc[80:], y[80:])
    assert scores[True] > 0.9
    assert scores[False] < 0.7
