"""One fit on two processes and on one: ``python -m tests.benchmarks.data_parallel``.

torchrun starts the processes, with one thread each. Only training is timed, not starting and
importing, and the global batch size is the same for one and for two. Two processes that fit
all series independently show what the machine allows: nothing can be faster than twice one of
them. Communication is counted in bytes where it is passed to torch, and on the loopback device.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from tests.benchmarks.measure import Row, interleave, seconds

import seqfeat
from seqfeat import distributed
from seqfeat.runtime.ranks import GroupRanks, Ranks

CASES = {
    "small": {"n_samples": 1024, "n_timesteps": 30, "embedding_dim": 16, "batch_size": 64},
    "default": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 90},
    "large batch": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 512},
}
"""``batch_size="auto"`` is 90 for 2,048 series."""
N_CHANNELS = 4
N_EPOCHS = 3
N_ALL_REDUCES = 50

ONE, TWO, INDEPENDENT = "1 process", "2 processes", "2 independent processes"
PROCESSES = {ONE: 1, TWO: 2, INDEPENDENT: 2}
EPOCH, ALL_REDUCE = "seconds per epoch", "seconds per all-reduce"
REDUCED, SENT = "bytes per epoch", "bytes per epoch on loopback"
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")


def data_parallel(rounds: int) -> Iterator[Row]:
    """Yield all measurements of all cases, in every round."""
    for case, options in CASES.items():
        contestants = {name: name for name in PROCESSES}
        measurements = interleave(
            contestants, lambda name, case=case: run_torchrun(case, name), rounds
        )
        for name, number, quantities in measurements:
            for quantity, value in quantities.items():
                size = options["embedding_dim"]
                yield Row("data-parallel", case, size, name, quantity, number, value)


def run_torchrun(case: str, contestant: str) -> dict[str, float]:
    """Return what rank 0 measured, by quantity."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "measured.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(PROCESSES[contestant])]
        command += [__file__, case, contestant, str(target)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return json.loads(target.read_text())


def waves(n_samples: int, n_timesteps: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (n_samples, 1, N_CHANNELS))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / rng.uniform(2, 9, phase.shape))


def main(case: str, contestant: str, target: Path) -> None:
    """Fit as one of the processes that torchrun started."""
    warnings.simplefilter("ignore")
    options = dict(CASES[case])
    X = waves(options.pop("n_samples"), options.pop("n_timesteps"))
    with distributed.processes() as ranks:
        reduced = record_all_reduces()
        shard = X if contestant == INDEPENDENT else X[ranks.rank :: ranks.world_size]

        def fit(max_iter: int) -> tuple[float, int, int]:
            model = seqfeat.LSTMAutoencoder(max_iter=max_iter, random_state=0, **options)
            train = model.fit if contestant == INDEPENDENT else lambda X: distributed.fit(model, X)
            ranks.all_gather(None)
            sent = bytes_on_loopback()
            reduced.clear()
            return seconds(lambda: train(shard)), sum(reduced), bytes_on_loopback() - sent

        fit(1)  # loads and compiles everything
        short, long = fit(1), fit(1 + N_EPOCHS)
        # What comes before and after the epochs takes the same time in both.
        per_epoch = [(b - a) / N_EPOCHS for a, b in zip(short, long, strict=True)]
        quantities = dict(zip((EPOCH, REDUCED, SENT), per_epoch, strict=True))
        if contestant == TWO:
            quantities[ALL_REDUCE] = time_all_reduce(ranks, max(reduced))
        else:
            del quantities[REDUCED], quantities[SENT]
        if ranks.rank == 0:
            target.write_text(json.dumps(quantities))


def record_all_reduces() -> list[int]:
    """Return a list to which every all-reduce from now on appends its number of bytes."""
    sizes: list[int] = []
    all_reduce = GroupRanks.sum

    def recorded(self: GroupRanks, tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return all_reduce(self, tensor)

    GroupRanks.sum = recorded  # type: ignore[method-assign]
    return sizes


def bytes_on_loopback() -> int:
    """Return the bytes sent over the loopback device so far, by any process."""
    with suppress(OSError):
        return int(LOOPBACK.read_text())
    return 0


def time_all_reduce(ranks: Ranks, n_bytes: int) -> float:
    """Return the median seconds of an all-reduce that is as large as the gradients."""
    gradients = torch.zeros(n_bytes // 4)
    return statistics.median(
        seconds(lambda: ranks.all_reduce(gradients)) for _ in range(N_ALL_REDUCES)
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    else:
        for row in data_parallel(3 if "--quick" in sys.argv else 5):
            print(*row)
