"""The series of a chunk, and the series of a batch."""

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.nn.batch import Batch
from seqfeat.runtime.ranks import ALONE
from seqfeat.series import as_series
from seqfeat.series.scaling import identity_scaling
from seqfeat.training import sampler
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.sampler import (
    bucket_batches,
    chunks_in_order,
    is_one_chunk,
    sample_series,
    shuffled_chunks,
)
from tests.training.examples import assert_equal_weights, generator
from tests.training.thread_ranks import run_on_ranks

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def lengths_up_to(longest, n_samples, seed=0):
    return torch.randint(1, longest + 1, (n_samples,), generator=generator(seed))


def as_lists(batches):
    return [batch.tolist() for batch in batches]


# Batches


@pytest.mark.parametrize("longest", [1, 60])
@pytest.mark.parametrize(("n_samples", "batch_size"), [(1, 4), (3, 4), (8, 4), (301, 7)])
def test_every_row_is_in_one_batch(longest, n_samples, batch_size):
    lengths = lengths_up_to(longest, n_samples)
    batches = as_lists(bucket_batches(lengths, batch_size, generator(1)))
    assert sorted(row for batch in batches for row in batch) == list(range(n_samples))
    assert max(len(batch) for batch in batches) <= batch_size
    assert len(batches) == -(-n_samples // batch_size)


def padding(lengths, batches):
    """Return the number of steps spent on padding."""
    return sum(int((lengths[batch].max() - lengths[batch]).sum()) for batch in batches)


def test_series_of_a_batch_have_similar_lengths():
    lengths = lengths_up_to(60, 1000)
    at_random = torch.randperm(1000, generator=generator(2)).split(10)
    in_buckets = list(bucket_batches(lengths, 10, generator(3)))
    assert padding(lengths, in_buckets) < 0.1 * padding(lengths, at_random)


def test_batches_of_long_and_of_short_series_alternate():
    lengths = torch.arange(1, 321)
    longest = [int(lengths[b].max()) for b in bucket_batches(lengths, 10, generator(4))]
    assert len(longest) == 32
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@pytest.mark.parametrize("longest", [1, 60])
def test_every_epoch_has_other_batches(longest):
    lengths, source = lengths_up_to(longest, 1000), generator(5)
    first, second = (as_lists(bucket_batches(lengths, 10, source)) for _ in range(2))
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


@pytest.mark.parametrize("longest", [1, 60])
def test_the_generator_decides_the_batches(longest):
    lengths = lengths_up_to(longest, 50)
    first, second, other = (
        as_lists(bucket_batches(lengths, 8, generator(seed))) for seed in (6, 6, 7)
    )
    assert first == second
    assert first != other


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(bucket_batches(lengths_up_to(9, 40), 8, generator(8)))
    assert torch.equal(torch.get_rng_state(), before)


# Chunks


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 128 series of 16 values each."""
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 2**13)


def series_of_16_values(n_series):
    return Batch(torch.zeros(n_series, 16, 1), torch.full((n_series,), 16))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("n_series", "batch_size"), [(1, 1), (7, 8), (100, 64), (1001, 8)])
def test_every_row_is_in_one_chunk_and_chunks_are_ascending(n_series, batch_size):
    data = series_of_16_values(n_series)
    for chunks in (chunks_in_order(data), shuffled_chunks(data, batch_size, generator())):
        rows = list(chunks)
        assert torch.cat(rows).sort().values.tolist() == list(range(n_series))
        assert all((chunk.diff() > 0).all() for chunk in rows)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_are_as_large_as_they_may_be():
    sizes = [len(rows) for rows in shuffled_chunks(series_of_16_values(2000), 4, generator())]
    assert max(sizes) == 128
    assert len(sizes) == -(-2000 // 128)


@pytest.mark.usefixtures("small_chunks")
def test_there_are_as_many_batches_as_in_a_single_chunk():
    data = series_of_16_values(1003)
    n_batches = sum(
        len(list(bucket_batches(data.lengths[rows], 8, generator())))
        for rows in shuffled_chunks(data, 8, generator())
    )
    # A chunk's last batch would be smaller if blocks did not hold whole batches.
    assert n_batches == -(-1003 // 8)


@pytest.mark.usefixtures("small_chunks")
def test_every_epoch_has_other_chunks_of_series_from_all_over_the_set():
    data, source = series_of_16_values(2000), generator()
    first, second = (next(shuffled_chunks(data, 4, source)).tolist() for _ in range(2))
    assert first != second
    assert max(np.diff(first)) > 1


@pytest.mark.usefixtures("small_chunks")
def test_series_larger_than_a_chunk_come_one_by_one_or_in_a_batch():
    data = Batch(torch.zeros(5, 4000, 1), torch.full((5,), 4000))
    assert [len(rows) for rows in chunks_in_order(data)] == [1] * 5
    assert sorted(len(rows) for rows in shuffled_chunks(data, 2, generator())) == [1, 2, 2]


def test_a_small_set_is_one_chunk():
    assert is_one_chunk(1000, 100)
    assert not is_one_chunk(10**6, 100)
    assert len(list(shuffled_chunks(series_of_16_values(1000), 8, generator()))) == 1


# Fits of many chunks


def phases(n_samples, n_timesteps=16, n_channels=2):
    phase = np.random.default_rng(0).uniform(0, 6, (n_samples, 1, n_channels))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / 3)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": False, "target_weight": 0.5},
        {"pooling": "statistics"},
        {"pooling": "statistics", "early_stopping": True},
        {"pooling": "last", "target_weight": 0.5},
    ],
)
def test_a_set_read_chunk_by_chunk_has_the_fit_of_a_set_in_memory(params, monkeypatch):
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 2**14)
    model = LSTMAutoencoder(4, max_iter=2, batch_size=32, random_state=0, device="cpu", **params)
    loaded, load = [], Dataset.load

    def load_chunk(data, rows):
        loaded.append(len(rows))
        return load(data, rows)

    monkeypatch.setattr(Dataset, "load", load_chunk)
    found = model.fit(phases(600), np.arange(600) % 3).__getstate__()
    assert max(loaded) == 128
    in_memory = lambda data, rows: data._read(torch.arange(len(data)))  # noqa: E731
    monkeypatch.setattr(Dataset, "load", in_memory)
    expected = model.fit(phases(600), np.arange(600) % 3)
    for name in ("loss_curve_", "validation_loss_curve_", "best_score_"):
        assert found[name] == getattr(expected, name), name
    assert_equal_weights(found["weights_"], expected.weights_)


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_many_chunks_score_about_as_well_as_one(pooling, monkeypatch):
    fixed = {"max_iter": 15, "early_stopping": False, "random_state": 0, "device": "cpu"}
    model = LSTMAutoencoder(4, pooling=pooling, batch_size=32, **fixed)
    expected = model.fit(phases(600)).best_score_
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 2**14)
    in_chunks = model.fit(phases(600)).best_score_
    assert in_chunks == pytest.approx(expected, abs=0.05)
    assert in_chunks > 0.7


# A sample, to fit initial weights to


def whole_dataset():
    rng = np.random.default_rng(0)
    items = [rng.normal(size=(2 + row % 5, 2)) for row in range(30)]
    items[4][1, 0] = np.nan
    series = as_series(items, missing="mask")
    return Dataset(series, identity_scaling(2), Shard.whole(series))


def test_a_sample_of_a_small_set_is_the_set_shuffled():
    data = whole_dataset()
    rows, sample = sample_series(data, 8, generator(), ALONE)
    assert len(sample) == 30
    assert sample.lengths.tolist() == data.lengths[rows].tolist()
    assert sample.lengths.tolist() != data.lengths.tolist()
    assert sorted(sample.lengths.tolist()) == sorted(data.lengths.tolist())


def test_a_sample_is_bounded(monkeypatch):
    monkeypatch.setattr(sampler, "MAX_SAMPLE_SERIES", 7)
    first, second, other = (
        sample_series(whole_dataset(), 8, generator(seed), ALONE)[1] for seed in (0, 0, 1)
    )
    assert len(first) == 7
    assert torch.equal(first.values, second.values)
    assert first.values.shape != other.values.shape or not torch.equal(first.values, other.values)


def test_every_process_has_the_sample_of_all_series(monkeypatch):
    monkeypatch.setattr(sampler, "MAX_SAMPLE_SERIES", 20)
    whole = whole_dataset()
    expected_rows, expected = sample_series(whole, 8, generator(), ALONE)

    def sample_of_shard(ranks):
        rows = np.arange(30)[slice(0, 10) if ranks.rank == 0 else slice(10, 30)]
        shard = Shard(int(rows[0]), whole.series.lengths, is_dense=False)
        data = Dataset(whole.series.take(rows), whole.scaling, shard)
        return sample_series(data, 8, generator(), ranks)

    for rows, sample in run_on_ranks(sample_of_shard):
        assert torch.equal(rows, expected_rows)
        assert torch.equal(sample.lengths, expected.lengths)
        assert torch.equal(sample.values, expected.values)
        assert torch.equal(sample.observed, expected.observed)
