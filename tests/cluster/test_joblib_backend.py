"""Searches on real workers that get killed: that costs time, but not the result."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from dask.distributed import Client, KilledWorker, LocalCluster
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seqfeat import cluster
from tests.cluster.estimators import Killer, flattened
from tests.cluster.local_cluster import LOCAL_CLUSTER
from tests.cluster.searches import grid_search, scores

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def killing(classifier, folder, times):
    """Return the classifier after a step that kills some workers."""
    mortal = clone(classifier)
    mortal.steps.insert(0, ("killer", Killer(folder, times, os.getpid())))
    return mortal


def within(seconds, work):
    """Return what `work` returns, or raise what it raises; fail if it takes too long."""
    outcome = {}

    def run():
        try:
            outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"still running after {seconds} s"
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def search_on(client, estimator, data, **grid):
    def search():
        with cluster.searching(*data, client=client):
            return grid_search(estimator, **grid).fit(*data)

    return within(300, search)


def test_fault_30_a_search_survives_the_loss_of_two_workers(
    mortal_client, classifier, labelled, serial_scores, tmp_path
):
    # The second is either the other worker, or the one that a nanny started instead of the first.
    search = search_on(mortal_client, killing(classifier, tmp_path, 2), labelled)
    np.testing.assert_array_equal(scores(search), serial_scores)
    assert len(list(tmp_path.glob("killed-*"))) == 2


def test_fault_30_if_nobody_replaces_a_killed_worker_the_other_one_finishes(labelled, tmp_path):
    # Without an autoencoder: these workers start fast because they do not import PyTorch.
    classifier = make_pipeline(FunctionTransformer(flattened), KNeighborsClassifier())
    grid = {"kneighborsclassifier__n_neighbors": [1, 2, 5]}
    expected = scores(grid_search(classifier, grid).fit(*labelled))
    with (
        LocalCluster(**{**LOCAL_CLUSTER, "n_workers": 0}) as workers,
        workers_without_nanny(workers.scheduler_address, 2) as processes,
        Client(workers) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        search = search_on(client, killing(classifier, tmp_path, 1), labelled, grid=grid)
        np.testing.assert_array_equal(scores(search), expected)
        assert sorted(process.poll() is None for process in processes) == [False, True]


@contextmanager
def workers_without_nanny(scheduler, number):
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny"]
    command += ["--nthreads", "1", "--no-dashboard"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(number)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


def test_fault_30_a_fit_that_kills_every_worker_is_an_error_and_not_an_endless_wait(
    mortal_client, labelled, tmp_path, monkeypatch
):
    # Dask's setting distributed.scheduler.allowed-failures, of a scheduler that runs already.
    monkeypatch.setattr(mortal_client.cluster.scheduler, "allowed_failures", 0)
    mortal = make_pipeline(Killer(tmp_path, 99, os.getpid()), DummyClassifier())
    with pytest.raises(KilledWorker, match="_fit_and_score"):
        search_on(mortal_client, mortal, labelled, grid={"killer__times": [98, 99]})
