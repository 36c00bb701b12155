"""The training loop against gradients, losses and updates written out by hand.

What runs through a network holds for both backends.
"""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import cross_entropy

from seqfeat.nn.batch import Batch, BatchShard
from seqfeat.nn.corruption import NO_CORRUPTION, Corruption
from seqfeat.runtime.ranks import ALONE
from seqfeat.series import as_series
from seqfeat.series.scaling import identity_scaling
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.schedule import one_cycle
from seqfeat.training.trainer import MAX_GRADIENT_NORM, Trainer, TrainingSettings
from tests.training.examples import (
    CORRUPTED,
    SETTINGS,
    Observer,
    assert_equal_weights,
    compiled_backend,
    generator,
    gradients_of,
    make_network,
    stop_after,
    torch_backend,
    train,
    trainer_of,
    weights_of,
)
from tests.training.thread_ranks import run_on_ranks

pytestmark = pytest.mark.usefixtures("one_thread")

STREAM = replace(SETTINGS, max_iter=1, decay=False)


# The loss


def loss_by_hand(network, data, target_weight=0.0):
    """Return the loss of a whole set at once, differentiable."""
    embeddings = network.encode(data.values, data.lengths)
    reconstruction = network.decode(embeddings, data.values.shape[1])
    loss = (reconstruction - data.values)[data.observed].square().mean()
    if target_weight == 0:
        return loss
    entropy = cross_entropy(network.head(embeddings), data.targets)
    return (1 - target_weight) * loss + target_weight * entropy


@pytest.mark.parametrize(
    ("micro_batch", "target_weight"), [(1, 0.3), (7, 0.0), (7, 0.3), (64, 0.0), (64, 0.3)]
)
def test_micro_batches_have_loss_and_gradients_of_the_whole_batch(
    backend_of, ragged, micro_batch, target_weight
):
    architecture = {"patch_len": 2, "n_classes": 3 if target_weight else 0}
    expected = make_network(**architecture)
    loss = loss_by_hand(expected, ragged, target_weight)
    loss.backward()
    settings = replace(SETTINGS, target_weight=target_weight)
    backend = backend_of(make_network(**architecture))
    trainer = trainer_of(backend, ragged, settings, micro_batch=micro_batch)
    found = float(trainer.backward(ragged, NO_CORRUPTION))
    assert found == pytest.approx(loss.item(), rel=1e-6)
    for name, gradient in gradients_of(backend).items():
        wanted = expected.get_parameter(name).grad
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


def test_micro_batches_share_one_draw_of_noise_and_masks(backend_of, ragged):
    results = []
    for micro_batch in (5, 18):
        backend = backend_of(make_network())
        trainer = trainer_of(backend, ragged, CORRUPTED, micro_batch=micro_batch)
        trainer.backward(ragged, trainer.draw_corruption(ragged))
        results.append(gradients_of(backend))
    for name, gradient in results[0].items():
        torch.testing.assert_close(gradient, results[1][name], rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_squared_error_over_observed_values(backend_of, ragged):
    backend = backend_of(make_network())
    with torch.no_grad():
        reconstruction = backend.network(ragged.values, ragged.lengths).double().numpy()
    truth, places = ragged.values.double().numpy(), np.argwhere(ragged.observed.numpy())
    errors = [(reconstruction[tuple(place)] - truth[tuple(place)]) ** 2 for place in places]
    found = trainer_of(backend, ragged).evaluate(ragged)
    assert found == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 5, 64])
def test_evaluation_gives_the_loss_of_the_whole_set(backend_of, ragged, micro_batch):
    backend = backend_of(make_network(n_classes=3))
    settings = replace(SETTINGS, target_weight=0.3)
    trainer = trainer_of(backend, ragged, settings, micro_batch=micro_batch)
    expected = float(loss_by_hand(backend.network, ragged, 0.3).detach())
    assert trainer.evaluate(ragged) == pytest.approx(expected, rel=1e-5)
    assert all(weight.grad is None for weight in backend.network.parameters())


@pytest.mark.parametrize("value", [1e4, -3.0])
def test_values_that_were_not_observed_have_no_influence(backend_of, ragged, value):
    results = []
    for hidden in (0.0, value):
        changed = replace(ragged, values=ragged.values.masked_fill(~ragged.observed, hidden))
        backend = backend_of(make_network())
        # The mask keeps the encoder's input at 0, so that only the targets differ.
        mask = Corruption(inputs=ragged.observed.float())
        loss = trainer_of(backend, changed).backward(changed, mask)
        results.append((float(loss), gradients_of(backend)))
    assert results[0][0] == results[1][0]
    assert_equal_weights(results[0][1], results[1][1])


