"""The columns of a table by the names that users give them, and which of them are channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_list_like

from seqfeat.exceptions import IndexColumnWarning, InputError, InputTypeError
from seqfeat.runtime.user_warnings import warn_user

__all__ = [
    "channel_columns",
    "check_columns",
    "index_columns",
    "match_name",
    "match_names",
    "show_columns",
    "timestep_columns",
    "warn_of_index_columns",
]

INDEX_NAME = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__|level_\d+|index|")
"""What the index of a table is called in files that other programs wrote, and the names of columns
that have none."""


def check_columns(frame: pd.DataFrame, names: Iterable[str | None]) -> None:
    """Check that exactly one column has each of the names; None stands for no column."""
    for name in names:
        if name is not None and name not in frame.columns:
            raise InputError(
                f"there is no column {name!r}; the table has {show_columns(frame)}. Pass the name "
                "of one of them."
            )
        if name is not None and list(frame.columns).count(name) > 1:
            raise InputError(
                f"more than one column is called {name!r}; the table has {show_columns(frame)}. "
                "Rename them."
            )


def show_columns(frame: pd.DataFrame) -> str:
    """Return the names of the columns for an error message; many are abbreviated."""
    names = [repr(str(name)) for name in frame.columns]
    return ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-2:]])


def match_name(name: Any, names: Sequence[str]) -> Any:
    """Return the name of a file's column that a user means: with spaces around, or as a number.

    Examples
    --------
    >>> from seqfeat.series.columns import match_name
    >>> match_name(" load ", ["id", "load"]), match_name(1, ["0", "1"]), match_name("x", ["id"])
    ('load', '1', 'x')
    """
    if name is None or name in names:
        return name
    text = str(name).strip()
    return text if text in names else name


def match_names(names_given: Any, names: Sequence[str]) -> Any:
    """Return a name, a list of names or None as `match_name` does."""
    if isinstance(names_given, (list, tuple)):
        return [match_name(name, names) for name in names_given]
    is_one = isinstance(names_given, (str, int))
    return match_name(names_given, names) if is_one else names_given


def channel_columns(
    frame: pd.DataFrame, channels: str | list[str] | None, others: list[str | None]
) -> list[str]:
    """Return the columns that hold the values: those named, or all without another role.

    Warns
    -----
    IndexColumnWarning
        If columns are left out that look like the index of a table.
    """
    if isinstance(channels, str):
        return [channels]
    if channels is not None and (isinstance(channels, Mapping) or not is_list_like(channels)):
        raise InputTypeError(
            f"channels={channels!r}; pass the name of a column, or a list of names. The table has "
            f"{show_columns(frame)}."
        )
    names = list(channels) if channels is not None else _without_index(frame, others, "channels")
    if not names:
        raise InputError(
            f"no column is left to be a channel; the table has {show_columns(frame)}. Pass "
            "channels=[...] with at least 1 column."
        )
    return names


def timestep_columns(frame: pd.DataFrame, others: list[str | None]) -> list[str]:
    """Return the columns of a wide table that hold the values, one for each timestep.

    Warns
    -----
    IndexColumnWarning
        If columns are left out that look like the index of a table.
    """
    names = _without_index(frame, others, "timesteps")
    if not names:
        raise InputError(
            f"no column is left to be a timestep; the table has {show_columns(frame)}. Each "
            "timestep of a wide table needs a column; for a long table, pass series_id and time."
        )
    return names


def index_columns(frame: pd.DataFrame, others: Iterable[str | None]) -> list[str]:
    """Return the columns that look like the index of a table, apart from those with a role."""
    return [
        name
        for name in frame.columns
        if name not in others and (name is None or _is_index_name(name))
    ]


def warn_of_index_columns(frame: pd.DataFrame) -> None:
    """Warn of columns that look like the index of a frame, and are taken for values.

    A frame that is passed to an estimator has no columns but those with values, which scikit-learn
    compares by name and number, so none can be left out.

    Warns
    -----
    IndexColumnWarning
        If there are such columns.
    """
    found = index_columns(frame, [])
    if found:
        warn_user(
            f"columns of X that look like an index that was written with a table are read as "
            f"values: {', '.join(map(repr, found))}. If they are none, pass "
            f"X.drop(columns={found}).",
            IndexColumnWarning,
        )


def _is_index_name(name: Any) -> bool:
    return isinstance(name, str) and INDEX_NAME.fullmatch(name.strip()) is not None


def _without_index(frame: pd.DataFrame, others: list[str | None], role: str) -> list[str]:
    left_out = index_columns(frame, others)
    if left_out:
        to_take = "name all of them: channels=[...]" if role == "channels" else "rename them"
        warn_user(
            f"left out of the {role}: {', '.join(map(repr, left_out))}, as indexes that were "
            f"written with a table are called. To take such columns, {to_take}; otherwise drop "
            "them from the table.",
            IndexColumnWarning,
        )
    return [name for name in frame.columns if name not in others and name not in left_out]
