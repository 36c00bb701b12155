"""Gradients of random networks and batches against autograd in float64, in units of rounding."""

import numpy as np
import pytest
import torch

from seqfeat.nn.corruption import NO_CORRUPTION
from tests.compiled import compiled_kernels
from tests.nn.kernels.float64_gradients import float64_gradients, smallest_gap
from tests.nn.kernels.networks import (
    POOLINGS,
    by_kernels,
    loss_weights,
    make_batch,
    make_corruption,
    make_network,
)

EPS = float(torch.finfo(torch.float32).eps)

FACTOR = 8
"""The largest distance in units of its bound was 5 among 600 networks."""

ROUNDING = 2e-7
"""Outputs that are as close as this may be equal, or in another order, in float32."""

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(seed):
    """Return an architecture, the sizes of a batch, and whether inputs are corrupted."""
    rng = np.random.default_rng(seed)

    def number(first, last):
        return int(rng.integers(first, last + 1))

    architecture = {
        "n_channels": number(1, 12),
        "pooling": str(rng.choice(POOLINGS)),
        "bidirectional": bool(number(0, 1)),
        "hidden_dim": number(1, 70),
        "embedding_dim": number(1, 40),
        "n_classes": number(0, 1) * number(2, 5),
        "patch_len": number(0, 1) * number(0, 4) + 1,
        "n_time_features": number(0, 1) * number(1, 16),
        "time_period": number(1, 12),
    }
    if number(0, 1):
        architecture["window_len"] = architecture["patch_len"] + number(0, 5)
        architecture["window_stride"] = number(1, architecture["window_len"])
    sizes = {"n_series": number(1, 20), "n_timesteps": number(3, 120), "is_ragged": number(0, 1)}
    is_corrupted = bool(number(0, 1))
    sizes["is_weighted"] = bool(number(0, 1))
    if not architecture["n_classes"]:
        architecture["n_targets"] = number(0, 1) * number(1, 3)
    return architecture, sizes, is_corrupted


def smooth_batch(network, seed, sizes, is_corrupted):
    """Return a batch at which the loss has a gradient.

    Where two steps share a maximum or minimum, there is one for each of them; where they do so up
    to rounding, float32 may take another one than float64.
    """
    has_extremes = network.architecture.pooling in ("max", "statistics")
    for number in range(100):
        batch = make_batch(network, seed=100 * seed + number, **sizes)
        corruption = NO_CORRUPTION
        if is_corrupted:
            corruption = make_corruption(network, batch, seed=100 * seed + number)
        if not has_extremes or smallest_gap(network, batch, corruption) > ROUNDING:
            return batch, corruption
    raise AssertionError("all batches have steps that are equal to rounding")


def distance_of_gradients(seed):
    """Return how far the kernels' gradient is from that in float64, and the bound.

    Both are norms over all weights, in units of rounding: relative to the gradient's norm, divided
    by the distance between 1 and the next number of float32. A gradient is a sum over all steps of
    all series, of errors that came through all steps, each of which sums over the units. Where
    roundings are independent, the error of a sum grows with the root of its number of terms.
    """
    architecture, sizes, is_corrupted = draw(seed)
    network = make_network(**architecture)
    batch, corruption = smooth_batch(network, seed, sizes, is_corrupted)
    edges = (sizes["n_series"] // 2,) if sizes["n_series"] > 1 else ()
    found = by_kernels(network, batch, corruption, edges)[1]
    exact = float64_gradients(network, batch, corruption, loss_weights(network, batch))
    expected = torch.cat([one.flatten() for one in exact])
    error = torch.cat([one.double().flatten() for one in found]) - expected
    n_terms = sizes["n_series"] * sizes["n_timesteps"] + network.architecture.hidden_dim
    return float(error.norm() / expected.norm()) / EPS, n_terms**0.5


def assert_close(seed, monkeypatch):
    kernels = compiled_kernels((4, 8, 16)[seed % 3])
    monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: kernels)
    distance, bound = distance_of_gradients(seed)
    assert distance <= FACTOR * bound, draw(seed)


@pytest.mark.parametrize("seed", range(10))
def test_gradients_are_those_of_float64(seed, monkeypatch):
    assert_close(seed, monkeypatch)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(10, 210))
def test_gradients_of_many_networks_are_those_of_float64(seed, monkeypatch):
    assert_close(seed, monkeypatch)
