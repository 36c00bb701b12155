"""Searches on real workers, some of which get killed: the scores are those of one process."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import dask
import joblib
import numpy as np
import pytest
from dask.distributed import Client, KilledWorker, LocalCluster
from estimators import Killed, Noted, Occupied, diary_entries
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from workers import WORKERS

from commands import ok
from seqfeat import LSTMAutoencoder, cluster, make_classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GRID = {"autoencoder__embedding_dim": [2, 4], "autoencoder__patch_len": [1, 5]}


def grid_search(estimator, grid=GRID):
    return GridSearchCV(estimator, grid, cv=3, refit=False, error_score="raise")


def scores(search):
    results = search.cv_results_
    return np.array([results[f"split{fold}_test_score"] for fold in range(3)])


def within(seconds, work):
    """Return what `work` returns or raises; if it never does, the test fails."""
    outcome = {}

    def run():
        try:
            outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"it still hangs after {seconds} s"
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


@pytest.fixture(scope="module")
def labelled(waves):
    """The waves as a list, and which of two speeds they have; large enough to be scattered."""
    steps = np.abs(np.diff(waves[:, :, 0], axis=1)).mean(axis=1)
    rows = np.random.default_rng(0).integers(len(waves), size=270)
    return list(waves[rows]), (steps > np.median(steps))[rows]


@pytest.fixture(scope="module")
def classifier():
    return make_classifier(2, max_iter=4, random_state=0)


@pytest.fixture(scope="module")
def serial_scores(classifier, labelled):
    found = scores(grid_search(classifier).fit(*labelled))
    assert len(np.unique(found)) > 4
    return found


# Fault 30: every backend


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_other_processes_and_threads_give_the_serial_scores(
    classifier, labelled, serial_scores, backend
):
    with joblib.parallel_config(backend, n_jobs=2):
        search = grid_search(classifier).fit(*labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)


def test_joblib_s_backend_gives_the_serial_scores(client, classifier, labelled, serial_scores):
    with joblib.parallel_config("dask"):
        search = grid_search(classifier).fit(*labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)


def test_searching_gives_the_serial_scores(client, classifier, labelled, serial_scores):
    with cluster.searching(*labelled):
        search = grid_search(classifier).fit(*labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)
    X, _ = labelled
    unlabelled = grid_search(LSTMAutoencoder(max_iter=2, random_state=0), {"embedding_dim": [2, 3]})
    expected = scores(unlabelled.fit(X))
    with cluster.searching(X, client=client):
        np.testing.assert_array_equal(scores(unlabelled.fit(X)), expected)


def test_the_series_go_to_each_worker_once(client, labelled, tmp_path):
    X, y = labelled
    X = Noted(tmp_path, X)
    search = grid_search(make_classifier(2, max_iter=0, random_state=0))
    with cluster.searching(X, y):
        search.fit(X, y)
    opened = [process for _, process in diary_entries(tmp_path, "opened")]
    assert len(opened) == len(set(opened)) == 2
    assert os.getpid() not in opened


def test_a_fit_has_a_gpu_to_itself(tmp_path):
    # Workers of two threads, which declare one GPU each, whether they have it or not.
    search = grid_search(Occupied(tmp_path), {"seconds": [0.1, 0.2, 0.3, 0.4]})
    data = np.zeros((9, 5, 1)), np.zeros(9)
    options = {**WORKERS, "threads_per_worker": 2, "resources": {"GPU": 1}}
    with LocalCluster(**options) as workers, Client(workers) as client:
        with cluster.searching(*data, client=client):
            search.fit(*data)
        assert most_fits_at_once(tmp_path) == 1
        with joblib.parallel_config("dask", client=client):
            search.fit(*data)
        assert most_fits_at_once(tmp_path) == 2


def most_fits_at_once(folder):
    """Return how many fits any process had running when another one began."""
    fits = [(*map(float, times), process) for times, process in diary_entries(folder, "fitted")]
    return max(
        sum(began <= start < ended for began, ended, other in fits if other == process)
        for start, _, process in fits
    )


# Fault 30: a worker is killed


def test_killed_workers_cost_time_and_not_the_result(
    mortal_client, classifier, labelled, serial_scores, tmp_path
):
    # The second one is the other worker, or the one that a nanny started in the first's place.
    mortal = classifier.__sklearn_clone__()
    mortal.steps.insert(0, ("killed", Killed(tmp_path, 2, os.getpid())))

    def search():
        with cluster.searching(*labelled, client=mortal_client):
            return grid_search(mortal).fit(*labelled)

    np.testing.assert_array_equal(scores(within(300, search)), serial_scores)
    assert len(list(tmp_path.glob("killed-*"))) == 2


def test_without_a_nanny_the_other_worker_does_the_work(
    classifier, labelled, serial_scores, tmp_path
):
    mortal = classifier.__sklearn_clone__()
    mortal.steps.insert(0, ("killed", Killed(tmp_path, 1, os.getpid())))
    with (
        LocalCluster(**{**WORKERS, "n_workers": 0}) as workers,
        processes(workers.scheduler_address, 2) as started,
        Client(workers) as client,
    ):
        client.wait_for_workers(2, timeout=120)

        def search():
            with cluster.searching(*labelled, client=client):
                return grid_search(mortal).fit(*labelled)

        np.testing.assert_array_equal(scores(within(300, search)), serial_scores)
        assert sorted(process.poll() is None for process in started) == [False, True]


@contextmanager
def processes(scheduler, number):
    """Run workers without nannies."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny"]
    command += ["--nthreads", "1", "--no-dashboard"]
    started = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(number)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def test_a_fit_that_kills_every_worker_is_an_error_and_no_endless_wait(labelled, tmp_path):
    mortal = make_pipeline(Killed(tmp_path, 99, os.getpid()), DummyClassifier())
    search = grid_search(mortal, {"killed__times": [98, 99]})
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        workers = LocalCluster(**WORKERS)
    with workers, Client(workers) as client:

        def run():
            with cluster.searching(*labelled, client=client):
                search.fit(*labelled)

        with pytest.raises(KilledWorker, match="_fit_and_score"):
            within(120, run)


# The command


def test_the_command_searches_on_a_cluster(client, labelled, tmp_path):
    X, y = labelled
    path = tmp_path / "waves.npz"
    np.savez(path, X=np.array(X), y=y)
    options = ["--embedding-dim", "2,4", "--max-iter", "2", "--cv", "2", "--json"]
    here = ok("search", path, *options).json
    there = ok("search", path, *options, "--cluster", client.scheduler.address).json
    for row, other in zip(here["sizes"], there["sizes"], strict=True):
        for name in ("embedding_dim", "score", "score_deviation"):
            assert row[name] == other[name]
    assert there["best"] == here["best"]
