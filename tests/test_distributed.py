"""One fit shared among processes, which torchrun starts as a user would."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from tests.shared_fits.cases import CASES, small_regions, summary, walks

from seqfeat import LSTMAutoencoder, distributed
from seqfeat.distributed import Neighbours, _backend
from seqfeat.exceptions import DistributedError, InputTypeError

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def torchrun(n_processes, program, *arguments, timeout=180):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(n_processes), str(program), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module", params=[2, 3])
def shared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(request.param, ROOT / "tests/shared_fits/fit_all.py", folder)
    assert done.returncode == 0, done.stderr
    return request.param, folder


@pytest.fixture(scope="module")
def alone():
    """What one process makes of each case."""
    results = {}
    for name, (model, X, y) in CASES.items():
        small_regions(name)
        results[name] = summary(clone(model).fit(X, y), X)
    small_regions(None)
    return results


@pytest.mark.parametrize("name", sorted(CASES))
def test_processes_that_share_a_fit_learn_what_one_does_alone(name, shared, alone):
    n_processes, folder = shared
    for rank in range(n_processes):
        with np.load(folder / f"{name}-{rank}.npz", allow_pickle=False) as found:
            expected = alone[name]
            assert set(found) == set(expected)
            for key, value in expected.items():
                if np.asarray(value).dtype.kind in "US":
                    assert np.mean(found[key] == value) > 0.97, key
                else:
                    np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_early_stopping_stops_early(alone):
    assert len(alone["stopped"]["loss_curve"]) < 30


COUNT = """
evaluated = []
sums = Trainer._sums

def counted(self, data):
    evaluated.append(len(data))
    return sums(self, data)

Trainer._sums = counted
model.set_params(early_stopping=True, validation_fraction=0.3)
"""


def test_a_held_out_series_is_evaluated_by_the_process_that_holds_it_alone(tmp_path):
    program = tmp_path / "program.py"
    before = "from seqfeat.training import Trainer\n" + COUNT
    fit = PROGRAM.format(before=before, max_iter=4, timeout=60)
    program.write_text(f"{fit}\nnp.save({str(tmp_path)!r} + f'/{{rank}}.npy', evaluated)\n")
    done = torchrun(2, program)
    assert done.returncode == 0, done.stderr
    counts = np.array([np.load(tmp_path / f"{rank}.npy") for rank in range(2)])
    assert counts.all()
    # walks() are 70, of which 0.3 are held out; in each epoch all of them, once.
    assert counts.sum(axis=0).tolist() == [21] * 4


PROGRAM = """
import os, signal
import numpy as np
from seqfeat import LSTMAutoencoder, distributed
from tests.shared_fits.cases import walks

rank = int(os.environ["RANK"])
model = LSTMAutoencoder(
    4, max_iter={max_iter}, n_iter_no_change=10**6, random_state=0, device="cpu"
)
X = walks()[rank::2]
{before}
try:
    distributed.fit(model, X, timeout={timeout})
except Exception as error:
    print(f"rank {{rank}}: {{type(error).__name__}}: {{error}}", flush=True)
    assert not hasattr(model, "weights_")
"""


def two_ranks(tmp_path, before="", max_iter=2, timeout=30):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(before=before, max_iter=max_iter, timeout=timeout))
    return torchrun(2, program)


def test_input_that_one_process_refuses_ends_all_with_its_words(tmp_path):
    done = two_ranks(tmp_path, "if rank == 1: X[3, 2, 0] = np.inf")
    assert done.returncode == 0, done.stderr
    assert "rank 1: InputError" in done.stdout
    assert "InputError: Input X contains infinity: series 3 has inf" in done.stdout
    assert "DistributedError: rank 1 of 2, with which this process shares a fit" in done.stdout
    assert done.stdout.count("series 3 has") == 2


def test_processes_with_other_channels_are_refused_by_all(tmp_path):
    done = two_ranks(tmp_path, "if rank == 1: X = X[:, :, :1]")
    assert (
        done.stdout.count("InputError: the processes that share this fit hold series with 2") == 2
    )


DIE = """
import threading
if rank == 1:
    threading.Timer(6, lambda: os.kill(os.getpid(), signal.{signal})).start()
