"""A model applied to Dask arrays, chunk by chunk, on real workers."""

import os

import dask.array as da
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import InputError, LSTMAutoencoder, cluster
from tests.cluster.estimators import Recorder, clear_records, recorded

UNEQUAL = (7, 40, 1, 23, 19)


def chunked(X, rows=UNEQUAL, time=-1, channels=-1):
    return da.from_array(X, chunks=(rows, time, channels)[: X.ndim])


def assert_close(features, expected):
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


# Chunks of every kind


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_chunks_of_unequal_size_give_the_features_of_the_whole_array(
    client, waves, autoencoder, dtype
):
    X = waves.astype(dtype)
    features = cluster.transform(autoencoder, chunked(X))
    assert features.chunks == (UNEQUAL, (3,))
    local = autoencoder.transform(X)
    computed = features.compute()
    assert features.dtype == computed.dtype == local.dtype
    assert_close(computed, local)


def test_chunks_along_time_and_channels_are_merged(client, waves, autoencoder):
    features = cluster.transform(autoencoder, chunked(waves, UNEQUAL, (3, 17), 1))
    assert features.chunks == (UNEQUAL, (3,))
    assert_close(features, autoencoder.transform(waves))


def test_chunks_may_have_unknown_sizes_and_no_series(client, waves, autoencoder):
    is_kept = np.repeat([True, False, True, True, False], UNEQUAL)
    is_kept[7:47:3] = True
    is_kept[0] = False
    array = chunked(waves, UNEQUAL, (3, 17), 1)
    features = cluster.transform(autoencoder, array[da.from_array(is_kept, chunks=(UNEQUAL,))])
    assert np.isnan(features.shape[0])
    assert_close(features.compute(), autoencoder.transform(waves[is_kept]))
    empty = cluster.transform(autoencoder, array[da.zeros(90, chunks=(UNEQUAL,)) > 0]).compute()
    assert (empty.shape, empty.dtype) == ((0, 3), np.float64)


def test_nan_marks_padding_and_missing_values(client, waves):
    X = waves.copy()
    for row, end in enumerate(np.random.default_rng(1).integers(5, 21, size=len(X))):
        X[row, end:] = np.nan
    X[3:60, 2, 1] = np.nan
    model = LSTMAutoencoder(3, max_iter=25, missing="mask", random_state=0).fit(X)
    assert_close(cluster.transform(model, chunked(X)).compute(), model.transform(X))


def test_a_2d_array_works_for_a_model_that_was_fitted_on_one(client, waves):
    table = waves[:, :, 0]
    model = LSTMAutoencoder(3, max_iter=25, random_state=0).fit(table)
    features = cluster.transform(model, chunked(table, UNEQUAL, 8)).compute()
    assert_close(features, model.transform(table))


def test_a_pipeline_is_applied_to_its_last_step(client, waves):
    autoencoder = LSTMAutoencoder(3, max_iter=25, random_state=0)
    pipeline = make_pipeline(autoencoder, StandardScaler(), PCA(2))
    pipeline.set_output(transform="pandas").fit(waves)
    np.testing.assert_allclose(
        cluster.transform(pipeline, chunked(waves)).compute(),
        pipeline.transform(waves),
        rtol=1e-4,
        atol=1e-5,
    )


# What runs where


def test_only_a_series_of_zeros_is_transformed_before_the_result_is_computed(
    client, waves, autoencoder, tmp_path
):
    model = make_pipeline(Recorder(tmp_path), autoencoder)
    expected = model.transform(waves)
    clear_records(tmp_path)
    features = cluster.transform(model, chunked(waves))
    assert [process for _, process in recorded(tmp_path, "transformed")] == [os.getpid()]
    assert_close(features.compute(), expected)
    processes = [process for _, process in recorded(tmp_path, "transformed")]
    assert len(processes) == 1 + len(UNEQUAL)
    assert processes.count(os.getpid()) == 1


def test_each_task_runs_on_one_thread(waves, autoencoder, tmp_path):
    # In this process, because Dask's nannies set OMP_NUM_THREADS to 1.
    model = make_pipeline(Recorder(tmp_path), autoencoder)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        features = cluster.transform(model, chunked(waves, 5))
        features.compute(scheduler="threads", num_workers=4)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert {tuple(details) for details, _ in recorded(tmp_path, "transformed")} == {("1",)}


def test_the_threads_of_a_worker_share_one_model(waves, autoencoder):
    features = cluster.transform(autoencoder, chunked(waves, 3))
    assert_close(features.compute(scheduler="threads", num_workers=8), autoencoder.transform(waves))


# Errors


def test_an_array_that_does_not_fit_the_model_is_an_error_before_anything_is_computed(
    waves, autoencoder
):
    with pytest.raises(InputError, match="X has 1 features, but LSTMAutoencoder is expecting 2"):
        cluster.transform(autoencoder, chunked(waves[:, :, :1]))
    with pytest.raises(InputError, match="is a 2D table"):
        cluster.transform(autoencoder, chunked(waves[:, :, 0]))
    with pytest.raises(InputError, match=r"shape \(90,\); .*\(n_samples, n_timesteps"):
        cluster.transform(autoencoder, chunked(waves[:, 0, 0]))
    with pytest.raises(InputError, match=r"shape \(0, 20, 2\); every axis .* at least 1"):
        cluster.transform(autoencoder, da.zeros((0, 20, 2)))
    with pytest.raises(InputError, match="Complex data not supported"):
        cluster.transform(autoencoder, chunked(waves).astype(complex))
    array = chunked(waves).transpose(1, 0, 2)
    with pytest.raises(InputError, match=r"unknown size along axis 1.*compute_chunk_sizes"):
        cluster.transform(autoencoder, array[array[:, 0, 0] > 0].transpose(1, 0, 2))


def test_an_error_in_the_values_names_the_chunk_and_the_series(client, waves, autoencoder):
    X = waves.copy()
    X[50, 3, 1] = np.nan
    with pytest.raises(InputError, match=r"starts at series 48 .*within it\): .*series 2 has NaN"):
        cluster.transform(autoencoder, chunked(X)).compute()
    array = chunked(X)
    unknown = array[array[:, 0, 0] < 2]
    with pytest.raises(InputError, match=r"chunk 3 .*within it\): .*series 2 has NaN"):
        cluster.transform(autoencoder, unknown).compute()
