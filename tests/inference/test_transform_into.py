"""Features that are written into arrays and files, one part at a time."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
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
