"""One fit on real Dask workers, in processes of their own."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import dask.array as da
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from sklearn.base import clone

from seqfeat import DistributedError, InputError, LSTMAutoencoder
from seqfeat.cluster import fit
from seqfeat.exceptions import InputTypeError
from tests.cluster.local_cluster import LOCAL_CLUSTER
from tests.shared_fits.cases import CASES, assert_same_fit, summary, walks

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Sending large graph"),
]


@pytest.mark.parametrize("name", ["dense", "masked", "weighted", "labelled", "stopped", "pipeline"])
def test_a_fit_on_two_workers_equals_a_fit_in_one_process(name, client):
    model, X, y = CASES[name]
    array = da.from_array(X, chunks=((10, 25, 5, 30), 20, 2))
    shared = clone(model)
    assert fit(shared, array, y, client=client) is shared
    assert_same_fit(summary(shared, X), summary(clone(model).fit(X, y), X))


def test_a_single_chunk_is_fitted_by_one_worker_of_the_current_client(client):
    model = LSTMAutoencoder(4, max_iter=1, random_state=0)
    X = walks()
    shared = fit(clone(model), da.from_array(X, chunks=(70, 20, 1)))
    assert shared.loss_curve_ == pytest.approx(model.fit(X).loss_curve_, rel=1e-5)


# Errors


def test_an_input_error_in_a_worker_is_raised_in_the_client(client):
    X = walks()
    X[68, 2, 1] = np.inf
    model = LSTMAutoencoder(4, max_iter=1)
    with pytest.raises((InputError, DistributedError), match="series 33 has inf at timestep 2"):
        fit(model, da.from_array(X, chunks=(35, 20, 2)), client=client)
    assert not hasattr(model, "weights_")


def test_a_cluster_without_workers_is_an_error():
    with (
        LocalCluster(**{**LOCAL_CLUSTER, "n_workers": 0}) as workers,
        Client(workers) as client,
        pytest.raises(DistributedError, match=r"no workers.*client\.wait_for_workers"),
    ):
        fit(LSTMAutoencoder(4), da.from_array(walks()), client=client)


def test_invalid_data_is_an_error(client):
    with pytest.raises(InputTypeError, match=r"X is ndarray of shape \(70, 20, 2\).*from_array"):
        fit(LSTMAutoencoder(), walks(), client=client)
    with pytest.raises(InputError, match="y has 3 labels for 70 series"):
        fit(LSTMAutoencoder(), da.from_array(walks()), np.zeros(3), client=client)


def pid_of_rank_1(client):
    workers = client.cluster.workers.values()
    return max(workers, key=lambda worker: worker.worker_address).pid


@contextmanager
def signalled_at(process, number, folder, checkpoint):
    """Send a process a signal once a checkpoint of that name is there."""

    def send():
        while not list(folder.glob(f"fit-*/{checkpoint}")):
            time.sleep(0.01)
        os.kill(process, number)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()


def test_a_fit_that_lost_a_worker_fails_and_the_next_call_resumes_it(tmp_path, mortal_client):
    model = LSTMAutoencoder(
        4, max_iter=60, n_iter_no_change=60, random_state=0, checkpoint_dir=tmp_path
    )
    X = da.from_array(walks(), chunks=(35, 20, 2))
    rank_1 = pid_of_rank_1(mortal_client)
    with (
        signalled_at(rank_1, signal.SIGKILL, tmp_path, "epoch-0000001*"),
        pytest.raises(DistributedError, match=r"lost.*checkpoint_dir"),
    ):
        fit(model, X, client=mortal_client, timeout=60)
    assert not hasattr(model, "weights_")
    mortal_client.wait_for_workers(2, timeout=60)
    reached = max(int(path.stem[6:]) for path in tmp_path.glob("fit-*/epoch-*"))
    assert 10 <= reached < 60
    fit(model, X, client=mortal_client, timeout=60)
    alone = clone(model).set_params(checkpoint_dir=None).fit(walks())
    np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-2, atol=1e-3)


def test_a_stalled_worker_is_named(tmp_path, mortal_client):
    model = LSTMAutoencoder(
        4, max_iter=2000, n_iter_no_change=2000, random_state=0, checkpoint_dir=tmp_path
    )
    X = da.from_array(walks(), chunks=(35, 20, 2))
    rank_1 = pid_of_rank_1(mortal_client)
    try:
        with (
            signalled_at(rank_1, signal.SIGSTOP, tmp_path, "epoch-*"),
            pytest.raises(DistributedError, match=rf"^rank 1 \(process {rank_1} on .*stalled"),
        ):
            fit(model, X, client=mortal_client, timeout=4)
    finally:
        os.kill(rank_1, signal.SIGKILL)
    assert not hasattr(model, "weights_")
