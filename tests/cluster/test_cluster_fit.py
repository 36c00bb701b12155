"""One fit on real Dask workers, in processes of their own."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from sklearn.base import clone
from tests.shared_fits.cases import CASES, small_regions, summary, walks
from workers import WORKERS

from seqfeat import DistributedError, InputError, LSTMAutoencoder
from seqfeat.cluster import fit
from seqfeat.cluster.extra import workers_of
from seqfeat.exceptions import InputTypeError

da = pytest.importorskip("dask.array")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Sending large graph"),
]


@pytest.mark.parametrize("name", ["dense", "masked", "labelled", "stopped", "pipeline"])
def test_workers_that_share_a_fit_learn_what_one_process_does_alone(name, client):
    small_regions(None)
    model, X, y = CASES[name]
    array = da.from_array(X, chunks=((10, 25, 5, 30), 20, 2))
    shared = clone(model)
    assert fit(shared, array, y, client=client) is shared
    expected, found = summary(clone(model).fit(X, y), X), summary(shared, X)
    for key, value in expected.items():
        if np.asarray(value).dtype.kind in "US":
            assert np.mean(found[key] == value) > 0.97
        else:
            np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_one_chunk_is_for_one_worker_and_the_current_client_is_used(client):
    model = LSTMAutoencoder(4, max_iter=1, random_state=0)
    X = walks()
    shared = fit(clone(model), da.from_array(X, chunks=(70, 20, 1)))
    assert shared.loss_curve_ == pytest.approx(model.fit(X).loss_curve_, rel=1e-5)


def test_what_a_worker_refuses_is_raised_here(client):
    X = walks()
    X[68, 2, 1] = np.inf
    model = LSTMAutoencoder(4, max_iter=1)
    with pytest.raises((InputError, DistributedError), match="series 33 has inf at timestep 2"):
        fit(model, da.from_array(X, chunks=(35, 20, 2)), client=client)
    assert not hasattr(model, "weights_")


def test_workers_are_found_while_dask_asks_for_their_number_alone(client):
    # As its client does every two seconds; then it says that there are none.
    asking = threading.Event()

    def ask():
        while not asking.is_set():
            client.sync(client._update_scheduler_info, n_workers=0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        found = [workers_of(client) for _ in range(500)]
    finally:
        asking.set()
        thread.join()
    assert {len(workers) for workers in found} == {2}


def test_a_cluster_without_workers_is_an_error():
    with (
        LocalCluster(**{**WORKERS, "n_workers": 0}) as workers,
        Client(workers) as client,
        pytest.raises(DistributedError, match=r"no workers.*client\.wait_for_workers"),
    ):
        fit(LSTMAutoencoder(4), da.from_array(walks()), client=client)


def test_other_input_is_refused(client):
    with pytest.raises(InputTypeError, match=r"X is ndarray of shape \(70, 20, 2\).*from_array"):
        fit(LSTMAutoencoder(), walks(), client=client)
    with pytest.raises(InputError, match="y has 3 labels for 70 series"):
        fit(LSTMAutoencoder(), da.from_array(walks()), np.zeros(3), client=client)


def test_a_worker_that_is_killed_ends_the_fit_and_the_next_one_goes_on(tmp_path, mortal_client):
    model = LSTMAutoencoder(
        4, max_iter=60, n_iter_no_change=60, random_state=0, checkpoint_dir=tmp_path
    )
    X = da.from_array(walks(), chunks=(35, 20, 2))
    process = max(
        mortal_client.cluster.workers.values(), key=lambda worker: worker.worker_address
    ).pid

    def kill():
        while not list(tmp_path.glob("fit-*/epoch-0000001*")):
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(DistributedError, match="lost"):
        fit(model, X, client=mortal_client, timeout=60)
    killer.join()
    assert not hasattr(model, "weights_")
    mortal_client.wait_for_workers(2, timeout=60)
    reached = max(int(path.stem[6:]) for path in tmp_path.glob("fit-*/epoch-*"))
    assert 10 <= reached < 60
    fit(model, X, client=mortal_client, timeout=60)
    alone = clone(model).set_params(checkpoint_dir=None).fit(walks())
    np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-2, atol=1e-3)
