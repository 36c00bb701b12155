"""Real schedulers and worker processes, on the local network."""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from seqfeat import LSTMAutoencoder, make_classifier

pytest.importorskip("distributed", reason="needs seqfeat[cluster]")
from dask.distributed import Client, LocalCluster

from tests.cluster.local_cluster import LOCAL_CLUSTER
from tests.cluster.searches import grid_search, scores

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def importable_by_workers():
    """Let worker processes import the tests, and seqfeat where it is not installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def client():
    """Two workers that no test kills. Each has two threads, and declares a GPU that it lacks."""
    options = {**LOCAL_CLUSTER, "threads_per_worker": 2, "resources": {"GPU": 1}}
    with LocalCluster(**options) as workers, Client(workers, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture(scope="session")
def mortal_cluster():
    with LocalCluster(**LOCAL_CLUSTER) as workers:
        yield workers


@pytest.fixture
def mortal_client(mortal_cluster):
    """Two workers that a test may kill; their nannies start new ones."""
    with Client(mortal_cluster, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture(scope="session")
def waves():
    """Series of two channels with random frequencies and phases."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 6, 20) * rng.uniform(1, 2, size=(90, 1)) + rng.uniform(0, 6, size=(90, 1))
    return np.stack([np.sin(time), np.cos(time / 2)], axis=2)


@pytest.fixture(scope="session")
def autoencoder(waves):
    """Fitted to half of the waves."""
    return LSTMAutoencoder(3, max_iter=25, random_state=0).fit(waves[::2])


@pytest.fixture(scope="session")
def labelled(waves):
    """The waves as a list that is large enough to be scattered, labelled by their frequency."""
    steps = np.abs(np.diff(waves[:, :, 0], axis=1)).mean(axis=1)
    rows = np.random.default_rng(0).integers(len(waves), size=270)
    return list(waves[rows]), (steps > np.median(steps))[rows]


@pytest.fixture(scope="session")
def classifier():
    return make_classifier(2, max_iter=4, random_state=0)


@pytest.fixture(scope="session")
def serial_scores(classifier, labelled):
    """The scores of a search in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = scores(grid_search(classifier).fit(*labelled))
    assert len(np.unique(found)) > 4
    return found
