"""Losses and gradients of whole networks against autograd."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqfeat.nn.corruption import NO_CORRUPTION
from tests.nn.kernels.networks import (
    POOLINGS,
    STEPS,
    WIDTHS,
    assert_agree,
    by_kernels,
    by_pytorch,
    compiled,
    make_batch,
    make_corruption,
    make_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# Every value of every option, in pairs rather than all with all.
CASES = [
    # pooling, directions, widths, steps, channels, ragged, classes, dropout
    ("last", False, "whole", "timesteps", 1, False, 0, 0.0),
    ("last", True, "padded", "windows", 3, True, 3, 0.4),
    ("last", False, "padded", "patches", 3, True, 0, 0.4),
    ("last", True, "whole", "patches", 1, False, 0, 0.0),
    ("mean", False, "padded", "timesteps", 3, True, 3, 0.0),
    ("mean", True, "whole", "windows", 1, False, 0, 0.4),
    ("mean", True, "padded", "patches", 1, True, 0, 0.0),
    ("max", False, "whole", "windows", 3, True, 0, 0.4),
    ("max", True, "padded", "timesteps", 1, False, 3, 0.0),
    ("max", False, "padded", "patches", 1, False, 0, 0.0),
    ("statistics", False, "padded", "windows", 1, True, 0, 0.0),
    ("statistics", False, "whole", "windows", 3, False, 3, 0.4),
    ("statistics", True, "whole", "timesteps", 3, True, 0, 0.0),
    ("statistics", True, "padded", "patches", 1, False, 3, 0.4),
    ("statistics", False, "whole", "patches", 1, True, 0, 0.0),
]


def test_the_cases_cover_every_pair_of_options():
    options = [POOLINGS, [False, True], WIDTHS, STEPS, [1, 3], [False, True], [0, 3], [0.0, 0.4]]
    assert [set(values) for values in zip(*CASES, strict=True)] == list(map(set, options))


@pytest.mark.parametrize(
    (
        "pooling",
        "bidirectional",
        "widths",
        "steps",
        "n_channels",
        "is_ragged",
        "n_classes",
        "dropout",
    ),
    CASES,
)
def test_loss_and_gradients_are_those_of_autograd(
    lanes, pooling, bidirectional, widths, steps, n_channels, is_ragged, n_classes, dropout
):
    network = make_network(
        n_channels=n_channels,
        pooling=pooling,
        bidirectional=bidirectional,
        n_classes=n_classes,
        **WIDTHS[widths],
        **STEPS[steps],
    )
    batch = make_batch(network, is_ragged=is_ragged)
    corruption = make_corruption(network, batch, dropout=dropout)
    found = by_kernels(network, batch, corruption)
    assert_agree(network, found, by_pytorch(network, batch, corruption))


def test_values_in_any_order_of_memory():
    network = make_network()
    batch = make_batch(network)
    every_other = torch.zeros(7, 23, 4)
    every_other[:, :, ::2] = batch.values
    expected = by_pytorch(network, batch, NO_CORRUPTION)
    for values in (
        every_other[:, :, ::2],
        batch.values.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        odd = replace(batch, values=values)
        assert_agree(network, by_kernels(network, odd, NO_CORRUPTION), expected)


def test_a_head_without_targets_has_no_gradient():
    network = make_network(n_classes=3)
    batch = replace(make_batch(network), targets=None)
    loss, gradients = by_kernels(network, batch, NO_CORRUPTION)
    assert np.isfinite(loss)
    assert not any(bool(gradient.any()) for gradient in gradients[-2:])
    assert all(bool(gradient.any()) for gradient in gradients[:-2])


def test_steps_that_share_an_extreme_share_its_gradient():
    network = make_network(pooling="statistics")
    batch = make_batch(network)
    # The encoder's outputs converge, so that many steps are equal to the last bit.
    constant = replace(batch, values=torch.ones(7, 400, 2), lengths=torch.full((7,), 400))
    found = by_kernels(network, constant, NO_CORRUPTION)
    assert_agree(network, found, by_pytorch(network, constant, NO_CORRUPTION))


def test_what_is_not_finite_shows_in_the_loss():
    network = make_network()
    batch = make_batch(network)
    batch.values[2, 5] = torch.nan
    assert np.isnan(by_kernels(network, batch, NO_CORRUPTION)[0])


def test_no_program_keeps_what_it_has_read():
    network = make_network()
    batch, backend = make_batch(network, is_ragged=True), compiled(network)
    corruption = make_corruption(network, batch)
    by_kernels(network, batch, corruption, backend=backend)
    alive = [weakref.ref(tensor) for tensor in (batch.values, batch.observed, corruption.noise)]
    del batch, corruption
    assert [reference() for reference in alive] == [None, None, None]
