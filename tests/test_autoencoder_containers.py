"""Frames, long tables and lazy arrays in the transformer: the same results, and their names."""

import copy
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from tests.series.stores import EVERY_STORE, in_dask, in_h5py, in_zarr

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.series import from_long
from seqfeat.series import series as series_module
from seqfeat.series.lazy_array import LazyArray
from seqfeat.training import dataset, sampler

NAN = np.nan

# A few epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 3, "max_iter": 2, "random_state": 0, **params})


def waves(n_samples=12, n_timesteps=8):
    phase = np.random.default_rng(0).uniform(0, 6, (n_samples, 1, 1)) + np.arange(2)
    return np.sin(phase + 0.7 * np.arange(n_timesteps)[:, None]) * [1, 2]


def unequal_waves():
    lengths = np.random.default_rng(0).integers(3, 9, 12)
    return [wave[:length] for wave, length in zip(waves(), lengths, strict=True)]


def padded(items, n_timesteps):
    X = np.full((len(items), n_timesteps, items[0].shape[1]), NAN)
    for row, item in zip(X, items, strict=True):
        row[: len(item)] = item
    return X


def fit_quietly(estimator, X):
    """Fit in a fixture, where the filters of warnings above do not apply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X)


# Frames, their names and ids


@pytest.fixture(scope="module")
def frame():
    """Series of unequal length as a frame indexed by series and time, out of order."""
    rows = [
        pd.DataFrame(item, columns=["x", "y"]).assign(name=f"s{place:02d}", time=range(len(item)))
        for place, item in enumerate(unequal_waves())
    ]
    frame = pd.concat(rows).sample(frac=1, random_state=0)
    return frame.set_index(["name", "time"])


@pytest.fixture(scope="module")
def names():
    return [f"s{place:02d}" for place in range(12)]


@pytest.fixture(scope="module")
def fitted_on_list():
    return fit_quietly(small(), unequal_waves())


@pytest.fixture(scope="module")
def fitted_on_frame(frame):
    return fit_quietly(small(), frame.sort_index())


def test_a_frame_is_embedded_like_its_series_and_keeps_their_ids(
    frame, names, fitted_on_frame, fitted_on_list
):
    model = copy.deepcopy(fitted_on_frame).set_output(transform="pandas")
    embeddings = model.transform(frame)
    assert embeddings.index.name == "name"
    expected = fitted_on_list.transform(unequal_waves())
    np.testing.assert_array_equal(embeddings.loc[names], expected)
    assert model.feature_names_in_.tolist() == ["x", "y"]
    assert isinstance(model.set_output(transform="default").transform(frame), np.ndarray)


def test_a_reconstruction_has_the_rows_and_columns_of_the_frame(
    frame, names, fitted_on_frame, fitted_on_list
):
    reconstruction = fitted_on_frame.reconstruct(frame)
    assert reconstruction.index.equals(frame.index)
    assert reconstruction.columns.tolist() == ["x", "y"]
    expected = fitted_on_list.reconstruct(unequal_waves())[7]
    np.testing.assert_array_equal(reconstruction.loc[names[7]].sort_index(), expected)


def test_the_columns_of_a_frame_are_checked_by_name(frame, fitted_on_frame):
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted_on_frame.transform(frame[["y", "x"]])
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing"):
        fitted_on_frame.transform(frame[["y"]])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_labels_in_another_order_than_the_frame_are_rejected(frame, names, method):
    y = pd.Series(np.arange(12) % 2, index=names)
    with pytest.raises(InputError, match="y names the same series as X, but in another order"):
        getattr(small(), method)(frame, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        getattr(small(), method)(frame.sort_index(), y[:-1])


def test_a_pipeline_keeps_the_ids_of_a_frame(frame, names):
    pipeline = make_classifier(4, max_iter=1, random_state=0).set_output(transform="pandas")
    pipeline.fit(frame.sort_index(), pd.Series(np.arange(12) % 2, index=names))
    assert pipeline[:-1].transform(frame.sort_index()).index.tolist() == names


def test_a_long_table_goes_through_a_search_and_keeps_its_ids(frame):
    X, _ = from_long(frame, "name", "time")
    y = pd.Series(["a", "b"] * 6, index=X.index)
    pipeline = make_classifier(max_iter=1, random_state=0)
    search = GridSearchCV(pipeline, {"autoencoder__embedding_dim": [2, 4]}, cv=2).fit(X, y)
    assert search.predict(X).shape == (12,)
    model = search.best_estimator_["autoencoder"].set_output(transform="pandas")
    assert model.transform(X).index.equals(X.index)


def test_a_table_keeps_its_index_and_may_come_from_polars():
    X = pd.DataFrame(waves()[:, :, 0], index=[f"id{row}" for row in range(12)])
    embeddings = small().set_output(transform="pandas").fit_transform(X)
    assert embeddings.index.equals(X.index)
    of_polars = small().fit_transform(pl.from_pandas(X))
    np.testing.assert_array_equal(of_polars, embeddings)


def test_gaps_and_unequal_lengths_do_not_depend_on_the_form():
    """A timestep missing in the middle, and a channel missing at the end."""
    items = [item.copy() for item in unequal_waves() if len(item) > 4]
    for place, item in enumerate(items):
        item[1 + place % 2] = NAN
        item[-2:, place % 2] = NAN
    index = [(place, step) for place, item in enumerate(items) for step in range(len(item))]
    frame = pd.DataFrame(np.concatenate(items), pd.MultiIndex.from_tuples(index))
    model = small(missing="mask").fit(items)
    expected = model.transform(items)
    for X in (padded(items, 12), frame.dropna(how="all"), frame):
        again = small(missing="mask").fit(X)
        np.testing.assert_allclose(again.transform(X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.transform(padded(items, 12)), expected, rtol=1e-5, atol=1e-6)


# Arrays of Zarr, h5py and Dask


def many_waves(dtype=np.float64):
    return (100 * waves(90, 16)).astype(dtype)


def ragged():
    X = many_waves()
    for row, length in zip(X, np.random.default_rng(1).integers(8, 17, len(X)), strict=True):
        row[length:] = NAN
    X[7, 3, 1] = NAN
    return X


@pytest.mark.parametrize(
    ("store", "X", "params"),
    [
        (in_zarr, many_waves(), {}),
        (in_h5py, many_waves()[:, :, 0], {}),
        (in_dask, ragged(), {"missing": "mask"}),
        (in_zarr, many_waves(np.float32), {"early_stopping": True}),
        (in_dask, many_waves(), {"early_stopping": True}),
    ],
    ids=["series", "table", "ragged", "float32, held out", "held out"],
)
def test_a_lazy_array_is_used_as_one_in_memory(store, X, params, tmp_path):
    lazy = store(X, tmp_path)
    model = small(**params)
    expected = model.fit_transform(X)
    score, errors, reconstruction = model.score(X), model.score_samples(X), model.reconstruct(X)
    loss_curve = model.loss_curve_
    np.testing.assert_array_equal(model.fit_transform(lazy), expected)
    assert model.loss_curve_ == loss_curve
    assert model.score(lazy) == pytest.approx(score, rel=1e-12)
    np.testing.assert_allclose(model.score_samples(lazy), errors, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(model.reconstruct(lazy)), np.asarray(reconstruction))


@EVERY_STORE
def test_a_lazy_array_of_many_chunks_is_never_read_whole(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sampler, "REGION_BYTES", 16 * 2 * 4 * 12)
    monkeypatch.setattr(dataset, "BLOCK_BYTES", 16 * 2 * 8 * 12)
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 16 * 2 * 8 * 12)
    X, largest = many_waves(), 0
    read = LazyArray._read

    def watched(self, start, stop):
        nonlocal largest
        largest = max(largest, stop - start)
        return read(self, start, stop)

    model = small(batch_size=4)
    expected = model.fit(X).loss_curve_
    monkeypatch.setattr(LazyArray, "_read", watched)
    assert model.fit(store(X, tmp_path)).loss_curve_ == expected
    assert 0 < largest <= 64  # a batch of the evaluation


def test_values_of_a_lazy_array_are_named_with_their_series(tmp_path):
    X = many_waves()
    X[83, 5, 1] = np.inf
    with pytest.raises(InputError, match="series 83 has inf at timestep 5, channel 1"):
        small().fit(in_zarr(X, tmp_path))


def test_a_classifier_accepts_lazy_arrays(tmp_path):
    X, y = many_waves(), np.arange(90) % 3
    model = make_classifier(4, max_iter=1, random_state=0).fit(in_zarr(X, tmp_path), y)
    assert model.predict(in_dask(X, tmp_path)).tolist() == model.predict(X).tolist()
