"""The training loop against gradients, losses and schedules written out by hand."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from tests.scarce import before_each_part
from torch.nn.functional import cross_entropy

from seqfeat.exceptions import TrainingError
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels.weights import DECODER
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.training import trainer as training
from seqfeat.training.schedule import one_cycle
from seqfeat.training.trainer import Settings, Trainer, train

CPU = torch.device("cpu")
SETTINGS = Settings(max_iter=5, batch_size=8, learning_rate=1e-2)
WITHOUT_DECAY = replace(SETTINGS, max_iter=1, decay=False)


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small_network(n_channels=2, n_classes=0, **architecture):
    network = RecurrentAutoencoder(
        Architecture(n_channels, 3, 5, n_classes=n_classes, **architecture)
    )
    initialize(network, generator())
    return network


def weights_of(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def gradients_of(network):
    return {name: weight.grad.clone() for name, weight in network.named_parameters()}


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.fixture
def ragged():
    """Eighteen series of 2 to 9 steps, a tenth of the values missing, three classes."""
    lengths = torch.tensor([4, 9, 2, 7, 5, 8] * 3)
    inside = (torch.arange(9) < lengths[:, None])[:, :, None]
    kept = torch.rand((18, 9, 2), generator=generator(1)) > 0.1
    observed = inside & kept
    values = torch.randn((18, 9, 2), generator=generator(2)) * observed
    return Batch(values, lengths, observed, torch.tensor([0, 1, 2] * 6))


@pytest.fixture
def waves():
    """Thirty-two sines of one length, in two channels."""
    phase = 6 * torch.rand((32, 1, 1), generator=generator(3))
    values = torch.sin(phase + torch.linspace(0, 5, 8)[:, None] * torch.tensor([1.0, 2.0]))
    return Batch(values, torch.full((32,), 8))


@pytest.fixture
def noise():
    """Series that cannot be learned, only learned by heart."""
    return Batch(torch.randn((24, 4, 2), generator=generator(4)), torch.full((24,), 4))


# The loss


def loss_by_hand(network, data, target_weight):
    """Return the loss of the whole set in one go, differentiable."""
    embeddings = network.encode(data.values, data.lengths)
    rebuilt = network.decode(embeddings, data.values.shape[1])
    reconstruction = (rebuilt - data.values)[data.observed].square().mean()
    if target_weight == 0:
        return reconstruction
    entropy = cross_entropy(network.head(embeddings), data.targets)
    return (1 - target_weight) * reconstruction + target_weight * entropy


@pytest.mark.parametrize("target_weight", [0.0, 0.3])
@pytest.mark.parametrize("micro_batch", [1, 4, 7, 18, 64])
def test_micro_batches_have_the_gradient_of_the_whole_batch(ragged, micro_batch, target_weight):
    n_classes = 3 if target_weight else 0
    expected = small_network(n_classes=n_classes, patch_len=2)
    loss = loss_by_hand(expected, ragged, target_weight)
    loss.backward()
    settings = replace(SETTINGS, target_weight=target_weight)
    trainer = Trainer(small_network(n_classes=n_classes, patch_len=2), settings, generator(), CPU)
    trainer.micro_batch = micro_batch
    assert float(trainer.backward(ragged, Corruption())) == pytest.approx(loss.item(), rel=1e-6)
    for name, gradient in gradients_of(expected).items():
        actual = trainer.network.get_parameter(name).grad
        torch.testing.assert_close(actual, gradient, rtol=1e-5, atol=1e-6)


def test_micro_batches_share_one_draw_of_noise_and_masks(ragged):
    settings = replace(SETTINGS, dropout=0.3, masking_ratio=0.3, input_noise=0.5)
    results = []
    for micro_batch in (5, 18):
        trainer = Trainer(small_network(), settings, generator(5), CPU)
        trainer.micro_batch = micro_batch
        trainer.backward(ragged, trainer.corruption(ragged))
        results.append(gradients_of(trainer.network))
    for name, gradient in results[0].items():
        torch.testing.assert_close(gradient, results[1][name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("micro_batch", [1, 5, 64])
def test_evaluation_is_the_loss_of_the_whole_set(ragged, micro_batch):
    network = small_network(n_classes=3)
    trainer = Trainer(network, replace(SETTINGS, target_weight=0.3), generator(), CPU)
    trainer.micro_batch = micro_batch
    expected = float(loss_by_hand(network, ragged, 0.3).detach())
    assert trainer.evaluate(ragged) == pytest.approx(expected, rel=1e-5)
    assert all(weight.grad is None for weight in network.parameters())


def test_the_loss_is_the_mean_square_over_what_was_observed(ragged):
    network = small_network()
    with torch.no_grad():
        rebuilt = network(ragged.values, ragged.lengths).double().numpy()
    truth = ragged.values.double().numpy()
    places = np.argwhere(ragged.observed.numpy())
    errors = [(rebuilt[tuple(place)] - truth[tuple(place)]) ** 2 for place in places]
    assert len(errors) == ragged.n_values
    trainer = Trainer(network, SETTINGS, generator(), CPU)
    assert trainer.evaluate(ragged) == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize("value", [1e4, -3.0])
def test_a_target_that_was_not_observed_has_no_influence(ragged, value):
    results = []
    for hidden in (0.0, value):
        changed = replace(ragged, values=ragged.values.masked_fill(~ragged.observed, hidden))
        trainer = Trainer(small_network(), SETTINGS, generator(), CPU)
        # The mask keeps the encoder's input at 0, so that only the targets differ.
        loss = trainer.backward(changed, Corruption(inputs=ragged.observed.float()))
        results.append((float(loss), gradients_of(trainer.network)))
    assert results[0][0] == results[1][0]
    assert_equal_weights(results[0][1], results[1][1])


# Gradient clipping


def clipped_and_raw_gradients(data):
    raw = Trainer(small_network(), SETTINGS, generator(), CPU)
    raw.backward(data, Corruption())
    clipped = Trainer(small_network(), SETTINGS, generator(), CPU)
    clipped.prepare(len(data), None)
    clipped.step(data)
    return gradients_of(clipped.network), gradients_of(raw.network)


def norm(gradients):
    return float(torch.sqrt(sum(gradient.square().sum() for gradient in gradients.values())))


def test_a_large_gradient_is_shortened_to_one(waves):
    clipped, raw = clipped_and_raw_gradients(replace(waves, values=1000 * waves.values))
    assert norm(raw) > 10
    assert norm(clipped) == pytest.approx(1.0, abs=1e-5)
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, raw[name] / norm(raw), rtol=1e-4, atol=1e-6)


def test_a_small_gradient_is_left_alone(waves):
    clipped, raw = clipped_and_raw_gradients(replace(waves, values=0.01 * waves.values))
    assert 0 < norm(raw) < 1
    assert_equal_weights(clipped, raw)


# The schedule


def test_one_cycle_peaks_at_a_fifth_and_ends_at_nothing():
    rates = np.array([one_cycle(step, 200) for step in range(201)])
    assert rates[0] == pytest.approx(1 / 25)
    assert rates.argmax() == 40
    assert rates[40] == 1.0
    assert (np.diff(rates[:41]) > 0).all()
    assert (np.diff(rates[40:]) < 0).all()
    assert rates[199] < 1e-3
    assert rates[200] == pytest.approx(0.0, abs=1e-12)


def test_one_cycle_rises_and_falls_along_cosines():
    rise, fall = np.arange(41) / 40, np.arange(161) / 160
    expected_rise = 0.04 + 0.96 * (1 - np.cos(np.pi * rise)) / 2
    expected_fall = (1 + np.cos(np.pi * fall)) / 2
    rates = np.array([one_cycle(step, 200) for step in range(201)])
    np.testing.assert_allclose(rates[:41], expected_rise, atol=1e-12)
    np.testing.assert_allclose(rates[40:], expected_fall, atol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4])
def test_one_cycle_of_few_steps_stays_positive(n_steps):
    rates = [one_cycle(step, n_steps) for step in range(n_steps)]
    assert all(0 < rate <= 1 for rate in rates)


def rates_in(settings, data):
    """Return the optimizer's learning rate after each epoch."""
    rates = []
    trainer = Trainer(small_network(), settings, generator(), CPU)
    trainer.prepare(len(data), None)

    def write_down(history):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        return False

    trainer.run(data, None, lambda: None, write_down)
    return rates


