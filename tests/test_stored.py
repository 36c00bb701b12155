"""Arrays of Zarr, h5py and Dask, and features written into them."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from seqfeat import InputError, LSTMAutoencoder, make_classifier, transform_into
from seqfeat.exceptions import InputTypeError
from seqfeat.series import as_series
from seqfeat.series.lazy_array import LazyArray
from seqfeat.training import sampler as regions

da = pytest.importorskip("dask.array")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_thread"),
]
N_SAMPLES = 90


def waves(n_samples=N_SAMPLES, n_timesteps=16, n_channels=2, dtype=np.float64):
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (n_samples, 1, n_channels))
    return (100 * np.sin(phase + np.arange(n_timesteps)[:, None] / 3)).astype(dtype)


def ragged():
    X = waves()
    for row, length in zip(X, np.random.default_rng(1).integers(8, 17, len(X)), strict=True):
        row[length:] = np.nan
    X[7, 3, 1] = np.nan
    return X


def in_zarr(X, folder):
    shape = X.shape
    stored = zarr.create_array(
        folder / "X.zarr", shape=shape, chunks=(7, *shape[1:]), dtype=X.dtype
    )
    stored[:] = X
    return stored


def in_h5py(X, folder):
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=X, chunks=(11, *X.shape[1:]))


def in_h5py_without_chunks(X, folder):
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=X)


def in_dask(X, folder):
    sizes = (20, 1, 40, len(X) - 61)
    return da.from_array(X, chunks=(sizes, *X.shape[1:]))


STORES = [in_zarr, in_h5py, in_h5py_without_chunks, in_dask]
every_store = pytest.mark.parametrize("store", STORES)


@every_store
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.float16])
def test_rows_come_as_from_memory(store, dtype, tmp_path):
    X = waves(dtype=dtype)
    expected = as_series(X).values
    stored = LazyArray(store(X, tmp_path))
    assert (stored.shape, stored.dtype, len(stored)) == (X.shape, expected.dtype, N_SAMPLES)
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
        found = stored[key]
        np.testing.assert_array_equal(found, expected[key])
        assert found.dtype == expected.dtype


@every_store
@pytest.mark.parametrize(
    ("X", "params"),
    [
        (waves(), {}),
        (waves()[:, :, 0], {}),
        (ragged(), {"missing": "mask"}),
        (waves(dtype=np.float32), {"early_stopping": True}),
    ],
    ids=["series", "table", "ragged", "held out"],
)
def test_a_stored_set_is_fitted_and_used_as_one_in_memory(store, X, params, tmp_path):
    stored = store(X, tmp_path)
    model = LSTMAutoencoder(4, max_iter=2, random_state=0, **params)
    expected = model.fit_transform(X)
    score, errors, rebuilt = model.score(X), model.score_samples(X), model.reconstruct(X)
    loss_curve = model.loss_curve_
    np.testing.assert_array_equal(model.fit_transform(stored), expected)
    assert model.loss_curve_ == loss_curve
    assert model.score(stored) == pytest.approx(score, rel=1e-12)
    np.testing.assert_allclose(model.score_samples(stored), errors, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(model.reconstruct(stored)), np.asarray(rebuilt))


@every_store
def test_a_set_of_many_regions_is_never_read_whole(store, tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "REGION_BYTES", 16 * 2 * 4 * 12)
    monkeypatch.setattr("seqfeat.scaled.BLOCK_BYTES", 16 * 2 * 8 * 12)
    monkeypatch.setattr("seqfeat.series.canonical.BLOCK_BYTES", 16 * 2 * 8 * 12)
    X, largest = waves(), 0
    read = LazyArray._read

    def watched(self, start, stop):
        nonlocal largest
        largest = max(largest, stop - start)
        return read(self, start, stop)

    model = LSTMAutoencoder(4, max_iter=2, batch_size=4, random_state=0)
    expected = model.fit(X).loss_curve_
    monkeypatch.setattr(LazyArray, "_read", watched)
    assert model.fit(store(X, tmp_path)).loss_curve_ == expected
    assert 0 < largest <= 64  # as in a batch of the evaluation


@every_store
def test_what_is_wrong_with_a_stored_series_is_said_with_its_index(store, tmp_path):
    X = waves()
    X[83, 5, 1] = np.inf
    with pytest.raises(InputError, match="series 83 has inf at timestep 5, channel 1"):
        LSTMAutoencoder().fit(store(X, tmp_path))


def test_other_stored_arrays_are_refused():
    with pytest.raises(InputError, match="Complex data not supported"):
        as_series(da.zeros((3, 4, 1), dtype=complex))
    with pytest.raises(InputError, match=r"got 4D array instead \(shape=\(3, 4, 1, 1\)\)"):
        as_series(da.zeros((3, 4, 1, 1)))
    filtered = da.from_array(waves())[da.from_array(np.arange(N_SAMPLES) % 2 == 0)]
    with pytest.raises(InputError, match=r"of unknown size. Call X\.compute_chunk_sizes"):
        as_series(filtered)


def test_a_classifier_takes_them(tmp_path):
    X, y = waves(), np.arange(N_SAMPLES) % 3
    model = make_classifier(4, max_iter=1, random_state=0).fit(in_zarr(X, tmp_path), y)
    assert model.predict(in_dask(X, tmp_path)).tolist() == model.predict(X).tolist()


# Targets


@pytest.fixture(scope="module")
def model():
    return LSTMAutoencoder(4, max_iter=1, random_state=0).fit(waves())


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("seqfeat.writing.PART_BYTES", 16 * 2 * 8 * 12)


def zarr_target(folder, shape):
    return zarr.create_array(folder / "Z.zarr", shape=shape, chunks=(8, 4), dtype="float32")


def h5py_target(folder, shape):
    return h5py.File(folder / "Z.h5", "w").create_dataset("Z", shape, dtype="float32")


def mapped_target(folder, shape):
    return np.lib.format.open_memmap(folder / "Z.npy", mode="w+", dtype=np.float32, shape=shape)


TARGETS = [zarr_target, h5py_target, mapped_target]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("make", TARGETS)
@every_store
def test_features_go_into_any_array(make, store, model, tmp_path):
    target = make(tmp_path, (N_SAMPLES, 4))
    assert transform_into(model, store(waves(), tmp_path), target) is target
    np.testing.assert_allclose(target[:], model.transform(waves()), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("small_parts")
def test_features_go_into_a_file(model, tmp_path):
    pipeline = make_pipeline(model, StandardScaler().fit(model.transform(waves())))
    for form in (waves(), list(waves())):
        found = transform_into(pipeline, form, tmp_path / "new" / "Z.npy")
        np.testing.assert_allclose(found, pipeline.transform(waves()), rtol=1e-4, atol=1e-5)
        assert found.dtype == np.load(tmp_path / "new" / "Z.npy").dtype
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


def test_targets_that_do_not_fit_are_refused_before_anything_is_written(model, tmp_path):
    target = np.zeros((N_SAMPLES, 5))
    with pytest.raises(InputError, match=r"target has shape \(90, 5\).*have \(90, 4\)"):
        transform_into(model, waves(), target)
    assert not target.any()
    with pytest.raises(InputError, match=r"a file of features is called \*\.npy"):
        transform_into(model, waves(), tmp_path / "Z.csv")
    with pytest.raises(InputTypeError, match="target is tuple"):
        transform_into(model, waves(), ())
    with pytest.raises(InputTypeError, match=r"model is Pipeline, which has no.*model\[:-1\]"):
        transform_into(make_pipeline(SVC()), waves(), target)
