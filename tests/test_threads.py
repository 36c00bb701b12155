"""Parts of a batch side by side: the same results on any number of threads, and no thread left."""

import gc
import signal
import threading
import time

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from seqfeat import LSTMAutoencoder
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels.backpropagation import Workspace
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.runtime.device import single_threaded
from seqfeat.runtime.threads import WorkerPool
from seqfeat.training import trainer as training
from seqfeat.training.trainer import Settings, Trainer, train
from tests.scarce import before_each_part


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("seqfeat")]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("n_inputs", [0, 1, 2, 7])
def test_results_come_in_the_order_of_the_inputs(n_threads, n_inputs):
    def slow_at_first(number):
        time.sleep(0.01 / (number + 1))
        return number * number

    with WorkerPool(n_threads) as pool:
        results = list(pool.map(slow_at_first, range(n_inputs)))
    assert results == [number * number for number in range(n_inputs)]


def test_threads_end_with_their_owner_if_nobody_enters_its_context():
    pool = WorkerPool(3)
    assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
    threads = own_threads()
    assert len(threads) >= 2
    del pool
    gc.collect()
    for thread in threads:
        thread.join(timeout=10)
    assert not own_threads()


def test_as_many_run_at_once_as_there_are_threads():
    meeting = threading.Barrier(3, timeout=10)
    with WorkerPool(3) as pool:
        # Three that wait for each other get past only together.
        assert len(list(pool.map(lambda _: meeting.wait(), range(6)))) == 6


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_comes_when_those_beside_it_have_ended(bad):
    ended = []

    def fail_or_end(number):
        if number == bad:
            raise ValueError(f"input {number}")
        time.sleep(0.05)
        ended.append(number)

    with WorkerPool(3) as pool:
        with pytest.raises(ValueError, match=f"input {bad}"):
            list(pool.map(fail_or_end, range(3)))
        assert sorted(ended) == sorted({0, 1, 2} - {bad})
        assert list(pool.map(str, range(3))) == ["0", "1", "2"]


def test_threads_end_with_the_context():
    with WorkerPool(4) as pool:
        list(pool.map(str, range(4)))
        assert 1 <= len(own_threads()) <= 3
    assert not own_threads()


@pytest.fixture
def restored_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def series(n_samples=70, n_timesteps=80):
    return np.random.default_rng(0).normal(size=(n_samples, n_timesteps, 2)).cumsum(axis=1)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize(("n_series", "batch_size"), [(20, 8), (70, 70)])
def test_weights_do_not_depend_on_the_number_of_threads(n_series, batch_size):
    params = {"early_stopping": True, "target_weight": 0.3, "dropout": 0.1, "input_noise": 0.1}
    fitted = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        # Wide enough for halves, and with 70 series large enough for more parts.
        estimator = LSTMAutoencoder(
            256, max_iter=2, batch_size=batch_size, random_state=0, **params
        )
        fitted.append(estimator.fit(series(n_series), np.arange(n_series) % 3))
        assert torch.get_num_threads() == n_threads
    assert not own_threads()
    for other in fitted[1:]:
        assert other.loss_curve_ == fitted[0].loss_curve_
        assert other.validation_loss_curve_ == fitted[0].validation_loss_curve_
        for name, weight in fitted[0].weights_.items():
            assert np.array_equal(weight, other.weights_[name])


@pytest.mark.usefixtures("restored_threads")
def test_threads_end_with_a_fit_that_fails():
    torch.set_num_threads(2)

    class Stop(Exception):
        pass

    def refuse(history):
        raise Stop

    network = RecurrentAutoencoder(Architecture(2, 32, 64))
    initialize(network, torch.Generator().manual_seed(0))
    data = Batch(torch.tensor(series(), dtype=torch.float32), torch.full((70,), 80))
    with pytest.raises(Stop):
        train(network, data, Settings(2, 35, 1e-3), torch.Generator(), on_epoch_end=refuse)
    assert not own_threads()


def another_fit_ends():
    """Enter and leave on another thread, which puts back what the process had."""

    def enter_and_leave():
        with single_threaded():
            pass

    other = threading.Thread(target=enter_and_leave)
    other.start()
    other.join()


@pytest.mark.usefixtures("restored_threads")
def test_all_threads_of_a_fit_have_one_torch_thread_whenever_another_fit_ends():
    torch.set_num_threads(2)
    network = RecurrentAutoencoder(Architecture(2, 32, 64))
    initialize(network, torch.Generator().manual_seed(0))
    seen = set()
    network.encoder.register_forward_pre_hook(
        lambda *_: seen.add((threading.get_ident(), torch.get_num_threads()))
    )
    data = Batch(torch.tensor(series(), dtype=torch.float32), torch.full((70,), 80))
    settings = Settings(1, 70, 1e-3)
    train(network, data, settings, torch.Generator(), on_epoch_begin=another_fit_ends)
    assert len(seen) == 2
    assert {n_threads for _, n_threads in seen} == {1}


