"""Files read in batches: the same series as at once, in the memory of one batch."""

import numpy as np
import pandas as pd
import pytest

from seqfeat import WholeTableWarning
from seqfeat.series import read, read_batches
from seqfeat.series.files.streaming import even_step, split_batches
from tests.memory import peak_of
from tests.series.inputs import assert_series_equal, error_of

COLUMNS = {"series_id": "meter", "time": "day", "label": "kind"}


@pytest.fixture
def long():
    """Thirty series of 1 to 8 rows; some have a row every fourth day, others every second day."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "meter": f"m{series}",
                "day": np.arange(length) * (2 if series % 3 else 4),
                "load": rng.normal(size=length),
                "heat": rng.integers(0, 9, length),
                "kind": "shop" if series % 2 else "home",
            }
        )
        for series, length in enumerate(rng.integers(1, 9, 30))
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def wide():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 6)), columns=list("uvwxyz"))
    return frame.assign(name=[f"n{row}" for row in range(20)], kind=["home", "shop"] * 10)


def save(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=frame.index.nlevels > 1, row_group_size=7)
    else:
        frame.to_csv(path, index=False)
    return path


def joined(parts):
    is_pandas = isinstance(parts[0], (pd.DataFrame, pd.Series))
    return pd.concat(parts) if is_pandas else np.concatenate(parts)


def batches_of(path, **options):
    return list(read_batches(path, **options))


# What `read` returns at once


@pytest.mark.parametrize(
    ("name", "batch_bytes", "least", "most"),
    [
        ("long.csv", 1, 30, 30),
        ("long.csv", 1000, 3, 20),
        ("long.csv", 10**6, 2, 2),
        ("long.csv.gz", 1000, 3, 20),
        ("long.parquet", 1, 30, 30),
        ("long.parquet", 1000, 3, 20),
    ],
)
def test_batches_of_a_long_table_make_up_the_whole(tmp_path, long, name, batch_bytes, least, most):
    path = save(long, tmp_path / name)
    X, y = read(path, **COLUMNS)
    batches = batches_of(path, **COLUMNS, batch_bytes=batch_bytes)
    assert_series_equal(joined([batch.X for batch in batches]), X)
    pd.testing.assert_series_equal(joined([batch.y for batch in batches]), y)
    # The last series of a chunk is held back, as it may go on in the next.
    assert least <= len(batches) <= most


@pytest.mark.parametrize(
    ("name", "batch_bytes"),
    [("wide.csv", 1), ("wide.csv", 500), ("wide.csv", 10**6), ("wide.parquet", 500)],
)
@pytest.mark.parametrize("options", [{"series_id": "name", "label": "kind"}, {"label": "kind"}])
def test_batches_of_a_wide_table_make_up_the_whole(tmp_path, wide, name, batch_bytes, options):
    if "series_id" not in options:
        wide = wide.drop(columns="name")
    path = save(wide, tmp_path / name)
    X, y = read(path, **options)
    batches = batches_of(path, **options, batch_bytes=batch_bytes)
    pd.testing.assert_frame_equal(joined([batch.X for batch in batches]), X, check_index_type=False)
    pd.testing.assert_series_equal(
        joined([batch.y for batch in batches]), y, check_index_type=False
    )


def test_a_frame_that_was_saved_with_an_index_comes_in_batches(tmp_path, long):
    path = tmp_path / "indexed.parquet"
    long.set_index(["meter", "day"])[["load", "heat"]].to_parquet(path, row_group_size=7)
    batches = batches_of(path, batch_bytes=300)
    assert len(batches) > 1
    assert_series_equal(joined([batch.X for batch in batches]), read(path).X)


def test_a_folder_of_parquet_files_comes_in_batches(tmp_path, long):
    folder = tmp_path / "days.parquet"
    folder.mkdir()
    for place, start in enumerate(range(0, len(long), 60)):
        long.iloc[start : start + 60].to_parquet(folder / f"part-{place}.parquet", index=False)
    batches = batches_of(folder, **COLUMNS, batch_bytes=1000)
    assert len(batches) > 1
    assert_series_equal(joined([batch.X for batch in batches]), read(folder, **COLUMNS).X)


def test_arrays_come_in_batches(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 10, 2))
    labels, lengths = np.arange(30) % 3, 1 + np.arange(30) % 10
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", X=rows, y=labels, lengths=lengths)
    save_to_ts_file = pytest.importorskip("aeon.datasets").save_to_ts_file
    save_to_ts_file(
        rows.transpose(0, 2, 1),
        labels,
        label_type="classification",
        problem_name="rows",
        path=str(tmp_path),
    )
    for name, n_batches in (("rows.npy", 10), ("rows.npz", 6), ("rows.ts", 10)):
        whole = read(tmp_path / name)
        batches = batches_of(tmp_path / name, batch_bytes=3 * 160)
        assert len(batches) == n_batches
        for left, right in zip(joined([batch.X for batch in batches]), whole.X, strict=True):
            np.testing.assert_array_equal(left, right)
        if whole.y is not None:
            np.testing.assert_array_equal(joined([batch.y for batch in batches]), whole.y)


def test_batches_of_an_npy_file_are_memory_mapped(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((10, 4)))
    for X, _ in read_batches(tmp_path / "rows.npy", batch_bytes=64):
        assert isinstance(X, np.memmap)
        assert len(X) == 2


def test_series_in_memory_are_split_into_batches_of_a_size(tmp_path, long):
    labelled = read(save(long, tmp_path / "long.csv"), **COLUMNS)
    batches = list(split_batches(labelled, 500))
    assert len(batches) > 1
    assert_series_equal(joined([batch.X for batch in batches]), labelled.X)
    assert joined([batch.y for batch in batches]).equals(labelled.y)


@pytest.mark.parametrize(("name", "few", "many"), [("x.csv", 60, 120), ("x.parquet", 20, 60)])
def test_memory_is_that_of_a_batch(tmp_path, name, few, many):
    path, n_days = tmp_path / name, 200
    peaks = []
    for n_series in (few, many):
        load = np.random.default_rng(0).normal(size=n_series * n_days)
        frame = pd.DataFrame({"meter": np.repeat(np.arange(n_series), n_days), "load": load})
        frame["day"] = np.tile(np.arange(n_days), n_series)
        save = frame.to_csv if path.suffix == ".csv" else frame.to_parquet
        save(path, index=False, **({} if path.suffix == ".csv" else {"row_group_size": 1000}))

        def count():
            options = {"series_id": "meter", "time": "day", "batch_bytes": 2**15}
            return sum(len(X) for X, _ in read_batches(path, **options))

        peak, n_read = peak_of(count)
        assert n_read == n_series
        peaks.append(peak)
    assert peaks[1] < 1.3 * peaks[0]


# The step of the whole table


def test_the_step_is_that_of_the_whole_table(tmp_path, long):
    # On its own, a batch with a row every fourth day would have a step of four days.
    sparse = long[long["meter"].isin(["m0", "m3"])]
    path = save(pd.concat([sparse, long[long["meter"] == "m1"]]), tmp_path / "long.csv")
    X, _ = read(path, **COLUMNS)
    assert np.isnan(X["m0"]).any()
    batches = batches_of(path, **COLUMNS, batch_bytes=1)
    assert_series_equal(joined([batch.X for batch in batches]), X)
    assert even_step(path, series_id="meter", time="day") == 2


@pytest.mark.parametrize("name", ["dated.csv", "dated.parquet"])
def test_the_step_of_dates_is_a_duration(tmp_path, long, name):
    days = pd.Timestamp("2026-01-31") + pd.to_timedelta(long["day"], unit="D")
    path = save(long.assign(day=days), tmp_path / name)
    batches = batches_of(path, **COLUMNS, batch_bytes=1000)
    assert_series_equal(joined([batch.X for batch in batches]), read(path, **COLUMNS).X)
    assert even_step(path, series_id="meter", time="day") == pd.Timedelta("2D")


def test_tables_without_times_have_no_step(tmp_path, long, wide):
    assert even_step(save(wide, tmp_path / "wide.csv")) is None
    path = save(long[["meter", "load"]], tmp_path / "long.csv")
    batches = batches_of(path, series_id="meter", channels="load", batch_bytes=200)
    whole = read(path, series_id="meter", channels="load").X
    assert_series_equal(joined([batch.X for batch in batches]), whole)


# Rows and ids that chunks could break


def test_a_table_that_is_not_grouped_by_series_is_read_whole_with_a_warning(tmp_path, long):
    path = save(long.sort_values("day", kind="stable"), tmp_path / "by_time.csv")
    with pytest.warns(WholeTableWarning, match=r"rows of series m\d+ are not together in by_time"):
        batches = batches_of(path, **COLUMNS, batch_bytes=500)
    assert len(batches) == 1
    assert_series_equal(batches[0].X, read(path, **COLUMNS).X)


def test_ids_that_become_text_late_are_text_from_the_start(tmp_path):
    # Chunk by chunk, pandas would read "007" as 7 up to the first id with a letter.
    frame = pd.DataFrame(
        {"id": ["007"] * 3 + ["008"] * 3 + ["A9"] * 3, "t": [0, 1, 2] * 3, "v": 1.5}
    )
    path = save(frame, tmp_path / "ids.csv")
    options = {"series_id": "id", "time": "t"}
    batches = batches_of(path, **options, batch_bytes=1)
    assert [name for X, _ in batches for name in X.index] == ["007", "008", "A9"]
    assert read(path, **options).X.index.tolist() == ["007", "008", "A9"]


def test_ids_are_read_alike_in_a_table_of_any_size(tmp_path):
    # With low_memory pandas guesses the dtypes of a large file piece by piece.
    ids = [*map(str, range(60_000)), "A"]
    path = save(pd.DataFrame({"id": [*ids, "5"], "v": 1.5}), tmp_path / "many.csv")
    X, _ = read(path, series_id="id", channels="v")
    assert X.index.tolist() == ids
    assert len(X["5"]) == 2


def test_an_id_that_comes_back_in_a_wide_table_is_named(tmp_path, wide):
    path = save(pd.concat([wide, wide.iloc[:1]]), tmp_path / "wide.csv")
    message = error_of(batches_of, path, series_id="name", label="kind", batch_bytes=256)
    assert "n0 occurs more than once" in message
    assert message.startswith("in the part of the table after its first 20 rows: ")


@pytest.mark.parametrize("name", ["long.csv", "long.parquet"])
def test_a_row_without_an_id_is_named_by_its_place_in_the_table(tmp_path, long, name):
    long.loc[83, "meter"] = None
    path = save(long, tmp_path / name)
    message = error_of(batches_of, path, **COLUMNS, batch_bytes=1000)
    assert message.startswith("row 83 has no series id (meter is missing)")


def test_errors_say_after_which_row_they_count(tmp_path, long):
    long.loc[100, "day"] = long.loc[99, "day"]
    path = save(long, tmp_path / "long.csv")
    with pytest.raises(ValueError, match=r"after its first \d+ rows: series m\d+ has more than"):
        batches_of(path, **COLUMNS, batch_bytes=500)
    message = error_of(batches_of, path, **COLUMNS)
    assert message.startswith(f"series {long.loc[100, 'meter']} has more than one row")


# What `read` rejects


@pytest.mark.parametrize("reader", [read, batches_of])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"series_id": "metre", "time": "day"}, "there is no column 'metre'"),
        ({"time": "day"}, "a long table needs series_id"),
        ({"series_id": "meter", "time": "day", "channels": ["cold"]}, "there is no column 'cold'"),
        ({"series_id": "metre"}, "there is no column 'metre'"),
    ],
)
def test_batches_reject_what_read_rejects(tmp_path, long, reader, options, says):
    path = save(long, tmp_path / "long.csv")
    assert error_of(reader, path, **options).startswith(says)


@pytest.mark.parametrize("name", ["empty.csv", "empty.parquet"])
def test_a_table_without_rows_is_rejected(tmp_path, long, wide, name):
    path = save(long.iloc[:0], tmp_path / name)
    assert "0 rows" in error_of(batches_of, path, **COLUMNS)
    path = save(wide.iloc[:0], tmp_path / name)
    assert "no rows" in error_of(batches_of, path, series_id="name", label="kind")
