"""The commands and their options. Light: nothing here imports NumPy or PyTorch."""

from __future__ import annotations

import argparse
from typing import NoReturn

from seqfeat.cli import examples
from seqfeat.cli.options import (
    add_common,
    add_data,
    add_model,
    add_output,
    add_training,
    cv_folds,
    processes,
)
from seqfeat.version import __version__

__all__ = ["make_parser"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors say where to read on."""

    def error(self, message: str) -> NoReturn:
        super().error(f"{message} (more: {self.prog} --help)")


class _Commands:
    """Adds one command after the other to a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(
            title="commands", dest="command", metavar="COMMAND", required=True
        )

    def add(self, name: str, what: str, summary: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=summary,
            prog=f"seqfeat {name}",
            usage=f"seqfeat {name} {what} [options]",
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{examples.DETAILS[name]}",
            epilog=examples.of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_common(parser)
        return parser


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program."""
    parser = _Parser(
        prog="seqfeat",
        usage="seqfeat COMMAND ... [options]",
        description="Features from time series: train on your file, embed, predict, look.",
        epilog=examples.of(None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seqfeat {__version__}")
    add_common(parser, is_top=True)
    commands = _Commands(parser)
    _add_train(commands)
    _add_search(commands)
    _add_embed(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_anomalies(commands)
    _add_info(commands)
    _add_export(commands)
    _add_report(commands)
    _add_convert(commands)
    return parser


def _add_train(commands: _Commands) -> None:
    parser = commands.add("train", "DATA -o MODEL", "train on a file and save the model")
    add_data(parser)
    add_training(parser, [64])
    group = parser.add_argument_group("how well it does")
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument("--test", metavar="DATA", help="other series to measure it on")
    held_out.add_argument(
        "--test-size",
        metavar="SHARE",
        type=float,
        help="share of DATA that is held out to measure it on; 0 trains on all (default: 0.25)",
    )
    held_out.add_argument(
        "--cv",
        metavar="FOLDS",
        type=cv_folds,
        help="cross-validate, and train the saved model on all of DATA",
    )
    group.add_argument(
        "--refit", action="store_true", help="once measured, train again on all of DATA"
    )
    group.add_argument("--no-baselines", action="store_true", help="do not compare with others")
    group.add_argument(
        "--jobs",
        "-j",
        metavar="N",
        type=processes,
        default=1,
        help="processes, -1 for one a core (default: 1)",
    )
    _add_model_file(parser)
    parser.add_argument("--report", metavar="FILE", help="leave a report as well, .html")
    parser.add_argument("--picture", metavar="FILE", help="draw the embeddings as well, .png")


def _add_search(commands: _Commands) -> None:
    parser = commands.add("search", "DATA", "find the best size of the embedding")
    add_data(parser)
    add_training(parser, [8, 16, 32, 64])
    group = parser.add_argument_group("the search")
    group.add_argument(
        "--strategy",
        choices=("grid", "halving"),
        default="grid",
        help="halving gives all sizes a few epochs and the better ones more (default: grid)",
    )
    group.add_argument("--cv", metavar="FOLDS", type=cv_folds, default=3, help="folds (default: 3)")
    group.add_argument(
        "--jobs",
        "-j",
        metavar="N",
        type=processes,
        default=1,
        help="processes, -1 for one a core (default: 1)",
    )
    group.add_argument(
        "--cluster", metavar="ADDRESS", help="a Dask scheduler to run it on, tcp://HOST:8786"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw score against size, .png or .svg")
    _add_model_file(parser, required=False)


def _add_model_file(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    add_output(
        parser,
        "the model, .joblib, or .skops which executes no code when opened; its card, .json, "
        "goes beside it",
        metavar="MODEL",
        required=required,
    )


def _add_embed(commands: _Commands) -> None:
    parser = commands.add("embed", "MODEL DATA -o FILE", "write the features of each series")
    add_model(parser)
    add_data(parser)
    add_output(
        parser,
        "a row for each series: .csv, .parquet, or .npy with the ids in NAME.ids.csv",
        required=True,
    )


def _add_predict(commands: _Commands) -> None:
    parser = commands.add("predict", "MODEL DATA", "predict the label of each series")
    add_model(parser)
    add_data(parser)
    parser.add_argument("--probabilities", action="store_true", help="a column for each class too")
    add_output(parser, "a row for each series: .csv, .parquet or .npy (default: print CSV)")


def _add_evaluate(commands: _Commands) -> None:
    parser = commands.add("evaluate", "MODEL DATA", "measure a model on labelled series")
    add_model(parser)
    add_data(parser)


def _add_anomalies(commands: _Commands) -> None:
    parser = commands.add("anomalies", "MODEL DATA", "list the series unlike the rest")
    add_model(parser)
    add_data(parser)
    parser.add_argument(
        "--top", metavar="K", type=int, default=10, help="how many to list (default: 10)"
    )
    add_output(parser, "the errors of all series: .csv, .parquet or .npy")


def _add_info(commands: _Commands) -> None:
    parser = commands.add("info", "MODEL", "show what a model is")
    parser.add_argument("model", metavar="MODEL", help="a .joblib or .skops file")


def _add_export(commands: _Commands) -> None:
    parser = commands.add("export", "MODEL -o FILE", "write a model as ONNX")
    add_model(parser)
    add_output(parser, "the graph, .onnx", required=True)
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="of what goes in"
    )
    parser.add_argument("--opset", metavar="N", type=int, default=17, help="default: 17")


def _add_convert(commands: _Commands) -> None:
    parser = commands.add("convert", "DATA -o FILE", "write series of any form as a long table")
    add_data(parser)
    add_output(parser, "a row for each series and timestep: .csv or .parquet", required=True)


def _add_report(commands: _Commands) -> None:
    parser = commands.add("report", "MODEL DATA -o FILE", "show a model and its series on one page")
    add_model(parser)
    add_data(parser)
    add_output(parser, "the page, .html", required=True)
    parser.add_argument("--title", metavar="TEXT", help="headline (default: names of both files)")
    parser.add_argument(
        "--max-points", metavar="N", type=int, default=2000, help="series on the map, at most"
    )
