"""Options that several commands share, and what may stand behind them."""

from __future__ import annotations

import argparse
import ast
from typing import Any

__all__ = [
    "CLASSIFIERS",
    "add_common",
    "add_data",
    "add_model",
    "add_output",
    "add_training",
    "comma_separated",
    "cv_folds",
    "processes",
    "whole_numbers",
]

CLASSIFIERS = ("lda", "logistic", "svc", "linear-svc", "forest", "boosting", "knn", "ridge")


def add_common(parser: argparse.ArgumentParser, *, is_top: bool = False) -> None:
    """Add what every command knows, before its name as well as behind it."""
    group = parser.add_argument_group("what it prints")
    default: Any = False if is_top else argparse.SUPPRESS
    group.add_argument(
        "--json", action="store_true", default=default, help="print one JSON object, for machines"
    )
    group.add_argument(
        "--quiet", "-q", action="store_true", default=default, help="print results and errors only"
    )
    group.add_argument(
        "--debug", action="store_true", default=default, help="print an error's traceback as well"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add DATA and how it is read."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a file .csv, .parquet (or a folder of them), .npy, .npz or .ts; or "
        "demo:japanese-vowels, real data that come along",
    )
    group = parser.add_argument_group(
        "reading DATA",
        "A wide table has a row for each series. One with --time or --channels is long, with\n"
        "a row for each series and time. What is not given is as in the training.",
    )
    group.add_argument("--label", metavar="COLUMN", help="the column of the labels")
    group.add_argument("--id", metavar="COLUMN", help="the column that names the series")
    group.add_argument("--time", metavar="COLUMN", help="the column of the times, of a long table")
    group.add_argument(
        "--channels",
        metavar="A,B,...",
        type=comma_separated,
        action="extend",
        help="the columns of the values, of a long table (default: all others)",
    )
    group.add_argument(
        "--step",
        metavar="STEP",
        type=step_length,
        help="time between timesteps: auto, a number, a duration such as 15min, or none to take "
        "rows as timesteps (default: auto)",
    )
    group.add_argument(
        "--channels-first",
        action="store_true",
        help="arrays are (series, channels, timesteps), as aeon and sktime have them",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add MODEL and how it is opened."""
    parser.add_argument(
        "model", metavar="MODEL", help="a .joblib or .skops file from seqfeat train"
    )
    group = parser.add_argument_group("opening MODEL")
    group.add_argument(
        "--device", metavar="NAME", help="where to compute: auto, cpu, cuda, cuda:1, ..."
    )
    group.add_argument(
        "--trusted",
        metavar="TYPE,...",
        type=comma_separated,
        default=[],
        help="types that a .skops file may hold besides the usual ones",
    )


def add_output(
    parser: argparse.ArgumentParser, help: str, *, metavar: str = "FILE", required: bool = False
) -> None:
    """Add where the result goes."""
    parser.add_argument("--output", "-o", metavar=metavar, required=required, help=help)


def add_training(parser: argparse.ArgumentParser, embedding_dims: list[int]) -> None:
    """Add what is trained, and how."""
    group = parser.add_argument_group("the model")
    sizes = ",".join(map(str, embedding_dims))
    group.add_argument(
        "--embedding-dim",
        metavar="N,...",
        type=whole_numbers,
        default=embedding_dims,
        help=f"features of a series; of several sizes the best is taken (default: {sizes})",
    )
    group.add_argument(
        "--classifier",
        choices=CLASSIFIERS,
        default="lda",
        help="what learns the labels from the features (default: lda)",
    )
    group.add_argument("--max-iter", metavar="N", type=int, help="epochs, at most (default: 60)")
    group.add_argument(
        "--target-weight",
        metavar="SHARE",
        type=float,
        help="0 to 1: how much labels shape the features (default: 0, not at all)",
    )
    group.add_argument(
        "--missing",
        choices=("error", "mask"),
        help="what an empty cell is: an error, or a missing value (default: error)",
    )
    group.add_argument("--early-stopping", action="store_true", help="stop when it gets no better")
    group.add_argument("--batch-size", metavar="N", type=int, help="series in a training step")
    group.add_argument("--device", metavar="NAME", help="where to train: auto, cpu, cuda, ...")
    group.add_argument(
        "--random-state", metavar="SEED", type=int, default=0, help="seed of it all (default: 0)"
    )
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        type=assignment,
        action="append",
        default=[],
        help="any other parameter of LSTMAutoencoder, such as pooling=max",
    )
    group.add_argument("--notes", metavar="TEXT", help="anything to remember, for the card")


def comma_separated(text: str) -> list[str]:
    """Read names between commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} holds no name; write a,b,...")
    return names


def whole_numbers(text: str) -> list[int]:
    """Read positive numbers between commas."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers from 1 up, as in 8,16,32")
    return sorted(set(numbers))


def cv_folds(text: str) -> int:
    """Read the number of folds of a cross-validation."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of folds; there are 2 at least")
    return int(text)


def processes(text: str) -> int:
    """Read a number of processes: joblib counts from -1, all cores, downwards as well."""
    if not text.removeprefix("-").isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1, 2, ... or -1")
    return int(text)


def step_length(text: str) -> str | float | None:
    """Read the time between two timesteps."""
    if text.lower() in ("auto", "none"):
        return "auto" if text.lower() == "auto" else None
    try:
        return float(text)
    except ValueError:
        return text


def assignment(text: str) -> tuple[str, Any]:
    """Read a parameter and its value: a number, true, false, none or text."""
    name, sign, value = text.partition("=")
    if not (name.strip() and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    named = {"true": True, "false": False, "none": None}
    if value.strip().lower() in named:
        return name.strip(), named[value.strip().lower()]
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()
