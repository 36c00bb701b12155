"""Pooling over valid steps, and its gradient, against autograd in float64."""

import pytest
import torch

from seqfeat.nn.pooling import (
    MIN_VARIANCE,
    pool_max,
    pool_mean,
    pool_statistics,
    valid_steps,
)
from tests.nn.kernels.arrays import numbers

RAGGED = [9, 1, 4, 7, 2, 9]
LENGTHS = {"equal": [9] * 6, "unequal": RAGGED}
DIM = 5


def one_mean(steps):
    return steps.mean(dim=0)


def one_max(steps):
    return steps.amax(dim=0)


def one_statistics(steps):
    std = (steps.var(dim=0, correction=0) + MIN_VARIANCE).sqrt()
    return torch.cat([steps.mean(dim=0), std, steps.amax(dim=0), steps.amin(dim=0)])


POOLINGS = {
    "mean": (pool_mean, one_mean),
    "max": (pool_max, one_max),
    "statistics": (
        lambda sequences, n_steps: pool_statistics([sequences], n_steps),
        one_statistics,
    ),
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_values_and_gradients_are_those_of_each_series_without_padding(pooling, lengths):
    pool, pool_one = POOLINGS[pooling]
    sequences = numbers(6, 9, DIM).requires_grad_()
    exact = sequences.detach().double().requires_grad_()

    found = pool(sequences, torch.tensor(lengths))
    series = zip(exact, lengths, strict=True)
    expected = torch.stack([pool_one(one[:length]) for one, length in series])

    assert found.dtype is torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    weights = numbers(*found.shape, seed=2)
    (gradient,) = torch.autograd.grad((found * weights).sum(), sequences)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), exact)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-5)


def test_valid_steps_are_those_before_the_end_of_a_series():
    valid = valid_steps(torch.zeros(3, 4, 2), torch.tensor([4, 1, 3]))
    assert valid[:, :, 0].tolist() == [[True] * 4, [True] + [False] * 3, [True] * 3 + [False]]
    assert valid.shape == (3, 4, 1)


def test_several_sequences_are_pooled_as_one():
    one, other, lengths = numbers(6, 9, 3), numbers(6, 9, 4, seed=2), torch.tensor(RAGGED)
    together = pool_statistics([torch.cat([one, other], dim=2)], lengths)
    torch.testing.assert_close(pool_statistics([one, other], lengths), together)


def test_a_series_has_the_same_statistics_in_any_batch():
    sequences, lengths = numbers(6, 9, DIM).transpose(1, 2).contiguous().transpose(1, 2), RAGGED
    together = pool_statistics([sequences], torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = pool_statistics([sequences[row : row + 1]], torch.tensor([length]))
        assert torch.equal(alone[0], together[row])


def test_statistics_of_half_precision_are_in_float32():
    """Under autocast the outputs of an LSTM are bfloat16, whose sums would be useless."""
    sequences = numbers(6, 9, DIM).bfloat16()
    found = pool_statistics([sequences], torch.tensor(RAGGED))
    assert torch.equal(found, pool_statistics([sequences.float()], torch.tensor(RAGGED)))


def test_steps_with_the_same_extreme_value_share_its_gradient():
    values = torch.tensor([2.0, 2.0, 0.0, 2.0])[None, :, None].requires_grad_()
    # The last step is padding, and shares nothing.
    largest = pool_statistics([values], torch.tensor([3]))[0, 2]
    (gradient,) = torch.autograd.grad(largest, values)
    assert gradient.flatten().tolist() == [0.5, 0.5, 0.0, 0.0]


def test_a_constant_series_has_a_gradient():
    values = torch.ones(1, 5, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(pool_statistics([values], torch.tensor([5])).sum(), values)
    assert bool(gradient.isfinite().all())
