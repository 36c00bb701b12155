"""Training that is interrupted, diverges or runs out of memory (faults 18, 20 and 24)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqfeat.exceptions import DeviceMemoryError, TrainingError
from seqfeat.runtime.ranks import ALONE
from tests.training.examples import (
    CORRUPTED,
    SETTINGS,
    Observer,
    assert_equal_weights,
    compiled_backend,
    cuda_backend,
    make_network,
    stop_after,
    train,
    trainer_of,
)
from tests.training.scarcity import (
    MemoryMaps,
    allocate_too_much_on_cuda,
    interrupted_at,
    out_of_memory_beyond,
)

pytestmark = pytest.mark.usefixtures("one_thread")


# Interrupts (fault 20)


def test_fault_20_an_interrupt_within_an_epoch_keeps_the_best_weights(backend_of, waves):
    # Four batches an epoch, so that the eleventh is in the third.
    interrupted = train(interrupted_at(backend_of(make_network()), 11), waves)
    history = interrupted.history
    assert (history.n_iter, history.stop_reason) == (2, "interrupted")
    undisturbed = train(backend_of(make_network()), waves, observer=stop_after(2))
    assert_equal_weights(interrupted.network, undisturbed.network)


def test_fault_20_an_interrupt_between_epochs_keeps_the_best_weights(waves):
    def interrupt(network, history):
        raise KeyboardInterrupt

    backend = compiled_backend(make_network())
    history = train(backend, waves, observer=Observer(interrupt)).history
    assert (history.n_iter, history.best_iter, history.stop_reason) == (1, 1, "interrupted")


@pytest.mark.parametrize("n_parts", [1, 4])
def test_fault_20_an_interrupt_in_the_first_epoch_is_raised(backend_of, waves, n_parts):
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train(interrupted_at(backend_of(make_network()), n_parts), waves)
    assert torch.get_num_threads() == threads


def test_an_interrupt_in_a_shared_fit_is_raised(waves):
    class Shared(type(ALONE)):
        world_size = 2

        def all_gather(self, value):
            return [value, False]

    def interrupt(network, history):
        raise KeyboardInterrupt

    backend = compiled_backend(make_network())
    with pytest.raises(KeyboardInterrupt):
        train(backend, waves, observer=Observer(interrupt), ranks=Shared())


# Divergence (fault 18)


def poison_gradient(backend, n_calls):
    """Let the n-th gradient of a backend have a NaN, while its loss is finite."""
    backward, calls = backend.backward, []

    def poisoned(*arguments):
        loss = backward(*arguments)
        calls.append(1)
        if len(calls) == n_calls:
            if backend.is_compiled:
                backpropagation = backward.__self__
                backpropagation.flat[-1] = torch.nan
                backpropagation.norms = [None, None]
            else:
                backend.weights[-1].grad.view(-1)[-1] = torch.nan
        return loss

    backend.backward = poisoned
    return backend


@pytest.mark.parametrize("batch_size", [8, 32])
def test_fault_18_a_gradient_that_is_not_finite_never_reaches_the_kept_weights(
    backend_of, waves, batch_size
):
    settings, n_batches = replace(SETTINGS, batch_size=batch_size), 32 // batch_size
    # The last gradient of the third epoch, whose loss is finite all the same.
    poisoned = poison_gradient(backend_of(make_network()), 3 * n_batches)
    history = train(poisoned, waves, settings).history
    assert (history.n_iter, history.best_iter, history.stop_reason) == (2, 2, "diverged")
    undisturbed = train(backend_of(make_network()), waves, settings, observer=stop_after(2))
    assert_equal_weights(poisoned.network, undisturbed.network)


def test_fault_18_a_validation_loss_that_is_not_finite_ends_the_training(backend_of, waves, noise):
    def spoil_validation(network, history):
        noise.values.mul_(1e25)

    observer = Observer(spoil_validation)
    trainer = train(backend_of(make_network()), waves, observer=observer, validation=noise)
    history = trainer.history
    assert (history.n_iter, history.stop_reason) == (1, "diverged")
    assert len(history.loss_curve) == len(history.validation_loss_curve) == 1
    undisturbed = train(backend_of(make_network()), waves, observer=stop_after(1))
    assert_equal_weights(trainer.network, undisturbed.network)


def test_fault_18_divergence_in_the_first_epoch_is_an_error_with_advice(backend_of, waves):
    too_large = replace(waves, values=1e25 * waves.values)
    with pytest.raises(TrainingError, match=r"learning_rate_init \(it is 0\.01\)"):
        train(backend_of(make_network()), too_large)
    with pytest.raises(TrainingError, match="scale=None"):
        train(poison_gradient(backend_of(make_network()), 1), waves)


# Memory (fault 24)


@pytest.mark.parametrize("n_series", [1, 4, 5])
def test_fault_24_training_halves_its_parts_and_changes_nothing_else(backend_of, ragged, n_series):
    settings = replace(CORRUPTED, batch_size=16, max_iter=3)
    struggling = out_of_memory_beyond(backend_of(make_network()), n_series)
    trainer = trainer_of(struggling, ragged, settings, micro_batch=64, validation=ragged)
    trainer.run()
    expected = {1: 1, 4: 4, 5: 4}[n_series]
    assert trainer.micro_batch == expected
    undisturbed = trainer_of(
        backend_of(make_network()), ragged, settings, micro_batch=expected, validation=ragged
    )
    undisturbed.run()
    assert trainer.history == undisturbed.history
    assert_equal_weights(trainer.network, undisturbed.network)


def test_fault_24_memory_that_runs_out_in_the_validation_halves_as_well(backend_of, ragged):
    expected = trainer_of(backend_of(make_network()), ragged).evaluate(ragged)
    trainer = trainer_of(out_of_memory_beyond(backend_of(make_network()), 3), ragged)
    assert trainer.evaluate(ragged) == pytest.approx(expected, rel=1e-6)
    assert trainer.micro_batch == 3


def test_fault_24_a_single_series_too_large_is_an_error_with_advice(backend_of, ragged):
    with pytest.raises(DeviceMemoryError, match=r"hidden_dim.*patch_len.*device='cpu'") as caught:
        train(out_of_memory_beyond(backend_of(make_network()), 0), ragged)
    assert isinstance(caught.value.__context__, torch.OutOfMemoryError)


def test_fault_24_other_errors_are_not_taken_for_a_lack_of_memory(backend_of, waves):
    backend = backend_of(make_network())
    backend.backward = lambda *_: torch.ones(2, 3) @ torch.ones(2, 3)
    trainer = trainer_of(backend, waves)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trainer.run()
    assert trainer.micro_batch == 48


def test_fault_24_training_without_memory_for_a_batch_halves_it(waves, monkeypatch):
    settings, maps = replace(SETTINGS, batch_size=32), MemoryMaps(monkeypatch)
    train(compiled_backend(make_network()), waves, settings)
    maps.limit = 0.75 * max(maps.sizes)
    trainer = train(compiled_backend(make_network()), waves, settings)
    assert trainer.micro_batch == 24
    maps.limit = np.inf
    undisturbed = trainer_of(compiled_backend(make_network()), waves, settings, micro_batch=24)
    undisturbed.run()
    assert_equal_weights(trainer.network, undisturbed.network)


# CUDA

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.cuda
@needs_cuda
def test_cuda_out_of_memory_halves_the_parts_of_a_batch(ragged):
    settings, backend = replace(CORRUPTED, batch_size=16), cuda_backend(make_network())
    struggling = out_of_memory_beyond(backend, 4, allocate_too_much_on_cuda)
    trainer = train(struggling, ragged, settings)
    assert trainer.micro_batch == 4
    undisturbed = trainer_of(cuda_backend(make_network()), ragged, settings, micro_batch=4)
    expected = undisturbed.run().loss_curve
    np.testing.assert_allclose(trainer.history.loss_curve, expected, rtol=1e-3)


@pytest.mark.cuda
@needs_cuda
def test_cuda_gives_advice_when_a_single_series_is_too_large(ragged):
    struggling = out_of_memory_beyond(cuda_backend(make_network()), 0, allocate_too_much_on_cuda)
    with pytest.raises(DeviceMemoryError, match="cuda ran out of memory"):
        train(struggling, ragged)
