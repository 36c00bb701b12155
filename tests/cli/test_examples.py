import shlex

import pytest

from seqfeat.cli.examples import DESCRIPTIONS, EXAMPLES
from seqfeat.cli.parser import make_parser


@pytest.mark.parametrize("command", [None, *DESCRIPTIONS])
def test_examples_are_valid_command_lines(command):
    lines = EXAMPLES[command].replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line.split("|")[0])
        assert program == "seqfeat"
        if "--help" not in arguments:
            options = make_parser().parse_args(arguments)
            assert command in (None, options.command)
