"""How time and memory grow with the number of series, timesteps, channels and features.

Each measurement runs in a process of its own: `python -m tests.benchmarks.growth '{...}'`.
Memory is the peak resident size of the process minus the resident size before the measured
call. A call with two series comes first, to load and compile everything.
"""

import json
import re
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.ours import EpochClock

from seqfeat import LSTMAutoencoder
from seqfeat.nn.network import Architecture, RecurrentAutoencoder

ROOT = Path(__file__).parents[2]
BASE = {"N": 2000, "T": 100, "C": 1, "E": 64}
SWEEPS = {
    "N": [500, 2000, 8000],
    "T": [25, 100, 400, 1600],
    "C": [1, 4, 16],
    "E": [16, 32, 64, 128],
}
"""Values of series, timesteps, channels and features; the others stay as in `BASE`."""
TRANSFORM_FACTOR = 8
"""How many times more series are transformed than fitted, because that is much faster."""
BATCH_SIZE = 64
EPOCHS = 2
MEGABYTE = 1e6
STATUS = Path("/proc/self/status")


def growth(quick: bool) -> Iterator[Row]:
    """Yield seconds and peak memory of `fit` and `transform` for all sizes."""
    for size in [BASE, {**BASE, "N": 500}] if quick else sizes():
        for task in ("fit", "transform"):
            quantities = measure_in_subprocess({"task": task, **size})
            case = " ".join(f"{key}={number}" for key, number in quantities.pop("size").items())
            for quantity, value in quantities.items():
                yield Row("growth", f"{task}, {case}", size["E"], OURS, quantity, 0, value)


def sizes() -> list[dict[str, int]]:
    """Return the base, and all sizes that differ from it in one number."""
    changed = [{**BASE, name: value} for name, values in SWEEPS.items() for value in values]
    return [BASE, *(size for size in changed if size != BASE)]


def measure_in_subprocess(task: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.growth", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(task: str, N: int, T: int, C: int, E: int) -> dict[str, Any]:
    """Return seconds and megabytes of one call of `fit` or `transform`, in this process."""
    if task == "transform":
        N *= TRANSFORM_FACTOR
    X = np.random.default_rng(0).standard_normal((N, T, C), dtype=np.float32)
    model = LSTMAutoencoder(E, batch_size=BATCH_SIZE, random_state=0, max_iter=1)
    with warnings.catch_warnings():
        # Two series do not train a network.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X[:2]).transform(X[:2])
    size = {"size": {"N": N, "T": T, "C": C, "E": E}}
    before = resident_bytes()
    if task == "transform":
        started = time.perf_counter()
        Z = model.transform(X)
        seconds = time.perf_counter() - started
        # The embeddings are the result, not a cost of computing it.
        memory = (peak_bytes() - before - Z.nbytes) / MEGABYTE
        return {**size, "seconds": seconds, "peak MB": memory}
    clock = EpochClock()
    model.set_params(max_iter=EPOCHS).set_callbacks(clock).fit(X)
    memory = (peak_bytes() - before) / MEGABYTE
    activations = activation_bytes(model, X[:BATCH_SIZE]) / MEGABYTE
    return {
        **size,
        "seconds per epoch": sum(clock.epochs) / EPOCHS,
        "peak MB": memory,
        "data MB": X.nbytes / MEGABYTE,
        "activations MB": activations,
    }


def activation_bytes(model: LSTMAutoencoder, batch: np.ndarray) -> int:
    """Return the bytes that autograd saves for the backward pass of one batch."""
    network = RecurrentAutoencoder(Architecture(**model.architecture_))
    storages: dict[int, int] = {}

    def record(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        output = network(torch.from_numpy(batch), torch.full((len(batch),), batch.shape[1]))
    assert output.requires_grad
    for weight in network.parameters():
        storages.pop(weight.untyped_storage().data_ptr(), None)
    return sum(storages.values())


def peak_bytes() -> int:
    """Return the peak resident size of this process so far."""
    try:
        # Not getrusage: on Linux its value survives exec, so it can be that of the parent.
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())[1])
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident_bytes() -> int:
    """Return the current resident size, or the peak where the current one is unknown."""
    try:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text())[1])
    except OSError:
        return peak_bytes()


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
