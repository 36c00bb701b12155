"""The program as a whole: exit status, output streams, ctrl-C and pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import numpy as np
import pytest

from seqfeat.cli.examples import DESCRIPTIONS
from seqfeat.datasets import load_japanese_vowels
from tests.commands import LONG, QUICK, ok, seqfeat

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_command_is_a_module_with_a_run():
    for command in DESCRIPTIONS:
        assert callable(import_module(f"seqfeat.cli.commands.{command}").run)


def test_debug_shows_the_traceback_before_the_message(tmp_path):
    path = tmp_path / "nothing.joblib"
    result = seqfeat("info", path, "--debug")
    assert result.status == 1
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("seqfeat: error: there is no file")
    assert "Traceback" not in seqfeat("info", path).err


def test_json_is_all_of_stdout_even_if_the_training_is_verbose(csv, tmp_path):
    options = ["--no-baselines", "-o", tmp_path / "m.joblib"]
    result = ok("train", csv, *LONG, *QUICK, *options, "--set", "verbose=1", "--json")
    assert result.json["command"] == "train"
    assert "Epoch 1/3" in result.err


def test_quiet_prints_nothing_but_warnings_on_stderr(csv, tmp_path):
    options = ["--no-baselines", "-o", tmp_path / "m.joblib"]
    result = ok("train", csv, *LONG, *QUICK, *options, "--json", "--quiet")
    assert all(line.startswith("seqfeat: warning: ") for line in result.err.splitlines())
    assert result.json["bytes"] == (tmp_path / "m.joblib").stat().st_size


def test_global_options_may_stand_before_the_command(csv, tmp_path):
    options = ["--no-baselines", "-o", tmp_path / "m.joblib"]
    result = ok("--json", "train", csv, *LONG, *QUICK, *options)
    assert result.json["interrupted"] is False
    assert "Training on 30 series" in result.err


def test_ctrl_c_in_a_training_keeps_the_weights_so_far(tmp_path):
    path = tmp_path / "m.joblib"
    options = ["--embedding-dim", "8", "--max-iter", "100000", "--set", "verbose=1", "-o", path]
    result = seqfeat("train", "demo:japanese-vowels", *options, interrupt_at=["Epoch 2/"])
    assert result.status == 0, result.err
    assert "Traceback" not in result.err
    assert "seqfeat: warning: fit was interrupted in epoch" in result.err
    assert "training interrupted" in result.out
    assert "baselines" not in result.err
    _, y = load_japanese_vowels(split="test", return_X_y=True)
    accuracy = ok("evaluate", path, "demo:japanese-vowels", "--json").json["accuracy"]
    card = json.loads((tmp_path / "m.json").read_text())
    assert card["metrics"]["test_accuracy"] == accuracy
    assert accuracy > np.mean(y == "3")


def test_ctrl_c_in_a_cross_validation_saves_the_model_without_an_evaluation(csv, tmp_path):
    path = tmp_path / "m.joblib"
    options = [*LONG, *QUICK, "--set", "verbose=1", "--cv", "5", "-o", path]
    # The training of the model, and then that of the first fold.
    result = seqfeat("train", csv, *options, interrupt_at=["Epoch 3/3", "Epoch 1/3"])
    assert result.status == 0, result.err
    assert "Interrupted: saving the model without an evaluation." in result.err
    assert result.out.count("Epoch 1/3") == 2
    assert list(json.loads((tmp_path / "m.json").read_text())["metrics"]) == ["fit_seconds"]


def test_ctrl_c_in_a_search_aborts_all_of_it(csv, tmp_path):
    options = [*LONG, "--embedding-dim", "2,4", "--max-iter", "100000", "--set", "verbose=1"]
    result = seqfeat(
        "search", csv, *options, "-o", tmp_path / "m.joblib", interrupt_at=["Epoch 2/"]
    )
    assert result.status == 130
    assert result.err.splitlines()[-1] == "seqfeat: interrupted; nothing was saved"
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == [csv]


@pytest.mark.slow
def test_ctrl_c_pressed_repeatedly_ends_the_process_and_leaves_nothing_behind(models, tmp_path):
    os.mkfifo(tmp_path / "slow.csv")
    command = [sys.executable, "-m", "seqfeat", "embed", models / "m.joblib"]
    process = subprocess.Popen(
        [*command, tmp_path / "slow.csv", "-o", tmp_path / "f.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    writer = os.open(tmp_path / "slow.csv", os.O_WRONLY)  # returns when the command starts reading
    # A signal just before the read starts to wait goes unnoticed, so there must be several; and
    # more of them must disturb neither the cleaning up nor the exit.
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.003)
    out, err = process.communicate(timeout=120)
    os.close(writer)
    assert process.returncode == 130
    assert (out, err) == ("", "seqfeat: interrupted; nothing was saved\n")
    assert [path.name for path in tmp_path.iterdir()] == ["slow.csv"]


@pytest.mark.slow
def test_a_closed_pipe_ends_the_process_silently(models):
    command = f"'{sys.executable}' -m seqfeat predict m.joblib new.csv --quiet | true"
    command += "; echo ${PIPESTATUS[0]}"
    result = subprocess.run(
        ["bash", "-c", command], cwd=models, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("1\n", "")
