"""Training on several threads: the same bits on any number of them, and none is left."""

import signal
import threading
import time

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from seqfeat import LSTMAutoencoder
from seqfeat.nn.batch import Batch
from seqfeat.nn.kernels.training_step import TrainingStep
from seqfeat.runtime.torch_threads import single_threaded
from seqfeat.training.trainer import TrainingSettings
from tests.training.examples import (
    CPU,
    Observer,
    assert_equal_weights,
    compiled_backend,
    generator,
    make_network,
    stop_after,
    torch_backend,
    train,
    trainer_of,
)

SETTINGS = TrainingSettings(4, 35, 1e-3, dropout=0.2, input_noise=0.3)


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("seqfeat")]


@pytest.fixture(autouse=True)
def set_threads():
    """Return a function that sets torch's number of threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def wide_network():
    return make_network(2, 32, 64)


def walks():
    """Two batches of 35 series, each of which is cut into two parts."""
    values = torch.randn((70, 60, 2), generator=generator(1)).cumsum(dim=1)
    return Batch(0.1 * values, torch.full((70,), 60))


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize(("n_series", "batch_size"), [(20, 8), (70, 70)])
@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_a_fit_does_not_depend_on_the_number_of_threads(
    is_compiled, n_series, batch_size, pooling, set_threads, monkeypatch
):
    if not is_compiled:
        monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: None)
    X = np.random.default_rng(0).normal(size=(n_series, 80, 2)).cumsum(axis=1)
    # Wide enough for two threads to update the weights; 70 series are more than two parts.
    estimator = LSTMAutoencoder(
        64,
        pooling=pooling,
        max_iter=2,
        batch_size=batch_size,
        early_stopping=True,
        target_weight=0.3,
        dropout=0.1,
        input_noise=0.1 if pooling == "statistics" else 0.0,
        random_state=0,
    )
    fits = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        fits.append(vars(estimator.fit(X, np.arange(n_series) % 3)).copy())
        assert torch.get_num_threads() == n_threads
        assert not own_threads()
    for fit in fits[1:]:
        assert fit["loss_curve_"] == fits[0]["loss_curve_"]
        assert fit["validation_loss_curve_"] == fits[0]["validation_loss_curve_"]
        assert_equal_weights(fit["weights_"], fits[0]["weights_"])


def test_fits_on_threads_of_the_caller_have_the_weights_of_a_fit_alone(backend_of, set_threads):
    set_threads(2)
    data = walks()
    expected = train(backend_of(wide_network()), data, SETTINGS).network
    with_others = Parallel(n_jobs=3, backend="threading")(
        delayed(train)(backend_of(wide_network()), data, SETTINGS) for _ in range(3)
    )
    for trainer in with_others:
        assert_equal_weights(trainer.network, expected)
    assert torch.get_num_threads() == 2
    assert not own_threads()


def another_fit_ends():
    """Enter and leave `single_threaded` on another thread, which restores torch's setting."""

    def enter_and_leave():
        with single_threaded():
            pass

    other = threading.Thread(target=enter_and_leave)
    other.start()
    other.join()


def test_all_threads_of_a_fit_use_one_thread_of_torch_even_if_another_fit_ends(set_threads):
    set_threads(2)
    network, seen = wide_network(), set()
    network.encoder.register_forward_pre_hook(
        lambda *_: seen.add((threading.get_ident(), torch.get_num_threads()))
    )
    train(torch_backend(network), walks(), SETTINGS, observer=Observer(begin=another_fit_ends))
    # Threads may end and begin, but two work at a time.
    assert len(seen) >= 2
    assert {n_threads for _, n_threads in seen} == {1}


