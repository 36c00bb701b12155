"""The totals that make up the loss, against sums by hand."""

import numpy as np
import pytest
import torch

from seqfeat.nn.batch import Batch
from seqfeat.nn.loss import error_sums, with_counts
from seqfeat.nn.network import make_linear
from tests.nn.kernels.arrays import numbers

VALUES, RECONSTRUCTION = numbers(4, 6, 2), numbers(4, 6, 2, seed=2)
EMBEDDINGS = numbers(4, 3, seed=3)
OBSERVED = numbers(4, 6, 2, seed=4) > -0.5
TARGETS = torch.tensor([2, 0, 1, 1])
LENGTHS = torch.full((4,), 6)


@pytest.fixture
def head():
    head = make_linear(3, 3)
    torch.nn.init.eye_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return head.requires_grad_(False)


def log_probabilities():
    """Return the logarithm of the probability of each series' class."""
    scores = np.exp(EMBEDDINGS.double().numpy())
    return np.log((scores / scores.sum(axis=1, keepdims=True))[np.arange(4), TARGETS])


def test_the_squared_error_is_the_sum_over_all_values():
    error, entropy = error_sums(Batch(VALUES, LENGTHS), EMBEDDINGS, RECONSTRUCTION, None)
    expected = ((VALUES - RECONSTRUCTION).double().numpy() ** 2).sum()
    assert error.item() == pytest.approx(expected, rel=1e-6)
    assert entropy.item() == 0.0


@pytest.mark.parametrize("unobserved", [0.0, 1e20])
def test_only_observed_values_count(unobserved):
    part = Batch(VALUES * OBSERVED, LENGTHS, OBSERVED)
    reconstruction = torch.where(OBSERVED, RECONSTRUCTION, unobserved)
    error, _ = error_sums(part, EMBEDDINGS, reconstruction, None)
    expected = ((VALUES - RECONSTRUCTION).double().numpy() ** 2)[OBSERVED.numpy()].sum()
    assert error.item() == pytest.approx(expected, rel=1e-6)


def test_the_cross_entropy_is_the_sum_over_all_series(head):
    part = Batch(VALUES, LENGTHS, None, TARGETS)
    _, entropy = error_sums(part, EMBEDDINGS, RECONSTRUCTION, head)
    assert entropy.item() == pytest.approx(-log_probabilities().sum(), rel=1e-6)


def test_without_targets_or_a_head_there_is_no_cross_entropy(head):
    without_targets = Batch(VALUES, LENGTHS)
    assert error_sums(without_targets, EMBEDDINGS, RECONSTRUCTION, head)[1].item() == 0.0
    without_head = Batch(VALUES, LENGTHS, None, TARGETS)
    assert error_sums(without_head, EMBEDDINGS, RECONSTRUCTION, None)[1].item() == 0.0


def test_half_precision_is_summed_in_float32(head):
    """Under autocast, reconstructions and embeddings are bfloat16."""
    part = Batch(VALUES, LENGTHS, None, TARGETS)
    half = EMBEDDINGS.bfloat16(), RECONSTRUCTION.bfloat16()
    found = error_sums(part, *half, head)
    expected = error_sums(part, *(tensor.float() for tensor in half), head)
    assert [total.dtype for total in found] == [torch.float32, torch.float32]
    assert found == expected


def test_totals_come_with_the_numbers_of_values_and_series():
    part = Batch(VALUES, LENGTHS, OBSERVED)
    totals = with_counts(part, torch.tensor(2.5), torch.tensor(0.5))
    assert totals.dtype is torch.float64
    assert totals.tolist() == [2.5, 0.5, int(OBSERVED.sum()), 4]
    assert with_counts(Batch(VALUES, LENGTHS), *torch.zeros(2))[2].item() == 48
