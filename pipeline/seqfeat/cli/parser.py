"""The argument parser: commands, their arguments and their help.

Importing it must stay fast, so nothing here may import NumPy or PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from seqfeat.cli.examples import DESCRIPTIONS, examples_of
from seqfeat.cli.options import (
    FileName,
    add_data,
    add_globals,
    add_jobs,
    add_model,
    add_model_output,
    add_output,
    add_safe_csv,
    add_training,
    n_folds,
)
from seqfeat.cli.streams import OutputStream
from seqfeat.version import __version__

__all__ = ["make_parser"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors point to the help, and whose text any terminal can show."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        advice = f"Try '{self.prog} --help' for more information."
        self.exit(2, f"{self.prog}: error: {message}\n{advice}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = OutputStream("stderr" if file is sys.stderr else "stdout")
        stream.write_line(message.rstrip("\n"))
        if stream.error is not None and stream.name == "stdout":
            raise SystemExit(1)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program."""
    parser = _Parser(
        prog="seqfeat",
        usage="seqfeat COMMAND ... [options]",
        description="Turn time series into feature vectors with an LSTM autoencoder, classify them "
        "and find anomalies.",
        epilog=examples_of(None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seqfeat {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name, (usage, summary, add_arguments) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            prog=f"seqfeat {name}",
            usage=f"seqfeat {name} {usage} [options]",
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{DESCRIPTIONS[name]}",
            epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(command)
        add_globals(command)
    add_globals(parser, is_top=True)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model_output(parser, required=True)
    parser.add_argument("--report", metavar="FILE", type=FileName, help="also write an HTML report")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        type=FileName,
        help="also plot the embeddings (.png, .svg or .pdf)",
    )
    add_training(parser, [64])
    group = parser.add_argument_group("evaluation options")
    test_set = group.add_mutually_exclusive_group()
    test_set.add_argument(
        "--test", metavar="DATA", type=FileName, help="evaluate on the series of another file"
    )
    test_set.add_argument(
        "--test-size",
        metavar="FRACTION",
        type=float,
        help="fraction of DATA to hold out for testing; 0 trains on all of it (default: 0.25)",
    )
    test_set.add_argument(
        "--cv",
        metavar="FOLDS",
        type=n_folds,
        help="evaluate by cross-validation, and train the saved model on all of DATA",
    )
    group.add_argument(
        "--refit", action="store_true", help="after the evaluation, train again on all of DATA"
    )
    group.add_argument(
        "--no-baselines", action="store_true", help="skip the comparison with baselines"
    )
    add_jobs(group)


def _add_search(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model_output(parser, required=False)
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=FileName,
        help="plot score against embedding size (.png, .svg or .pdf)",
    )
    add_training(parser, [8, 16, 32, 64])
    group = parser.add_argument_group("search options")
    group.add_argument(
        "--strategy",
        choices=("grid", "halving"),
        default="grid",
        help="grid trains every size fully; halving trains every size for a few epochs and only "
        "the better ones for longer (default: grid)",
    )
    group.add_argument(
        "--cv",
        metavar="FOLDS",
        type=n_folds,
        default=3,
        help="number of cross-validation folds (default: 3)",
    )
    add_jobs(group)
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run on a Dask cluster with this scheduler, e.g. tcp://HOST:8786",
    )


def _add_embed(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser, has_model=True)
    add_output(
        parser,
        "file to write, one row per series: .csv, .parquet, or .npy with the ids in NAME.ids.csv",
        required=True,
    )
    add_safe_csv(parser)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser, has_model=True)
    add_output(
        parser,
        "file to write, one row per series: .csv, .parquet or .npy (default: CSV to standard "
        "output)",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="add a column with each class's probability"
    )
    add_safe_csv(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser, has_model=True)


def _add_anomalies(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser, has_model=True)
    add_output(
        parser,
        "file to write the errors of all series to, with --steps of all timesteps: .csv, .parquet "
        "or .npy",
    )
    parser.add_argument(
        "--top",
        metavar="K",
        type=int,
        default=10,
        help="number of series, or stretches, to list (default: 10)",
    )
    parser.add_argument(
        "--steps",
        action="store_true",
        help="list the most anomalous stretches of the series; windows are joined to recordings",
    )
    parser.add_argument(
        "--by-channel",
        action="store_true",
        help="with --steps, also write a column with the errors of each channel",
    )
    add_safe_csv(parser)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", type=FileName, help="model file (.joblib, .skops or .onnx)"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_output(parser, "file to write (.onnx)", required=True)
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="data type of the graph's input (default: float32)",
    )
    parser.add_argument(
        "--opset", metavar="N", type=int, default=17, help="ONNX opset version (default: 17)"
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser, has_model=True)
    add_output(parser, "file to write (.html)", required=True)
    parser.add_argument(
        "--title", metavar="TEXT", help="page title (default: the names of both files)"
    )
    parser.add_argument(
        "--max-points",
        metavar="N",
        type=int,
        default=2000,
        help="maximum number of series on the map (default: 2000)",
    )


def _add_convert(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_output(
        parser,
        "file to write, one row per series and timestep: .csv or .parquet",
        required=True,
    )
    add_safe_csv(parser)


_COMMANDS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "train": ("DATA -o MODEL", "train a model and save it", _add_train),
    "search": ("DATA", "find the best embedding size by cross-validation", _add_search),
    "embed": ("MODEL DATA -o FILE", "write the embedding of each series to a file", _add_embed),
    "predict": ("MODEL DATA", "predict the class of each series", _add_predict),
    "evaluate": ("MODEL DATA", "evaluate a model on labelled series", _add_evaluate),
    "anomalies": ("MODEL DATA", "list the most anomalous series", _add_anomalies),
    "info": ("MODEL", "show the card of a model", _add_info),
    "export": ("MODEL -o FILE", "export a model to ONNX", _add_export),
    "report": ("MODEL DATA -o FILE", "write an HTML report on a model and its data", _add_report),
    "convert": ("DATA -o FILE", "convert series in any format to a long table", _add_convert),
}
"""Usage, summary and arguments of each command, in the order in which the help lists them."""
