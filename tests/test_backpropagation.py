"""The programs of the kernels against autograd, PyTorch's AdamW and the network itself."""

import copy
import itertools
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.nn import lstm as layer
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption, draw_corruption
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels import backpropagation as backpropagation_module
from seqfeat.nn.kernels import compiled_backpropagation, compiled_optimizer
from seqfeat.nn.kernels import program_cache as desk
from seqfeat.nn.kernels.weights import HALVES
from seqfeat.nn.loss import Loss
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.runtime.threads import WorkerPool
from seqfeat.training import trainer as training
from seqfeat.training.trainer import Settings, clip_gradients, train

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_network(**architecture):
    sizes = {"n_channels": 2, "embedding_dim": 8, "hidden_dim": 16}
    network = RecurrentAutoencoder(Architecture(**{**sizes, **architecture}))
    initialize(network, generator())
    return network


def make_batch(network, n_timesteps=23, is_ragged=False, seed=1):
    a, source, n_series = network.architecture, generator(seed), 7
    values = torch.randn((n_series, n_timesteps, a.n_channels), generator=source)
    lengths, observed = torch.full((n_series,), n_timesteps), None
    if is_ragged:
        lengths = torch.randint(3, n_timesteps + 1, (n_series,), generator=source)
        lengths[-1] = n_timesteps
        inside = (torch.arange(n_timesteps) < lengths[:, None])[:, :, None]
        observed = inside & (torch.rand(values.shape, generator=source) > 0.1)
        values = values * observed
    targets = torch.arange(n_series) % a.n_classes if a.n_classes else None
    return Batch(values, lengths, observed, targets)


def make_corruption(network, batch, dropout=0.0, input_noise=0.5, masking_ratio=0.2, seed=2):
    rates = {"dropout": dropout, "input_noise": input_noise, "masking_ratio": masking_ratio}
    shape = tuple(batch.values.shape)
    return draw_corruption(network.architecture, shape, generator(seed), **rates)


def in_parts(batch, corruption, *edges):
    slices = [slice(*pair) for pair in itertools.pairwise([0, *edges, len(batch)])]
    return [(batch.rows(rows), corruption.rows(rows)) for rows in slices]


def by_kernels(network, batch, corruption, edges=(3,), n_threads=1, backpropagation=None):
    backpropagation = backpropagation or compiled_backpropagation(network)
    weighting = Loss(network, 0.4, CPU).weighting(batch, batch.n_values, len(batch))
    with WorkerPool(n_threads) as pool:
        loss = backpropagation.run(in_parts(batch, corruption, *edges), weighting, pool)
    return loss, [gradient.clone() for gradient in backpropagation.gradients]


def by_autograd(network, batch, corruption):
    objective = Loss(network, 0.4, CPU)
    return objective.gradients((batch, corruption), batch.n_values, len(batch))


