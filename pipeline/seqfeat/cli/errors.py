"""The library's messages in the words of the commands, and errors in one line."""

from __future__ import annotations

import re

from seqfeat.exceptions import SeqfeatError

__all__ = ["OPTIONS", "UserError", "advice_in_options", "explained", "in_options"]

OPTIONS = {
    "series_id": "--id",
    "label": "--label",
    "time": "--time",
    "channels": "--channels",
    "step": "--step",
    "missing": "--missing",
    "device": "--device",
    "random_state": "--random-state",
    "embedding_dim": "--embedding-dim",
    "max_iter": "--max-iter",
    "batch_size": "--batch-size",
    "target_weight": "--target-weight",
    "early_stopping": "--early-stopping",
    "trusted": "--trusted",
    "opset": "--opset",
    "max_points": "--max-points",
}
"""Options by the name of the parameter that they set; ``--set`` sets all others."""
ASSIGNMENT = re.compile(
    rf"\b({'|'.join(OPTIONS)})=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|\.\.\.|[\w.:+-]*\w)"
)
BARE = re.compile(rf"\b({'|'.join(name for name in OPTIONS if '_' in name)})\b")
"""Names that are no words, so that in a warning they stand for parameters."""
QUOTES = re.compile("['\"]")
PARAMETER = re.compile(r"The '(\w+)' parameter of LSTMAutoencoder")


class UserError(SeqfeatError):
    """What a user of the commands can mend, in the words of the commands."""


def in_options(message: str) -> str:
    """Return a message of the library with options instead of parameters.

    Examples
    --------
    >>> from seqfeat.cli.wording import in_options
    >>> in_options("Pass missing='mask', or series_id=... and channels=['a', 'b'].")
    'Pass --missing mask, or --id ... and --channels a,b.'
    >>> in_options("The 'dropout' parameter of LSTMAutoencoder must be a float. Got 2 instead.")
    '--set dropout=... must be a float. Got 2 instead.'
    """
    message = PARAMETER.sub(lambda found: _option(found[1]), message)
    message = message.replace("seqfeat.series.from_channels_first(X)", "--channels-first")
    message = message.replace("series_id and time", "--id and --time")
    message = ASSIGNMENT.sub(_as_option, message)
    return re.sub(r"\bseries_id\b", "--id", message)


def advice_in_options(message: str) -> str:
    """Return a warning of the library likewise, and the parameters that it merely mentions.

    Examples
    --------
    >>> from seqfeat.cli.wording import advice_in_options
    >>> advice_in_options("Raise max_iter (it is 1), patch_len or embedding_dim.")
    'Raise --max-iter (it is 1), patch_len or --embedding-dim.'
    """
    return BARE.sub(lambda found: OPTIONS[found[1]], in_options(message))


def explained(error: BaseException) -> str:
    """Return an error as one line; of kinds that nobody raises on purpose, also its kind."""
    text = in_options(str(error)).strip()
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory{f': {text}' if text else ''}"
    # The last by its name, as scikit-learn takes a second to import.
    is_of_user = isinstance(error, (SeqfeatError, OSError, ImportError))
    if text and (is_of_user or type(error).__name__ == "InvalidParameterError"):
        return text
    return f"{text} ({type(error).__name__}; --debug shows where it came from)"


def _option(name: str) -> str:
    return OPTIONS.get(name, f"--set {name}=...")


def _as_option(found: re.Match[str]) -> str:
    option, value = OPTIONS[found[1]], found[2]
    if value == "None":
        return f"{option} none" if option == "--step" else f"no {option}"
    if value == "True":
        return option
    value = re.sub(r"^\[(.*)\]$", lambda inner: re.sub(r",\s+", ",", inner[1]), value)
    return f"{option} {QUOTES.sub('', value)}"
