"""Tables as arrays on disk: what `read` returns at once, in the memory of one batch."""

import numpy as np
import pandas as pd
import pytest

from seqfeat import WholeTableWarning, read_into
from seqfeat.series import as_series, read
from tests.memory import peak_of
from tests.series.inputs import error_of

COLUMNS = {"series_id": "meter", "time": "day", "label": "kind"}


@pytest.fixture
def long():
    """Forty series of 5 to 12 rows."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 13, 40)
    meter = np.repeat(np.arange(40), lengths)
    day = np.concatenate([np.arange(length) for length in lengths])
    frame = pd.DataFrame({"meter": meter, "day": day, "load": rng.normal(size=len(day))})
    return frame.assign(heat=rng.integers(0, 9, len(day)), kind=np.where(meter % 2, "a", "b"))


def write_folder(frame, folder, n_files=3):
    """Write a folder of Parquet files as other programs do, its name without a suffix."""
    folder.mkdir()
    size = -(-len(frame) // n_files)
    for number in range(n_files):
        part = frame.iloc[number * size : (number + 1) * size]
        part.to_parquet(folder / f"part-{number:03d}.parquet", index=False)
    return folder


@pytest.mark.parametrize("batch_bytes", [1000, None])
def test_a_folder_of_long_tables_becomes_an_array(long, batch_bytes, tmp_path):
    folder = write_folder(long, tmp_path / "meters")
    X, y = read_into(folder, tmp_path / "new" / "X.npy", **COLUMNS, batch_bytes=batch_bytes)
    whole, labels = read(folder, **COLUMNS)
    assert isinstance(X, np.memmap)
    assert (X.shape, X.dtype, X.flags.writeable) == ((40, 12, 2), np.float64, False)
    np.testing.assert_array_equal(X, as_series(whole).values)
    np.testing.assert_array_equal(as_series(X, missing="mask").lengths, as_series(whole).lengths)
    pd.testing.assert_series_equal(y, labels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["X.npy"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_folder_of_wide_tables_becomes_a_table(dtype, tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 12))
    frame = pd.DataFrame(100 * values, columns=list("abcdefghijkl")).astype(dtype)
    folder = write_folder(frame.assign(kind=np.arange(40) % 3), tmp_path / "meters")
    X, y = read_into(folder, tmp_path / "X.npy", label="kind", batch_bytes=500)
    np.testing.assert_array_equal(X, frame)
    assert (X.dtype, y.tolist()) == (dtype, [row % 3 for row in range(40)])
    assert as_series(X).form == "table"


@pytest.mark.parametrize("batch_bytes", [1, None])
def test_integers_of_unequal_length_are_padded_with_nan(long, tmp_path, batch_bytes):
    path = tmp_path / "meters.csv"
    long = long[long["meter"] < 6]
    long[["meter", "day", "heat"]].to_csv(path, index=False)
    columns = {"series_id": "meter", "time": "day"}
    X, y = read_into(path, tmp_path / "X.npy", **columns, batch_bytes=batch_bytes)
    assert y is None
    assert X.dtype == np.float64
    np.testing.assert_array_equal(
        (~np.isnan(X[:, :, 0])).sum(axis=1), long.groupby("meter").size().to_numpy()
    )


def test_arrays_are_copied_too(tmp_path):
    rows = np.arange(60.0).reshape(10, 3, 2)
    np.savez(tmp_path / "rows.npz", X=rows, y=np.arange(10) % 2)
    X, y = read_into(tmp_path / "rows.npz", tmp_path / "X.npy", batch_bytes=100)
    np.testing.assert_array_equal(X, rows)
    np.testing.assert_array_equal(y, np.arange(10) % 2)


def test_memory_is_that_of_a_batch(tmp_path):
    n_days, peaks = 2000, []
    for n_series in (20, 60):
        load = np.random.default_rng(0).normal(size=n_series * n_days)
        frame = pd.DataFrame({"meter": np.repeat(np.arange(n_series), n_days), "load": load})
        frame["day"] = np.tile(np.arange(n_days), n_series)
        folder = write_folder(frame, tmp_path / f"{n_series} meters", n_files=n_series // 5)

        def convert(folder=folder):
            options = {"series_id": "meter", "time": "day", "batch_bytes": 2**18}
            return read_into(folder, tmp_path / "X.npy", **options).X

        peak, X = peak_of(convert)
        np.testing.assert_array_equal(X.ravel(), load)
        peaks.append(peak)
    assert peaks[1] < 1.3 * peaks[0]


def test_a_table_that_is_not_grouped_by_series_is_read_whole_with_a_warning(long, tmp_path):
    scattered = write_folder(long.sort_values("day"), tmp_path / "scattered")
    with pytest.warns(WholeTableWarning, match="the whole table is read into memory"):
        X, _ = read_into(scattered, tmp_path / "X.npy", **COLUMNS)
    assert len(X) == 40


def test_an_error_leaves_the_target_as_it_was(long, tmp_path):
    np.save(tmp_path / "X.npy", np.ones(3))
    frame = long.assign(day=long["day"].where(long["meter"] < 38))
    folder = write_folder(frame, tmp_path / "meters")
    message = error_of(read_into, folder, tmp_path / "X.npy", **COLUMNS, batch_bytes=500)
    assert "has no time point" in message
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), np.ones(3))
    assert len(list(tmp_path.iterdir())) == 2


def test_an_error_in_the_second_pass_leaves_the_target_as_it_was(long, tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", np.ones(3))
    folder = write_folder(long, tmp_path / "meters")

    def fail(path, **options):
        path.write_bytes(b"half of an array")
        raise OSError("the disk is full")

    monkeypatch.setattr("seqfeat.series.files.read_into.new_file", fail)
    with pytest.raises(OSError, match="the disk is full"):
        read_into(folder, tmp_path / "X.npy", **COLUMNS)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), np.ones(3))
    assert len(list(tmp_path.iterdir())) == 2


def test_the_target_has_to_be_an_npy_file(tmp_path):
    message = error_of(read_into, tmp_path / "meters", "X.zarr", **COLUMNS)
    assert message.startswith("target='X.zarr'; the target must be a .npy file")


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    message = error_of(read_into, tmp_path / "empty", tmp_path / "X.npy")
    assert "empty is a folder without .parquet files" in message
    assert not (tmp_path / "X.npy").exists()
