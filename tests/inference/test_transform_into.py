"""Features that are written into arrays and files, one part at a time."""

import collections

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from seqfeat import InputError, LSTMAutoencoder, transform_into
from seqfeat.exceptions import InputTypeError
from tests.autoencoders import fit_quietly
from tests.series.stores import in_dask, in_h5py, in_h5py_without_chunks, in_zarr

pytestmark = pytest.mark.usefixtures("one_thread")
N_SAMPLES = 90


def waves():
    phase = np.random.default_rng(0).uniform(0, 6, (N_SAMPLES, 1, 2))
    return 100 * np.sin(phase + np.arange(16)[:, None] / 3)


@pytest.fixture(scope="module")
def model():
    return fit_quietly(LSTMAutoencoder(4, max_iter=1, random_state=0), waves())


@pytest.fixture
def small_parts(monkeypatch):
    """Read and embed twelve series together."""
    monkeypatch.setattr("seqfeat.inference.transform_into.PART_BYTES", 16 * 2 * 8 * 12)


def zarr_target(folder, shape):
    zarr = pytest.importorskip("zarr")
    return zarr.create_array(folder / "Z.zarr", shape=shape, chunks=(8, 4), dtype="float32")


def h5py_target(folder, shape):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "Z.h5", "w").create_dataset("Z", shape, dtype="float32")


def mapped_target(folder, shape):
    return np.lib.format.open_memmap(folder / "Z.npy", mode="w+", dtype=np.float32, shape=shape)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("target", "store"),
    [
        (zarr_target, in_dask),
        (zarr_target, in_h5py),
        (h5py_target, in_zarr),
        (mapped_target, in_h5py_without_chunks),
    ],
)
def test_features_of_any_array_can_be_written_into_any_array(target, store, model, tmp_path):
    array = target(tmp_path, (N_SAMPLES, 4))
    assert transform_into(model, store(waves(), tmp_path), array) is array
    np.testing.assert_allclose(array[:], model.transform(waves()), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("small_parts")
def test_features_can_be_written_into_a_file(model, tmp_path):
    pipeline = make_pipeline(model, StandardScaler().fit(model.transform(waves())))
    for X in (waves(), list(waves())):
        features = transform_into(pipeline, X, tmp_path / "new" / "Z.npy")
        np.testing.assert_allclose(features, pipeline.transform(waves()), rtol=1e-4, atol=1e-5)
        assert features.dtype == np.load(tmp_path / "new" / "Z.npy").dtype
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["Z.npy"]


@pytest.mark.usefixtures("small_parts")
def test_fault_28_an_error_leaves_the_file_as_it_was(model, tmp_path):
    X = waves()
    X[80] = np.nan
    np.save(tmp_path / "Z.npy", np.ones(3))
    with pytest.raises(InputError, match="NaN"):
        transform_into(model, X, tmp_path / "Z.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "Z.npy"), np.ones(3))
    assert len(list(tmp_path.iterdir())) == 1


def test_unsuitable_targets_are_rejected_before_anything_is_written(model, tmp_path):
    target = np.zeros((N_SAMPLES, 5))
    with pytest.raises(InputError, match=r"target has shape \(90, 5\).*have shape \(90, 4\)"):
        transform_into(model, waves(), target)
    assert not target.any()
    with pytest.raises(InputError, match=r"target='.*Z\.csv'; .*\.npy"):
        transform_into(model, waves(), tmp_path / "Z.csv")
    with pytest.raises(InputTypeError, match="target is tuple"):
        transform_into(model, waves(), ())
    with pytest.raises(InputTypeError, match=r"model is Pipeline, which has no.*model\[:-1\]"):
        transform_into(make_pipeline(SVC()), waves(), target)


# Targets that cannot hold the features (fault 42)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        ("int64", "target has dtype int64, which does not hold the features; pass an array of"),
        ("bool", "dtype bool"),
        ("float16", "dtype float16"),
        ("complex64", "dtype complex64"),
        ("U8", "dtype <U8"),
        ("object", "dtype object"),
        ("f4,f4", "dtype"),
        ("M8[s]", "dtype datetime64"),
    ],
)
def test_fault_42_targets_of_other_dtypes_are_rejected_before_anything_is_written(
    model, dtype, says
):
    target = np.zeros((N_SAMPLES, 4), dtype)
    before = target.copy()
    with pytest.raises(InputTypeError, match=says):
        transform_into(model, waves(), target)
    np.testing.assert_array_equal(target, before)