def test_every_update_moves_the_learning_rate(waves):
    settings = replace(SETTINGS, max_iter=5, batch_size=8)
    expected = [1e-2 * one_cycle(step, 20) for step in (4, 8, 12, 16, 20)]
    assert rates_in(settings, waves) == pytest.approx(expected, abs=1e-12)


def test_a_stream_has_a_constant_rate(waves):
    assert rates_in(replace(SETTINGS, max_iter=3, decay=False), waves) == [1e-2] * 3


# What training achieves


def test_the_loss_falls(waves):
    history = train(small_network(), waves, replace(SETTINGS, max_iter=30), generator())
    assert history.n_iter == len(history.loss_curve) == 30
    assert history.stop_reason == "max_iter"
    assert history.loss_curve[-1] < 0.7 * history.loss_curve[0]
    assert history.best_loss == min(history.loss_curve)


def low_rank_set():
    rng = np.random.default_rng(5)
    flat = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 12))
    flat = ((flat - flat.mean(axis=0)) / flat.std()).astype(np.float32)
    return flat, Batch(torch.from_numpy(flat.reshape(64, 6, 2)), torch.full((64,), 6))


def test_it_explains_most_of_what_a_linear_method_explains():
    flat, data = low_rank_set()
    explained_by_pca = PCA(2).fit(flat).explained_variance_ratio_.sum()
    assert explained_by_pca > 0.999
    network = RecurrentAutoencoder(Architecture(2, 8, 16, n_time_features=3, time_period=6))
    initialize(network, generator())
    settings = Settings(100, 16, 1e-2, n_iter_no_change=100)
    train(network, data, settings, generator())
    error = Trainer(network, settings, generator(), CPU).evaluate(data)
    assert 1 - error / flat.var() > 0.85 * explained_by_pca


