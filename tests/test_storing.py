"""Tables as arrays on disk: what `read` returns at once, in the memory of a part."""

import numpy as np
import pandas as pd
import pytest
from tests.memory import peak_of

from seqfeat import InputError, LSTMAutoencoder, WholeTableWarning, read_into
from seqfeat.exceptions import InputTypeError
from seqfeat.series import as_series, read

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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


@pytest.fixture
def wide():
    values = np.random.default_rng(0).normal(size=(40, 12))
    return pd.DataFrame(values, columns=list("abcdefghijkl"))


def folder_of(frame, folder, n_files=5):
    """Write a folder of Parquet files as other programs do, its name without a suffix."""
    folder.mkdir()
    size = -(-len(frame) // n_files)
    for number in range(n_files):
        part = frame.iloc[number * size : (number + 1) * size]
        part.to_parquet(folder / f"part-{number:03d}.parquet", index=False)
    return folder


@pytest.mark.parametrize("batch_bytes", [1, 1000, None])
def test_a_folder_of_long_tables_becomes_an_array(long, batch_bytes, tmp_path):
    folder = folder_of(long, tmp_path / "meters")
    X, y = read_into(folder, tmp_path / "new" / "X.npy", **COLUMNS, batch_bytes=batch_bytes)
    whole, labels = read(folder, **COLUMNS)
    assert isinstance(X, np.memmap)
    assert (X.shape, X.dtype, X.flags.writeable) == ((40, 12, 2), np.float64, False)
    expected = as_series(whole).values
    np.testing.assert_array_equal(X, expected)
    pd.testing.assert_series_equal(y, labels)
    model = LSTMAutoencoder(4, max_iter=2, missing="mask", random_state=0)
    loss_curve = model.fit(whole).loss_curve_
    assert model.fit(X).loss_curve_ == loss_curve
    np.testing.assert_array_equal(model.transform(X), model.transform(whole))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["X.npy"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_folder_of_wide_tables_becomes_a_table(wide, dtype, tmp_path):
    frame = (100 * wide).astype(dtype)
    folder = folder_of(frame.assign(kind=np.arange(40) % 3), tmp_path / "meters")
    X, y = read_into(folder, tmp_path / "X.npy", label="kind", batch_bytes=500)
    np.testing.assert_array_equal(X, frame)
    assert (X.dtype, y.tolist()) == (dtype, [row % 3 for row in range(40)])
    assert LSTMAutoencoder(4, max_iter=1).fit(X).is_table_


def test_whole_numbers_of_unequal_length_have_nan_behind_them(long, tmp_path):
    path = tmp_path / "meters.csv"
    long[["meter", "day", "heat"]].to_csv(path, index=False)
    X, y = read_into(path, tmp_path / "X.npy", series_id="meter", time="day")
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


def test_memory_is_that_of_a_part(tmp_path):
    n_series = 200
    meter, day = np.repeat(np.arange(n_series), 200), np.tile(np.arange(200), n_series)
    load = np.random.default_rng(0).normal(size=len(day))
    frame = pd.DataFrame({"meter": meter, "day": day, "load": load})
    folder = folder_of(frame, tmp_path / "meters", n_files=10)
    columns = {"series_id": "meter", "time": "day"}

    def stored():
        return read_into(folder, tmp_path / "X.npy", **columns, batch_bytes=2**15).X

    whole, _ = peak_of(lambda: read(folder, **columns).X)
    parts, X = peak_of(stored)
    assert parts < whole / 5
    np.testing.assert_array_equal(X.ravel(), load)


def test_an_error_leaves_the_target_as_it_was(long, tmp_path):
    np.save(tmp_path / "X.npy", np.ones(3))
    folder = folder_of(long.assign(day=long["day"].where(long["meter"] < 38)), tmp_path / "meters")
    with pytest.raises(InputError):
        read_into(folder, tmp_path / "X.npy", **COLUMNS, batch_bytes=500)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), np.ones(3))
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_is_refused(long, tmp_path):
    folder = folder_of(long, tmp_path / "meters")
    with pytest.raises(InputError, match=r"target='X\.zarr'; an array of series is called \*\.npy"):
        read_into(folder, "X.zarr", **COLUMNS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty is a folder without \.parquet files; .*folders"):
        read_into(tmp_path / "empty", tmp_path / "X.npy")
    scattered = folder_of(long.sort_values("day"), tmp_path / "scattered")
    with pytest.warns(WholeTableWarning, match="is read whole"):
        X, _ = read_into(scattered, tmp_path / "X.npy", **COLUMNS)
    assert len(X) == 40


def test_a_dask_table_of_a_row_for_each_series_is_fitted_as_an_array(wide, tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.read_parquet(folder_of(wide, tmp_path / "wide"))
    model = LSTMAutoencoder(4, max_iter=2, random_state=0)
    with pytest.raises(InputTypeError, match=r"X is a Dask DataFrame.*to_dask_array.*read_into"):
        model.fit(frame)
    loss_curve = model.fit(wide.to_numpy()).loss_curve_
    assert model.fit(frame.to_dask_array(lengths=True)).loss_curve_ == loss_curve
