"""A fitted model as a task that the chunks of an array or the partitions of a table share."""

import cloudpickle
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seqfeat import InputError, LSTMAutoencoder, cluster, make_classifier
from seqfeat.cluster.model_task import compute_features
from seqfeat.runtime.threads import Worker
from tests.cluster.estimators import Recorder, clear_records, recorded


def chunked(X, n_series=9):
    return da.from_array(X, chunks=(n_series, -1, -1))


def test_the_graph_holds_the_model_once_and_each_worker_unpickles_it_once(
    client, waves, autoencoder, tmp_path
):
    model = make_pipeline(Recorder(tmp_path), autoencoder)
    features = cluster.transform(model, chunked(waves, 2))
    (optimized,) = dask.optimize(features)
    tasks = dict(optimized.__dask_graph__())
    assert len(tasks) >= 45
    weights = autoencoder.weights_["encoder.projection.weight"].tobytes()
    assert sum(weights in cloudpickle.dumps(task) for task in tasks.values()) == 1
    clear_records(tmp_path)
    expected = autoencoder.transform(waves)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    assert_each_worker_unpickled_once(tmp_path, n_tasks=45)


def test_the_partitions_of_a_table_share_the_model_as_well(client, autoencoder, tmp_path):
    model = make_pipeline(Recorder(tmp_path), autoencoder)
    tables = [
        pd.DataFrame({"id": number, "a": np.arange(20) / (number + 1), "b": np.ones(20)})
        for number in range(20)
    ]
    frame = dd.from_map(pd.DataFrame, tables, meta=tables[0].iloc[:0])
    features = cluster.transform(model, frame, "id")
    clear_records(tmp_path)
    features.compute()
    assert_each_worker_unpickled_once(tmp_path, n_tasks=20)


def assert_each_worker_unpickled_once(folder, n_tasks):
    transformed_by = [process for _, process in recorded(folder, "transformed")]
    unpickled_by = [process for _, process in recorded(folder, "unpickled")]
    assert len(transformed_by) == n_tasks
    assert len(unpickled_by) == len(set(unpickled_by)) <= 2
    assert set(transformed_by) <= set(unpickled_by)


def test_later_changes_to_the_model_do_not_affect_the_result(waves, autoencoder):
    model = make_pipeline(FunctionTransformer(), autoencoder)
    expected = model.transform(waves)
    features = cluster.transform(model, chunked(waves))
    model.steps[1] = ("lstmautoencoder", LSTMAutoencoder(2, max_iter=0).fit(waves))
    computed = features.compute(scheduler="synchronous")
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)


def test_only_fitted_models_with_transform_are_accepted(waves):
    array = chunked(waves)
    with pytest.raises(NotFittedError):
        cluster.transform(LSTMAutoencoder(), array)
    with pytest.raises(InputError, match="0 steps that are an LSTMAutoencoder"):
        cluster.transform(PCA(), array)
    classifier = make_classifier(3, LogisticRegression(), max_iter=0, random_state=0)
    classifier.fit(waves, np.arange(90) % 2)
    with pytest.raises(InputError, match=r"no transform method.*model\[:-1\]"):
        cluster.transform(classifier, array)
    features = cluster.transform(classifier[:-1], array).compute(scheduler="synchronous")
    np.testing.assert_allclose(features, classifier[:-1].transform(waves), rtol=1e-4, atol=1e-5)


def test_a_model_has_to_return_a_row_of_features_per_series(waves, autoencoder):
    model = make_pipeline(autoencoder, FunctionTransformer(first_column))
    with pytest.raises(InputError, match=r"ndarray with 1 dimensions.*one row of features"):
        cluster.transform(model, chunked(waves))


def first_column(features):
    return features[:, 0]


def test_a_task_starts_no_threads_of_its_own(monkeypatch):
    # More series than a batch holds, among which a model divides its threads elsewhere.
    X = np.random.default_rng(0).normal(size=(200, 10, 1))
    model = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(X)
    started, start = [], Worker.start
    monkeypatch.setattr(Worker, "start", lambda self: (started.append(self), start(self)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        features = compute_features(model, X)
        assert started == []
        np.testing.assert_array_equal(model.transform(X), features)
        assert len(started) == 1
    finally:
        torch.set_num_threads(before)
