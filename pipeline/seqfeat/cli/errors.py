"""Error messages: the library's, reworded for the command line.

The library names parameters, positions of series and Python expressions. On the command
line these are options, ids, and what can be done with a file or a trained model.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seqfeat.exceptions import InputError, SeqfeatError

__all__ = ["OPTIONS", "UserError", "describe_error", "rewording_errors", "use_option_names"]

OPTIONS = {
    "series_id": "--id",
    "by": "--id",
    "label": "--label",
    "target": "--target",
    "time": "--time",
    "channels": "--channels",
    "step": "--step",
    "time_format": "--time-format",
    "elapsed": "--elapsed",
    "separator": "--separator",
    "decimal": "--decimal",
    "encoding": "--encoding",
    "header": "--header",
    "na_values": "--na-values",
    "missing": "--missing",
    "length": "--window",
    "stride": "--stride",
    "label_from": "--label-from",
    "gaps": "--gaps",
    "device": "--device",
    "random_state": "--random-state",
    "embedding_dim": "--embedding-dim",
    "max_iter": "--max-iter",
    "batch_size": "--batch-size",
    "target_weight": "--target-weight",
    "contamination": "--contamination",
    "init": "--init",
    "early_stopping": "--early-stopping",
    "trusted": "--trusted",
    "opset": "--opset",
    "max_points": "--max-points",
}
"""The option that sets a parameter; ``--set`` sets all others."""

SETTINGS = (
    "bidirectional",
    "checkpoint_dir",
    "checkpoint_every",
    "class_weight",
    "dropout",
    "hidden_dim",
    "input_noise",
    "learning_rate_init",
    "masking_ratio",
    "n_iter_no_change",
    "n_time_features",
    "patch_len",
    "pooling",
    "reconstruction_fraction",
    "scale",
    "target_type",
    "tol",
    "validation_fraction",
    "verbose",
    "warm_start",
    "weight_decay",
    "window_len",
    "window_stride",
)
"""The parameters of the estimator that ``--set`` sets."""

ADVICE = (
    ("X.astype(float) to have it rounded", "Save them as floating-point numbers to have them "
     "rounded, or subtract an offset first."),
    ("X.astype(float).filled", "Save it with NaN for what is masked, and pass --missing mask."),
    ("X.astype(float)", "Save the values as real numbers."),
    ("structured_to_unstructured", "Save the values as an array of real numbers."),
    ("X.real", "Save real and imaginary parts as separate channels."),
    ("X[None]", "If the table has one row per series and timestep, name its columns with --id and "
     "--time; without them, each row is read as one series."),
    ("X.reshape", "Save an array of shape (n_samples, n_timesteps, n_channels)."),
    ("X[:, :, None] or on a list", "To have series of any length, train on a long table, with --id "
     "and --time, or on an array with an axis for the channels."),
    ("X.to_numpy()", "Rename them."),
    ("X.drop(columns=", "If they are none, remove them from the file."),
    (".astype(str)", "Write the ids as text."),
    ("classifier=", "Add series, or choose another --classifier, such as logistic."),
    ("save it with numpy.savez", "The array X of such a file holds the series, and y the labels."),
    ("pad unequal series and save them", "Pad unequal series with NaN, or save them as a table."),
    ("joblib.load opens", "seqfeat opens only what it has saved, with its card."),
    ("onnxruntime.InferenceSession", "Pass the model from which it was exported."),
    ("sample_weight 0", "To leave a class out, leave its series out."),
    ("write it as in y", "Remove it, or write it like the labels."),
    ("skl2onnx.update_registered_converter", "Train a model with another --classifier."),
    ("skl2onnx.supported_converters", "A model with --classifier logistic can be exported."),
)  # fmt: skip
"""What to say on the command line instead of each sentence that contains an expression of Python.

