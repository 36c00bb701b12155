"""The network and the scaling that are kept next to a fitted estimator."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch
from sklearn.base import clone

from seqfeat import LSTMAutoencoder
from seqfeat.inference.fitted import fitted_backend, fitted_scaling
from tests.training.examples import assert_equal_weights, sines

pytestmark = pytest.mark.usefixtures("one_thread")


def untrained(**params):
    return LSTMAutoencoder(4, **{"max_iter": 0, "random_state": 0, "device": "cpu", **params})


@pytest.fixture
def fitted():
    return untrained().fit(sines())


# The network


def test_a_network_is_built_once_for_inference(fitted):
    backend = fitted_backend(fitted)
    assert fitted_backend(fitted) is backend
    assert backend.device == torch.device("cpu")
    assert not backend.network.training
    assert not any(weight.requires_grad for weight in backend.network.parameters())
    assert_equal_weights(backend.network, fitted.weights_)


def test_other_weights_make_another_network(fitted):
    first, expected = fitted_backend(fitted), fitted.transform(sines())
    fitted.weights_ = {name: 0.5 * value for name, value in fitted.weights_.items()}
    assert fitted_backend(fitted) is not first
    assert not np.allclose(fitted.transform(sines()), expected)


def test_another_fit_makes_another_network(fitted):
    first = fitted_backend(fitted)
    assert fitted_backend(fitted.fit(sines(seed=1))) is not first


def test_estimators_do_not_share_a_network(fitted):
    other = clone(fitted).set_params(random_state=1).fit(sines())
    assert fitted_backend(other) is not fitted_backend(fitted)
    assert not np.allclose(other.transform(sines()), fitted.transform(sines()))


def test_the_network_goes_with_its_estimator():
    estimator = untrained().fit(sines())
    network = weakref.ref(fitted_backend(estimator).network)
    assert network() is not None
    del estimator
    gc.collect()
    assert network() is None


def test_the_network_is_no_part_of_the_estimator(fitted):
    before, pickled = dict(vars(fitted)), pickle.dumps(fitted)
    fitted.transform(sines())
    assert vars(fitted).keys() == before.keys()
    assert pickle.dumps(fitted) == pickled
    assert b"torch" not in pickled


def test_fault_29_eight_threads_with_a_cold_cache_agree_with_one(fitted):
    X = sines(200)
    expected, cold = fitted.transform(X), pickle.loads(pickle.dumps(fitted))
    barrier, results, backends = threading.Barrier(8), [None] * 8, set()

    def work(index):
        barrier.wait(timeout=60)
        results[index] = cold.transform(X)
        backends.add(id(fitted_backend(cold)))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(backends) == 1
    for result in results:
        np.testing.assert_array_equal(result, expected)


# The scaling


def test_a_scaling_is_kept_until_what_was_learned_changes(fitted):
    kept, before = fitted_scaling(fitted), fitted.transform(sines())
    assert fitted_scaling(fitted) is kept
    fitted.mean_ += 0.5
    assert fitted_scaling(fitted) is not kept
    np.testing.assert_array_equal(fitted_scaling(fitted).mean, fitted.mean_)
    assert not np.array_equal(fitted.transform(sines()), before)
    fitted.mean_ -= 0.5
    np.testing.assert_array_equal(fitted.transform(sines()), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_kept_scaling_does_not_hide_what_a_stream_has_added():
    model, constant = untrained(), np.ones((8, 12, 1))
    for n_parts in (1, 2, 3):
        model.partial_fit(constant)
        assert model.n_observed_.tolist() == [n_parts * 8 * 12]
