import numpy as np
import pytest

from seqfeat.exceptions import InputTypeError
from seqfeat.series import as_series
from seqfeat.series import series as series_module
from seqfeat.series.lazy_array import LazyArray
from tests.series.inputs import error_of
from tests.series.stores import EVERY_STORE

da = pytest.importorskip("dask.array")
N_SAMPLES = 90


def values(dtype=np.float64):
    return (100 * np.random.default_rng(0).normal(size=(N_SAMPLES, 16, 2))).astype(dtype)


@EVERY_STORE
def test_rows_are_those_of_the_array_in_memory(store, tmp_path):
    X = values()
    lazy = LazyArray(store(X, tmp_path))
    assert (lazy.shape, lazy.ndim, len(lazy)) == (X.shape, 3, N_SAMPLES)
    rows = np.random.default_rng(2).permutation(N_SAMPLES)[:40]
    for key in (
        slice(3, 50),
        slice(None),
        slice(10, 80, 7),
        slice(5, 5),
        rows,
        np.sort(rows),
        rows[:0],
        np.array([4, 4, 4, 89]),
        (slice(2, 9), slice(0, 5)),
        (rows, slice(0, 5)),
        (6, slice(0, 3), 1),
        (6, 2, 1),
    ):
        np.testing.assert_array_equal(lazy[key], X[key])


@EVERY_STORE
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float16])
def test_rows_have_the_dtype_of_the_array_in_memory(store, dtype, tmp_path):
    X = values(dtype)
    lazy = LazyArray(store(X, tmp_path))
    assert lazy.dtype == lazy[3:5].dtype == as_series(X).values.dtype
    np.testing.assert_array_equal(lazy[3:5], X[3:5])
    rows = np.array([70, 2, 31])
    assert lazy[rows].dtype == lazy[10:80:7].dtype == lazy[6, :3].dtype == lazy.dtype
    np.testing.assert_array_equal(lazy[rows], X[rows])


@EVERY_STORE
def test_series_and_tables_are_those_of_the_array_in_memory(store, tmp_path):
    for X in (values(), values()[:, :, 0]):
        (tmp_path / f"{X.ndim}D").mkdir()
        series, expected = as_series(store(X, tmp_path / f"{X.ndim}D")), as_series(X)
        assert series.is_lazy
        assert series.form == expected.form
        np.testing.assert_array_equal(series.lengths, expected.lengths)
        np.testing.assert_array_equal(series.values[:], expected.values)


@EVERY_STORE
def test_series_are_checked_block_by_block(store, tmp_path, monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 16 * 2 * 8 * 12)
    reads, read = [], LazyArray._read

    def recorded(self, start, stop):
        reads.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(LazyArray, "_read", recorded)
    X = values()
    X[::3, 9:] = X[7, 3, 1] = np.nan
    series = as_series(store(X, tmp_path), missing="mask")
    np.testing.assert_array_equal(series.lengths, as_series(X, missing="mask").lengths)
    assert not series.is_complete
    assert sum(reads) == N_SAMPLES
    assert max(reads) == 12


def test_rows_of_one_chunk_and_consecutive_rows_are_read_together(monkeypatch):
    reads, read = [], LazyArray._read

    def recorded(self, start, stop):
        reads.append((start, stop))
        return read(self, start, stop)

    monkeypatch.setattr(LazyArray, "_read", recorded)
    lazy = LazyArray(da.from_array(values(), chunks=(10, -1, -1)))
    rows = np.array([38, 2, 9, 10, 11, 31, 70])
    np.testing.assert_array_equal(lazy[rows], values()[rows])
    assert reads == [(2, 12), (31, 39), (70, 71)]


@EVERY_STORE
def test_infinity_is_named_with_its_position(store, tmp_path):
    X = values()
    X[83, 5, 1] = np.inf
    message = error_of(as_series, store(X, tmp_path))
    assert "series 83 has inf at timestep 5, channel 1" in message


def test_arrays_that_are_not_series_are_rejected_as_in_memory():
    message = error_of(as_series, da.zeros((3, 4, 1), dtype=complex))
    assert message.startswith("Complex data not supported")
    message = error_of(as_series, da.zeros((3, 4, 1, 1)))
    assert "got 4D array instead (shape=(3, 4, 1, 1))" in message
    assert "0 sample(s)" in error_of(as_series, da.zeros((0, 4)))


def test_arrays_of_unknown_size_are_rejected_with_the_way_out():
    filtered = da.from_array(values())[da.from_array(np.arange(N_SAMPLES) % 2 == 0)]
    message = error_of(as_series, filtered)
    assert message.startswith("X has shape (nan, 16, 2), with axes of unknown size")
    assert "X.compute_chunk_sizes()" in message
    assert as_series(filtered.compute_chunk_sizes()).values.shape == (45, 16, 2)


def test_dask_frames_are_rejected_with_a_conversion_that_works():
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = dd.from_pandas(pd.DataFrame(values()[:, :, 0]), npartitions=3)
    message = error_of(as_series, frame, error=InputTypeError)
    assert message.startswith("X is a Dask DataFrame; pass an array")
    assert "seqfeat.read_into" in message
    assert "X.to_dask_array(lengths=True)" in message
    array = frame.to_dask_array(lengths=True)
    np.testing.assert_array_equal(as_series(array).values[:, :, 0], values()[:, :, 0])
