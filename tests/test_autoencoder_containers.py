"""Frames, tables, dicts, iterators and lazy arrays give what arrays give, and keep their ids."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV

from seqfeat import InputError, make_classifier, transform_into
from seqfeat.series import from_long
from seqfeat.series import series as series_module
from seqfeat.series.lazy_array import LazyArray
from seqfeat.training import dataset, sampler
from tests.autoencoders import fit_quietly, pad, ragged_waves, small, waves
from tests.series.stores import EVERY_STORE, in_dask, in_h5py, in_zarr

NAN = np.nan

# A few epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# Frames and their ids


@pytest.fixture(scope="module")
def frame():
    """Series of unequal length as a frame indexed by series and time, out of order."""
    rows = [
        pd.DataFrame(item, columns=["x", "y"]).assign(name=f"s{number:02d}", time=range(len(item)))
        for number, item in enumerate(ragged_waves())
    ]
    frame = pd.concat(rows).sample(frac=1, random_state=0)
    return frame.set_index(["name", "time"])


@pytest.fixture(scope="module")
def names():
    return [f"s{number:02d}" for number in range(12)]


@pytest.fixture(scope="module")
def fitted_on_list():
    return fit_quietly(small(), ragged_waves())


@pytest.fixture(scope="module")
def fitted_on_frame(frame):
    return fit_quietly(small(), frame.sort_index())


def test_a_frame_is_embedded_like_its_series_and_keeps_their_ids(
    frame, names, fitted_on_frame, fitted_on_list
):
    model = copy.deepcopy(fitted_on_frame).set_output(transform="pandas")
    embeddings = model.transform(frame)
    assert embeddings.index.name == "name"
    expected = fitted_on_list.transform(ragged_waves())
    np.testing.assert_array_equal(embeddings.loc[names], expected)
    assert model.feature_names_in_.tolist() == ["x", "y"]
    assert isinstance(model.set_output(transform="default").transform(frame), np.ndarray)


def test_the_reconstruction_of_a_frame_has_its_rows_and_columns(
    frame, names, fitted_on_frame, fitted_on_list
):
    reconstruction = fitted_on_frame.reconstruct(frame)
    assert reconstruction.index.equals(frame.index)
    assert reconstruction.columns.tolist() == ["x", "y"]
    expected = fitted_on_list.reconstruct(ragged_waves())[7]
    np.testing.assert_array_equal(reconstruction.loc[names[7]].sort_index(), expected)


def test_the_columns_of_a_frame_are_checked_by_name(frame, fitted_on_frame):
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted_on_frame.transform(frame[["y", "x"]])
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing"):
        fitted_on_frame.transform(frame[["y"]])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_labels_in_another_order_than_the_series_of_a_frame_are_rejected(frame, names, method):
    y = pd.Series(np.arange(12) % 2, index=names)
    with pytest.raises(InputError, match="y names the same series as X, but in another order"):
        getattr(small(), method)(frame, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        getattr(small(), method)(frame.sort_index(), y[:-1])


def test_labels_in_another_order_are_rejected_later_in_a_stream_too(frame, names):
    model = small().partial_fit(frame)
    with pytest.raises(InputError, match="y names the same series as X, but in another order"):
        model.partial_fit(frame, pd.Series(np.arange(12) % 2, index=names))


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


def test_a_table_may_come_from_polars():
    X = pd.DataFrame(waves()[:, :, 0])
    from_polars = small().fit_transform(pl.from_pandas(X.add_prefix("t")))
    np.testing.assert_array_equal(from_polars, small().fit_transform(X))


def test_missing_values_and_unequal_lengths_do_not_depend_on_the_form():
    """A timestep is missing in the middle, and a channel at the end."""
    items = [item.copy() for item in ragged_waves() if len(item) > 4]
    for number, item in enumerate(items):
        item[1 + number % 2] = NAN
        item[-2:, number % 2] = NAN
    index = [(number, step) for number, item in enumerate(items) for step in range(len(item))]
    frame = pd.DataFrame(np.concatenate(items), pd.MultiIndex.from_tuples(index))
    model = small(missing="mask").fit(items)
    expected = model.transform(items)
    for X in (pad(items, 12), frame.dropna(how="all"), frame):
        again = small(missing="mask").fit(X)
        np.testing.assert_allclose(again.transform(X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.transform(pad(items, 12)), expected, rtol=1e-5, atol=1e-6)


# Arrays of Zarr, h5py and Dask


def many_waves(dtype=np.float64):
    return (100 * waves(90, 16)).astype(dtype)


def many_ragged_waves():
    X = 100 * pad(ragged_waves(90, 16))
    X[7, 1, 1] = NAN
    return X


@pytest.mark.parametrize(
    ("store", "X", "params"),
    [
        (in_zarr, many_waves(), {}),
        (in_h5py, many_waves()[:, :, 0], {}),
        (in_dask, many_ragged_waves(), {"missing": "mask"}),
        (in_zarr, many_waves(np.float32), {"early_stopping": True}),
        (in_dask, many_waves(), {"early_stopping": True}),
    ],
    ids=["series", "table", "ragged", "float32, held out", "held out"],
)
def test_a_lazy_array_gives_the_results_of_one_in_memory(store, X, params, tmp_path):
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
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 16 * 2 * 4 * 12)
    monkeypatch.setattr(dataset, "BLOCK_BYTES", 16 * 2 * 8 * 12)
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 16 * 2 * 8 * 12)
    X, largest = many_waves(), 0
    read = LazyArray._read

    def recorded(self, start, stop):
        nonlocal largest
        largest = max(largest, stop - start)
        return read(self, start, stop)

    model = small(batch_size=4)
    expected = model.fit(X).loss_curve_
    monkeypatch.setattr(LazyArray, "_read", recorded)
    assert model.fit(store(X, tmp_path)).loss_curve_ == expected
    assert 0 < largest <= 64  # the size of a batch when the fit is evaluated


def test_errors_name_the_series_of_a_lazy_array(tmp_path):
    X = many_waves()
    X[83, 5, 1] = np.inf
    with pytest.raises(InputError, match="series 83 has inf at timestep 5, channel 1"):
        small().fit(in_zarr(X, tmp_path))


def test_a_classifier_accepts_lazy_arrays(tmp_path):
    X, y = many_waves(), np.arange(90) % 3
    model = make_classifier(4, max_iter=1, random_state=0).fit(in_zarr(X, tmp_path), y)
    assert model.predict(in_dask(X, tmp_path)).tolist() == model.predict(X).tolist()


# Dicts, iterators, and frames whose channels have names


def test_embeddings_carry_the_keys_of_a_dict(names, fitted_on_list):
    X = dict(zip(reversed(names), ragged_waves(), strict=True))
    model = copy.deepcopy(fitted_on_list).set_output(transform="pandas")
    embeddings = model.transform(X)
    assert embeddings.index.tolist() == names[::-1]
    np.testing.assert_array_equal(embeddings, fitted_on_list.transform(ragged_waves()))
    assert model.reconstruct(X).index.tolist() == names[::-1]


def test_an_iterator_is_read_once_by_every_method(fitted_on_list, tmp_path):
    X, y = ragged_waves(), np.arange(12) % 2
    model = fitted_on_list
    for name in ("transform", "score_samples", "score"):
        method = getattr(model, name)
        np.testing.assert_array_equal(method(iter(X)), method(X))
    transform_into(model, iter(X), tmp_path / "features.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), model.transform(X))
    np.testing.assert_array_equal(small().fit_transform(iter(X)), model.transform(X))
    np.testing.assert_array_equal(small().fit(iter(X)).transform(iter(X)), model.transform(X))
    stream = small().partial_fit(iter(X)).partial_fit(iter(X))
    np.testing.assert_array_equal(
        stream.transform(X), small().partial_fit(X).partial_fit(X).transform(X)
    )
    pipeline = make_classifier(4, max_iter=1, random_state=0)
    expected = pipeline.fit(X, y).predict(X)
    np.testing.assert_array_equal(pipeline.fit(iter(X), y).predict(iter(X)), expected)
    assert pipeline.score(iter(X), y) == pipeline.score(X, y)


def test_an_iterator_that_a_fit_has_consumed_is_named():
    X = iter(ragged_waves())
    model = small().fit(X)
    with pytest.raises(InputError, match=r"X = list\(X\), and pass that to both"):
        model.transform(X)


def as_frames(columns=("u", "v"), form=pd.DataFrame):
    frames = [pd.DataFrame(item, columns=["u", "v"])[list(columns)] for item in ragged_waves()]
    return frames if form is pd.DataFrame else [form(frame) for frame in frames]


def as_nested(columns=("u", "v")):
    return pd.DataFrame(
        [[frame[name] for name in columns] for frame in as_frames()], columns=columns
    )


@pytest.mark.parametrize("form", [as_frames, as_nested])
def test_channels_of_frames_are_those_of_the_fit_by_name(form, fitted_on_list):
    model = small().fit(form())
    assert model.feature_names_in_.tolist() == ["u", "v"]
    expected = fitted_on_list.transform(ragged_waves())
    for X in (form(), form(("v", "u")), as_frames(("v", "u"), pl.from_pandas), ragged_waves()):
        np.testing.assert_array_equal(model.transform(X), expected)
    with pytest.raises(InputError, match=r"have the channels \['u', 'x'\].*fitted on \['u', 'v'\]"):
        model.transform([frame.rename(columns={"v": "x"}) for frame in as_frames()])


def test_names_of_channels_are_those_of_a_stream(fitted_on_list):
    model = small().partial_fit(as_frames()).partial_fit(as_frames(("v", "u")))
    same = small().partial_fit(ragged_waves()).partial_fit(ragged_waves())
    np.testing.assert_array_equal(model.transform(as_frames()), same.transform(ragged_waves()))
