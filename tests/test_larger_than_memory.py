"""Sets that are larger than the memory a process may take, and sets of many regions."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder, regions
from seqfeat.batches import TrainingSet, length_buckets
from seqfeat.fitting import carry_out, weights_of
from seqfeat.planning import plan_fit
from seqfeat.regions import is_one_region, regions_in_order, shuffled_regions

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def waves(n_samples, n_timesteps=16, n_channels=2, seed=0):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n_samples, 1, n_channels))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / 3)


# Regions


@pytest.mark.parametrize("n_series", [1, 7, 100, 1001])
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_regions_hold_every_series_once(n_series, batch_size, monkeypatch):
    monkeypatch.setattr(regions, "REGION_BYTES", 2**13)
    for found in (
        list(regions_in_order(n_series, 16)),
        list(shuffled_regions(n_series, 16, batch_size, generator())),
    ):
        assert torch.cat(found).sort().values.tolist() == list(range(n_series))
        assert all((rows.diff() > 0).all() for rows in found)


def test_a_region_is_as_large_as_it_may_be(monkeypatch):
    monkeypatch.setattr(regions, "REGION_BYTES", 2**13)
    sizes = [len(rows) for rows in shuffled_regions(2000, 16, 4, generator())]
    assert max(sizes) == 2**13 // (4 * 16)
    assert len(sizes) == -(-2000 // max(sizes))


def test_there_are_as_many_batches_as_in_one_region(monkeypatch):
    lengths = torch.full((1003,), 16)
    monkeypatch.setattr(regions, "REGION_BYTES", 2**13)
    n_batches = sum(
        len(list(length_buckets(lengths[rows], 8, generator())))
        for rows in shuffled_regions(1003, 16, 8, generator())
    )
    # Each region's last batch may be smaller, but blocks hold whole batches.
    assert n_batches == -(-1003 // 8)


def test_another_epoch_has_other_regions(monkeypatch):
    monkeypatch.setattr(regions, "REGION_BYTES", 2**13)
    drawn = generator()
    first, second = (next(shuffled_regions(2000, 16, 4, drawn)).tolist() for _ in range(2))
    assert first != second
    # Blocks from all over the set come together.
    assert max(np.diff(first)) > 1


def test_a_small_set_is_one_region():
    assert is_one_region(1000, 100)
    assert not is_one_region(10**6, 100)
    assert [len(rows) for rows in shuffled_regions(1000, 100, 8, generator())] == [1000]


# Sets of many regions


@pytest.fixture
def small_regions(monkeypatch):
    monkeypatch.setattr(regions, "REGION_BYTES", 2**14)


@pytest.mark.usefixtures("small_regions")
@pytest.mark.parametrize(
    "params", [{}, {"early_stopping": True}, {"target_weight": 0.5, "pooling": "last"}]
)
def test_reading_region_by_region_trains_as_if_all_were_in_memory(params):
    model = LSTMAutoencoder(4, max_iter=2, batch_size=32, random_state=0, **params)
    plan, _ = plan_fit(model, waves(600), np.arange(600) % 3)
    assert len(list(regions_in_order(600, 32))) > 4
    found = carry_out(plan, Silent())
    source = type(plan).source
    try:
        type(plan).source = lambda self, chosen=None: whole(source(self, chosen))
        expected = carry_out(plan, Silent())
    finally:
        type(plan).source = source
    assert found.history.loss_curve == expected.history.loss_curve
    assert found.quality.r_squared == expected.quality.r_squared
    for name, value in weights_of(found.network).items():
        np.testing.assert_array_equal(value, weights_of(expected.network)[name])


def whole(source):
    """Return the same set, read at once."""
    parts = [source.load(rows).take(rows)[0] for rows in regions_in_order(len(source), 32)]
    targets = None if source.targets is None else torch.cat([part.targets for part in parts])
    data = TrainingSet(
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
def test_many_regions_learn_about_as_well_as_one(monkeypatch):
    X = waves(600)
    model = LSTMAutoencoder(4, max_iter=15, batch_size=32, random_state=0)
    in_regions = model.fit(X).best_score_
    monkeypatch.setattr(regions, "REGION_BYTES", 64 * 2**20)
    assert in_regions == pytest.approx(model.fit(X).best_score_, abs=0.05)
    assert in_regions > 0.7


# Larger than memory


PROGRAM = """
import re, resource, sys, warnings
import numpy as np
import torch
from seqfeat import LSTMAutoencoder
warnings.simplefilter("ignore")
torch.set_num_threads(1)

def megabytes():
    status = open("/proc/self/status").read()
    return int(re.search(r"VmData:\\s+(\\d+)", status).group(1)) / 1024

# All that is loaded and compiled at first use.
LSTMAutoencoder(4, max_iter=1).fit_transform(np.random.default_rng(0).normal(size=(300, 20, 1)))
limit = int((megabytes() + {megabytes}) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
X = np.load({path!r}, mmap_mode="r")
try:
    np.array(X)
except MemoryError:
    print("too large to copy")
model = LSTMAutoencoder(4, max_iter=1, hidden_dim=4, random_state=0, batch_size=512)
embeddings = model.fit_transform(X)
np.savez({results!r}, embeddings=embeddings[::997], loss_curve=model.loss_curve_)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_fault_34_a_set_four_times_the_memory_is_fitted_and_embedded(tmp_path):
    n_samples, limit = 54_000, 200
    path, results = tmp_path / "X.npy", tmp_path / "results.npz"
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n_samples, 250, 8))
    for start in range(0, n_samples, 4000):
        X[start : start + 4000] = waves(len(X[start : start + 4000]), 250, 8, seed=start)
    X.flush()
    assert X.nbytes > 4 * limit * 2**20
    program = PROGRAM.format(path=str(path), results=str(results), megabytes=limit)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "too large to copy\n"
    model = LSTMAutoencoder(4, max_iter=1, hidden_dim=4, random_state=0, batch_size=512)
    embeddings = model.fit_transform(X)
    with np.load(results) as found:
        assert found["loss_curve"].tolist() == model.loss_curve_
        np.testing.assert_array_equal(found["embeddings"], embeddings[::997])
    path.unlink()
