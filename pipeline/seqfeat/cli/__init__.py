"""The program ``seqfeat``: what the library does, as commands.

- `parser`, `options`, `examples`: what can be typed; imported without PyTorch
- `console`, `progress`, `wording`, `interrupts`: how it talks and how it is stopped
- `sources`, `training_sets`, `models`, `results`: what goes in and what comes out
- one module a command: `train`, `search`, `embed`, `predict`, `evaluate`, `anomalies`,
  `info`, `export`, `report`, `convert`; each has ``run(options, console)``
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import import_module

from seqfeat.cli.console import Console, show_warnings_in_one_line
from seqfeat.cli.errors import explained
from seqfeat.cli.interrupts import Interrupted, Interrupts
from seqfeat.cli.parser import make_parser

__all__ = ["main"]

INTERRUPTED = 130
"""What shells expect of a program that ctrl-C ended: 128 and the number of the signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, default=None
        What follows the program's name; None takes those of this process.

    Returns
    -------
    status : int
        0, or 1 after an error of the user's, told in one line, or 130 after ctrl-C
        when nothing was kept.

    Raises
    ------
    SystemExit
        With status 2 if the arguments make no command, 0 after ``--help``.
    """
    options = make_parser().parse_args(arguments)
    console = Console(is_json=options.json, is_quiet=options.quiet)
    with warnings.catch_warnings():
        show_warnings_in_one_line(console)
        return _run(options, console, Interrupts(is_program=arguments is None))


def _run(options: argparse.Namespace, console: Console, interrupts: Interrupts) -> int:
    try:
        with interrupts:
            options.interrupts = interrupts
            command = import_module(f"seqfeat.cli.commands.{options.command}")
            # Whatever else prints, such as a verbose training, must not come between JSON.
            with redirect_stdout(sys.stderr) if options.json else nullcontext():
                result = command.run(options, console)
            console.finish(result)
    except (KeyboardInterrupt, Interrupted):
        console.complain("interrupted; nothing was saved")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; nothing is left to flush into.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        console.complain(f"error: {explained(error)}")
        return 1
    return 0