def test_without_targets_a_head_is_left_out_of_the_loss(backend_of, ragged):
    unlabelled, share = replace(ragged, targets=None), 0.25
    settings = replace(SETTINGS, target_weight=share)
    backend = backend_of(make_network(n_classes=3))
    trainer = trainer_of(backend, unlabelled, settings, micro_batch=7)
    loss = loss_by_hand(backend.network, ragged)
    names, weights = zip(*backend.network.named_parameters(), strict=True)
    expected = torch.autograd.grad((1 - share) * loss, weights, allow_unused=True)
    before, expected_loss = weights_of(backend.network), (1 - share) * float(loss.detach())
    assert trainer.evaluate(unlabelled) == pytest.approx(expected_loss, rel=1e-5)
    found = float(trainer.backward(unlabelled, NO_CORRUPTION))
    assert found == pytest.approx(expected_loss, rel=1e-5)
    gradients = gradients_of(backend)
    for name, gradient in zip(names, expected, strict=True):
        wanted = torch.zeros_like(gradients[name]) if gradient is None else gradient
        torch.testing.assert_close(gradients[name], wanted, rtol=1e-5, atol=1e-6)
    trainer.run()
    after = weights_of(backend.network)
    for name in names:
        assert torch.equal(before[name], after[name]) == name.startswith("head.")


def test_targets_without_weight_do_not_change_the_training(backend_of, ragged):
    unlabelled = train(backend_of(make_network()), replace(ragged, targets=None))
    unweighted = train(backend_of(make_network(n_classes=3)), ragged)
    assert unweighted.history.loss_curve == pytest.approx(unlabelled.history.loss_curve, rel=1e-6)
    for name, value in unlabelled.network.state_dict().items():
        torch.testing.assert_close(unweighted.network.state_dict()[name], value)


# Corruption


def test_corruption_has_the_rates_of_the_settings(ragged):
    settings = replace(SETTINGS, masking_ratio=0.8, input_noise=2.0, dropout=0.2)
    trainer = trainer_of(torch_backend(make_network()), ragged, settings)
    corruption = trainer.draw_corruption(ragged)
    assert corruption.inputs.mean().item() == pytest.approx(0.2, abs=0.12)
    assert corruption.noise[ragged.observed].std().item() == pytest.approx(2.0, abs=0.4)
    assert set(corruption.encoder_units.unique().tolist()) == {0.0, 1.25}


def test_noise_is_added_to_observed_values_only(ragged):
    trainer = trainer_of(compiled_backend(make_network()), ragged, CORRUPTED)
    noise = trainer.draw_corruption(ragged).noise
    assert (noise[~ragged.observed] == 0).all()
    assert (noise[ragged.observed] != 0).all()


def test_without_rates_nothing_is_drawn(ragged):
    trainer = trainer_of(compiled_backend(make_network()), ragged)
    assert trainer.draw_corruption(ragged) is NO_CORRUPTION
    assert torch.equal(trainer.generator.get_state(), generator().get_state())


def test_a_shards_corruption_is_its_part_of_the_whole_batchs(ragged):
    positions = torch.tensor([0, 3, 8])
    shard = BatchShard(positions, len(ragged), 9, None)
    own = ragged.take(positions)
    whole, part = (
        trainer_of(compiled_backend(make_network()), ragged, CORRUPTED).draw_corruption(*drawn)
        for drawn in ((ragged,), (own, shard))
    )
    n_timesteps = own.values.shape[1]
    assert n_timesteps < 9
    assert torch.equal(part.inputs, whole.inputs[positions, :n_timesteps])
    assert torch.equal(part.noise, whole.noise[positions, :n_timesteps])
    assert torch.equal(part.encoder_units, whole.encoder_units[positions])
    assert torch.equal(part.decoder_units, whole.decoder_units[positions])


# Updates


def clipped_and_raw_gradients(backend_of, data):
    """Return the gradients that the first update took, and those that `backward` found."""
    backend = backend_of(make_network())
    trainer_of(backend, data).backward(data, NO_CORRUPTION)
    raw = gradients_of(backend)
    trainer = trainer_of(backend_of(make_network()), data)
    trainer.step(data)
    states = trainer.optimizer.state_dict()["state"]
    # AdamW's first mean is the gradient times 1 - beta1.
    return {name: states[i]["exp_avg"] / (1 - 0.9) for i, name in enumerate(raw)}, raw