def wide_network():
    network = RecurrentAutoencoder(Architecture(2, 32, 64))
    initialize(network, torch.Generator().manual_seed(0))
    return network


def walks():
    """Two batches of 35 series, each of which comes in two parts."""
    values = torch.randn((70, 60, 2), generator=torch.Generator().manual_seed(1)).cumsum(dim=1)
    return Batch(0.1 * values, torch.full((70,), 60))


SETTINGS = Settings(4, 35, 1e-3, dropout=0.2, input_noise=0.3)


def trained(network, **options):
    history = train(network, walks(), SETTINGS, torch.Generator().manual_seed(2), **options)
    return history, [weight.detach().clone() for weight in network.state_dict().values()]


def assert_equal(first, second):
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_fault_20_an_interrupt_amid_the_parts_of_a_batch(n_threads, is_compiled, monkeypatch):
    torch.set_num_threads(n_threads)
    if not is_compiled:
        monkeypatch.setattr(training, "compiled_backpropagation", lambda network: None)
    network, begun, ended = wide_network(), [], []

    def press_ctrl_c_in_the_third_epoch(*_):
        begun.append(1)
        if len(begun) == 10:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.05)

    if is_compiled:
        run = Workspace.run

        def interrupted(place):
            press_ctrl_c_in_the_third_epoch()
            ended.append(run(place))
            return place

        monkeypatch.setattr(Workspace, "run", interrupted)
    else:
        network.encoder.register_forward_pre_hook(press_ctrl_c_in_the_third_epoch)
        network.decoder.register_forward_hook(lambda *_: ended.append(1) and None)
    history, weights = trained(network)
    assert len(begun) >= 10
    n_ended = len(ended)
    assert (history.n_iter, history.stop_reason) == (2, "interrupted")
    assert not own_threads()
    assert torch.get_num_threads() == n_threads
    time.sleep(0.05)
    assert len(ended) == n_ended
    _, undisturbed = trained(wide_network(), on_epoch_end=lambda history: history.n_iter == 2)
    assert_equal(weights, undisturbed)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_fault_24_parts_that_do_not_fit_are_halved_on_any_number_of_threads(n_threads):
    torch.set_num_threads(n_threads)
    under_way = []

    def run_out_beyond_ten(lengths):
        if len(lengths) > 10:
            raise torch.OutOfMemoryError("out of memory")
        under_way.append(1)

    _, weights = trained(before_each_part(wide_network(), run_out_beyond_ten))
    assert under_way
    network = wide_network()
    trainer = Trainer(network, SETTINGS, torch.Generator().manual_seed(2), torch.device("cpu"))
    trainer.micro_batch = 6
    trainer.prepare(70, None)
    with single_threaded():
        trainer.run(walks(), None, lambda: None, lambda history: False)
    assert_equal(weights, list(network.state_dict().values()))


@pytest.mark.usefixtures("restored_threads")
def test_fits_on_threads_of_the_caller_have_the_weights_of_a_fit_alone():
    torch.set_num_threads(2)
    _, expected = trained(wide_network())
    fits = Parallel(n_jobs=3, backend="threading")(
        delayed(trained)(wide_network()) for _ in range(3)
    )
    for _, weights in fits:
        assert_equal(weights, expected)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_caller_who_turned_gradients_off_gets_the_same_fit(n_threads):
    torch.set_num_threads(n_threads)
    _, expected = trained(wide_network())
    with torch.no_grad():
        assert_equal(trained(wide_network())[1], expected)
        assert not torch.is_grad_enabled()


def parts_of(n_series, n_timesteps, embedding_dim):
    network = RecurrentAutoencoder(Architecture(2, embedding_dim, 2 * embedding_dim))
    trainer = Trainer(network, Settings(1, 8, 1e-3), torch.Generator(), torch.device("cpu"))
    lengths = torch.full((n_series,), n_timesteps)
    parts = trainer.micro_batches(Batch(torch.zeros(n_series, n_timesteps, 2), lengths))
    return [part.stop - part.start for part in parts]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((32, 10, 4), [32]),
        ((16, 100, 8), [16]),
        ((32, 100, 16), [16, 16]),
        ((32, 100, 32), [16, 16]),
        ((7, 100, 64), [3, 4]),
        ((1, 1000, 64), [1]),
        ((100, 10, 4), [33, 33, 34]),
    ],
)
def test_a_batch_comes_in_halves_if_there_is_enough_to_do_and_in_parts_if_it_is_large(
    batch, expected
):
    assert parts_of(*batch) == expected
