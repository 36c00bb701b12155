"""The training loop: what it optimises, when it stops, and what it leaves behind."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from seqfeat.exceptions import TrainingError
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.training.sampler import bucket_batches
from seqfeat.training.schedule import one_cycle
from seqfeat.training.trainer import Settings, Trainer, train

CPU = torch.device("cpu")
SETTINGS = Settings(max_iter=6, batch_size=8, learning_rate=5e-3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(n_classes=0, embedding_dim=4, n_channels=2):
    architecture = Architecture(n_channels, embedding_dim, 8, n_classes=n_classes)
    network = RecurrentAutoencoder(architecture)
    initialize(network, generator())
    return network


@pytest.fixture
def ragged():
    """Twenty series of 3 to 7 steps, some values missing, two classes."""
    lengths = torch.tensor([3, 7, 5, 6] * 5)
    values = torch.randn((20, 7, 2), generator=generator(1))
    observed = (torch.arange(7) < lengths[:, None])[:, :, None].expand(20, 7, 2).clone()
    observed[3, 1, 0] = False
    return Batch(values * observed, lengths, observed, torch.tensor([0, 1] * 10))


def gradients(network):
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("micro_batch", [1, 3, 7])
def test_micro_batches_add_up_to_the_batch(ragged, micro_batch):
    settings = replace(SETTINGS, target_weight=0.3, dropout=0.2, masking_ratio=0.2, input_noise=0.1)
    whole = Trainer(network(2), settings, generator(), CPU)
    corruption = whole.corruption(ragged)
    expected_loss = whole.backward(ragged, corruption)
    parts = Trainer(network(2), settings, generator(), CPU)
    parts.micro_batch = micro_batch
    loss = parts.backward(ragged, corruption)
    torch.testing.assert_close(loss, expected_loss)
    expected = gradients(whole.network)
    for name, gradient in gradients(parts.network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_mean_over_observed_values(ragged):
    ragged = replace(ragged, targets=None)
    trainer = Trainer(network(), SETTINGS, generator(), CPU)
    with torch.no_grad():
        rebuilt = trainer.network(ragged.values, ragged.lengths)
    expected = ((rebuilt - ragged.values)[ragged.observed] ** 2).mean()
    assert trainer.evaluate(ragged) == pytest.approx(float(expected), rel=1e-5)


def test_the_classification_head_has_its_share_of_the_loss(ragged):
    trainer = Trainer(network(2), replace(SETTINGS, target_weight=0.25), generator(), CPU)
    with torch.no_grad():
        logits = trainer.network.head(trainer.network.encode(ragged.values, ragged.lengths))
    entropy = float(torch.nn.functional.cross_entropy(logits, ragged.targets))
    reconstruction = trainer.evaluate(replace(ragged, targets=None))
    expected = 0.75 * reconstruction + 0.25 * entropy
    assert trainer.evaluate(ragged) == pytest.approx(expected, rel=1e-5)


def test_what_was_not_observed_has_no_influence(ragged):
    changed = replace(ragged, values=ragged.values.clone(), observed=ragged.observed)
    first = Trainer(network(), SETTINGS, generator(), CPU)
    first.backward(replace(ragged, targets=None), Corruption())
    # The target of a masked value, not the encoder's input, which is always 0 there.
    inputs_untouched = Corruption(inputs=ragged.observed.float())
    changed.values[~ragged.observed] = 1e6
    second = Trainer(network(), SETTINGS, generator(), CPU)
    second.backward(replace(changed, targets=None), inputs_untouched)
    for name, gradient in gradients(second.network).items():
        torch.testing.assert_close(gradient, gradients(first.network)[name])


def test_training_lowers_the_loss_and_keeps_the_best_weights(ragged):
    model = network()
    data, held_out = ragged.take(torch.arange(14)), ragged.take(torch.arange(14, 20))
    settings = replace(SETTINGS, max_iter=15)
    history = train(model, data, settings, generator(), validation=held_out)
    assert history.loss_curve[-1] < history.loss_curve[0]
    best = min(history.validation_loss_curve)
    assert history.best_loss == best
    assert history.validation_loss_curve[history.best_iter - 1] == best
    assert Trainer(model, settings, generator(), CPU).evaluate(held_out) == pytest.approx(best)


def test_it_explains_most_of_what_pca_explains():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 10))
    values = (values / values.std()).astype(np.float32)
    pca = PCA(2).fit(values).explained_variance_ratio_.sum()
    model = network(embedding_dim=8, n_channels=1)
    data = Batch(torch.from_numpy(values)[:, :, None], torch.full((64,), 10))
    settings = replace(SETTINGS, max_iter=150, learning_rate=1e-2, n_iter_no_change=150)
    history = train(model, data, settings, generator())
    assert 1 - history.best_loss / values.var() > 0.9 * pca


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_seed_decides_everything_whatever_the_threads(ragged):
    threads = torch.get_num_threads()
    settings = replace(SETTINGS, dropout=0.2, masking_ratio=0.2, input_noise=0.3)
    results = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            model = network()
            train(model, ragged, settings, generator(7))
            assert torch.get_num_threads() == n_threads
            results.append(weights(model))
    finally:
        torch.set_num_threads(threads)
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name])


def test_optimizer_state_continues_where_it_stopped(ragged):
    settings = replace(SETTINGS, max_iter=1, decay=False)
    at_once, in_parts = network(), network()
    source = generator(3)
    whole = train(at_once, ragged, replace(settings, max_iter=3, n_iter_no_change=9), source)
    source, losses, state = generator(3), [], None
    for _ in range(3):
        part = train(in_parts, ragged, settings, source, optimizer_state=state)
        losses += part.loss_curve
        state = part.optimizer_state
    assert losses == whole.loss_curve


def test_a_continued_run_takes_the_rate_it_is_given(ragged):
    settings = replace(SETTINGS, max_iter=1, decay=False)
    model = network()
    state = train(model, ragged, settings, generator()).optimizer_state
    before = weights(model)
    slow = replace(settings, learning_rate=1e-9, weight_decay=0.0)
    train(model, ragged, slow, generator(), optimizer_state=state)
    for name, value in weights(model).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-7)


def test_it_stops_when_patience_ends_but_not_while_warming_up(ragged):
    settings = replace(SETTINGS, max_iter=50, tol=1e9, n_iter_no_change=3)
    history = train(network(), ragged, settings, generator())
    assert history.stop_reason == "no_improvement"
    assert history.n_iter == 10 + 3


def test_a_callback_stops_it(ragged):
    stop_at_2 = {"on_epoch_end": lambda history: history.n_iter == 2}
    history = train(network(), ragged, SETTINGS, generator(), **stop_at_2)
    assert (history.n_iter, history.stop_reason) == (2, "callback")


def interrupt(n_iter):
    def on_epoch_end(history):
        if history.n_iter == n_iter:
            raise KeyboardInterrupt
        return False

    return on_epoch_end


def test_fault_20_an_interrupt_keeps_the_best_weights(ragged):
    model = network()
    history = train(model, ragged, SETTINGS, generator(), on_epoch_end=interrupt(3))
    assert (history.n_iter, history.stop_reason) == (3, "interrupted")
    undisturbed = network()
    train(
        undisturbed, ragged, SETTINGS, generator(), on_epoch_end=lambda history: history.n_iter == 3
    )
    for name, value in weights(model).items():
        assert torch.equal(value, weights(undisturbed)[name])


def test_fault_20_an_interrupt_in_the_first_epoch_is_raised(ragged):
    def hook(*_):
        raise KeyboardInterrupt

    model = network()
    model.decoder.register_forward_pre_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        train(model, ragged, SETTINGS, generator())


def test_fault_18_divergence_keeps_the_best_finite_weights(ragged):
    model = network()
    before = []

    def poison(history):
        if history.n_iter == 2:
            before.append(copy.deepcopy(weights(model)))
            with torch.no_grad():
                model.decoder.output.weight.fill_(float("nan"))
        return False

    history = train(model, ragged, SETTINGS, generator(), on_epoch_end=poison)
    assert (history.n_iter, history.stop_reason, history.best_iter) == (2, "diverged", 2)
    for name, value in weights(model).items():
        assert torch.equal(value, before[0][name])


def test_fault_18_divergence_at_once_is_an_error(ragged):
    model = network()
    with torch.no_grad():
        model.decoder.output.weight.fill_(float("inf"))
    with pytest.raises(TrainingError, match="learning_rate_init"):
        train(model, ragged, SETTINGS, generator())


def test_the_learning_rate_rises_for_a_fifth_and_falls_to_nothing():
    rates = [one_cycle(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[20] == 1.0
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[100] == pytest.approx(0.0)


def test_buckets_hold_every_row_once_and_like_lengths():
    lengths = torch.randint(1, 50, (203,), generator=generator(5))
    batches = list(bucket_batches(lengths, 8, generator(6)))
    assert sorted(torch.cat(batches).tolist()) == list(range(203))
    assert all(len(batch) <= 8 for batch in batches)
    spread = np.mean([np.ptp(lengths[batch].numpy()) for batch in batches])
    assert spread < 5
    again = list(bucket_batches(lengths, 8, generator(6)))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(batches[0], next(bucket_batches(lengths, 8, generator(9))))


def test_corruption_hides_whole_patches_and_leaves_padding_alone(ragged):
    model = RecurrentAutoencoder(Architecture(2, 4, 8, patch_len=3))
    settings = replace(SETTINGS, masking_ratio=0.5, input_noise=1.0)
    corruption = Trainer(model, settings, generator(), CPU).corruption(ragged)
    hidden = corruption.inputs[:, :, 0]
    assert {0.0, 1.0} == set(hidden.unique().tolist())
    assert (hidden[:, 0:3] == hidden[:, :1]).all()
    assert (corruption.noise[~ragged.observed] == 0).all()
    assert corruption.noise[ragged.observed].std() == pytest.approx(1.0, abs=0.2)
