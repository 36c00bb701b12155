"""Sets that are larger than the memory a process may use, and what a set costs per series."""

import os

import numpy as np
import pytest

from seqfeat import LSTMAutoencoder, load
from tests.programs import run_python

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::seqfeat.LayoutWarning"),
]

ONE_ARENA = dict.fromkeys(["MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
"""Threads reserve memory that they do not use."""

SETUP = """
import re, resource, warnings
import numpy as np
import torch
from seqfeat import LSTMAutoencoder, save, transform_into

warnings.simplefilter("ignore")
torch.set_num_threads(1)

def megabytes(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
"""


def run(program, folder):
    """Run a program in a process of its own, and return the lines that it prints."""
    return run_python(SETUP + program, environment=ONE_ARENA, cwd=folder).splitlines()


# A limit on memory

HEADROOM = 200
"""Megabytes that the process may allocate beyond what it needs for a small fit."""
PARAMETERS = {"hidden_dim": 4, "max_iter": 1, "batch_size": 512, "random_state": 0}

LIMITED = f"""
model = LSTMAutoencoder(4, **{PARAMETERS})
small = np.load("small.npy")
features = model.fit_transform(small)  # after that, everything is imported and compiled

limit = int((megabytes("VmData") + {HEADROOM}) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # as `ulimit -d` does
np.savez("small.npz", features=model.fit_transform(small), loss_curve=model.loss_curve_)

X = np.load("X.npy", mmap_mode="r")
try:
    np.array(X)
except MemoryError:
    print("too large to copy")
transform_into(model.fit(X), X, "features.npy")
save(model, "model.joblib")
"""


def write_waves(path, n_samples, n_timesteps=16, n_channels=256):
    """Write waves of random phase and increasing amplitude as float64, in parts."""
    phase = np.random.default_rng(0).uniform(0, 6, (1000, 1, n_channels))
    waves = np.sin(phase + np.arange(n_timesteps)[:, None] / 3)
    shape = (n_samples, n_timesteps, n_channels)
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    for start in range(0, n_samples, len(waves)):
        rows = X[start : start + len(waves)]
        np.multiply(waves[: len(rows)], 1 + start / n_samples, out=rows)
    X.flush()
    return X


def test_a_set_four_times_as_large_as_the_free_memory_is_fitted_and_embedded(tmp_path):
    X = write_waves(tmp_path / "X.npy", 26_000)
    assert X.nbytes > 4 * HEADROOM * 2**20
    small = np.array(write_waves(tmp_path / "small.npy", 700))
    assert run(LIMITED, tmp_path) == ["too large to copy"]
    # The features of the large set equal those of the same series in memory.
    features = np.load(tmp_path / "features.npy")
    expected = load(tmp_path / "model.joblib").transform(np.array(X[::997]))
    np.testing.assert_allclose(features[::997], expected, rtol=1e-4, atol=1e-5)
    assert len(features) == len(X)
    # For a set that fits into memory, the limit makes no difference.
    model = LSTMAutoencoder(4, **PARAMETERS)
    expected = model.fit_transform(small)
    with np.load(tmp_path / "small.npz") as found:
        assert found["loss_curve"].tolist() == model.loss_curve_
        np.testing.assert_array_equal(found["features"], expected)
    (tmp_path / "X.npy").unlink()


# The cost of a series

N_SERIES, N_TIMESTEPS = 300_000, 250

PEAKS = f"""
def peak_of(work):
    open("/proc/self/clear_refs", "w").write("5")  # resets the peak
    before = megabytes("VmRSS")
    work()
    print(round(megabytes("VmHWM") - before))

# Overlapping windows on one signal: many series that need no memory.
signal = np.cumsum(np.random.default_rng(0).normal(size={N_SERIES + N_TIMESTEPS - 1}))
X = np.lib.stride_tricks.sliding_window_view(signal, {N_TIMESTEPS})
model = LSTMAutoencoder(
    2, hidden_dim=2, pooling="last", patch_len={N_TIMESTEPS}, window_len={N_TIMESTEPS},
    n_time_features=0, max_iter=1, batch_size=1024, random_state=0,
)
model.fit(X[:9000]).transform(X[:9000])  # after that, everything is imported and compiled
peak_of(lambda: transform_into(model, X, "features.npy"))
peak_of(lambda: model.transform(X))
peak_of(lambda: model.fit(X))
"""


def test_fault_34_the_memory_for_many_series_is_that_of_a_batch(tmp_path):
    into_file, transform, fit = map(int, run(PEAKS, tmp_path))
    megabyte = 2**20
    series = N_SERIES * N_TIMESTEPS * 8 / megabyte
    output = N_SERIES * 2 * 8 / megabyte
    assert series > 570
    # Scaled, as float32, the series would take 286 MB. A fit holds at most two chunks of 64 MB,
    # and about 100 bytes per series; transform holds 20.
    assert fit < 150
    assert transform - output < 25
    # Nor is the output in memory if it goes into a file, except for the system's page cache.
    assert into_file - output < 15
