"""Sets that are larger than the memory a process may take, and sets of many regions."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder, load
from seqfeat.nn.batch import Batch
from seqfeat.nn.network import weights_of
from seqfeat.training import sampler as regions
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
        len(list(bucket_batches(lengths[rows], 8, generator())))
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
    """Return the same set, read at once."""
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
def test_many_regions_learn_about_as_well_as_one(monkeypatch):
    X = waves(600)
    model = LSTMAutoencoder(4, max_iter=15, batch_size=32, random_state=0)
    in_regions = model.fit(X).best_score_
    monkeypatch.setattr(regions, "REGION_BYTES", 64 * 2**20)
    assert in_regions == pytest.approx(model.fit(X).best_score_, abs=0.05)
    assert in_regions > 0.7


# Larger than memory


LIMIT = 600
"""MB that the process may take, its interpreter, PyTorch and scikit-learn included."""
LITTLE = dict.fromkeys(["MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
"""Threads reserve memory that they do not use."""

LIMITED = f"""
import resource
limit = {LIMIT} * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # what `ulimit -d` sets
import warnings
import numpy as np
import torch
from seqfeat import LSTMAutoencoder, save, transform_into
warnings.simplefilter("ignore")
torch.set_num_threads(1)
model = LSTMAutoencoder(4, max_iter=1, hidden_dim=4, random_state=0, batch_size=512)
"""
FIT_BOTH = """
X = np.load("X.npy", mmap_mode="r")
try:
    np.array(X)
except MemoryError:
    print("too large to copy")
transform_into(model.fit(X), X, "features.npy")
save(model, "model.joblib")
small = np.load("small.npy", mmap_mode="r")
np.savez("small.npz", features=model.fit_transform(small), loss_curve=model.loss_curve_)
"""
needs_linux = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")


def run(program, folder):
    """Run a program in a process of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **LITTLE},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_waves(path, n_samples, n_timesteps=16, n_channels=256):
    """Write waves that differ in phase and height, float64, a part at a time."""
    some = waves(2000, n_timesteps, n_channels)
    shape = (n_samples, n_timesteps, n_channels)
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    for start in range(0, n_samples, len(some)):
        rows = X[start : start + len(some)]
        np.multiply(some[: len(rows)], 1 + start / n_samples, out=rows)
    X.flush()
    return X


@pytest.mark.slow
@needs_linux
@pytest.mark.filterwarnings("ignore::seqfeat.LayoutWarning")
def test_a_set_four_times_the_memory_is_fitted_and_embedded(tmp_path):
    X = write_waves(tmp_path / "X.npy", 80_000)
    assert X.nbytes > 4 * LIMIT * 2**20
    small = np.array(write_waves(tmp_path / "small.npy", 700))
    assert run(LIMITED + FIT_BOTH, tmp_path) == "too large to copy\n"
    # The large set's features are those that its model gives of series in memory.
    features = np.load(tmp_path / "features.npy")
    some = np.array(X[::997])
    expected = load(tmp_path / "model.joblib").transform(some)
    np.testing.assert_allclose(features[::997], expected, rtol=1e-4, atol=1e-5)
    assert len(features) == len(X)
    # And of a set that fits, a fit within the limit is that of the same series in memory.
    model = LSTMAutoencoder(4, max_iter=1, hidden_dim=4, random_state=0, batch_size=512)
    expected = model.fit_transform(small)
    with np.load(tmp_path / "small.npz") as found:
        assert found["loss_curve"].tolist() == model.loss_curve_
        np.testing.assert_array_equal(found["features"], expected)
    (tmp_path / "X.npy").unlink()


# A million

MILLION = """
import re, sys, warnings
import numpy as np
import torch
from seqfeat import LSTMAutoencoder, training, transform_into
warnings.simplefilter("ignore")
torch.set_num_threads(1)
training.CPU_MICRO_BATCH = 1024  # of such short series; else this takes a minute

def megabytes(what):
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

def peak_of(work):
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before = megabytes("VmRSS")
    work()
    print(round(megabytes("VmHWM") - before))

signal = np.cumsum(np.random.default_rng(0).normal(size=10**6 + 99))
X = np.lib.stride_tricks.sliding_window_view(signal, 100)  # a million series, of no memory
model = LSTMAutoencoder(
    2, hidden_dim=2, pooling="last", patch_len=100, window_len=100, n_time_features=0, max_iter=1,
    batch_size=1024, random_state=0,
)
model.fit(X[:9000]).transform(X[:9000])  # all that is loaded and compiled at first use
peak_of(lambda: transform_into(model, X, "features.npy"))
peak_of(lambda: model.transform(X))
peak_of(lambda: model.fit(X))
"""


@pytest.mark.slow
@needs_linux
def test_fault_34_a_million_series_take_the_memory_of_a_batch(tmp_path):
    into_file, transform, fit = map(int, run(MILLION, tmp_path).split())
    # The series would take 763 MB, and 381 when they are scaled. A fit has two regions of 64 MB
    # at most, and remembers some 100 bytes of each series; transform 20.
    output = 10**6 * 2 * 8 / 2**20
    assert fit < 260
    assert transform - output < 40
    # Into a file not even the output is in memory, but for the pages that the system keeps.
    assert into_file - output < 20
