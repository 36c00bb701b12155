"""A real scheduler and two worker processes, on this machine's own network."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from seqfeat import LSTMAutoencoder

pytest.importorskip("distributed", reason="needs seqfeat[cluster]")
from dask.distributed import Client, LocalCluster
from workers import WORKERS

HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def importable_by_workers():
    """Let the processes of workers find `estimators`, and seqfeat where it is not installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def client():
    """Two workers, which all tests share that kill none."""
    with LocalCluster(**WORKERS) as cluster, Client(cluster, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def mortal_client():
    """Two workers to be killed; their nannies start others."""
    with LocalCluster(**WORKERS) as cluster, Client(cluster, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture(scope="session")
def waves():
    """Series of two channels whose speed and phase differ."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 6, 20) * rng.uniform(1, 2, size=(90, 1)) + rng.uniform(0, 6, size=(90, 1))
    return np.stack([np.sin(time), np.cos(time / 2)], axis=2)


@pytest.fixture(scope="session")
def autoencoder(waves):
    """Fitted on half of the waves."""
    return LSTMAutoencoder(3, max_iter=25, random_state=0).fit(waves[::2])
