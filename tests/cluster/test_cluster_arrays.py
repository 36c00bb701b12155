"""A model over Dask arrays, chunk by chunk, on real workers."""

import os
import subprocess
import sys

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import torch
from estimators import Diary, diary_entries
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import InputError, LSTMAutoencoder, cluster, make_classifier
from seqfeat.exceptions import InputTypeError

UNEQUAL = (7, 40, 1, 23, 19)


def chunked(X, rows=UNEQUAL, time=-1, channels=-1):
    return da.from_array(X, chunks=(rows, time, channels)[: X.ndim])


@pytest.fixture
def with_gaps(waves):
    """Waves of unequal length with missing values, and a model of such."""
    X = waves.copy()
    for row, end in enumerate(np.random.default_rng(1).integers(5, 21, size=len(X))):
        X[row, end:] = np.nan
    X[3:60, 2, 1] = np.nan
    return X, LSTMAutoencoder(3, max_iter=25, missing="mask", random_state=0).fit(X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_chunks_of_any_size_give_what_the_whole_array_gives(client, waves, autoencoder, dtype):
    X = waves.astype(dtype)
    features = cluster.transform(autoencoder, chunked(X))
    assert features.chunks == (UNEQUAL, (3,))
    local = autoencoder.transform(X)
    computed = features.compute()
    assert features.dtype == computed.dtype == local.dtype
    np.testing.assert_allclose(computed, local, rtol=1e-5, atol=1e-6)


def test_chunks_along_time_and_channels_are_merged(client, waves, autoencoder):
    features = cluster.transform(autoencoder, chunked(waves, UNEQUAL, (3, 17), 1))
    assert features.chunks == (UNEQUAL, (3,))
    np.testing.assert_allclose(features, autoencoder.transform(waves), rtol=1e-5, atol=1e-6)


def test_chunks_may_be_of_unknown_size_and_without_series(client, waves, autoencoder):
    wanted = np.repeat([True, False, True, True, False], UNEQUAL)
    wanted[7:47:3] = True
    wanted[0] = False
    array = chunked(waves, UNEQUAL, (3, 17), 1)
    features = cluster.transform(autoencoder, array[da.from_array(wanted, chunks=(UNEQUAL,))])
    assert np.isnan(features.shape[0])
    np.testing.assert_allclose(
        features.compute(), autoencoder.transform(waves[wanted]), rtol=1e-5, atol=1e-6
    )
    empty = cluster.transform(autoencoder, array[da.zeros(90, chunks=(UNEQUAL,)) > 0]).compute()
    assert (empty.shape, empty.dtype) == ((0, 3), np.float64)


def test_lengths_and_gaps_are_told_by_nan(client, with_gaps):
    X, model = with_gaps
    np.testing.assert_allclose(
        cluster.transform(model, chunked(X)).compute(), model.transform(X), rtol=1e-5, atol=1e-6
    )


def test_a_table_is_a_table_there_too(client, waves):
    table = waves[:, :, 0]
    model = LSTMAutoencoder(3, max_iter=25, random_state=0).fit(table)
    features = cluster.transform(model, chunked(table, UNEQUAL, 8)).compute()
    np.testing.assert_allclose(features, model.transform(table), rtol=1e-5, atol=1e-6)


def test_a_pipeline_goes_as_far_as_it_transforms(client, waves):
    autoencoder = LSTMAutoencoder(3, max_iter=25, random_state=0)
    pipeline = make_pipeline(autoencoder, StandardScaler(), PCA(2))
    pipeline.set_output(transform="pandas").fit(waves)
    np.testing.assert_allclose(
        cluster.transform(pipeline, chunked(waves)).compute(),
        pipeline.transform(waves),
        rtol=1e-4,
        atol=1e-5,
    )


def test_it_is_lazy_and_keeps_the_model_of_the_call(client, waves, autoencoder, tmp_path):
    model = make_pipeline(Diary(tmp_path), autoencoder)
    expected = model.transform(waves)
    for path in tmp_path.iterdir():
        path.unlink()
    features = cluster.transform(model, chunked(waves))
    mine = diary_entries(tmp_path, "transformed")
    assert {process for _, process in mine} == {os.getpid()}  # the series of zeros
    model.steps[1] = ("lstmautoencoder", LSTMAutoencoder(2, max_iter=0).fit(waves))
    np.testing.assert_allclose(features.compute(), expected, rtol=1e-5, atol=1e-6)
    theirs = [process for _, process in diary_entries(tmp_path, "transformed")]
    assert len(theirs) - len(mine) == len(UNEQUAL)
    assert theirs.count(os.getpid()) == len(mine)


def test_the_model_is_in_the_graph_once_and_opened_once_by_each_worker(
    client, waves, autoencoder, tmp_path
):
    model = make_pipeline(Diary(tmp_path), autoencoder)
    features = cluster.transform(model, chunked(waves, 2))
    (optimized,) = dask.optimize(features)
    tasks = dict(optimized.__dask_graph__())
    assert len(tasks) >= 45
    weights = autoencoder.weights_["encoder.forward_layers.0.weight_ih_l0"].tobytes()
    holding = [key for key, task in tasks.items() if weights in cloudpickle.dumps(task)]
    assert len(holding) == 1
    for path in tmp_path.iterdir():
        path.unlink()
    np.testing.assert_allclose(features, autoencoder.transform(waves), rtol=1e-5, atol=1e-6)
    workers = [process for _, process in diary_entries(tmp_path, "transformed")]
    assert len(workers) == 45
    openings = [process for _, process in diary_entries(tmp_path, "opened")]
    assert len(openings) == len(set(openings)) <= 2
    assert set(workers) <= set(openings)


def test_each_task_runs_on_one_thread_however_many_there_are(waves, autoencoder, tmp_path):
    # Without a nanny, which would set OMP_NUM_THREADS.
    model = make_pipeline(Diary(tmp_path), autoencoder)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        features = cluster.transform(model, chunked(waves, 5))
        features.compute(scheduler="threads", num_workers=4)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert {tuple(what) for what, _ in diary_entries(tmp_path, "transformed")} == {("1",)}


def test_a_worker_with_several_threads_shares_one_model(waves, autoencoder):
    features = cluster.transform(autoencoder, chunked(waves, 3))
    np.testing.assert_allclose(
        features.compute(scheduler="threads", num_workers=8),
        autoencoder.transform(waves),
        rtol=1e-5,
        atol=1e-6,
    )


# What is refused


def test_what_does_not_suit_the_model_is_refused_at_once(waves, autoencoder):
    with pytest.raises(InputError, match="X has 1 features, but LSTMAutoencoder is expecting 2"):
        cluster.transform(autoencoder, chunked(waves[:, :, :1]))
    with pytest.raises(InputError, match="is a 2D table"):
        cluster.transform(autoencoder, chunked(waves[:, :, 0]))
    with pytest.raises(InputError, match=r"shape \(90,\); .*\(n_samples, n_timesteps"):
        cluster.transform(autoencoder, chunked(waves[:, 0, 0]))
    with pytest.raises(InputError, match=r"shape \(0, 20, 2\); it needs at least 1"):
        cluster.transform(autoencoder, da.zeros((0, 20, 2)))
    with pytest.raises(InputError, match="Complex data not supported"):
        cluster.transform(autoencoder, chunked(waves).astype(complex))
    array = chunked(waves).transpose(1, 0, 2)
    with pytest.raises(InputError, match=r"unknown size along axis 1.*compute_chunk_sizes"):
        cluster.transform(autoencoder, array[array[:, 0, 0] > 0].transpose(1, 0, 2))
    with pytest.raises(InputError, match="series_id='meter' is about long tables"):
        cluster.transform(autoencoder, chunked(waves), series_id="meter")
    with pytest.raises(InputError, match="step='1h' is about long tables"):
        cluster.transform(autoencoder, chunked(waves), step="1h")
    with pytest.raises(InputTypeError, match=r"numpy\.ndarray.*from_array"):
        cluster.transform(autoencoder, waves)


def test_only_fitted_models_that_transform_are_taken(waves, autoencoder):
    array = chunked(waves)
    with pytest.raises(NotFittedError):
        cluster.transform(LSTMAutoencoder(), array)
    with pytest.raises(InputError, match="0 steps that are an LSTMAutoencoder"):
        cluster.transform(PCA(), array)
    classifier = make_classifier(3, LogisticRegression(), max_iter=0, random_state=0)
    classifier.fit(waves, np.arange(90) % 2)
    with pytest.raises(InputError, match=r"does not transform.*model\[:-1\]"):
        cluster.transform(classifier, array)
    features = cluster.transform(classifier[:-1], array).compute()
    np.testing.assert_allclose(features, classifier[:-1].transform(waves), rtol=1e-4, atol=1e-5)


def test_values_that_cannot_be_used_are_named_by_their_place_in_the_whole(
    client, waves, autoencoder
):
    X = waves.copy()
    X[50, 3, 1] = np.nan
    with pytest.raises(InputError, match=r"after its first 48 series: .*series 2 has NaN"):
        cluster.transform(autoencoder, chunked(X)).compute()
    array = chunked(X)
    unknown = array[array[:, 0, 0] < 2]
    with pytest.raises(InputError, match=r"chunk 3 of the array: .*series 2 has NaN"):
        cluster.transform(autoencoder, unknown).compute()


def test_without_dask_the_extra_is_named(autoencoder):
    program = """
import sys
sys.modules["dask"] = None  # as if it were not installed
from seqfeat import cluster
try:
    cluster.transform(None, None)
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'seqfeat[cluster]'" in done.stdout, done.stderr