def test_targets_without_weight_do_not_change_the_network(ragged):
    without, unweighted = small_network(n_classes=3), small_network(n_classes=3)
    train(without, replace(ragged, targets=None), SETTINGS, generator())
    train(unweighted, ragged, replace(SETTINGS, target_weight=0.0), generator())
    for name, value in weights_of(without).items():
        if not name.startswith("head"):
            torch.testing.assert_close(unweighted.state_dict()[name], value)


# The best weights


def test_the_weights_with_the_least_validation_loss_come_back(noise):
    data, held_out = noise.take(torch.arange(16)), noise.take(torch.arange(16, 24))
    network = small_network()
    settings = replace(SETTINGS, max_iter=60, learning_rate=3e-2, n_iter_no_change=60)
    history = train(network, data, settings, generator(), validation=held_out)
    curve = history.validation_loss_curve
    assert len(curve) == history.n_iter == 60
    assert history.best_iter == 1 + int(np.argmin(curve))
    assert history.best_iter < 60
    assert history.best_loss == min(curve)
    assert Trainer(network, settings, generator(), CPU).evaluate(held_out) == min(curve)


def test_validation_does_not_change_the_training(waves, noise):
    watched, unwatched = small_network(), small_network()
    settings = replace(SETTINGS, dropout=0.2, input_noise=0.1)
    with_validation = train(watched, waves, settings, generator(), validation=noise)
    without = train(unwatched, waves, settings, generator())
    assert with_validation.loss_curve == without.loss_curve
    assert without.validation_loss_curve is None


# When it stops


def test_it_stops_as_many_epochs_after_the_last_progress_as_it_has_patience(noise):
    data, held_out = noise.take(torch.arange(16)), noise.take(torch.arange(16, 24))
    settings = replace(SETTINGS, max_iter=100, learning_rate=3e-2, n_iter_no_change=4, tol=0.0)
    history = train(small_network(), data, settings, generator(), validation=held_out)
    assert history.stop_reason == "no_improvement"
    assert history.n_iter == max(history.best_iter, 20) + 4


