"""Batches of like length, parts of a training set, and corruption."""

import numpy as np
import pytest
import torch

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.training.sampler import bucket_batches


def generator(seed):
    return torch.Generator().manual_seed(seed)


def lengths_up_to(longest, n_samples, seed=0):
    return torch.randint(1, longest + 1, (n_samples,), generator=generator(seed))


def as_lists(batches):
    return [batch.tolist() for batch in batches]


# bucket_batches


@pytest.mark.parametrize("longest", [1, 60])
@pytest.mark.parametrize(("n_samples", "batch_size"), [(1, 4), (3, 4), (8, 4), (301, 4), (301, 7)])
def test_every_row_comes_exactly_once(longest, n_samples, batch_size):
    lengths = lengths_up_to(longest, n_samples)
    batches = as_lists(bucket_batches(lengths, batch_size, generator(1)))
    assert sorted(row for batch in batches for row in batch) == list(range(n_samples))
    assert max(len(batch) for batch in batches) <= batch_size


def padding(lengths, batches):
    """Return the number of steps spent on padding."""
    return sum(int((lengths[batch].max() - lengths[batch]).sum()) for batch in batches)


def test_batches_hold_series_of_like_length():
    lengths = lengths_up_to(60, 1000)
    at_random = torch.randperm(1000, generator=generator(2)).split(10)
    in_buckets = list(bucket_batches(lengths, 10, generator(3)))
    assert padding(lengths, in_buckets) < 0.1 * padding(lengths, at_random)


def test_long_and_short_batches_take_turns():
    lengths = torch.arange(1, 321)
    longest = [int(lengths[b].max()) for b in bucket_batches(lengths, 10, generator(4))]
    assert len(longest) == 32
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@pytest.mark.parametrize("longest", [1, 60])
def test_epochs_differ_in_the_composition_of_their_batches(longest):
    lengths, source = lengths_up_to(longest, 1000), generator(5)
    first, second = (as_lists(bucket_batches(lengths, 10, source)) for _ in range(2))
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


@pytest.mark.parametrize("longest", [1, 60])
def test_the_generator_decides_the_batches(longest):
    lengths = lengths_up_to(longest, 50)
    first, second = (as_lists(bucket_batches(lengths, 8, generator(6))) for _ in range(2))
    assert first == second
    assert first != as_lists(bucket_batches(lengths, 8, generator(7)))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(bucket_batches(lengths_up_to(9, 40), 8, generator(8)))
    assert torch.equal(torch.get_rng_state(), before)


# Batch


@pytest.fixture
def dense():
    return Batch(torch.arange(24.0).reshape(4, 3, 2), torch.full((4,), 3))


@pytest.fixture
def ragged():
    lengths = torch.tensor([2, 5, 1, 4])
    observed = (torch.arange(5) < lengths[:, None])[:, :, None].repeat(1, 1, 2)
    observed[1, 2, 0] = False
    values = torch.arange(1.0, 41.0).reshape(4, 5, 2) * observed
    return Batch(values, lengths, observed, torch.tensor([0, 1, 2, 0]))


def test_the_number_of_values_counts_what_was_observed(dense, ragged):
    assert dense.n_values == 24
    assert ragged.n_values == 2 * (2 + 5 + 1 + 4) - 1
    assert len(dense) == len(ragged) == 4


def test_taking_rows_cuts_them_to_their_longest_series(ragged):
    taken = ragged.take(torch.tensor([3, 0]))
    assert taken.lengths.tolist() == [4, 2]
    assert taken.targets.tolist() == [0, 0]
    assert torch.equal(taken.values, torch.stack([ragged.values[3, :4], ragged.values[0, :4]]))
    assert torch.equal(
        taken.observed, torch.stack([ragged.observed[3, :4], ragged.observed[0, :4]])
    )
    assert taken.n_values == 12


def test_series_of_one_length_are_cut_to_it():
    """As in a region, which is as wide as the longest series of the set."""
    values = torch.arange(40.0).reshape(4, 5, 2)
    taken = Batch(values, torch.full((4,), 3)).take(torch.tensor([2, 0]))
    assert taken.lengths.tolist() == [3, 3]
    assert torch.equal(taken.values, torch.stack([values[2, :3], values[0, :3]]))


def test_taking_rows_keeps_what_is_not_there_not_there(dense):
    taken = dense.take(torch.tensor([2]))
    assert (taken.observed, taken.targets) == (None, None)
    assert torch.equal(taken.values, dense.values[2:3])


def test_a_slice_of_rows_is_a_view_that_keeps_the_padding(ragged):
    part = ragged.rows(slice(2, 4))
    assert part.values.shape == (2, 5, 2)
    assert part.values.data_ptr() == ragged.values[2:].data_ptr()
    assert part.lengths.tolist() == [1, 4]
    assert part.targets.tolist() == [2, 0]
    assert torch.equal(part.observed, ragged.observed[2:])


def test_slices_make_up_the_set(ragged):
    parts = [ragged.rows(slice(start, start + 3)) for start in (0, 3)]
    assert torch.equal(torch.cat([part.values for part in parts]), ragged.values)
    assert sum(part.n_values for part in parts) == ragged.n_values


def test_a_set_on_a_device_is_the_same_set(ragged):
    moved = ragged.on(torch.device("cpu"))
    for name in ("values", "lengths", "observed", "targets"):
        assert torch.equal(getattr(moved, name), getattr(ragged, name))


# Corruption


def test_no_corruption_changes_nothing(dense):
    assert Corruption().apply(dense.values) is dense.values
    assert Corruption().rows(slice(0, 2)).apply(dense.values) is dense.values


def test_inputs_are_hidden_before_noise_is_added(dense):
    hidden = torch.tensor([1.0, 0.0, 1.0])[None, :, None].expand(4, 3, 1)
    noise = torch.randn((4, 3, 2), generator=generator(9))
    expected = dense.values.numpy().copy()
    expected[:, 1] = 0.0
    expected += noise.numpy()
    np.testing.assert_allclose(Corruption(hidden, noise).apply(dense.values), expected)


def test_corrupting_does_not_write_to_the_series(dense):
    before = dense.values.clone()
    Corruption(torch.zeros(4, 3, 1), torch.ones(4, 3, 2)).apply(dense.values)
    assert torch.equal(dense.values, before)


def test_a_slice_of_a_corruption_belongs_to_the_slice_of_the_series(dense):
    whole = Corruption(
        torch.tensor([1.0, 0, 1, 0])[:, None, None].expand(4, 3, 1),
        torch.randn((4, 3, 2), generator=generator(10)),
        torch.arange(8.0).reshape(4, 2),
        torch.arange(12.0).reshape(4, 3),
    )
    part = whole.rows(slice(1, 3)).on(torch.device("cpu"))
    expected = whole.apply(dense.values)[1:3]
    assert torch.equal(part.apply(dense.rows(slice(1, 3)).values), expected)
    assert torch.equal(part.encoder_units, whole.encoder_units[1:3])
    assert torch.equal(part.decoder_units, whole.decoder_units[1:3])
