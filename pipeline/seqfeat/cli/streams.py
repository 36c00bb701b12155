"""Series through a model, batch by batch, with their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seqfeat.cli.console import Console
from seqfeat.cli.progress import counted
from seqfeat.cli.sources import Source, ids_of
from seqfeat.cli.wording import UserError
from seqfeat.exceptions import InputError

__all__ = ["Batch", "naming_series", "stream"]


FIXED = {
    "Pass missing='mask' to read NaN as not observed (and NaN at the end as a shorter series), or "
    "fill it.": "Fill it, or train the model with --missing mask, which takes NaN as not observed.",
    "Replace it, or set it to NaN and pass missing='mask'.": "Replace it.",
}
"""What the library advises before a training, and what can be done once there is a model."""
ADVICE = {
    " For one series pass X[None]; for one channel pass X[:, :, None].": (
        " In a table with a row for each series and time, --id and --time name the columns that "
        "say which; each row is a series otherwise."
    ),
    " as input: the last axis holds the channels.": (
        " as input, its channels. --channels names the columns that are channels, --label one "
        "that is none."
    ),
}
"""What the library says for Python, and what to say instead."""
OTHER_TABLE = ("X has ", "The feature names ")
"""How scikit-learn's errors begin about a table unlike that of the training."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some series, their labels or None, and what they are called."""

    X: Any
    y: Any
    ids: pd.Index[Any]

    def __len__(self) -> int:
        return len(self.ids)


def stream(source: Source, console: Console) -> Iterator[Batch]:
    """Yield a source's series in batches, and show how many there have been."""
    n_read = 0
    for X, y in counted(source.batches(), console):
        batch = Batch(X, y, ids_of(X, n_read))
        with naming_series(batch.ids):
            yield batch
        n_read += len(batch)


@contextmanager
def naming_series(ids: pd.Index[Any], *, is_trained: bool = True) -> Iterator[None]:
    """Call series in errors by their names, where the library knows their places only.

    `is_trained` says whether there is a model already, which decides what can be done.
    """
    try:
        yield
    except InputError as error:
        message = re.sub(r"\bseries (\d+)\b", lambda found: _named(found, ids), str(error))
        for before, after in FIXED.items() if is_trained else ():
            message = message.replace(before, after)
        raise UserError(_without_python(message)) from error
    except ValueError as error:
        if not str(error).startswith(OTHER_TABLE):
            raise
        raise UserError(str(error)) from error


def _without_python(message: str) -> str:
    """Name the options, where the library names what to do in Python."""
    for words, advice in ADVICE.items():
        if message.endswith(words):
            return message.removesuffix(words) + advice
    return message


def _named(found: re.Match[str], ids: pd.Index[Any]) -> str:
    place = int(found[1])
    return f"series {ids[place]}" if place < len(ids) else found[0]
