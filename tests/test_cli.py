"""The program as it is typed: help, usage, messages, ctrl-C, pipes and terminals."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import warnings
from importlib import import_module

import numpy as np
import pytest
from tests.commands import LONG, QUICK, complaint, meters, ok, seqfeat

from seqfeat import LayoutWarning
from seqfeat.cli.console import Console, show_warnings_in_one_line, table
from seqfeat.cli.errors import explained, in_options
from seqfeat.cli.examples import DETAILS, EXAMPLES
from seqfeat.cli.options import assignment, processes, step_length, whole_numbers
from seqfeat.cli.parser import make_parser
from seqfeat.datasets import load_japanese_vowels

COMMANDS = sorted(DETAILS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    meters().to_csv(folder / "meters.csv", index=False)
    ok("train", folder / "meters.csv", *LONG, *QUICK, "--no-baselines", "-o", folder / "m.joblib")
    return folder


# Help and usage, which nobody wants to wait for.


def test_help_and_usage_errors_do_not_wait_for_numpy_or_pytorch():
    program = f"""
import sys, io, contextlib
from seqfeat.cli import main
helps = [[name, "--help"] for name in {COMMANDS}]
for arguments in (["--help"], ["--version"], ["trian"], ["train"], *helps):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code
    assert status == (0 if arguments[-1] in ("--help", "--version") else 2), arguments
