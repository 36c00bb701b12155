"""The command line, ``seqfeat``.

- `parser`, `options`, `examples`: the arguments and the help; they import neither NumPy nor PyTorch
- `console`, `streams`, `errors`, `interrupts`: output, messages and ctrl-C
- `sources`, `training_sets`: series and labels to read
- `models`: models to build, train and load
- `outputs`: files to write
- `evaluation`, `sizes`: held-out scores, cross-validation, baselines and the search over sizes
- `commands`: one module per command, each with a function ``run(options, console)``
"""

from __future__ import annotations

import argparse
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module

from seqfeat.cli.console import Console, show_one_line_warnings
from seqfeat.cli.errors import describe_error
from seqfeat.cli.interrupts import Aborted, InterruptHandler
from seqfeat.cli.parser import make_parser

__all__ = ["main"]

INTERRUPTED = 130
"""Exit status after ctrl-C by the convention of shells: 128 plus the number of SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command-line arguments without the program name; None uses ``sys.argv``.

    Returns
    -------
    status : int
        0 on success, 1 after an error, which is reported in one line, or 130 after
        ctrl-C unless it only ended the training early. It is 1, too, if the results
        could not be printed because standard output is closed or full; files are
        written nevertheless.

    Raises
    ------
    SystemExit
        With status 2 if the arguments are invalid, and 0 after ``--help`` and ``--version``.
    """
    options = make_parser().parse_args(arguments)
    interrupts = InterruptHandler(is_last=arguments is None)
    console = Console(is_json=options.json, is_quiet=options.quiet, interrupts=interrupts)
    with warnings.catch_warnings():
        show_one_line_warnings(console)
        return _run(options, console)


def _run(options: argparse.Namespace, console: Console) -> int:
    """Run the command and turn whatever it raises into a message and an exit status."""
    try:
        with console.interrupts:
            command = import_module(f"seqfeat.cli.commands.{options.command}")
            # Anything else that prints, such as verbose training, would break the JSON, or end the
            # training where nothing can be printed.
            stream = console.messages if options.json else console.output
            with redirect_stdout(stream):
                result = command.run(options, console)
            console.finish(result)
    except (KeyboardInterrupt, Aborted):
        saved = "nothing was saved" if console.saved_to is None else _tell_where(console)
        console.log(f"interrupted; {saved}")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and error is console.output.error:
            return 1  # the reader of a pipe has seen enough
        if options.debug:
            console.messages.write_line(traceback.format_exc().rstrip())
        if error is console.output.error:
            message = f"standard output: {error.strerror}"
        else:
            message = describe_error(error)
        if console.saved_to is not None:
            message = f"{message.rstrip('.')}. But {_tell_where(console)}."
        console.log(f"error: {message}")
        return 1
    return 0


def _tell_where(console: Console) -> str:
    return f"the model is saved in {console.saved_to}"
