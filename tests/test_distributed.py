"""One fit on several processes, which torchrun starts as a user would."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from seqfeat import DistributedError, LSTMAutoencoder, distributed
from seqfeat.distributed import LocalRanks, _backend
from seqfeat.exceptions import InputTypeError
from tests.shared_fits.cases import CASES, assert_same_fit, memory_of, summary, walks

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "shared_fits"
WORLD_SIZE = 3
LOST = "DistributedError: rank 0 of 2 lost the connection to another process of this fit"
pytestmark = [
    pytest.mark.processes,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def environment(**variables):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    # Should a process ever end with a signal, its output shows where it was.
    ours = {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return {**os.environ, **ours, **variables}


def torchrun(n_processes, program, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(n_processes), str(program), *map(str, arguments)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


# The same fit on several processes and on one


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The results of all fits on three processes, whose shards differ in size."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(WORLD_SIZE, PROGRAMS / "run_cases.py", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def reports(together):
    return [
        json.loads((together / f"report-{rank}.json").read_text()) for rank in range(WORLD_SIZE)
    ]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_fit_on_several_processes_equals_a_fit_in_one(name, together):
    model, X, y = CASES[name]
    with memory_of(name):
        expected = summary(clone(model).fit(X, y), X)
    for rank in range(WORLD_SIZE):
        with np.load(together / f"{name}-{rank}.npz", allow_pickle=False) as found:
            assert_same_fit(found, expected)
    if name == "stopped":
        assert len(expected["loss_curve"]) < model.max_iter


def test_every_held_out_series_is_evaluated_once_per_epoch(reports, together):
    counts = np.array([report["evaluated"] for report in reports])
    assert counts.all()  # every process evaluates its own
    with np.load(together / "stopped-0.npz") as found:
        n_epochs = len(found["validation_loss_curve"])
    assert counts.sum(axis=0).tolist() == [21] * n_epochs  # 0.3 of 70 series


def test_an_input_error_in_one_process_ends_the_fit_in_all(reports):
    errors = [report["infinite"] for report in reports]
    message = "Input X contains infinity: series 3 has inf"
    assert errors[1].startswith(f"InputError: {message}")
    for rank in (0, 2):
        assert errors[rank].startswith("DistributedError: rank 1 of 3")
        assert message in errors[rank]


def test_processes_with_different_numbers_of_channels_are_an_error_in_all(reports):
    for report in reports:
        assert report["channels"].startswith("InputError: the processes that share this fit hold")


# Processes that are lost


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with the outcome of a fit during which rank 1 is killed, and its checkpoints."""
    folder = tmp_path_factory.mktemp("interrupted")
    # Without torchrun, which would end the other process itself.
    with two_processes("killed", folder) as (first, second):
        _, errors = first.communicate(timeout=120)
        assert first.returncode == 0, errors
        assert second.wait(timeout=30) == -signal.SIGKILL
    return folder


@pytest.fixture(scope="module")
def resumed(killed):
    """The same folder after the fit was resumed, and rank 1 stopped responding in another one."""
    with two_processes("resumed", killed) as (first, _):
        _, errors = first.communicate(timeout=120)
        assert first.returncode == 0, errors
    return killed


@pytest.fixture(scope="module")
def stalled(tmp_path_factory):
    """A folder with the outcome of slow fits, and of one during which rank 0 stopped."""
    folder = tmp_path_factory.mktemp("stalled")
    with two_processes(folder, program="run_stalled.py") as (_, second):
        _, errors = second.communicate(timeout=120)
        assert second.returncode == 0, errors
    return folder


@contextmanager
def two_processes(*arguments, program="run_interrupted.py"):
    """Start two processes that find each other as torchrun's do."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, PROGRAMS / program, *arguments]
    processes = [
        subprocess.Popen(
            command,
            env=environment(**common, RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def outcome(folder, run, rank=0):
    return json.loads((folder / f"{run}-{rank}.json").read_text())


def test_if_a_process_is_killed_the_others_end_with_an_error(killed):
    found = outcome(killed, "killed")
    assert found["error"].startswith(LOST)
    assert not found["is_fitted"]


def test_with_checkpoints_the_next_fit_resumes_where_a_process_was_killed(resumed):
    before, after = outcome(resumed, "killed"), outcome(resumed, "resumed")
    assert before["epochs"] == list(range(1, before["epochs"][-1] + 1))
    assert 10 <= before["epochs"][-1] < 100
    assert after["error"] is None
    assert 10 <= after["epochs"][0] <= before["epochs"][-1] + 1
    assert after["epochs"] == list(range(after["epochs"][0], 101))


def test_a_process_that_stops_is_named_within_the_time_limit(resumed):
    found = outcome(resumed, "stopped")
    assert re.match(r"DistributedError: rank 1 \(process \d+ on .+\) of the 2 ", found["error"])
    assert "timeout of 4 seconds" in found["error"]
    assert not found["is_fitted"]
    assert not (resumed / "stopped-1.json").exists()


def test_a_process_that_holds_the_store_and_stops_is_named_as_well(stalled):
    assert outcome(stalled, "stalled", rank=1)["error"].startswith("rank 0 (process ")
    assert not (stalled / "stalled-0.json").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_are_busy_for_longer_than_the_time_limit_are_waited_for(rank, stalled):
    assert outcome(stalled, "slow", rank)["error"] is None


# The process group


def test_processes_that_do_not_all_join_are_an_error(monkeypatch):
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**variables, "MASTER_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)
    model = LSTMAutoencoder(4)
    with pytest.raises(DistributedError, match="not all processes of this fit joined within 1 sec"):
        distributed.fit(model, walks(), timeout=0.2)
    assert not hasattr(model, "weights_")


def test_without_a_process_group_the_error_names_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    model = LSTMAutoencoder(4)
    with pytest.raises(DistributedError, match=r"RANK, WORLD_SIZE.*torchrun --nproc-per-node"):
        distributed.fit(model, walks())
    assert not hasattr(model, "weights_")


@pytest.mark.parametrize(
    ("n_processes", "n_devices", "has_nccl", "expected"),
    [
        (2, 0, True, "gloo"),
        (2, 2, True, "cpu:gloo,cuda:nccl"),
        (3, 2, True, "cpu:gloo,cuda:gloo"),
        (2, 2, False, "cpu:gloo,cuda:gloo"),
    ],
)
def test_nccl_is_used_only_if_every_process_has_its_own_gpu(
    n_processes, n_devices, has_nccl, expected
):
    assert _backend(LocalRanks(0, n_processes), n_devices, has_nccl) == expected


ON_GPUS = """
import os
from seqfeat import LSTMAutoencoder, distributed
from tests.shared_fits.cases import walks

rank = int(os.environ["RANK"])
model = LSTMAutoencoder(4, max_iter=3, random_state=0, device="cuda")
print(distributed.fit(model, walks()[rank * 35 : (rank + 1) * 35]).loss_curve_)
"""


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_processes_share_gpus(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ON_GPUS)
    done = torchrun(2, program)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    alone = LSTMAutoencoder(4, max_iter=3, random_state=0, device="cuda").fit(walks())
    assert len(found) == 2, done.stderr
    for loss_curve in found:
        assert loss_curve == pytest.approx(alone.loss_curve_, rel=1e-2)


def test_a_search_is_an_error_that_names_the_alternative():
    search = GridSearchCV(LSTMAutoencoder(), {"embedding_dim": [2, 4]})
    with pytest.raises(InputTypeError, match=r"model is GridSearchCV.*parallel_config"):
        distributed.fit(search, walks())