def norm(gradients):
    return float(torch.sqrt(sum(gradient.square().sum() for gradient in gradients.values())))


def test_a_large_gradient_is_clipped(backend_of, waves):
    large = replace(waves, values=1000 * waves.values)
    clipped, raw = clipped_and_raw_gradients(backend_of, large)
    assert norm(raw) > 10
    assert norm(clipped) == pytest.approx(1.0, abs=1e-5)
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, raw[name] / norm(raw), rtol=1e-4, atol=1e-6)


def test_a_small_gradient_is_left_alone(backend_of, waves):
    small = replace(waves, values=0.01 * waves.values)
    clipped, raw = clipped_and_raw_gradients(backend_of, small)
    assert 0 < norm(raw) < MAX_GRADIENT_NORM
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, raw[name], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("encoder_rate", [1.0, 0.1])
def test_the_kernels_take_every_step_of_adamw_the_first_one_too(waves, encoder_rate):
    settings = replace(SETTINGS, encoder_rate=encoder_rate, weight_decay=0.1)
    compiled = trainer_of(compiled_backend(make_network()), waves, settings)
    reference = trainer_of(torch_backend(make_network()), waves, settings)
    for step in range(4):
        # PyTorch continues from the kernels' state, and the kernels from PyTorch's.
        compiled.backward(waves, NO_CORRUPTION)
        gradients = gradients_of(compiled.backend)
        for trainer in (reference, compiled):
            for name, weight in trainer.network.named_parameters():
                weight.grad = gradients[name].clone()
        wanted = reference.backend.update(reference.optimizer, MAX_GRADIENT_NORM, compiled.pool)
        if step == 2:
            torch_backend(compiled.network).update(
                compiled.optimizer, MAX_GRADIENT_NORM, compiled.pool
            )
        else:
            found = compiled.backend.update(compiled.optimizer, MAX_GRADIENT_NORM, compiled.pool)
            assert found == pytest.approx(float(wanted), rel=1e-5)
        for name, weight in reference.network.state_dict().items():
            found = compiled.network.state_dict()[name]
            torch.testing.assert_close(found, weight, rtol=1e-5, atol=1e-7)
        states = [trainer.optimizer.state_dict()["state"] for trainer in (compiled, reference)]
        assert list(states[0]) == list(states[1])
        for number, state in states[1].items():
            assert list(states[0][number]) == list(state)
            for name, value in state.items():
                torch.testing.assert_close(states[0][number][name], value, rtol=1e-5, atol=1e-9)


def rates_in(settings, data):
    """Return the learning rate after each epoch."""
    rates = []
    trainer = trainer_of(compiled_backend(make_network()), data, settings)
    observer = Observer(lambda *_: rates.append(trainer.optimizer.param_groups[0]["lr"]))
    trainer.run(observer)
    return rates


def test_every_update_moves_the_learning_rate(waves):
    expected = [1e-2 * one_cycle(step, 20) for step in (4, 8, 12, 16, 20)]
    assert rates_in(SETTINGS, waves) == pytest.approx(expected, abs=1e-12)


def test_without_decay_the_learning_rate_is_constant(waves):
    assert rates_in(replace(SETTINGS, max_iter=3, decay=False), waves) == [1e-2] * 3


def test_an_encoder_with_a_rate_of_its_own_learns_at_that_rate(backend_of, waves):
    settings = replace(STREAM, encoder_rate=1e-6)
    trainer = train(backend_of(make_network()), waves, settings)
    for name, value in make_network().state_dict().items():
        change = (trainer.network.state_dict()[name] - value).abs().max()
        assert (change < 1e-6) == name.startswith("encoder.")


# What training achieves


def test_the_loss_falls(backend_of, waves):
    history = train(backend_of(make_network()), waves, replace(SETTINGS, max_iter=30)).history
    assert history.n_iter == len(history.loss_curve) == 30
    assert history.stop_reason == "max_iter"
    assert history.loss_curve[-1] < 0.7 * history.loss_curve[0]
    assert history.best_loss == min(history.loss_curve)


