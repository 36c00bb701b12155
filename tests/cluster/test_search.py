"""Searches on real workers: the scores are those of a search in one process."""

import os

import joblib
import numpy as np
import pytest

from seqfeat import LSTMAutoencoder, cluster, make_classifier, make_regressor
from tests.cluster.estimators import RecordedSeries, Sleeper, recorded
from tests.cluster.searches import grid_search, scores
from tests.commands import ok

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("backend", ["threading", "dask"])
def test_fault_30_joblib_backends_give_the_same_scores(
    client, classifier, labelled, serial_scores, backend
):
    # loky, joblib's default, is what the tests of make_classifier use.
    options = {"n_jobs": 2} if backend == "threading" else {}
    with joblib.parallel_config(backend, **options):
        search = grid_search(classifier).fit(*labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)


def test_searching_gives_the_same_scores(client, classifier, labelled, serial_scores):
    with cluster.searching(*labelled):
        search = grid_search(classifier).fit(*labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)


def test_searching_needs_no_labels(client, labelled):
    X, _ = labelled
    search = grid_search(LSTMAutoencoder(max_iter=2, random_state=0), {"embedding_dim": [2, 3]})
    expected = scores(search.fit(X))
    with cluster.searching(X, client=client):
        np.testing.assert_array_equal(scores(search.fit(X)), expected)


def test_a_search_for_a_regressor_gives_the_same_scores(client, labelled):
    X, _ = labelled
    y = np.array([series[0] for series in X], dtype=float)
    model = make_regressor(3, target_weight=0.5, max_iter=0, random_state=0)
    search = grid_search(model, {"regressor__alphas": [[0.1]]})
    expected = scores(search.fit(X, y))
    with cluster.searching(X, y, client=client):
        np.testing.assert_array_equal(scores(search.fit(X, y)), expected)
    assert np.isfinite(expected).all()


def test_fits_on_workers_start_from_a_fitted_model(client, autoencoder, labelled):
    estimator = make_classifier(3, max_iter=0, init=autoencoder)
    search = grid_search(estimator, {"classifier__C": [0.1]})
    expected = scores(search.fit(*labelled))
    with cluster.searching(*labelled, client=client):
        np.testing.assert_array_equal(scores(search.fit(*labelled)), expected)


def test_the_series_are_sent_to_each_worker_once(client, labelled, tmp_path):
    X, y = labelled
    X = RecordedSeries(tmp_path, X)
    search = grid_search(make_classifier(2, max_iter=0, random_state=0))
    with cluster.searching(X, y):
        search.fit(X, y)
    unpickled_by = [process for _, process in recorded(tmp_path, "unpickled")]
    assert len(unpickled_by) == len(set(unpickled_by)) == 2
    assert os.getpid() not in unpickled_by


def test_each_fit_has_a_gpu_to_itself(client, tmp_path):
    # The workers have two threads and declare one GPU each, whether it exists or not.
    search = grid_search(Sleeper(tmp_path), {"seconds": [0.1, 0.2, 0.3, 0.4]})
    data = np.zeros((9, 5, 1)), np.zeros(9)
    with cluster.searching(*data, client=client):
        search.fit(*data)
    assert most_fits_at_once(tmp_path) == 1
    with joblib.parallel_config("dask", client=client):
        search.fit(*data)
    assert most_fits_at_once(tmp_path) == 2


def most_fits_at_once(folder):
    """Return the largest number of fits that ran in one process at the same time."""
    fits = [(*map(float, times), process) for times, process in recorded(folder, "fitted")]
    return max(
        sum(began <= start < ended for began, ended, other in fits if other == process)
        for start, _, process in fits
    )


def test_the_search_command_can_use_a_cluster(client, labelled, tmp_path):
    X, y = labelled
    path = tmp_path / "waves.npz"
    np.savez(path, X=np.array(X), y=y)
    options = ["--embedding-dim", "2,4", "--max-iter", "2", "--cv", "2", "--json"]
    local = ok("search", path, *options).json
    remote = ok("search", path, *options, "--cluster", client.scheduler.address).json
    for row, other in zip(local["sizes"], remote["sizes"], strict=True):
        for name in ("embedding_dim", "score", "score_std"):
            assert row[name] == other[name]
    assert remote["best"] == local["best"]
