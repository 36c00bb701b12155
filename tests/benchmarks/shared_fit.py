"""One fit on two processes against the same fit on one: ``python -m tests.benchmarks.shared_fit``.

torchrun starts the processes, one thread each. Measured is the training, without start and
imports, of a global batch that stays the same. Two processes that fit the same series each
for itself tell what the machine allows: nothing is faster than twice one of them. What the
processes tell each other is counted where it is handed over, and on the loopback device.
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
from tests.benchmarks.measure import Row, in_turn, seconds

import seqfeat
from seqfeat import distributed
from seqfeat.runtime.ranks import GroupRanks, Ranks

CASES = {
    "small": {"n_samples": 1024, "n_timesteps": 30, "embedding_dim": 16, "batch_size": 64},
    "default": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 90},
    "large batch": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 512},
}
"""``batch_size="auto"`` of 2,048 series is 90."""
N_CHANNELS = 4
N_EPOCHS = 3
N_EXCHANGES = 50

ONE, TWO, APART = "1 process", "2 processes", "2 processes apart"
PROCESSES = {ONE: 1, TWO: 2, APART: 2}
EPOCH, EXCHANGE = "seconds per epoch", "seconds per exchange"
HANDED_OVER, SENT = "bytes per epoch", "bytes per epoch on loopback"
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")


def shared_fit(rounds: int) -> Iterator[Row]:
    for case in CASES:
        contestants = {name: name for name in PROCESSES}
        for name, turn, found in in_turn(
            contestants, lambda name, case=case: measured(case, name), rounds
        ):
            for quantity, value in found.items():
                size = CASES[case]["embedding_dim"]
                yield Row("shared-fit", case, size, name, quantity, turn, value)


def measured(case: str, contestant: str) -> dict[str, float]:
    """Return what rank 0 of so many processes measured, by quantity."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "measured.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(PROCESSES[contestant])]
        command += [__file__, case, contestant, str(target)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return json.loads(target.read_text())


def series(n_samples: int, n_timesteps: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (n_samples, 1, N_CHANNELS))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / rng.uniform(2, 9, phase.shape))


def main(case: str, contestant: str, target: Path) -> None:
    """Fit as one of the processes that torchrun started."""
    warnings.simplefilter("ignore")
    options = dict(CASES[case])
    X = series(options.pop("n_samples"), options.pop("n_timesteps"))
    with distributed.processes() as ranks:
        handed_over = counted()
        own = X if contestant == APART else X[ranks.rank :: ranks.world_size]

        def fit(max_iter: int) -> tuple[float, int, int]:
            model = seqfeat.LSTMAutoencoder(max_iter=max_iter, random_state=0, **options)
            learn = model.fit if contestant == APART else lambda X: distributed.fit(model, X)
            ranks.gather(None)
            sent = on_loopback()
            handed_over.clear()
            return seconds(lambda: learn(own)), sum(handed_over), on_loopback() - sent

        fit(1)  # at first much is compiled and loaded
        once, often = fit(1), fit(1 + N_EPOCHS)
        # What comes before and after the epochs takes the same in both.
        found = [(last - first) / N_EPOCHS for first, last in zip(once, often, strict=True)]
        quantities = dict(zip((EPOCH, HANDED_OVER, SENT), found, strict=True))
        if contestant == TWO:
            quantities[EXCHANGE] = exchange(ranks, max(handed_over))
        else:
            del quantities[HANDED_OVER], quantities[SENT]
        if ranks.rank == 0:
            target.write_text(json.dumps(quantities))


def counted() -> list[int]:
    """Return a list to which each exchange of tensors from now on adds its bytes."""
    sizes: list[int] = []
    sum_of_all = GroupRanks.sum

    def noted(self: GroupRanks, tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return sum_of_all(self, tensor)

    GroupRanks.sum = noted  # type: ignore[method-assign]
    return sizes


def on_loopback() -> int:
    """Return the bytes that went over the loopback device, whoever sent them."""
    with suppress(OSError):
        return int(LOOPBACK.read_text())
    return 0


def exchange(ranks: Ranks, n_bytes: int) -> float:
    """Return the seconds in which the processes add up as many bytes as the gradients have."""
    gradients = torch.zeros(n_bytes // 4)
    return statistics.median(seconds(lambda: ranks.sum(gradients)) for _ in range(N_EXCHANGES))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    else:
        for row in shared_fit(3 if "--quick" in sys.argv else 5):
            print(*row)
