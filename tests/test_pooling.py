"""Statistics over a series' own steps, and their gradient, against autograd in float64."""

import pytest
import torch

from seqfeat.nn.pooling import MIN_VARIANCE, statistics

LENGTHS = {"equal": [9] * 6, "unequal": [9, 1, 4, 7, 2, 9]}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def series_by_series(sequences, lengths):
    """Return the statistics of each series without its padding."""
    rows = []
    for one, length in zip(sequences, lengths, strict=True):
        own = one[:length]
        deviation = (own.var(dim=0, correction=0) + MIN_VARIANCE).sqrt()
        rows.append(torch.cat([own.mean(dim=0), deviation, own.amax(dim=0), own.amin(dim=0)]))
    return torch.stack(rows)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_values_and_gradients_are_those_of_the_series_alone(lengths):
    sequences, weighting = numbers(6, 9, 5).requires_grad_(), numbers(6, 20, seed=1)
    exact = sequences.detach().double().requires_grad_()

    found = statistics([sequences], torch.tensor(lengths))
    expected = series_by_series(exact, lengths)

    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad((found * weighting).sum(), sequences)
    (wanted,) = torch.autograd.grad((expected * weighting).sum(), exact)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-5)


def test_several_sequences_count_as_one():
    one, other, lengths = (
        numbers(6, 9, 3),
        numbers(6, 9, 4, seed=1),
        torch.tensor([9, 1, 4, 7, 2, 9]),
    )
    together = statistics([torch.cat([one, other], dim=2)], lengths)
    torch.testing.assert_close(statistics([one, other], lengths), together)


def test_steps_that_share_an_extreme_share_its_gradient():
    values = torch.tensor([2.0, 2.0, 0.0, 2.0])[None, :, None].requires_grad_()
    # The last step is padding, and shares nothing.
    largest = statistics([values], torch.tensor([3]))[0, 2]
    (gradient,) = torch.autograd.grad(largest, values)
    assert gradient.flatten().tolist() == [0.5, 0.5, 0.0, 0.0]


def test_a_constant_series_has_a_gradient():
    values = torch.ones(1, 5, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(statistics([values], torch.tensor([5])).sum(), values)
    assert bool(gradient.isfinite().all())
