import re
import subprocess
import sys

import pytest

from seqfeat.cli.examples import DESCRIPTIONS
from seqfeat.cli.parser import make_parser
from tests.commands import seqfeat

COMMANDS = sorted(DESCRIPTIONS)
TRAIN = ["train", "x.csv", "-o", "m.joblib"]


def test_help_and_usage_errors_do_not_import_numpy_or_pytorch():
    program = f"""
import sys, io, contextlib
from seqfeat.cli import main
helps = [[name, "--help"] for name in {COMMANDS}]
for arguments in (["--help"], ["--version"], ["trian"], ["train"], *helps):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as exit:
            status = exit.code
    assert status == (0 if arguments[-1] in ("--help", "--version") else 2), arguments
print(*{{"torch", "sklearn", "numpy", "pandas"}} & set(sys.modules))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.split(), result.stderr) == (0, [], "")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_a_terminal_and_has_examples(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    result = seqfeat(command, "--help")
    assert result.status == 0
    assert f"examples:\n  seqfeat {command} " in result.out
    assert all(len(line) <= 100 for line in result.out.splitlines())


def test_every_argument_has_a_help():
    (commands,) = (action.choices for action in make_parser()._actions if action.dest == "command")
    assert sorted(commands) == COMMANDS
    for name, parser in commands.items():
        for action in parser._actions:
            assert action.help, (name, action.dest)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "x.csv"], "--output"),
        ([*TRAIN, "--cv", "1"], "'1' is not an integer of at least 2"),
        ([*TRAIN, "--cv", "3", "--test-size", "0.5"], "not allowed"),
        ([*TRAIN, "--embedding-dim", "8,0"], "'8,0' is not a list of positive integers"),
        ([*TRAIN, "--set", "pooling"], "'pooling' is not of the form NAME=VALUE"),
        ([*TRAIN, "--channels", ","], "',' contains no names"),
        ([*TRAIN, "--jobs", "0"], "'0' is not a number of processes"),
    ],
)
def test_usage_errors_show_the_usage_and_point_to_the_help(arguments, words):
    result = seqfeat(*arguments)
    assert result.status == 2
    usage, message, advice = result.err.splitlines()
    assert usage.startswith("usage: seqfeat")
    assert words in message
    assert re.fullmatch(r"Try 'seqfeat( train)? --help' for more information\.", advice)
