"""One fit on two processes against the same fit on one: ``python -m tests.benchmarks.shared_fit``.

torchrun starts the processes, one thread each. Measured is the training, without start and
imports, of a global batch that stays the same. The bytes that processes exchange are counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.benchmarks.measure import Row, figures, in_turn, summary

import seqfeat
from seqfeat import distributed

CASES = {
    "small": {"n_samples": 1024, "n_timesteps": 30, "embedding_dim": 16, "batch_size": 64},
    "default": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 90},
    "large batch": {"n_samples": 2048, "n_timesteps": 150, "embedding_dim": 64, "batch_size": 512},
}
"""``batch_size="auto"`` of 2,048 series is 90."""
N_CHANNELS = 4
N_EPOCHS = 5
PROCESSES = (1, 2)


def shared_fit(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 7
    for case in CASES:
        contestants = {f"{n} process{'es' if n > 1 else ''}": n for n in PROCESSES}
        for name, turn, found in in_turn(
            contestants, lambda n, case=case: seconds_per_epoch(case, n), rounds
        ):
            size = CASES[case]["embedding_dim"]
            yield Row("shared-fit", case, size, name, "seconds per epoch", turn, found)


def seconds_per_epoch(case: str, n_processes: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "seconds.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(n_processes), __file__, case, str(target)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return float(json.loads(target.read_text()))


def series(n_samples: int, n_timesteps: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (n_samples, 1, N_CHANNELS))
    return np.sin(phase + np.arange(n_timesteps)[:, None] / rng.uniform(2, 9, phase.shape))


def main(case: str, target: Path) -> None:
    """Fit as one of the processes that torchrun started."""
    warnings.simplefilter("ignore")
    options = dict(CASES[case])
    X = series(options.pop("n_samples"), options.pop("n_timesteps"))
    with distributed.processes() as ranks:
        own = X[ranks.rank :: ranks.world_size]
        found = []
        for max_iter in (1, 1, 1 + N_EPOCHS):  # at first much is compiled and loaded
            model = seqfeat.LSTMAutoencoder(max_iter=max_iter, random_state=0, **options)
            ranks.gather(None)
            started = time.perf_counter()
            distributed.fit(model, own)
            found.append(time.perf_counter() - started)
        # What comes before and after the epochs takes the same time in both.
        if ranks.rank == 0:
            target.write_text(json.dumps((found[-1] - found[1]) / N_EPOCHS))


def report(rows: list[Row]) -> None:
    for case in CASES:
        one, two = (
            figures(rows, case=case, contestant=name) for name in ("1 process", "2 processes")
        )
        print(f"fit, {case}: {summary(one)} s an epoch, on two processes {summary(two)} s")
        print(f"    speed-up {summary(one / two, 2)}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(sys.argv[1], Path(sys.argv[2]))
    else:
        report(list(shared_fit("--quick" in sys.argv)))
