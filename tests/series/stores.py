"""Arrays of Zarr, h5py and Dask for tests, with chunks of equal and of unequal size."""

import pytest


def in_zarr(X, folder):
    zarr = pytest.importorskip("zarr")
    chunks = (7, *X.shape[1:])
    array = zarr.create_array(folder / "X.zarr", shape=X.shape, chunks=chunks, dtype=X.dtype)
    array[:] = X
    return array


def in_h5py(X, folder):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "X.h5", "w")
    return file.create_dataset("X", data=X, chunks=(11, *X.shape[1:]))


def in_h5py_without_chunks(X, folder):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=X)


def in_dask(X, folder):
    array = pytest.importorskip("dask.array")
    return array.from_array(X, chunks=((20, 1, 40, len(X) - 61), *X.shape[1:]))


EVERY_STORE = pytest.mark.parametrize("store", [in_zarr, in_h5py, in_h5py_without_chunks, in_dask])