print(*{{"torch", "sklearn", "numpy", "pandas"}} & set(sys.modules))
"""
    assert process("-c", program).stdout.split() == []


def process(*arguments, **options):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_every_option_is_explained(command):
    done = seqfeat(command, "--help")
    assert done.status == 0
    assert f"examples:\n  seqfeat {command} " in done.out
    assert all(len(line) <= 100 for line in done.out.splitlines())


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_examples_are_commands_that_the_parser_takes(command):
    text = EXAMPLES[command].replace("\\\n", " ").replace("'Meters in May'", "Meters")
    lines = [line.strip() for line in text.splitlines()]
    assert lines
    for line in lines:
        arguments = line.split("|")[0].split()
        assert arguments.pop(0) == "seqfeat"
        if "--help" not in arguments:
            options = make_parser().parse_args(arguments)
            assert command in (None, options.command)


def test_every_command_is_a_module_with_a_run():
    for command in COMMANDS:
        assert callable(import_module(f"seqfeat.cli.{command}").run)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "x.csv"], "--output"),
        (["train", "x.csv", "-o", "m.joblib", "--cv", "1"], "there are 2 at least"),
        (["train", "x.csv", "-o", "m.joblib", "--cv", "3", "--test-size", "0.5"], "not allowed"),
        (["train", "x.csv", "-o", "m.joblib", "--embedding-dim", "8,0"], "numbers from 1 up"),
        (["train", "x.csv", "-o", "m.joblib", "--set", "pooling"], "no NAME=VALUE"),
        (["train", "x.csv", "-o", "m.joblib", "--channels", ","], "holds no name"),
        (["train", "x.csv", "-o", "m.joblib", "--jobs", "0"], "no number of processes"),
    ],
)
def test_what_is_no_command_is_a_usage_error(arguments, words):
    done = seqfeat(*arguments)
    assert done.status == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 2
    assert re.search(r"\(more: seqfeat( train)? --help\)$", done.err.strip())


def test_values_are_read_as_what_they_are():
    assert whole_numbers("32,8,8") == [8, 32]
    assert step_length("auto") == "auto"
    assert step_length("none") is None
    assert step_length("0.5") == 0.5
    assert step_length("15min") == "15min"
    assert assignment("scale=none") == ("scale", None)
    assert assignment("bidirectional=True") == ("bidirectional", True)
    assert assignment("dropout=0.5") == ("dropout", 0.5)
    assert assignment("pooling=max") == ("pooling", "max")
    assert [processes(text) for text in ("2", "-1")] == [2, -1]


# Messages.


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("pass missing='mask'", "pass --missing mask"),
        ("pass label=... or series_id=...", "pass --label ... or --id ..."),
        ("pass channels=['a', 'b']", "pass --channels a,b"),
        ("or pass label=None.", "or pass no --label."),
        ("or step=None to take", "or --step none to take"),
        ("pass series_id and time", "pass --id and --time"),
        ("set target_weight=0.", "set --target-weight 0."),
        ("the width=5 of it", "the width=5 of it"),
    ],
)
def test_parameters_are_told_as_options(message, expected):
    assert in_options(message) == expected


def test_errors_that_nobody_raises_on_purpose_say_their_kind():
    assert explained(ZeroDivisionError("division by zero")).startswith(
        "division by zero (ZeroDivisionError; --debug"
    )
    assert explained(MemoryError()) == "not enough memory"
    assert explained(OSError(28, "No space left on device", "x")) == "x: No space left on device"


def test_debug_shows_the_traceback_and_the_line(tmp_path):
    done = seqfeat("info", tmp_path / "nothing.joblib", "--debug")
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("seqfeat: error: there is no file")
    assert "Traceback" not in seqfeat("info", tmp_path / "nothing.joblib").err


def test_a_warning_is_one_line_and_is_said_once(capsys):
    with warnings.catch_warnings():
        show_warnings_in_one_line(Console())
        for _ in range(2):
            warnings.warn("two\nlines, pass missing='mask'", UserWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err == "seqfeat: warning: two lines, pass --missing mask\n"


def test_a_collapse_is_a_warning_in_one_line(tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(12, 9, 1)))
    arguments = ["--embedding-dim", "1", "--max-iter", "1", "-o", tmp_path / "m.joblib"]
    done = ok("train", tmp_path / "noise.npy", *arguments)
    said = [line for line in done.err.splitlines() if "of the variance" in line]
    assert len(said) == 1
    assert said[0].startswith("seqfeat: warning: the reconstruction explains")
    assert "Raise --max-iter (it is 1), patch_len" in said[0]
    assert "noise.npy: 12 series without labels" in done.err
    assert "Trained 1 epoch in" in done.err


def test_rows_of_a_wide_table_are_said_to_be_series(tmp_path):
    meters(4).drop(columns=["meter", "kind"]).to_csv(tmp_path / "wide.csv", index=False)
    done = ok("train", tmp_path / "wide.csv", *QUICK, "-o", tmp_path / "m.joblib")
    assert "series, one a row, without labels" in done.err


def test_channels_that_seem_to_come_first_are_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 2, 9)))
    arguments = ["train", tmp_path / "x.npy", *QUICK, "-o", tmp_path / "m.joblib"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", LayoutWarning)  # which the command puts aside
        done = ok(*arguments)
    assert "pass --channels-first." in done.err
    assert "channels-first" not in ok(*arguments, "--channels-first").err


def test_columns_line_up():
    assert table([("a", 1), ("bbb", 22)], ("name", "n")) == "  name   n\n  a      1\n  bbb   22"


def test_json_has_no_nan(capsys):
    Console(is_json=True).finish({"score": np.float64("nan"), "sizes": np.arange(2), "what": None})
    assert json.loads(capsys.readouterr().out) == {"score": None, "sizes": [0, 1], "what": None}


def test_verbose_training_does_not_come_between_json(folder, tmp_path):
    arguments = ["--set", "verbose=1", "--no-baselines", "-o", tmp_path / "m.joblib", "--json"]
    done = ok("train", folder / "meters.csv", *LONG, *QUICK, *arguments)
    assert done.json["command"] == "train"
    assert "Epoch 1/3" in done.err


# Real processes.


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "seqfeat", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def interrupt_at(process, words):
    """Send ctrl-C once the process has said some words; return all it said, and its status."""
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return said + out, err, process.returncode


def test_ctrl_c_in_a_training_keeps_what_was_trained(tmp_path):
    path = tmp_path / "m.joblib"
    options = ["--embedding-dim", "8", "--max-iter", "100000", "--set", "verbose=1", "-o", path]
    out, err, status = interrupt_at(start("train", "demo:japanese-vowels", *options), "Epoch 2/")
    assert status == 0, err
    assert "Traceback" not in err
    assert "seqfeat: warning: fit was interrupted in epoch" in err
    assert "(cut short by ctrl-C)" in out
    assert "baselines" not in err
    _, y = load_japanese_vowels(split="test", return_X_y=True)
    accuracy = ok("evaluate", path, "demo:japanese-vowels", "--json").json["accuracy"]
    card = json.loads((tmp_path / "m.json").read_text())
    assert card["metrics"]["test_accuracy"] == accuracy
    assert accuracy > np.mean(y == "3")


def test_ctrl_c_in_a_cross_validation_keeps_the_model_unmeasured(tmp_path):
    # Enough epochs that the signal comes in the first fold's.
    path = tmp_path / "m.joblib"
    options = ["--embedding-dim", "4", "--max-iter", "12", "--set", "verbose=1", "--cv", "5"]
    process = start("train", "demo:japanese-vowels", *options, "-o", path)
    for line in process.stdout:
        if "Epoch 12/12" in line:
            break
    out, err, status = interrupt_at(process, "Epoch 1/12")
    assert status == 0, err
    assert "Interrupted: the model is saved unmeasured." in err
    assert "Epoch 12/12" not in out
    assert list(json.loads((tmp_path / "m.json").read_text())["metrics"]) == ["fit_seconds"]


def test_ctrl_c_in_a_search_ends_all_of_it(tmp_path):
    options = ["--embedding-dim", "4,8", "--max-iter", "100000", "--set", "verbose=1"]
    process = start("search", "demo:japanese-vowels", *options, "-o", tmp_path / "m.joblib")
    _, err, status = interrupt_at(process, "Epoch 1/")
    assert status == 130
    assert err.splitlines()[-1] == "seqfeat: interrupted; nothing was saved"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_a_stream_leaves_nothing_behind(tmp_path, folder):
    os.mkfifo(tmp_path / "slow.csv")
    arguments = ["embed", folder / "m.joblib", tmp_path / "slow.csv", "-o", tmp_path / "f.csv"]
    process = start(*arguments)
    # Opens when the command begins to read.
    writer = os.open(tmp_path / "slow.csv", os.O_WRONLY)
    # Pressed just before a read begins to wait, as no file would, it goes unnoticed; and pressed
    # again and again, it disturbs neither the cleaning up nor the end of the process.
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.003)
    out, err = process.communicate(timeout=120)
    os.close(writer)
    assert process.returncode == 130
    assert (out, err) == ("", "seqfeat: interrupted; nothing was saved\n")
    assert [path.name for path in tmp_path.iterdir()] == ["slow.csv"]


def test_a_reader_that_has_enough_is_no_error(folder):
    command = f"'{sys.executable}' -m seqfeat predict m.joblib meters.csv | true"
    command += "; echo ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_bars_are_for_terminals_and_leave_stdout_alone(tmp_path, folder):
    pytest.importorskip("rich")
    terminal, stderr = pty.openpty()
    arguments = ["train", folder / "meters.csv", *LONG, *QUICK, "--no-baselines", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "seqfeat", *map(str, arguments), "-o", tmp_path / "m.joblib"],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(stderr)
    said = drained(terminal)
    out = process.communicate()[0]
    assert process.returncode == 0, said
    assert json.loads(out)["n_series"] == 30
    assert "LSTMAutoencoder - fit" in said
    assert "100%" in said
    # And none where nobody watches.
    quiet = ok(*arguments, "-o", tmp_path / "m.joblib").err
    assert "LSTMAutoencoder - fit" not in quiet


def drained(terminal):
    """Return all that is written to a terminal until it is closed."""
    said = b""
    while select.select([terminal], [], [], 120)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody writes there any more
            break
        if not part:
            break
        said += part
    os.close(terminal)
    return said.decode(errors="replace")


def test_a_misspelt_column_names_those_that_there_are(folder, tmp_path):
    said = complaint(
        "train", folder / "meters.csv", *LONG[:4], "--label", "kidn", "-o", tmp_path / "m.joblib"
    )
    assert said == (
        "--label kidn: meters.csv has no such column; it has meter, day, load, heat, kind. Did "
        "you mean 'kind'?"
    )
