"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

import argparse
import ast
from contextlib import suppress
from typing import Any

from seqfeat.runtime.visible_text import escape_controls

__all__ = [
    "CLASSIFIERS",
    "FileName",
    "add_data",
    "add_globals",
    "add_jobs",
    "add_model",
    "add_model_output",
    "add_output",
    "add_safe_csv",
    "add_training",
    "comma_separated",
    "extent",
    "n_folds",
    "n_processes",
    "parameter",
    "positive_integers",
    "separator",
    "some_names",
    "step",
]

CLASSIFIERS = ("logistic", "lda", "svc", "linear-svc", "forest", "boosting", "knn", "ridge")


class FileName(str):
    """The name of a file, which is shown without characters that steer a terminal."""

    def __format__(self, specification: str) -> str:
        return str.__format__(escape_controls(self), specification)


def add_globals(parser: argparse.ArgumentParser, *, is_top: bool = False) -> None:
    """Add the options of every command; they may stand before or after its name."""
    group = parser.add_argument_group("global options")
    # A default of the subparser would overwrite what was given before the command.
    default: Any = False if is_top else argparse.SUPPRESS
    group.add_argument(
        "--json", action="store_true", default=default, help="print one JSON object and no text"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=default, help="print only results and errors"
    )
    group.add_argument(
        "--debug", action="store_true", default=default, help="show the traceback of an error"
    )


def add_data(parser: argparse.ArgumentParser, *, has_model: bool = False) -> None:
    """Add DATA and the options for reading it, whose defaults a model may set."""
    parser.add_argument(
        "data",
        metavar="DATA",
        type=FileName,
        help="a .csv, .tsv, .txt, .parquet, .npy, .npz or .ts file, a folder of Parquet files, or "
        "the built-in data set demo:japanese-vowels",
    )
    default = "\nOptions that are not given default to those used in training." if has_model else ""
    all_others, auto = ("", "") if has_model else (" (default: all others)", " (default: auto)")
    group = parser.add_argument_group(
        "input options",
        "A wide table has one row per series. With --time or --channels, DATA is a long table\n"
        f"with one row per series and timestep.{default}",
    )
    targets = group.add_mutually_exclusive_group()
    targets.add_argument("--label", metavar="COLUMN", help="column with the class labels")
    targets.add_argument(
        "--target",
        metavar="COLUMN",
        help="column with the numbers to predict, instead of classes; y for those of a .npz file",
    )
    group.add_argument("--id", metavar="COLUMN", help="column that identifies the series")
    group.add_argument("--time", metavar="COLUMN", help="column with the times of a long table")
    group.add_argument(
        "--channels",
        metavar="COLUMN,...",
        type=some_names,
        action="append",
        help=f"columns with the values of a long table{all_others}",
    )
    group.add_argument(
        "--step",
        metavar="STEP",
        type=step,
        help="time between timesteps: auto, a number, a duration such as 15min, or none to use "
        f"the rows as they are{auto}",
    )
    group.add_argument(
        "--channels-first",
        action="store_true",
        help="arrays have shape (series, channels, timesteps), as in aeon and sktime",
    )
    add_text_format(group)
    add_windows(parser, has_model=has_model)


def add_text_format(group: argparse._ArgumentGroup) -> None:
    """Add how time points and CSV files are written, which is recognized where it is certain."""
    group.add_argument(
        "--elapsed",
        action="store_true",
        help="make the time since the row before a channel, for rows at irregular times",
    )
    group.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="how times are written, such as %%d/%%m/%%Y (default: recognized)",
    )
    group.add_argument(
        "--separator",
        metavar="CHARACTER",
        type=separator,
        help="what separates the fields of a .csv, .tsv or .txt file: comma, semicolon, tab, pipe, "
        "space, or another character (default: recognized)",
    )
    group.add_argument("--decimal", metavar="SIGN", help="decimal sign of such a file: . or ,")
    group.add_argument(
        "--encoding", metavar="NAME", help="encoding of such a file, such as latin-1 or utf-16"
    )
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether its first line holds the names of the columns; without names they are called "
        "0, 1, 2, ...",
    )
    group.add_argument(
        "--na-values",
        metavar="TEXT,...",
        type=comma_separated,
        action="extend",
        help="further texts that stand for missing values in such a file, such as '?'",
    )


