"""Series as training reads them: scaled, in chunks, of one process or of several."""

import numpy as np
import pytest
import torch

from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training import dataset as dataset_module
from seqfeat.training import sampler
from seqfeat.training.dataset import Dataset, Shard

LENGTHS = (4, 2, 6, 3, 5)
TARGETS = np.array([1, 0, 1, 2, 0])


@pytest.fixture
def items():
    """Series about different means, one of them with a gap."""
    rng = np.random.default_rng(0)
    items = [rng.normal([5, 100], [1, 9], size=(length, 2)) for length in LENGTHS]
    items[2][1, 0] = np.nan
    return items


def dataset_of(X, targets=None):
    series = as_series(X, missing="mask")
    return Dataset(series, channel_scaling(series), Shard.whole(series), targets)


def load_all(data):
    return data.load(torch.arange(len(data))).series


def test_series_are_scaled_with_zeros_where_nothing_was_observed(items):
    batch = load_all(dataset_of(items, TARGETS))
    everything = np.concatenate(items)
    expected, observed = np.zeros((5, 6, 2)), np.zeros((5, 6, 2), dtype=bool)
    for row, item in enumerate(items):
        scaled = (item - np.nanmean(everything, axis=0)) / np.nanstd(everything, axis=0)
        expected[row, : len(item)] = np.nan_to_num(scaled)
        observed[row, : len(item)] = ~np.isnan(item)
    np.testing.assert_allclose(batch.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(batch.observed, observed)
    assert (batch.values.dtype, batch.lengths.dtype) == (torch.float32, torch.int64)
    assert batch.lengths.tolist() == list(LENGTHS)
    assert batch.targets.tolist() == TARGETS.tolist()


def test_a_complete_set_needs_no_mask():
    batch = load_all(dataset_of(np.random.default_rng(1).normal(size=(4, 3, 2))))
    assert (batch.observed, batch.targets) == (None, None)


def test_scaling_block_by_block_changes_nothing(items, monkeypatch):
    whole = load_all(dataset_of(items))
    monkeypatch.setattr(dataset_module, "BLOCK_BYTES", 2 * 8 * 12)
    in_blocks = load_all(dataset_of(items))
    assert torch.equal(in_blocks.values, whole.values)
    assert torch.equal(in_blocks.observed, whole.observed)


def test_a_set_that_is_one_chunk_is_scaled_once(items):
    data = dataset_of(items)
    assert data.load(torch.tensor([0, 1])) is data.load(torch.tensor([2]))


@pytest.mark.usefixtures("small_chunks")
def test_a_larger_set_is_read_chunk_by_chunk(items):
    data, whole = dataset_of(items, TARGETS), load_all(dataset_of(items, TARGETS))
    chunk = data.load(torch.tensor([1, 2, 4]))
    assert len(chunk.series) == 3
    batch, positions = chunk.take(torch.tensor([4, 1]))
    assert positions is None
    expected = whole.take(torch.tensor([4, 1]))
    for name in ("values", "lengths", "observed", "targets"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 3 * 12 * 4)


# Some of the series


def test_a_subset_holds_the_chosen_series(items):
    data = dataset_of(items, TARGETS)
    subset = data.subset(np.array([1, 3, 4]))
    assert (len(data), len(subset)) == (5, 3)
    assert subset.lengths.tolist() == [2, 3, 5]
    assert subset.own_rows.tolist() == [1, 3, 4]
    assert data.own_rows.tolist() == [0, 1, 2, 3, 4]
    batch, expected = load_all(subset), load_all(data)
    assert torch.equal(batch.values, expected.values[[1, 3, 4]])
    assert batch.targets.tolist() == [0, 2, 0]


@pytest.mark.usefixtures("small_chunks")
def test_a_subset_is_read_by_its_own_row_numbers(items):
    whole = load_all(dataset_of(items))
    subset = dataset_of(items).subset(np.array([0, 2, 3, 4]))
    batch, _ = subset.load(torch.tensor([1, 3])).take(torch.tensor([3, 1]))
    assert torch.equal(batch.values, whole.values[[4, 2]])


# The series of several processes


def shards(items):
    """Return the set of each of two processes, the first of which holds two series."""
    series = as_series(items, missing="mask")
    scaling = channel_scaling(series)
    return [
        Dataset(
            series.take(np.arange(5)[rows]),
            scaling,
            Shard(rows.start, series.lengths, series.is_dense),
            TARGETS[rows],
        )
        for rows in (slice(0, 2), slice(2, 5))
    ]


@pytest.mark.parametrize("chunk_bytes", [3 * 12 * 4, 2**26], ids=["small chunks", "one chunk"])
def test_processes_together_hold_each_row_once(items, chunk_bytes, monkeypatch):
    monkeypatch.setattr(sampler, "CHUNK_BYTES", chunk_bytes)
    whole = load_all(dataset_of(items, TARGETS))
    rows = torch.tensor([4, 0, 3])
    found = torch.zeros(3, 6, 2)
    for data in shards(items):
        assert len(data) == 5
        assert data.lengths.tolist() == list(LENGTHS)
        chunk = data.load(rows.sort().values)
        assert chunk.is_sharded
        batch, positions = chunk.take(rows)
        found[positions, : batch.values.shape[1]] = batch.values
        assert batch.targets.tolist() == TARGETS[rows[positions].numpy()].tolist()
    assert torch.equal(found, whole.values[rows])


def test_a_process_finds_its_own_rows_of_a_subset(items):
    first, second = (data.subset(np.array([1, 2, 4])) for data in shards(items))
    assert (len(first), len(second)) == (3, 3)
    assert first.own_rows.tolist() == [1]
    assert second.own_rows.tolist() == [0, 2]


def test_a_process_may_hold_nothing_of_a_chunk(items):
    first, _ = shards(items)
    batch, positions = first.load(torch.tensor([2, 3])).take(torch.tensor([3, 2]))
    assert len(batch) == len(positions) == 0