@pytest.mark.parametrize(("max_iter", "patience", "expected"), [(20, 1, 5), (20, 3, 7), (11, 2, 5)])
def test_epochs_of_the_warm_up_do_not_count(waves, max_iter, patience, expected):
    settings = replace(SETTINGS, max_iter=max_iter, n_iter_no_change=patience, tol=1e9)
    history = train(small_network(), waves, settings, generator())
    assert (history.n_iter, history.stop_reason) == (expected, "no_improvement")


def test_it_stops_when_it_is_told_to(waves):
    seen = []

    def stop_in_the_third(history):
        seen.append((history.n_iter, history.loss_curve[-1]))
        return history.n_iter == 3

    network = small_network()
    history = train(network, waves, SETTINGS, generator(), on_epoch_end=stop_in_the_third)
    assert (history.n_iter, history.stop_reason) == (3, "callback")
    assert seen == list(enumerate(history.loss_curve, start=1))


def test_every_epoch_is_announced(waves):
    told = []
    train(
        small_network(),
        waves,
        SETTINGS,
        generator(),
        on_epoch_begin=lambda: told.append("begin"),
        on_epoch_end=lambda history: told.append("end"),
    )
    assert told == ["begin", "end"] * 5


# Reproducibility


CORRUPTED = replace(SETTINGS, dropout=0.2, masking_ratio=0.2, input_noise=0.3, target_weight=0.2)


def weights_trained_on(data, settings=CORRUPTED, seed=7):
    network = small_network(n_classes=3)
    train(network, data, settings, generator(seed))
    return weights_of(network)


def test_the_same_seed_gives_the_same_bits(ragged):
    first = weights_trained_on(ragged)
    assert_equal_weights(first, weights_trained_on(ragged))
    other = weights_trained_on(ragged, seed=8)
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_the_number_of_threads_does_not_change_a_bit():
    # Matrices large enough that torch may divide their products among threads.
    data = Batch(torch.randn((64, 12, 2), generator=generator(6)), torch.full((64,), 12))
    settings = replace(SETTINGS, max_iter=2, batch_size=32)
    start = RecurrentAutoencoder(Architecture(2, 32, 64))
    initialize(start, generator())
    before, results, within = torch.get_num_threads(), [], []

    def note_threads(history):
        within.append(torch.get_num_threads())

    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            network = copy.deepcopy(start)
            train(network, data, settings, generator(), on_epoch_end=note_threads)
            assert torch.get_num_threads() == n_threads
            results.append(weights_of(network))
    finally:
        torch.set_num_threads(before)
    assert_equal_weights(*results)
    assert within == [1] * 4


def test_the_global_generator_is_left_alone(ragged):
    before = torch.get_rng_state()
    weights_trained_on(ragged)
    assert torch.equal(torch.get_rng_state(), before)


# Continuing


def test_epochs_one_at_a_time_equal_epochs_at_once(waves):
    at_once, in_parts, last = small_network(), small_network(), {}

    def keep(history):
        last.update(weights_of(at_once))
        return False

    settings = replace(WITHOUT_DECAY, dropout=0.1)
    source = generator(9)
    whole = train(at_once, waves, replace(settings, max_iter=4), source, on_epoch_end=keep)
    source, losses, state = generator(9), [], None
    for _ in range(4):
        history = train(in_parts, waves, settings, source, optimizer_state=state)
        losses += history.loss_curve
        state = history.optimizer_state
    assert losses == whole.loss_curve
    assert_equal_weights(weights_of(in_parts), last)


def test_forgetting_the_optimizer_state_makes_a_difference(waves):
    results = []
    for remembers in (True, False):
        network, source = small_network(), generator(9)
        state = train(network, waves, WITHOUT_DECAY, source).optimizer_state
        state = state if remembers else None
        train(network, waves, WITHOUT_DECAY, source, optimizer_state=state)
        results.append(weights_of(network))
    assert any(not torch.equal(value, results[1][name]) for name, value in results[0].items())


def leaves(state):
    if isinstance(state, dict):
        return [leaf for value in state.values() for leaf in leaves(value)]
    return (
        [leaf for value in state for leaf in leaves(value)] if isinstance(state, list) else [state]
    )


def test_the_optimizer_state_holds_no_tensor(waves):
    state = train(small_network(), waves, WITHOUT_DECAY, generator()).optimizer_state
    found = leaves(state)
    assert any(isinstance(leaf, np.ndarray) for leaf in found)
    assert not any(isinstance(leaf, torch.Tensor) for leaf in found)


