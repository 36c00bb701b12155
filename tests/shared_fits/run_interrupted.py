"""A program for two processes, one of which is killed or stopped during a fit.

Writes the epochs that each process trained, and the error that it got, to ``FOLDER/RUN-RANK.json``.
"""

import io
import json
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from seqfeat import DistributedError, LSTMAutoencoder, distributed
from tests.shared_fits.cases import walks

RANK = int(os.environ["RANK"])
MAX_ITER = 100


def killed(folder):
    """Kill rank 1 after a few epochs."""
    signal_at_epoch_10(folder / "killed", signal.SIGKILL)
    fit(folder, "killed", folder / "killed", timeout=60)


def resumed(folder):
    """Resume that fit; then stop another one, whose processes wait a few seconds at most."""
    wait_for_both(folder)
    with distributed.processes(timeout=4):
        fit(folder, "resumed", folder / "killed")
        signal_at_epoch_10(folder / "stopped", signal.SIGSTOP)
        fit(folder, "stopped", folder / "stopped")


def fit(folder, run, checkpoints, **options):
    """Fit with a checkpoint after every epoch, and write down how it went."""
    model = LSTMAutoencoder(
        4,
        max_iter=MAX_ITER,
        n_iter_no_change=MAX_ITER,
        random_state=0,
        device="cpu",
        checkpoint_dir=checkpoints,
        verbose=1,
    )
    printed = io.StringIO()
    error = None
    with redirect_stdout(printed):
        try:
            distributed.fit(model, walks()[RANK::2], **options)
        except DistributedError as raised:
            error = f"{type(raised).__name__}: {raised}"
    report = {
        "epochs": printed_epochs(printed.getvalue()),
        "error": error,
        "is_fitted": hasattr(model, "weights_"),
    }
    (folder / f"{run}-{RANK}.json").write_text(json.dumps(report))


def printed_epochs(text):
    lines = [line for line in text.splitlines() if line.startswith("Epoch ")]
    return [int(line.split("/")[0].removeprefix("Epoch ")) for line in lines]


def signal_at_epoch_10(checkpoints, signal_number):
    """Send this process a signal if it is rank 1, once there is a checkpoint of epoch 10."""

    def watch():
        while max(epochs_in(checkpoints), default=0) < 10:
            time.sleep(0.005)
        os.kill(os.getpid(), signal_number)

    if RANK == 1:
        threading.Thread(target=watch, daemon=True).start()


def epochs_in(checkpoints):
    return [int(path.stem[6:]) for path in checkpoints.glob("fit-*/epoch-*")]


def wait_for_both(folder):
    """Wait until both processes have imported everything, which can take longer in one of them."""
    (folder / f"ready-{RANK}").touch()
    while len(list(folder.glob("ready-*"))) < 2:
        time.sleep(0.01)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"killed": killed, "resumed": resumed}[sys.argv[1]](Path(sys.argv[2]))
