"""The network and the scaling of a fitted estimator, which are cached beside it."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from seqfeat.inference.fitted import check_fitted, fitted_backend, fitted_scaling
from seqfeat.nn.network import weights_of
from tests.autoencoders import small, waves

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def fitted():
    return small(max_iter=0, device="cpu").fit(waves())


def test_an_unfitted_estimator_is_an_error(fitted):
    check_fitted(fitted)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        check_fitted(clone(fitted))


# The network


def test_the_network_is_built_once_and_frozen(fitted):
    backend = fitted_backend(fitted)
    assert fitted_backend(fitted) is backend
    assert backend.device == torch.device("cpu")
    assert not backend.network.training
    assert not any(weight.requires_grad for weight in backend.network.parameters())
    for name, value in weights_of(backend.network).items():
        np.testing.assert_array_equal(value, fitted.weights_[name])


def test_other_weights_make_another_network(fitted):
    first, expected = fitted_backend(fitted), fitted.transform(waves())
    fitted.weights_ = {name: 0.5 * value for name, value in fitted.weights_.items()}
    assert fitted_backend(fitted) is not first
    assert not np.allclose(fitted.transform(waves()), expected)


def test_fitting_again_makes_another_network(fitted):
    first = fitted_backend(fitted)
    assert fitted_backend(fitted.fit(waves(seed=1))) is not first


def test_estimators_do_not_share_a_network(fitted):
    other = clone(fitted).set_params(random_state=1).fit(waves())
    assert fitted_backend(other) is not fitted_backend(fitted)
    assert not np.allclose(other.transform(waves()), fitted.transform(waves()))


def test_the_network_is_freed_with_its_estimator():
    estimator = small(max_iter=0).fit(waves())
    network = weakref.ref(fitted_backend(estimator).network)
    assert network() is not None
    del estimator
    gc.collect()
    assert network() is None


def test_the_cache_is_not_part_of_the_estimator(fitted):
    names, pickled = set(vars(fitted)), pickle.dumps(fitted)
    fitted.transform(waves())
    assert set(vars(fitted)) == names
    assert pickle.dumps(fitted) == pickled
    assert b"torch" not in pickled


def test_fault_29_eight_threads_with_a_cold_cache_agree_with_one(fitted):
    X = waves(200)
    expected = fitted.transform(X)
    cold = pickle.loads(pickle.dumps(fitted))
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


def test_the_scaling_is_cached_and_follows_the_learned_attributes(fitted):
    cached, before = fitted_scaling(fitted), fitted.transform(waves())
    assert fitted_scaling(fitted) is cached
    fitted.mean_ += 0.5
    assert fitted_scaling(fitted) is not cached
    np.testing.assert_array_equal(fitted_scaling(fitted).mean, fitted.mean_)
    assert not np.array_equal(fitted.transform(waves()), before)
    fitted.mean_ -= 0.5
    np.testing.assert_array_equal(fitted.transform(waves()), before)


def test_the_cached_scaling_counts_the_parts_of_a_stream():
    model, constant = small(), np.ones((8, 12, 1))
    for n_parts in (1, 2, 3):
        model.partial_fit(constant)
        assert model.n_observed_.tolist() == [n_parts * 8 * 12]