def assert_agree(network, found, expected):
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-5)
    for (name, _), one, other in zip(
        network.named_parameters(), found[1], expected[1], strict=True
    ):
        assert one.shape == other.shape, name
        scale = float(other.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(one, other, rtol=0, atol=3e-5 * scale, msg=name)


# Whole vectors of all lengths and of none; one step a timestep, patches, windows.
WIDTHS = [{"hidden_dim": 32, "embedding_dim": 16}, {"hidden_dim": 10, "embedding_dim": 7}]
STEPS = [
    {},
    {"patch_len": 4, "n_time_features": 5, "time_period": 6},
    {"patch_len": 3, "n_time_features": 16, "time_period": 6, "window_len": 6, "window_stride": 2},
]


@pytest.mark.parametrize("widths", WIDTHS, ids=["whole", "filled"])
@pytest.mark.parametrize("steps", STEPS, ids=["timesteps", "patches", "windows"])
@pytest.mark.parametrize("pooling", ["last", "statistics"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("is_ragged", [False, True])
def test_loss_and_gradients_are_those_of_autograd(
    lanes, widths, steps, pooling, n_channels, is_ragged
):
    network = make_network(n_channels=n_channels, pooling=pooling, **widths, **steps)
    batch = make_batch(network, is_ragged=is_ragged)
    corruption = make_corruption(network, batch)
    found = by_kernels(network, batch, corruption)
    assert_agree(network, found, by_autograd(network, batch, corruption))


@pytest.mark.parametrize("widths", WIDTHS, ids=["whole", "filled"])
@pytest.mark.parametrize("pooling", ["last", "statistics"])
@pytest.mark.parametrize("n_classes", [0, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_dropout_and_classes_are_those_of_autograd(lanes, widths, pooling, n_classes, dropout):
    network = make_network(pooling=pooling, n_classes=n_classes, **widths)
    batch = make_batch(network, is_ragged=True)
    corruption = make_corruption(network, batch, dropout=dropout)
    found = by_kernels(network, batch, corruption)
    assert_agree(network, found, by_autograd(network, batch, corruption))


def test_a_batch_without_noise_and_values_of_any_order_in_memory():
    network = make_network()
    batch = make_batch(network)
    every_other = torch.zeros(7, 23, 4)
    every_other[:, :, ::2] = batch.values
    for values in (
        every_other[:, :, ::2],
        batch.values.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        odd = replace(batch, values=values)
        expected = by_autograd(network, batch, Corruption())
        assert_agree(network, by_kernels(network, odd, Corruption()), expected)


@pytest.mark.parametrize("edges", [(), (1,), (3,), (1, 2, 6), (2, 4, 5, 6)])
def test_the_parts_of_a_batch_do_not_change_its_gradients(edges):
    network = make_network(pooling="statistics", patch_len=2)
    batch = make_batch(network, is_ragged=True)
    corruption = make_corruption(network, batch)
    found = by_kernels(network, batch, corruption, edges)
    assert_agree(network, found, by_autograd(network, batch, corruption))


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_the_same_bits_on_any_number_of_threads(n_threads):
    network = make_network(pooling="statistics", n_classes=2)
    batch = make_batch(network)
    corruption = make_corruption(network, batch, dropout=0.2)
    alone = by_kernels(network, batch, corruption, (2, 4, 5))
    together = by_kernels(network, batch, corruption, (2, 4, 5), n_threads)
    assert alone[0] == together[0]
    assert all(torch.equal(*pair) for pair in zip(alone[1], together[1], strict=True))


@pytest.mark.parametrize("n_classes", [0, 2])
@pytest.mark.parametrize("edges", [(), (3,), (2, 4, 5)])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("widths", WIDTHS, ids=["whole", "filled"])
def test_how_long_the_gradients_are(lanes, widths, n_threads, edges, n_classes):
    network = make_network(pooling="statistics", n_classes=n_classes, **widths)
    batch = make_batch(network)
    backpropagation = compiled_backpropagation(network)
    for dropout in (0.0, 0.2):
        corruption = make_corruption(network, batch, dropout=dropout)
        _, gradients = by_kernels(network, batch, corruption, edges, n_threads, backpropagation)
        expected = np.linalg.norm(torch.cat([one.flatten() for one in gradients]).double())
        assert backpropagation.norm == pytest.approx(expected, rel=1e-6)


def test_batches_of_many_shapes_one_after_the_other(monkeypatch):
    """Programs share memory, which grows, and only so many are kept."""
    monkeypatch.setattr(desk, "MOST_PROGRAMS", 3)
    network = make_network(pooling="statistics", patch_len=2, n_time_features=3)
    backpropagation = compiled_backpropagation(network)
    for n_timesteps in (9, 23, 4, 60, 9, 11, 12, 13, 60, 4):
        batch = make_batch(network, n_timesteps, is_ragged=n_timesteps % 2 == 0, seed=n_timesteps)
        corruption = make_corruption(network, batch, dropout=0.3)
        found = by_kernels(network, batch, corruption, backpropagation=backpropagation)
        assert_agree(network, found, by_autograd(network, batch, corruption))
        assert all(len(place.desk.programs) <= 3 for place in backpropagation.places)


def test_no_program_keeps_what_it_has_read():
    network = make_network()
    batch, backpropagation = make_batch(network, is_ragged=True), compiled_backpropagation(network)
    corruption = make_corruption(network, batch)
    by_kernels(network, batch, corruption, backpropagation=backpropagation)
    alive = [weakref.ref(tensor) for tensor in (batch.values, batch.observed, corruption.noise)]
    del batch, corruption
    assert [reference() for reference in alive] == [None, None, None]


def test_weights_that_changed_count():
    network = make_network(hidden_dim=10, pooling="statistics")
    batch = make_batch(network)
    backpropagation = compiled_backpropagation(network)
    first = by_kernels(network, batch, Corruption(), backpropagation=backpropagation)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.7)
    found = by_kernels(network, batch, Corruption(), backpropagation=backpropagation)
    assert float(found[0]) != float(first[0])
    assert_agree(network, found, by_autograd(network, batch, Corruption()))


def test_steps_that_share_an_extreme_share_its_gradient():
    network = make_network(pooling="statistics")
    batch = make_batch(network)
    # The encoder's outputs converge, so that many steps are equal to the last bit.
    constant = replace(batch, values=torch.ones(7, 400, 2), lengths=torch.full((7,), 400))
    found = by_kernels(network, constant, Corruption())
    assert_agree(network, found, by_autograd(network, constant, Corruption()))


def test_what_is_not_finite_shows_in_the_loss():
    network = make_network()
    batch = make_batch(network)
    batch.values[2, 5] = torch.nan
    assert np.isnan(by_kernels(network, batch, Corruption())[0])


# Who takes the way of the kernels


def frozen(network):
    network.decoder.output.bias.requires_grad_(False)
    return network


def hooked(network):
    network.encoder.register_forward_hook(lambda *_: None)
    return network


def weight_hooked(network):
    network.decoder.output.weight.register_hook(lambda gradient: gradient)
    return network


@pytest.mark.parametrize(
    "network",
    [
        make_network(bidirectional=True),
        make_network(pooling="mean"),
        make_network(pooling="max"),
        make_network().double(),
        frozen(make_network()),
        hooked(make_network()),
        weight_hooked(make_network()),
    ],
    ids=["bidirectional", "mean", "max", "float64", "frozen", "hook", "hook of a weight"],
)
def test_the_rest_is_left_to_autograd(network):
    assert compiled_backpropagation(network) is None
    assert compiled_backpropagation(make_network()) is not None


def test_without_kernels_all_is_left_to_autograd(monkeypatch):
    monkeypatch.setattr(layer, "_kernels", lambda: None)
    assert compiled_backpropagation(make_network()) is None


# AdamW


def optimizer_of(network, n_groups):
    encoder, rest = list(network.encoder.parameters()), list(network.decoder.parameters())
    groups = [{"params": encoder + rest, "lr": 0.01}]
    if n_groups == 2:
        groups = [{"params": encoder, "lr": 0.003}, {"params": rest, "lr": 0.01}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.1, fused=True)


def gradients_at(step, network):
    """Return gradients, which are to be clipped at every second step, and zeros at the fifth."""
    scale = (0.0 if step == 5 else 1.0) * (100.0 if step % 2 else 0.001)
    source = generator(step)
    weights = network.parameters()
    return [scale * torch.randn(weight.shape, generator=source) for weight in weights]


@pytest.mark.parametrize("n_groups", [1, 2])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_adamw_is_that_of_pytorch(n_groups, n_threads, monkeypatch):
    monkeypatch.setattr(backpropagation_module, "LEAST_SHARED", 1)
    ours, theirs = (make_network(hidden_dim=10, embedding_dim=7) for _ in range(2))
    backpropagation = compiled_backpropagation(ours)
    optimizers = [optimizer_of(network, n_groups) for network in (ours, theirs)]
    step = None
    for number in range(12):
        for group in [*optimizers[0].param_groups, *optimizers[1].param_groups]:
            group["lr"] *= 0.9
        for network in (ours, theirs):
            for weight, gradient in zip(
                network.parameters(), gradients_at(number, network), strict=True
            ):
                weight.grad = gradient
        norm = clip_gradients([weight.grad for weight in theirs.parameters()], 1.0)
        optimizers[1].step()
        # PyTorch's own takes the first step, and one in between.
        if number in (0, 7):
            clip_gradients([weight.grad for weight in ours.parameters()], 1.0)
            optimizers[0].step()
            step = step or compiled_optimizer(optimizers[0], backpropagation, 1.0).step
            continue
        for weight, gradient in zip(ours.parameters(), backpropagation.gradients, strict=True):
            gradient.copy_(weight.grad)
        for half in HALVES:
            backpropagation.add_up([], half)
        assert step(WorkerPool(n_threads)) == pytest.approx(float(norm), rel=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    for number, state in states[1].items():
        for name, value in state.items():
            torch.testing.assert_close(states[0][number][name], value, rtol=1e-5, atol=1e-9)


def test_a_gradient_that_is_not_finite_is_told():
    network = make_network()
    backpropagation = compiled_backpropagation(network)
    optimizer = optimizer_of(network, 1)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    backpropagation.flat[3] = torch.inf
    step = compiled_optimizer(optimizer, backpropagation, 1.0).step
    for half in HALVES:
        backpropagation.add_up([], half)
    assert not np.isfinite(step(WorkerPool(1)))


# Whole fits


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"pooling": "last", "patch_len": 1, "dropout": 0.2},
        {"target_weight": 0.5, "masking_ratio": 0.2},
        {"batch_size": 15, "early_stopping": True},
    ],
)
def test_a_fit_goes_the_way_of_autograd(parameters, monkeypatch):
    rng = np.random.default_rng(0)
    lengths, starts = rng.integers(20, 40, size=60), rng.uniform(0, 6, size=60)
    series = [
        np.sin(np.arange(length) / 3 + start)[:, None]
        for length, start in zip(lengths, starts, strict=True)
    ]
    y = (starts > 3).astype(int) if "target_weight" in parameters else None
    model = LSTMAutoencoder(16, max_iter=8, random_state=0, **parameters)
    ours = model.fit(series, y).loss_curve_
    monkeypatch.setattr(training, "compiled_backpropagation", lambda network: None)
    theirs = model.fit(series, y).loss_curve_
    assert ours[-1] < ours[0]
    assert ours != theirs
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_a_fit_goes_on_with_the_state_of_either_optimizer(monkeypatch):
    settings = Settings(2, 4, 1e-2, decay=False)
    fits = []
    for second_is_compiled in (True, False):
        network = make_network()
        data = make_batch(network)
        state = train(network, data, settings, generator()).optimizer_state
        if not second_is_compiled:
            monkeypatch.setattr(training, "compiled_backpropagation", lambda network: None)
        history = train(network, data, settings, generator(), optimizer_state=copy.deepcopy(state))
        fits.append(history)
    np.testing.assert_allclose(fits[0].loss_curve, fits[1].loss_curve, rtol=1e-4)
    for one, other in zip(*(fit.optimizer_state["state"].values() for fit in fits), strict=True):
        np.testing.assert_allclose(one["exp_avg"], other["exp_avg"], atol=1e-4)
        assert one["step"] == other["step"] == 8