def test_it_explains_most_of_what_a_linear_method_explains():
    rng = np.random.default_rng(5)
    flat = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 12))
    flat = ((flat - flat.mean(axis=0)) / flat.std()).astype(np.float32)
    explained_by_pca = PCA(2).fit(flat).explained_variance_ratio_.sum()
    assert explained_by_pca > 0.999
    data = Batch(torch.from_numpy(flat.reshape(64, 6, 2)), torch.full((64,), 6))
    network = make_network(2, 8, 16, n_time_features=3, time_period=6)
    settings = TrainingSettings(100, 16, 1e-2, n_iter_no_change=100)
    error = train(compiled_backend(network), data, settings).evaluate(data)
    assert 1 - error / flat.var() > 0.9 * explained_by_pca


# The best weights


@pytest.fixture
def halves_of_noise(noise):
    """A training set and a validation set that have nothing to do with each other."""
    return noise.take(torch.arange(16)), noise.take(torch.arange(16, 24))


def test_the_weights_with_the_lowest_validation_loss_are_kept(backend_of, halves_of_noise):
    data, held_out = halves_of_noise
    settings = replace(SETTINGS, max_iter=40, learning_rate=3e-2, n_iter_no_change=40)
    trainer = train(backend_of(make_network()), data, settings, validation=held_out)
    history, curve = trainer.history, trainer.history.validation_loss_curve
    assert len(curve) == history.n_iter == 40
    assert history.best_iter == 1 + int(np.argmin(curve)) < 40
    assert history.best_loss == min(curve)
    assert trainer.evaluate(held_out) == min(curve)
    assert_equal_weights(trainer.network, trainer.best_weights)


def test_the_training_loss_counts_without_a_validation_set(backend_of, waves):
    seen = []
    observer = Observer(lambda network, history: seen.append(weights_of(network)))
    settings = replace(SETTINGS, learning_rate=0.5, max_iter=8)
    trainer = train(backend_of(make_network()), waves, settings, observer=observer)
    assert trainer.history.best_iter == 1 + int(np.argmin(trainer.history.loss_curve)) < 8
    assert_equal_weights(trainer.network, seen[trainer.history.best_iter - 1])
    assert trainer.history.validation_loss_curve is None


def test_validation_does_not_change_the_training(backend_of, waves, noise):
    validated = train(backend_of(make_network()), waves, CORRUPTED, validation=noise)
    alone = train(backend_of(make_network()), waves, CORRUPTED)
    assert validated.history.loss_curve == alone.history.loss_curve


# When it stops


def test_it_stops_n_iter_no_change_epochs_after_the_last_improvement(halves_of_noise):
    data, held_out = halves_of_noise
    settings = replace(SETTINGS, max_iter=100, learning_rate=3e-2, n_iter_no_change=4, tol=0.0)
    history = train(compiled_backend(make_network()), data, settings, validation=held_out).history
    assert history.stop_reason == "no_improvement"
    assert history.n_iter == max(history.best_iter, 20) + 4


def test_an_observer_is_told_about_every_epoch(waves):
    told = []

    def end(network, history):
        told.append((history.n_iter, history.loss_curve[-1]))

    backend = compiled_backend(make_network())
    history = train(backend, waves, observer=Observer(end, lambda: told.append("begin"))).history
    ends = list(enumerate(history.loss_curve, start=1))
    assert told == [event for end in ends for event in ("begin", end)]
    assert len(ends) == 5


def test_an_observer_stops_it(waves):
    history = train(compiled_backend(make_network()), waves, observer=stop_after(3)).history
    assert (history.n_iter, history.stop_reason) == (3, "callback")


def test_without_epochs_nothing_changes(backend_of, waves):
    settings = replace(SETTINGS, max_iter=0)
    trainer = train(backend_of(make_network()), waves, settings)
    assert (trainer.history.n_iter, trainer.history.best_iter) == (0, 0)
    assert_equal_weights(trainer.network, make_network())


# Reproducibility


def weights_trained_on(backend, data, seed=7):
    settings = replace(CORRUPTED, target_weight=0.2)
    return weights_of(train(backend, data, settings, seed).network)