"""


def test_a_process_that_is_killed_ends_the_others(tmp_path):
    program = tmp_path / "program.py"
    before = DIE.format(signal="SIGKILL")
    program.write_text(PROGRAM.format(before=before, max_iter=10**6, timeout=60))
    # Without torchrun, which would end the other one itself.
    with two_processes(program) as (first, second):
        out, err = first.communicate(timeout=120)
        second.wait(timeout=10)
    assert second.returncode == -9
    assert "DistributedError: rank 0 of 2 lost touch with another process of this fit" in out, err


def test_a_process_that_falls_silent_ends_the_others_within_the_time_limit(tmp_path):
    program = tmp_path / "program.py"
    before = DIE.format(signal="SIGSTOP")
    program.write_text(PROGRAM.format(before=before, max_iter=10**6, timeout=8))
    with two_processes(program) as (first, _):
        out, err = first.communicate(timeout=120)
    assert "DistributedError: rank 0 of 2 lost touch with another process of this fit" in out, err


def test_with_checkpoints_the_next_run_goes_on_after_a_process_was_killed(tmp_path):
    # Killed by what watches the folder: rank 1, once there are a few checkpoints.
    folder = tmp_path / "checkpoints"
    before = f"model.set_params(checkpoint_dir={str(folder)!r}, verbose=1)\n"
    die = """
import threading, time
from pathlib import Path
def die():
    while len(list(Path(model.checkpoint_dir).glob("fit-*/epoch-00000[1-9]*"))) == 0:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
if rank == 1:
    threading.Thread(target=die, daemon=True).start()
"""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(before=before + die, max_iter=300, timeout=60))
    with two_processes(program) as (first, _):
        out, _ = first.communicate(timeout=120)
    assert "DistributedError: rank 0 of 2 lost touch" in out
    reached = out.count("Epoch ")
    assert 100 <= reached < 300
    program.write_text(PROGRAM.format(before=before, max_iter=300, timeout=60))
    with two_processes(program) as (first, _):
        out, _ = first.communicate(timeout=120)
    epochs = [int(line.split("/")[0][6:]) for line in out.splitlines() if "Epoch" in line]
    assert 100 < epochs[0] <= reached + 1
    assert epochs == list(range(epochs[0], 301))


class two_processes:
    """Two processes that find each other as torchrun's do."""

    def __init__(self, program):
        self.program = program

    def __enter__(self):
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        common |= {"OMP_NUM_THREADS": "1"}
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.processes = [
            subprocess.Popen(
                [sys.executable, self.program],
                env={**os.environ, **common, "RANK": str(rank), "PYTHONPATH": ":".join(paths)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        return self.processes

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.communicate()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("n_processes", "n_devices", "has_nccl", "expected"),
    [
        (2, 0, True, "gloo"),
        (2, 2, True, "cpu:gloo,cuda:nccl"),
        (3, 2, True, "cpu:gloo,cuda:gloo"),
        (2, 2, False, "cpu:gloo,cuda:gloo"),
    ],
)
def test_processes_that_share_a_gpu_do_without_nccl(n_processes, n_devices, has_nccl, expected):
    assert _backend(Neighbours(0, n_processes), n_devices, has_nccl) == expected


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_processes_share_gpus(tmp_path):
    program = tmp_path / "program.py"
    fit = PROGRAM.replace('device="cpu"', 'device="cuda"').replace("walks()[rank::2]", "walks()")
    fit = fit.format(before="X = X[rank * 35 : (rank + 1) * 35]", max_iter=3, timeout=60)
    program.write_text(fit + "\nprint(model.loss_curve_)\n")
    done = torchrun(2, program)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    alone = LSTMAutoencoder(4, max_iter=3, random_state=0, device="cuda").fit(walks())
    assert len(found) == 2, done.stderr
    for loss_curve in found:
        assert loss_curve == pytest.approx(alone.loss_curve_, rel=1e-2)


def test_without_torchrun_the_error_names_it(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    model = LSTMAutoencoder(4)
    with pytest.raises(DistributedError, match=r"RANK, WORLD_SIZE.*torchrun --nproc-per-node"):
        distributed.fit(model, walks())
    assert not hasattr(model, "weights_")


def test_a_search_is_refused():
    search = GridSearchCV(LSTMAutoencoder(), {"embedding_dim": [2, 4]})
    with pytest.raises(InputTypeError, match=r"model is GridSearchCV.*parallel_config"):
        distributed.fit(search, walks())