def add_windows(parser: argparse.ArgumentParser, *, has_model: bool) -> None:
    """Add how to cut long recordings into windows."""
    group = parser.add_argument_group(
        "windows of long recordings",
        "With --window, DATA holds recordings with one row per timestep; --id is the column that\n"
        "names the recording of each row (default: DATA is one). Each window becomes a series.\n"
        "Windows of one recording are never on both sides of a split.",
    )
    group.add_argument(
        "--window",
        metavar="LENGTH",
        type=extent,
        help="length of a window: a number of rows, a duration such as 2.56s, or 2.56 where the "
        f"times are numbers{'; none if DATA is not to be cut' if has_model else ''}",
    )
    group.add_argument(
        "--stride",
        metavar="LENGTH",
        type=extent,
        help="from the beginning of a window to that of the next (default: the length)",
    )
    group.add_argument(
        "--label-from",
        choices=("majority", "last"),
        help="label of a window: the most frequent one, or that of its last row "
        "(default: majority)",
    )
    group.add_argument(
        "--gaps",
        choices=("split", "mask"),
        help="make no window across missing rows, or mask these as missing values, together with "
        "--missing mask (default: split)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add MODEL and the options for loading it."""
    parser.add_argument(
        "model", metavar="MODEL", type=FileName, help="model file (.joblib or .skops)"
    )
    group = parser.add_argument_group("model options")
    group.add_argument("--device", metavar="NAME", help="device to run on: auto, cpu, cuda, ...")
    group.add_argument(
        "--trusted",
        metavar="TYPE,...",
        type=comma_separated,
        default=[],
        help="further types to allow in a .skops file",
    )


def add_output(
    parser: argparse.ArgumentParser, help: str, *, metavar: str = "FILE", required: bool = False
) -> None:
    """Add the file to write."""
    parser.add_argument(
        "-o", "--output", metavar=metavar, required=required, type=FileName, help=help
    )


def add_safe_csv(parser: argparse.ArgumentParser) -> None:
    """Add whether spreadsheets may take cells for formulas."""
    parser.add_argument(
        "--safe-csv",
        action="store_true",
        help="in CSV output, put an apostrophe before ids, labels and column names that a "
        "spreadsheet would run as a formula, such as =cmd; otherwise they are written as they are",
    )


def add_model_output(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the model file to write."""
    add_output(
        parser,
        "model file to write: .joblib, or .skops, which runs no code when loaded; a card with "
        "metadata (.json) is written next to it",
        metavar="MODEL",
        required=required,
    )


def add_training(parser: argparse.ArgumentParser, embedding_dims: list[int]) -> None:
    """Add the parameters of the model and of its training."""
    group = parser.add_argument_group("training options")
    sizes = ",".join(map(str, embedding_dims))
    group.add_argument(
        "--embedding-dim",
        metavar="N,...",
        type=feature_counts,
        default=embedding_dims,
        help="number of features per series; of several, the best by cross-validation is used; "
        f"'all' keeps all statistics, some thousands (default: {sizes})",
    )
    group.add_argument(
        "--classifier",
        choices=CLASSIFIERS,
        default="logistic",
        help="classifier to train on the features (default: logistic); with --target it is a "
        "ridge regression",
    )
    group.add_argument(
        "--init",
        metavar="MODEL",
        type=FileName,
        help="start from the scaling and the encoder of this model, whose series had the same "
        "channels and whose --embedding-dim was the same",
    )
    group.add_argument(
        "--max-iter", metavar="N", type=int, help="maximum number of epochs (default: auto)"
    )
    group.add_argument(
        "--target-weight",
        metavar="WEIGHT",
        type=float,
        help="influence of labels or targets on the features, from 0, none, to less than 1 "
        "(default: 0)",
    )
    group.add_argument(
        "--contamination",
        metavar="SHARE",
        type=float,
        help="share of the training series, and of their timesteps, beyond the thresholds of "
        "seqfeat anomalies, at most 0.5 (default: no thresholds)",
    )
    group.add_argument(
        "--missing",
        choices=("error", "mask"),
        help="treat empty cells as errors, or mask them as missing values (default: error)",
    )
    group.add_argument(
        "--early-stopping",
        action="store_true",
        help="stop when the loss on a validation set no longer improves",
    )
    group.add_argument("--batch-size", metavar="N", type=int, help="series per training step")
    group.add_argument("--device", metavar="NAME", help="device to train on: auto, cpu, cuda, ...")
    group.add_argument(
        "--random-state", metavar="SEED", type=int, default=0, help="random seed (default: 0)"
    )
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        type=parameter,
        action="append",
        default=[],
        help="any other parameter of LSTMAutoencoder, e.g. pooling=max; may be repeated",
    )
    group.add_argument("--notes", metavar="TEXT", help="notes to keep in the model's card")


def add_jobs(group: argparse._ArgumentGroup) -> None:
    """Add the number of processes."""
    group.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=n_processes,
        default=1,
        help="number of processes for cross-validation, or -1 for one per core (default: 1)",
    )


def comma_separated(text: str) -> list[str]:
    """Parse names separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} contains no names; separate names by commas")
    return names


def some_names(text: str) -> str:
    """Check that a list of names is not empty; a name may contain commas."""
    comma_separated(text)
    return text


def separator(text: str) -> str:
    """Parse a separator; a tab is hard to type."""
    return text.replace("\\t", "\t")


def feature_counts(text: str) -> list[int] | list[None]:
    """Parse positive integers, or "all", which is None for `LSTMAutoencoder`."""
    return [None] if text == "all" else positive_integers(text)


def positive_integers(text: str) -> list[int]:
    """Parse positive integers separated by commas, sorted and without duplicates."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of positive integers such as 8,16,32"
        )
    return sorted(set(numbers))


def n_folds(text: str) -> int:
    """Parse the number of folds of a cross-validation."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 2")
    return int(text)


def n_processes(text: str) -> int:
    """Parse a number of processes; as in joblib, negative ones count down from all cores, -1."""
    if not text.removeprefix("-").isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of processes (1, 2, ..., or -1)"
        )
    return int(text)


def step(text: str) -> str | float | None:
    """Parse the time between two timesteps."""
    if text.lower() in ("auto", "none"):
        return "auto" if text.lower() == "auto" else None
    try:
        return float(text)
    except ValueError:
        return text


def extent(text: str) -> int | float | str:
    """Parse the length of a window: a number of rows, a number with a point, or a duration."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text.lower() if text.lower() == "none" else text


def parameter(text: str) -> tuple[str, Any]:
    """Parse a parameter's name and value: a Python literal, true, false, none or text."""
    name, sign, value = text.partition("=")
    if not (name.strip() and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    constants = {"true": True, "false": False, "none": None}
    if value.strip().lower() in constants:
        return name.strip(), constants[value.strip().lower()]
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()