def test_the_same_seed_gives_the_same_bits(backend_of, ragged):
    first, second, other = (
        weights_trained_on(backend_of(make_network(n_classes=3)), ragged, seed)
        for seed in (7, 7, 8)
    )
    assert_equal_weights(first, second)
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_the_number_of_threads_does_not_change_a_bit(backend_of):
    # Matrices large enough that torch may divide their products among threads.
    data = Batch(torch.randn((64, 12, 2), generator=generator(6)), torch.full((64,), 12))
    settings = replace(SETTINGS, max_iter=2, batch_size=32)
    start = make_network(2, 32, 64)
    results, within = [], []
    observer = Observer(lambda *_: within.append(torch.get_num_threads()))
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        try:
            trainer = train(backend_of(copy.deepcopy(start)), data, settings, observer=observer)
            assert torch.get_num_threads() == n_threads
        finally:
            torch.set_num_threads(1)
        results.append(trainer.network)
    assert_equal_weights(*results)
    assert within == [1] * 4


def test_the_global_generator_is_left_alone(backend_of, ragged):
    before = torch.get_rng_state()
    weights_trained_on(backend_of(make_network(n_classes=3)), ragged)
    assert torch.equal(torch.get_rng_state(), before)


# Continuing with the optimizer's state


def test_epochs_one_by_one_equal_epochs_at_once(backend_of, waves):
    settings = replace(STREAM, dropout=0.1)
    last = {}
    observer = Observer(lambda network, history: last.update(weights_of(network)))
    whole = train(
        backend_of(make_network()), waves, replace(settings, max_iter=4), 9, observer=observer
    )
    backend, source, state, losses = backend_of(make_network()), generator(9), None, []
    for _ in range(4):
        part = Trainer(backend, waves, settings, source, optimizer_state=state)
        losses += part.run().loss_curve
        state = part.optimizer_state
    assert losses == whole.history.loss_curve
    assert_equal_weights(backend.network, last)


def test_a_state_of_one_backend_continues_in_the_other(waves):
    settings, states = replace(STREAM, encoder_rate=0.1), []
    start = train(torch_backend(make_network()), waves, settings)
    for backend_of in (compiled_backend, torch_backend):
        backend = backend_of(copy.deepcopy(start.network))
        state = start.optimizer_state
        states.append(train(backend, waves, settings, optimizer_state=state).optimizer_state)
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for number, state in states[1]["state"].items():
        assert state["step"] == states[0]["state"][number]["step"] == 8
        for name, value in state.items():
            np.testing.assert_allclose(
                states[0]["state"][number][name], value, rtol=1e-3, atol=1e-4
            )


def test_forgetting_the_optimizers_state_makes_a_difference(backend_of, waves):
    results = []
    for is_kept in (True, False):
        backend = backend_of(make_network())
        state = train(backend, waves, STREAM).optimizer_state
        train(backend, waves, STREAM, optimizer_state=state if is_kept else None)
        results.append(weights_of(backend.network))
    assert any(not torch.equal(value, results[1][name]) for name, value in results[0].items())


def test_a_continued_training_takes_the_rates_it_is_given(backend_of, waves):
    backend = backend_of(make_network())
    state = train(backend, waves, replace(STREAM, weight_decay=0.5)).optimizer_state
    before = weights_of(backend.network)
    slow = replace(STREAM, learning_rate=1e-9, weight_decay=0.0)
    train(backend, waves, slow, optimizer_state=state)
    for name, value in backend.network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-7)


def leaves(state):
    if isinstance(state, (dict, list)):
        values = state.values() if isinstance(state, dict) else state
        return [leaf for value in values for leaf in leaves(value)]
    return [state]


# Continuing with everything


def states_of(trainer, observer=None):
    """Run a trainer, and return its state after each epoch."""
    states = {}
    trainer.run(observer, lambda n_iter, state_dict: states.update({n_iter: state_dict()}))
    return states


def labelled_trainer(backend, ragged, seed=0):
    settings = replace(CORRUPTED, max_iter=6, target_weight=0.3, encoder_rate=0.1, weight_decay=0.1)
    settings = replace(settings, n_iter_no_change=3, tol=0.01)
    data, held_out = ragged.take(torch.arange(12)), ragged.take(torch.arange(12, 18))
    return trainer_of(backend, data, settings, seed, validation=held_out)