@pytest.mark.parametrize("store", ["h5py", "zarr"])
def test_fault_42_targets_on_disk_have_to_hold_the_features_too(model, tmp_path, store):
    library = pytest.importorskip(store)
    if store == "h5py":
        target = library.File(tmp_path / "Z.h5", "w").create_dataset("Z", (N_SAMPLES, 4), "i4")
    else:
        target = library.create_array(tmp_path / "Z", shape=(N_SAMPLES, 4), dtype="float16")
    with pytest.raises(InputTypeError, match=r"target has dtype (int32|float16)"):
        transform_into(model, waves(), target)


def opened_read_only(folder, store):
    if store == "h5py":
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "Z.h5", "w") as file:
            file.create_dataset("Z", (N_SAMPLES, 4), "f4")
        return h5py.File(folder / "Z.h5", "r")["Z"]
    if store == "zarr":
        zarr = pytest.importorskip("zarr")
        zarr.create_array(folder / "Z", shape=(N_SAMPLES, 4), dtype="float32")
        return zarr.open_array(folder / "Z", mode="r")
    if store == "memmap":
        np.save(folder / "Z.npy", np.zeros((N_SAMPLES, 4)))
        return np.load(folder / "Z.npy", mmap_mode="r")
    return read_only(np.zeros((N_SAMPLES, 4)))


@pytest.mark.parametrize("store", ["numpy", "memmap", "h5py", "zarr"])
def test_fault_42_read_only_targets_are_rejected(model, tmp_path, store):
    with pytest.raises(InputError, match="target is read-only"):
        transform_into(model, waves(), opened_read_only(tmp_path, store))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (np.ma.zeros((N_SAMPLES, 4)), r"masked array; pass its values: target\.data"),
        (pd.DataFrame(np.zeros((N_SAMPLES, 4))), "target is DataFrame"),
        (torch.zeros(N_SAMPLES, 4), "target is Tensor"),
        (np.zeros((N_SAMPLES, 4)).data, "target is memoryview"),
        (scipy.sparse.lil_array((N_SAMPLES, 4)), "target is lil_array"),
        (None, "target is NoneType"),
    ],
)
def test_fault_42_targets_that_are_no_arrays_are_rejected(model, target, says):
    with pytest.raises(InputTypeError, match=says):
        transform_into(model, waves(), target)


def test_fault_42_a_target_within_the_series_would_change_those_not_yet_read(model):
    X = waves()
    with pytest.raises(InputError, match="target shares memory with X"):
        transform_into(model, X, X.reshape(N_SAMPLES, -1)[:, :4])
    np.testing.assert_array_equal(X, waves())


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "longdouble"])
def test_fault_42_targets_of_wide_enough_floats_hold_the_features(model, dtype):
    target = transform_into(model, waves(), np.zeros((N_SAMPLES, 4), dtype))
    np.testing.assert_allclose(target, model.transform(waves()), rtol=1e-6, atol=1e-6)


def with_a_huge_last_row(Z):
    return np.vstack([Z[:-1], np.full((1, 4), 1e39)])


@pytest.mark.usefixtures("small_parts")
def test_fault_42_features_that_overflow_the_target_are_named(model):
    huge = make_pipeline(model, FunctionTransformer(with_a_huge_last_row))
    with pytest.raises(InputError, match=r"feature 0 of series 11 is 1e\+39, which float32 does"):
        transform_into(huge, waves(), np.zeros((N_SAMPLES, 4), np.float32))
    target = transform_into(huge, waves(), np.zeros((N_SAMPLES, 4)))
    assert (target[11::12] == 1e39).all()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "form",
    [list, tuple, collections.deque, torch.from_numpy, lambda X: torch.tensor(X).requires_grad_()],
)
def test_fault_47_series_of_any_container_are_written(model, form):
    target = transform_into(model, form(waves()), np.zeros((N_SAMPLES, 4)))
    np.testing.assert_allclose(target, model.transform(waves()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (iter([]), "0 series"),
        ({"a": waves()}, "series 0 has shape"),
        (None, "X"),
        ([], "0 series"),
        (np.empty((0, 16, 2)), "0 series"),
        (torch.tensor(1.0), "0 series"),
        (torch.eye(4).to_sparse(), r"X\.to_dense\(\)"),
        (
            pd.concat({name: pd.DataFrame(waves()[name]) for name in range(3)}),
            "rows are not series; pass seqfeat.series.from_long",
        ),
    ],
)
def test_fault_47_what_holds_no_series_is_rejected(model, X, says):
    with pytest.raises(InputError, match=says):
        transform_into(model, X, np.zeros((N_SAMPLES, 4)))