def test_threads_end_with_a_fit_that_fails(backend_of, set_threads):
    set_threads(2)

    class Stop(Exception):
        pass

    def fail(network, history):
        assert own_threads()
        raise Stop

    with pytest.raises(Stop):
        train(backend_of(wide_network()), walks(), SETTINGS, observer=Observer(fail))
    assert not own_threads()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_fault_20_an_interrupt_amid_the_parts_of_a_batch_keeps_the_best_weights(
    is_compiled, n_threads, set_threads, monkeypatch
):
    set_threads(n_threads)
    network, begun, ended = wide_network(), [], []

    def press_ctrl_c_in_the_third_epoch(*_):
        begun.append(1)
        if len(begun) == 10:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.05)

    if is_compiled:
        run = TrainingStep.run

        def interrupted(step):
            press_ctrl_c_in_the_third_epoch()
            run(step)
            ended.append(1)
            return step

        monkeypatch.setattr(TrainingStep, "run", interrupted)
        backend = compiled_backend(network)
    else:
        network.encoder.register_forward_pre_hook(press_ctrl_c_in_the_third_epoch)
        network.decoder.register_forward_hook(lambda *_: ended.append(1))
        backend = torch_backend(network)

    history = train(backend, walks(), SETTINGS).history
    assert len(begun) >= 10
    n_ended = len(ended)
    assert (history.n_iter, history.stop_reason) == (2, "interrupted")
    assert not own_threads()
    assert torch.get_num_threads() == n_threads
    time.sleep(0.05)
    assert len(ended) == n_ended
    monkeypatch.undo()
    backend = (compiled_backend if is_compiled else torch_backend)(wide_network())
    undisturbed = train(backend, walks(), SETTINGS, observer=stop_after(2))
    assert_equal_weights(network, undisturbed.network)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_fault_24_parts_are_halved_if_a_thread_runs_out_of_memory(
    is_compiled, n_threads, set_threads, monkeypatch
):
    set_threads(n_threads)
    network, make = wide_network(), compiled_backend if is_compiled else torch_backend

    def run_out_beyond_ten(size):
        if size > 10:
            raise torch.OutOfMemoryError("out of memory")

    if is_compiled:
        load = TrainingStep.load

        def load_small_part(step, part, *others):
            run_out_beyond_ten(len(part))
            load(step, part, *others)

        monkeypatch.setattr(TrainingStep, "load", load_small_part)
    else:
        network.encoder.register_forward_pre_hook(lambda _, args: run_out_beyond_ten(len(args[0])))
    trainer = train(make(network), walks(), SETTINGS)
    assert trainer.micro_batch == 6
    undisturbed = trainer_of(make(wide_network()), walks(), SETTINGS, micro_batch=6)
    undisturbed.run()
    assert_equal_weights(network, undisturbed.network)


@pytest.mark.parametrize("make", [compiled_backend, torch_backend])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_caller_who_turned_gradients_off_gets_the_same_fit(make, n_threads, set_threads):
    set_threads(n_threads)
    expected = train(make(wide_network()), walks(), SETTINGS).network
    with torch.no_grad():
        trainer = train(make(wide_network()), walks(), SETTINGS)
        assert not torch.is_grad_enabled()
    assert_equal_weights(trainer.network, expected)


@pytest.mark.parametrize(
    ("n_series", "n_timesteps", "embedding_dim", "expected"),
    [
        (32, 10, 4, [32]),
        (16, 100, 8, [16]),
        (32, 100, 16, [16, 16]),
        (7, 100, 64, [3, 4]),
        (1, 1000, 64, [1]),
        (100, 10, 4, [33, 33, 34]),
        (0, 10, 4, []),
    ],
)
def test_a_batch_is_halved_if_that_saves_time_and_cut_into_parts_if_it_is_large(
    n_series, n_timesteps, embedding_dim, expected
):
    network = make_network(2, embedding_dim, 2 * embedding_dim)
    trainer = trainer_of(torch_backend(network), walks(), SETTINGS)
    assert trainer.device == CPU
    parts = trainer.micro_batches(n_series, n_timesteps)
    assert [part.stop - part.start for part in parts] == expected
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
