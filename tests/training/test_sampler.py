"""Which series are in memory together, and that this does not change what is learned."""

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.nn.batch import Batch
from seqfeat.nn.network import weights_of
from seqfeat.training import sampler
from seqfeat.training.fit import run_fit
from seqfeat.training.plan import plan_fit
from seqfeat.training.sampler import (
    bucket_batches,
    is_one_region,
    regions_in_order,
    shuffled_regions,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def waves(n_samples, n_timesteps=16, n_channels=2, seed=0):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n_samples, 1, n_channels))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / 3)


# Regions


@pytest.mark.parametrize(("n_series", "batch_size"), [(1, 8), (7, 1), (100, 64), (1001, 8)])
def test_regions_contain_every_series_once(n_series, batch_size, monkeypatch):
    monkeypatch.setattr(sampler, "REGION_BYTES", 2**13)
    for found in (
        list(regions_in_order(n_series, 16)),
        list(shuffled_regions(n_series, 16, batch_size, generator())),
    ):
        assert torch.cat(found).sort().values.tolist() == list(range(n_series))
        assert all((rows.diff() > 0).all() for rows in found)


def test_regions_are_as_large_as_the_limit_allows(monkeypatch):
    monkeypatch.setattr(sampler, "REGION_BYTES", 2**13)
    sizes = [len(rows) for rows in shuffled_regions(2000, 16, 4, generator())]
    assert max(sizes) == 2**13 // (4 * 16)
    assert len(sizes) == -(-2000 // max(sizes))


def test_a_set_of_many_regions_has_as_many_batches_as_one_region(monkeypatch):
    lengths = torch.full((1003,), 16)
    monkeypatch.setattr(sampler, "REGION_BYTES", 2**13)
    n_batches = sum(
        len(list(bucket_batches(lengths[rows], 8, generator())))
        for rows in shuffled_regions(1003, 16, 8, generator())
    )
    # Blocks hold whole batches, so that only the last batch of the set may be smaller.
    assert n_batches == -(-1003 // 8)


def test_every_epoch_draws_new_regions(monkeypatch):
    monkeypatch.setattr(sampler, "REGION_BYTES", 2**13)
    drawn = generator()
    first, second = (next(shuffled_regions(2000, 16, 4, drawn)).tolist() for _ in range(2))
    assert first != second
    # A region mixes blocks from the whole set.
    assert max(np.diff(first)) > 1


def test_a_small_set_is_a_single_region():
    assert is_one_region(1000, 100)
    assert not is_one_region(10**6, 100)
    assert [len(rows) for rows in shuffled_regions(1000, 100, 8, generator())] == [1000]


# Sets of many regions


@pytest.fixture
def small_regions(monkeypatch):
    monkeypatch.setattr(sampler, "REGION_BYTES", 2**14)


@pytest.mark.usefixtures("small_regions")
@pytest.mark.parametrize(
    "params", [{}, {"early_stopping": True}, {"target_weight": 0.5, "pooling": "last"}]
)
def test_reading_region_by_region_gives_the_fit_of_a_set_in_memory(params):
    model = LSTMAutoencoder(4, max_iter=2, batch_size=32, random_state=0, **params)
    plan, _ = plan_fit(model, waves(600), np.arange(600) % 3)
    assert len(list(regions_in_order(600, 32))) > 4
    found = run_fit(plan, Silent())
    source = type(plan).source
    try:
        type(plan).source = lambda self, chosen=None: whole(source(self, chosen))
        expected = run_fit(plan, Silent())
    finally:
        type(plan).source = source
    assert found.history.loss_curve == expected.history.loss_curve
    assert found.quality.r_squared == expected.quality.r_squared
    for name, value in weights_of(found.network).items():
        np.testing.assert_array_equal(value, weights_of(expected.network)[name])


def whole(source):
    """Return the same set as a single batch in memory."""
    parts = [source.load(rows).take(rows)[0] for rows in regions_in_order(len(source), 32)]
    targets = None if source.targets is None else torch.cat([part.targets for part in parts])
    data = Batch(
        torch.cat([part.values for part in parts]),
        torch.cat([part.lengths for part in parts]),
        None,
        targets,
    )
    object.__setattr__(data, "own_rows", source.own_rows)
    return data


class Silent:
    """An observer that does nothing."""

    def begin_epoch(self):
        """Do nothing."""

    def end_epoch(self, network, history):
        """Do nothing."""
        return False


@pytest.mark.usefixtures("small_regions")
def test_many_regions_score_about_as_well_as_one(monkeypatch):
    X = waves(600)
    model = LSTMAutoencoder(4, max_iter=15, batch_size=32, random_state=0)
    in_regions = model.fit(X).best_score_
    monkeypatch.setattr(sampler, "REGION_BYTES", 64 * 2**20)
    assert in_regions == pytest.approx(model.fit(X).best_score_, abs=0.05)
    assert in_regions > 0.7
