"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from seqfeat.cli.errors import use_option_names
from seqfeat.cli.interrupts import InterruptHandler
from seqfeat.cli.streams import OutputStream
from seqfeat.exceptions import IndexColumnWarning
from seqfeat.runtime.visible_text import escape_controls

__all__ = [
    "Console",
    "count_series",
    "format_list",
    "format_table",
    "progress_bars",
    "show_one_line_warnings",
]

DEVELOPER_WARNINGS = (
    DeprecationWarning,
    PendingDeprecationWarning,
    FutureWarning,
    ImportWarning,
    ResourceWarning,
)

COUNTER_INTERVAL = 0.2
"""Seconds between two updates of the counter of series."""

Batch = TypeVar("Batch", bound=Sized)


class Console:
    """The interface to the user: what a command prints, and ctrl-C.

    Parameters
    ----------
    is_json : bool, default=False
        Whether standard output is reserved for one JSON object.
    is_quiet : bool, default=False
        Whether to print only results, warnings and errors.
    interrupts : InterruptHandler, default=None
        Records ctrl-C; None creates one that is not installed.

    Attributes
    ----------
    saved_to : str or None
        The file in which the command has saved a model so far.
    """

    def __init__(
        self,
        *,
        is_json: bool = False,
        is_quiet: bool = False,
        interrupts: InterruptHandler | None = None,
    ) -> None:
        self.is_json = is_json
        self.is_quiet = is_quiet
        self.interrupts = InterruptHandler() if interrupts is None else interrupts
        self.saved_to: str | None = None
        self.output, self.messages = OutputStream("stdout"), OutputStream("stderr")

    @property
    def shows_progress(self) -> bool:
        """Whether to show progress: only on a terminal."""
        return not self.is_quiet and self.messages.isatty()

    def print(self, text: str) -> None:
        """Print a part of the result as text."""
        if not self.is_json:
            self.output.write_line(text)

    def status(self, text: str) -> None:
        """Print what the command is doing."""
        if not self.is_quiet:
            self.messages.write_line(text)

    def log(self, text: str) -> None:
        """Print a warning or an error in one line."""
        self.messages.write_line(f"seqfeat: {' '.join(text.split())}")

    def finish(self, result: dict[str, Any]) -> None:
        """Print the result as JSON if that was asked for.

        Raises the error, if there was one, that kept results from being written.
        """
        if self.is_json:
            self.output.write_line(json.dumps(_to_json(result), allow_nan=False))
        if self.output.error is not None:
            raise self.output.error


def _to_json(value: Any) -> Any:
    """Convert a value to what JSON can represent; NaN and infinities become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def show_one_line_warnings(console: Console) -> None:
    """Show each warning once and in one line, and hide those meant for developers.

    Must be called within ``warnings.catch_warnings()``, which undoes it.
    """
    shown: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = use_option_names(str(message), bare=True)
        if text not in shown:
            shown.add(text)
            console.log(f"warning: {text}")

    warnings.showwarning = show
    warnings.resetwarnings()
    for category in DEVELOPER_WARNINGS:
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", message=".* does not support callbacks")
    if not console.is_quiet:
        # The line on which columns became what says it.
        warnings.simplefilter("ignore", IndexColumnWarning)


def format_table(rows: list[tuple[Any, ...]], header: tuple[str, ...] | None = None) -> str:
    """Align rows in columns: the first one to the left, the others to the right.

    Examples
    --------
    >>> from seqfeat.cli.console import format_table
    >>> print(format_table([("a", 1), ("bbb", 22)], ("name", "n")))
      name   n
      a      1
      bbb   22
    """
    cells = [
        tuple(escape_controls(str(cell)) for cell in row)
        for row in ([header] if header else []) + rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("  " + "  ".join(aligned).rstrip())
    return "\n".join(lines)


def format_list(names: Iterable[Any], *, head: int, tail: int = 0) -> str:
    """Join names with commas; of many, show only the first and the last ones.

    Examples
    --------
    >>> from seqfeat.cli.console import format_list
    >>> format_list(range(9), head=3, tail=1), format_list("abcd", head=3, tail=1)
    ('0, 1, 2, ..., 8', 'a, b, c, d')
    """
    names = [escape_controls(str(name)) for name in names]
    if len(names) > head + tail + 1:
        names = [*names[:head], "...", *names[len(names) - tail :]]
    return ", ".join(names)


def progress_bars(console: Console, **parameters: Any) -> list[Any]:
    """Return a progress bar as a list of callbacks, empty without a terminal."""
    if not console.shows_progress:
        return []
    try:
        import rich
    except ImportError:
        console.status("(For progress bars: pip install 'seqfeat[progress]')")
        return []
    from seqfeat.sklearn_compat import ProgressBar

    rich.reconfigure(stderr=True)
    return [ProgressBar(**parameters)]


def count_series(batches: Iterable[Batch], console: Console) -> Iterator[Batch]:
    """Yield batches of series and show on a terminal how many series were processed."""
    n_series, last_shown = 0, 0.0
    try:
        for batch in batches:
            yield batch
            n_series += len(batch)
            if console.shows_progress and time.monotonic() - last_shown > COUNTER_INTERVAL:
                console.messages.write_raw(f"\r{n_series:,} series")
                last_shown = time.monotonic()
    finally:
        if last_shown:
            console.messages.write_raw("\r\033[K")
