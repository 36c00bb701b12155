"""The columns of a table by the names that users give them, and which of them are channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
from pandas.api.types import is_list_like

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["channel_columns", "check_columns", "show_columns"]


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


def channel_columns(
    frame: pd.DataFrame, channels: str | list[str] | None, others: list[str | None]
) -> list[str]:
    """Return the columns that hold the values: those named, or all without another role."""
    if isinstance(channels, str):
        return [channels]
    if channels is not None and (isinstance(channels, Mapping) or not is_list_like(channels)):
        raise InputTypeError(
            f"channels={channels!r}; pass the name of a column, or a list of names. The table has "
            f"{show_columns(frame)}."
        )
    names = [name for name in frame.columns if name not in others] if channels is None else channels
    if not len(names):
        raise InputError(
            f"no column is left to be a channel; the table has {show_columns(frame)}. Pass "
            "channels=[...] with at least 1 column."
        )
    return list(names)