def assert_same_training(trainer, other):
    assert trainer.history == other.history
    assert vars(trainer.early_stopping) == vars(other.early_stopping)
    assert_equal_weights(trainer.network, other.network)
    states = trainer.optimizer_state, other.optimizer_state
    assert [leaf for leaf in leaves(states[0]) if not isinstance(leaf, np.ndarray)] == [
        leaf for leaf in leaves(states[1]) if not isinstance(leaf, np.ndarray)
    ]
    for one, two in zip(*map(leaves, states), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_state_continues_bit_equal_after_any_epoch(backend_of, ragged):
    whole = labelled_trainer(backend_of(make_network(n_classes=3)), ragged)
    states = states_of(whole)
    assert whole.history.stop_reason == "no_improvement"
    assert len(states) == whole.history.n_iter == 5
    # Each state twice, as loading it must not change it.
    for state in [*states.values(), *states.values()]:
        network = make_network(n_classes=3)
        network.load_state_dict({name: 0 * value for name, value in weights_of(network).items()})
        trainer = labelled_trainer(backend_of(network), ragged, seed=99)
        trainer.load_state_dict(state)
        trainer.run()
        assert_same_training(trainer, whole)


def test_a_trainer_that_has_run_may_go_back_to_an_earlier_state(backend_of, ragged):
    trainer = labelled_trainer(backend_of(make_network(n_classes=3)), ragged)
    states, expected = states_of(trainer), weights_of(trainer.network)
    trainer.load_state_dict(states[2])
    trainer.run()
    assert_equal_weights(trainer.network, expected)


def test_a_state_does_not_change_when_its_trainer_goes_on(backend_of, waves):
    kept = []
    trainer = trainer_of(backend_of(make_network()), waves)
    trainer.run(keep=lambda n_iter, state: kept.append((state(), copy.deepcopy(state()))))
    state, at_once = kept[0]
    assert_equal_weights(state["weights"], at_once["weights"])
    assert_equal_weights(state["best_weights"], at_once["best_weights"])
    assert state["history"] == at_once["history"]
    assert state["early_stopping"] == at_once["early_stopping"]
    for one, two in zip(leaves(state["optimizer"]), leaves(at_once["optimizer"]), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_state_holds_arrays_numbers_and_strings(backend_of, waves):
    states = states_of(trainer_of(backend_of(make_network()), waves, CORRUPTED, validation=waves))
    found = leaves(states[2])
    assert any(isinstance(leaf, np.ndarray) for leaf in found)
    json.dumps([leaf for leaf in found if not isinstance(leaf, np.ndarray)])


def test_a_training_that_had_stopped_stays_stopped(waves):
    settings = replace(SETTINGS, max_iter=20, n_iter_no_change=1, tol=1e9)
    trainer = trainer_of(compiled_backend(make_network()), waves, settings)
    states = states_of(trainer)
    resumed = trainer_of(compiled_backend(make_network()), waves, settings)
    resumed.load_state_dict(states[5])
    assert resumed.run().n_iter == trainer.history.n_iter == 5
    assert_equal_weights(resumed.network, trainer.network)


# Several processes


@pytest.fixture
def unequal_items():
    rng = np.random.default_rng(3)
    items = [rng.normal(size=(3 + row % 5, 2)) for row in range(24)]
    items[7][1, 1] = np.nan
    return items


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_dense", [False, True])
def test_processes_that_share_a_set_train_as_one_does(
    backend_of, unequal_items, is_dense, is_weighted
):
    items = unequal_items
    if is_dense:
        items = np.random.default_rng(4).normal(size=(24, 6, 2))
    series, targets = as_series(items, missing="mask"), np.arange(24) % 3
    settings = replace(CORRUPTED, max_iter=3, target_weight=0.3)
    weights = np.random.default_rng(5).uniform(0.1, 2, size=(2, 24)).astype(np.float32)

    def train_on(ranks, rows):
        shard = Shard(rows.start, series.lengths, series.is_dense)
        own = series.take(np.arange(24)[rows])
        own_weights = weights[:, rows] if is_weighted else (None, None)
        data = Dataset(own, identity_scaling(2), shard, targets[rows], *own_weights)
        data, held_out = data.subset(np.arange(4, 24)), data.subset(np.arange(4))
        backend = backend_of(make_network(n_classes=3))
        return train(backend, data, settings, validation=held_out, ranks=ranks)

    expected = train_on(ALONE, slice(0, 24))
    first, second = run_on_ranks(
        lambda ranks: train_on(ranks, (slice(0, 9), slice(9, 24))[ranks.rank])
    )
    assert first.history == second.history
    assert_equal_weights(first.network, second.network)
    for curve in ("loss_curve", "validation_loss_curve"):
        found = getattr(first.history, curve)
        assert found == pytest.approx(getattr(expected.history, curve), rel=1e-4)
