"""Batches, the chunks that they are taken from, and their shards."""

import pytest
import torch

from seqfeat.nn.batch import Batch, Chunk, common_length


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


def assert_same(batch, expected):
    for name in ("values", "lengths", "observed", "targets"):
        found, wanted = getattr(batch, name), getattr(expected, name)
        assert found is wanted is None or torch.equal(found, wanted), name


# Batch


def test_observed_values_are_counted(dense, ragged):
    assert dense.n_values == 24
    assert ragged.n_values == 2 * (2 + 5 + 1 + 4) - 1
    assert len(dense) == len(ragged) == 4
    assert (dense.is_dense, ragged.is_dense) == (True, False)
    assert (dense.values_per_series, ragged.values_per_series) == (6, 10)


def test_rows_that_are_taken_are_cut_to_their_longest_series(ragged):
    taken = ragged.take(torch.tensor([3, 0]))
    assert taken.lengths.tolist() == [4, 2]
    assert taken.targets.tolist() == [0, 0]
    assert torch.equal(taken.values, ragged.values[[3, 0], :4])
    assert torch.equal(taken.observed, ragged.observed[[3, 0], :4])
    assert taken.n_values == 12


def test_series_of_one_length_are_cut_to_it():
    """As in a chunk, which is as wide as the longest series of the whole set."""
    values = torch.arange(40.0).reshape(4, 5, 2)
    taken = Batch(values, torch.full((4,), 3)).take(torch.tensor([2, 0]))
    assert taken.lengths.tolist() == [3, 3]
    assert torch.equal(taken.values, values[[2, 0], :3])


def test_rows_may_be_taken_without_mask_and_targets(dense):
    taken = dense.take(torch.tensor([2]))
    assert_same(taken, Batch(dense.values[2:3], dense.lengths[2:3]))


def test_no_rows_may_be_taken(dense, ragged):
    nothing = torch.zeros(0, dtype=torch.int64)
    assert len(dense.take(nothing)) == len(ragged.take(nothing)) == 0


def test_a_slice_of_rows_is_a_view_that_keeps_the_padding(ragged):
    part = ragged.rows(slice(2, 4))
    assert part.values.shape == (2, 5, 2)
    assert part.values.data_ptr() == ragged.values[2:].data_ptr()
    assert part.lengths.tolist() == [1, 4]
    assert part.targets.tolist() == [2, 0]
    assert torch.equal(part.observed, ragged.observed[2:])


def test_slices_make_up_the_batch(ragged):
    parts = [ragged.rows(slice(start, start + 3)) for start in (0, 3)]
    assert torch.equal(torch.cat([part.values for part in parts]), ragged.values)
    assert sum(part.n_values for part in parts) == ragged.n_values


def test_a_batch_on_a_device_is_the_same_batch(ragged):
    assert_same(ragged.on(torch.device("cpu")), ragged)


@pytest.mark.parametrize(
    ("lengths", "expected"), [([3, 3, 3], 3), ([3, 2, 3], None), ([5], 5), ([], None)]
)
def test_a_common_length_is_that_of_all_series(lengths, expected):
    assert common_length(torch.tensor(lengths, dtype=torch.int64)) == expected


# Chunk


def test_a_batch_is_a_chunk_of_itself(ragged):
    rows = torch.tensor([3, 1])
    batch, positions = ragged.load(rows).take(rows)
    assert positions is None
    assert_same(batch, ragged.take(rows))


def test_a_chunk_finds_its_series_by_their_row_numbers_in_the_whole_set(ragged):
    chunk = Chunk(ragged, torch.tensor([2, 5, 7, 11]))
    batch, positions = chunk.take(torch.tensor([7, 2, 11]))
    assert positions is None
    assert_same(batch, ragged.take(torch.tensor([2, 0, 3])))


def test_a_chunk_that_processes_share_gives_its_own_series_and_their_positions(ragged):
    chunk = Chunk(ragged, torch.tensor([2, 5, 7, 11]), is_sharded=True)
    batch, positions = chunk.take(torch.tensor([7, 3, 2, 20]))
    assert positions.tolist() == [0, 2]
    assert_same(batch, ragged.take(torch.tensor([2, 0])))


def test_a_chunk_may_hold_nothing_of_a_batch(ragged):
    batch, positions = Chunk(ragged, torch.arange(4), is_sharded=True).take(torch.tensor([9]))
    assert len(batch) == len(positions) == 0