A library that knew of the command line would depend on what stands above it, so the sentences are
matched here, and a test finds those that are missing.
"""

_ASSIGNMENT = re.compile(
    rf"\b({'|'.join(OPTIONS)})=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|\.\.\.|[\w.:+-]*\w)"
)
# Without an underscore a name may as well be an ordinary word.
_BARE_NAME = re.compile(rf"\b({'|'.join(name for name in OPTIONS if '_' in name)})\b")
_SETTING = re.compile(
    rf"(?<!--set )\b({'|'.join(SETTINGS)})=('[^']*'|\"[^\"]*\"|\.\.\.|[\w.:+-]*\w)"
)
_INVALID_PARAMETER = re.compile(r"The '(\w+)' parameter of LSTMAutoencoder")
_CHANNELS_FIRST = re.compile(r"(?:seqfeat\.series\.)?from_channels_first\(X\)")
_QUOTES = re.compile("['\"]")


class UserError(SeqfeatError):
    """An error that the user can fix, worded for the command line."""


def describe_error(error: BaseException) -> str:
    """Describe an error in one line, with its type if it was not raised on purpose."""
    text = use_option_names(str(error)).strip()
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory{f': {text}' if text else ''}"
    # scikit-learn's error is known by its name, as importing its class would take a second.
    is_deliberate = isinstance(error, (SeqfeatError, OSError, ImportError))
    if text and (is_deliberate or type(error).__name__ == "InvalidParameterError"):
        return text
    return f"{text} ({type(error).__name__}; pass --debug for the traceback)"


def use_option_names(message: str, *, bare: bool = False) -> str:
    """Replace the names of parameters in a message by options.

    With `bare`, also replace names that are mentioned without a value.

    Examples
    --------
    >>> from seqfeat.cli.errors import use_option_names
    >>> use_option_names("Pass missing='mask', or series_id=... and channels=['a', 'b'].")
    'Pass --missing mask, or --id ... and --channels a,b.'
    >>> use_option_names("The 'dropout' parameter of LSTMAutoencoder must be a float.")
    '--set dropout=... must be a float.'
    >>> use_option_names("Raise max_iter (it is 1), patch_len or embedding_dim.", bare=True)
    'Raise --max-iter (it is 1), patch_len or --embedding-dim.'
    """
    for mark, advice in ADVICE:
        message = _replace_sentence(message, mark, advice)
    message = _INVALID_PARAMETER.sub(
        lambda found: OPTIONS.get(found[1], f"--set {found[1]}=..."), message
    )
    message = _CHANNELS_FIRST.sub("--channels-first", message)
    message = message.replace("series_id and time", "--id and --time")
    message = _ASSIGNMENT.sub(_option_with_value, message)
    message = _SETTING.sub(lambda found: f"--set {found[1]}={_QUOTES.sub('', found[2])}", message)
    message = re.sub(r"\bseries_id\b", "--id", message)
    return _BARE_NAME.sub(lambda found: OPTIONS[found[1]], message) if bare else message


def _option_with_value(found: re.Match[str]) -> str:
    option, value = OPTIONS[found[1]], found[2]
    if value == "None":
        return f"{option} none" if option == "--step" else f"no {option}"
    if value == "True":
        return option
    if option == "--header" and value == "False":
        return "--no-header"
    value = re.sub(r"^\[(.*)\]$", lambda inner: re.sub(r",\s+", ",", inner[1]), value)
    value = _QUOTES.sub("", value)
    # A shell needs no quotes around a comma, but a reader does.
    return f"{option} '{value}'" if value in (",", ".") else f"{option} {shlex.quote(value)}"


@contextmanager
def rewording_errors(ids: Any, *, has_model: bool = True) -> Iterator[None]:
    """Reword errors about input for these series.

    Parameters
    ----------
    ids : Index
        The series' ids, which replace their positions.
    has_model : bool, default=True
        Whether the series are for a trained model, whose parameters can no longer change.
    """
    try:
        yield
    except InputError as error:
        message = re.sub(r"\bseries (\d+)\b", lambda found: _with_id(found, ids), str(error))
        raise UserError(_adapt_advice(message, has_model=has_model)) from error
    except ValueError as error:
        # How scikit-learn begins when a table differs from the one that a model was fitted on.
        if not str(error).startswith(("X has ", "The feature names ")):
            raise
        raise UserError(str(error)) from error


def _with_id(found: re.Match[str], ids: Any) -> str:
    position = int(found[1])
    return f"series {ids[position]}" if position < len(ids) else found[0]


def _adapt_advice(message: str, *, has_model: bool) -> str:
    """Replace advice for users of Python by advice for users of the command line."""
    if has_model:
        advice = _REPLACE if _INFINITY.search(message) else _FILL_OR_TRAIN
        message = _replace_sentence(message, "missing='mask'", advice)
    return _CHANNEL_COUNT.sub(rf"\1. {_NAME_CHANNELS}", message)


_INFINITY = re.compile(r"\binf(?:inity)?\b")
_CHANNEL_COUNT = re.compile(r"(is expecting \d+ features as input)\b[^.]*\.$")
_REPLACE = "Replace it."
_FILL_OR_TRAIN = "Fill it, or train the model with --missing mask, which reads NaN as missing."
_NAME_CHANNELS = (
    "Select the columns that are channels with --channels, or name the column of labels with "
    "--label."
)


def _replace_sentence(message: str, mark: str, replacement: str) -> str:
    """Replace every sentence of a message that contains the mark."""
    sentences = re.split(r"(?<=\.) ", message)
    return " ".join(replacement if mark in it else it for it in sentences)