# Interrupts (fault 20)


def interrupt_encoder_call(network, n_calls):
    """Press ctrl-C when the encoder takes up a part for the n-th time."""
    calls = []

    def interrupted(lengths):
        calls.append(1)
        if len(calls) == n_calls:
            raise KeyboardInterrupt

    return before_each_part(network, interrupted)


def test_fault_20_an_interrupt_within_an_epoch_keeps_the_best_weights(waves):
    # Four batches an epoch, so that the eleventh is in the third.
    network = interrupt_encoder_call(small_network(), 11)
    history = train(network, waves, SETTINGS, generator())
    assert (history.n_iter, history.stop_reason) == (2, "interrupted")
    undisturbed = small_network()
    train(undisturbed, waves, SETTINGS, generator(), on_epoch_end=lambda h: h.n_iter == 2)
    assert_equal_weights(weights_of(network), weights_of(undisturbed))


def test_fault_20_an_interrupt_between_epochs_keeps_the_best_weights(waves):
    def interrupt(history):
        raise KeyboardInterrupt

    history = train(small_network(), waves, SETTINGS, generator(), on_epoch_end=interrupt)
    assert (history.n_iter, history.best_iter, history.stop_reason) == (1, 1, "interrupted")


@pytest.mark.parametrize("n_calls", [1, 4])
def test_fault_20_an_interrupt_in_the_first_epoch_is_raised(waves, n_calls):
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train(interrupt_encoder_call(small_network(), n_calls), waves, SETTINGS, generator())
    assert torch.get_num_threads() == threads


# Divergence (fault 18)


def poison_gradient(monkeypatch, n_calls):
    """Let a NaN be in the n-th gradient."""
    calls, backward = [], Trainer.backward

    def poisoned(self, *arguments):
        loss = backward(self, *arguments)
        calls.append(1)
        if len(calls) == n_calls:
            self.weights[-1].grad.view(-1)[-1] = float("nan")
            if self.backpropagation is not None:
                self.backpropagation.add_up([], DECODER)
        return loss

    monkeypatch.setattr(Trainer, "backward", poisoned)


@pytest.mark.parametrize("batch_size", [8, 32])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_fault_18_a_gradient_that_is_not_finite_never_reaches_the_kept_weights(
    waves, batch_size, is_compiled, monkeypatch
):
    if not is_compiled:
        monkeypatch.setattr(training, "compiled_backpropagation", lambda network: None)
    settings = replace(SETTINGS, batch_size=batch_size)
    n_batches = 32 // batch_size
    # The last gradient of the third epoch, whose loss is finite all the same.
    poison_gradient(monkeypatch, 3 * n_batches)
    network = small_network()
    history = train(network, waves, settings, generator())
    assert (history.n_iter, history.best_iter, history.stop_reason) == (2, 2, "diverged")
    undisturbed = small_network()
    train(undisturbed, waves, settings, generator(), on_epoch_end=lambda h: h.n_iter == 2)
    assert_equal_weights(weights_of(network), weights_of(undisturbed))


def test_fault_18_a_validation_loss_that_is_not_finite_ends_the_training(waves, noise):
    network = small_network()

    def grow(history):
        with torch.no_grad():
            network.decoder.output.bias.mul_(0).add_(1e30)
        return False

    kept = []
    history = train(
        network,
        waves,
        SETTINGS,
        generator(),
        validation=noise,
        on_epoch_end=lambda h: kept.append(weights_of(network)) or grow(h),
    )
    assert (history.n_iter, history.stop_reason) == (1, "diverged")
    assert_equal_weights(weights_of(network), kept[0])


def test_fault_18_divergence_in_the_first_epoch_is_an_error(waves, monkeypatch):
    too_large = replace(waves, values=1e25 * waves.values)
    with pytest.raises(TrainingError, match=r"learning_rate_init \(it is 0\.01\)"):
        train(small_network(), too_large, SETTINGS, generator())
    poison_gradient(monkeypatch, 1)
    with pytest.raises(TrainingError, match="scale=None"):
        train(small_network(), waves, SETTINGS, generator())
