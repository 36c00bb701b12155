"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from seqfeat.cli.errors import advice_in_options

__all__ = ["Console", "counted", "progress_bars", "show_warnings_in_one_line", "table"]

FOR_DEVELOPERS = (
    DeprecationWarning,
    PendingDeprecationWarning,
    FutureWarning,
    ImportWarning,
    ResourceWarning,
)


class Console:
    """Where a command's words go.

    Parameters
    ----------
    is_json : bool
        Whether stdout is for one JSON object alone.
    is_quiet : bool
        Whether to say nothing but results, warnings and errors.
    """

    def __init__(self, *, is_json: bool = False, is_quiet: bool = False) -> None:
        self.is_json = is_json
        self.is_quiet = is_quiet

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches who may want to see progress."""
        return not self.is_quiet and sys.stderr.isatty()

    def say(self, text: str = "") -> None:
        """Print a part of the result, for people."""
        if not self.is_json:
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Tell what is being done."""
        if not self.is_quiet:
            print(text, file=sys.stderr, flush=True)

    def complain(self, text: str) -> None:
        """Tell what went wrong."""
        print(f"seqfeat: {' '.join(text.split())}", file=sys.stderr, flush=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Print the result for machines, if they asked."""
        if self.is_json:
            print(json.dumps(_as_json(result), allow_nan=False), flush=True)
        sys.stdout.flush()


def show_warnings_in_one_line(console: Console) -> None:
    """Show each warning once, in one line; those for developers of libraries not at all.

    Call it inside ``warnings.catch_warnings()``, which puts everything back.
    """
    shown: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = advice_in_options(str(message))
        if text not in shown:
            shown.add(text)
            console.complain(f"warning: {text}")

    warnings.showwarning = show
    warnings.resetwarnings()
    for category in FOR_DEVELOPERS:
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", message=".* does not support callbacks")


def table(rows: list[tuple[Any, ...]], header: tuple[str, ...] | None = None) -> str:
    """Return rows as aligned columns, the first to the left and the rest to the right."""
    cells = [tuple(map(str, row)) for row in ([header] if header else []) + rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "  ".join([row[0].ljust(len(first)), *rest]).rstrip())
    return "\n".join(lines)


def _as_json(value: Any) -> Any:
    """Return a value as JSON knows it: what NumPy holds as Python's, NaN as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


SECONDS_BETWEEN = 0.2
"""Between two looks of a stream's count."""


def progress_bars(console: Console, **parameters: Any) -> list[Any]:
    """Return scikit-learn's progress bar, on stderr, if somebody watches and rich is installed."""
    if not console.is_terminal:
        return []
    try:
        import rich
    except ImportError:
        console.note("(For progress bars: pip install 'seqfeat[progress]')")
        return []
    from sklearn.callback import ProgressBar

    rich.reconfigure(stderr=True)
    return [ProgressBar(**parameters)]


def counted(batches: Iterable[Any], console: Console) -> Iterator[Any]:
    """Yield batches of series, and show how many there have been."""
    n_series, shown = 0, 0.0
    try:
        for batch in batches:
            yield batch
            n_series += len(batch.X)
            if console.is_terminal and time.monotonic() - shown > SECONDS_BETWEEN:
                print(f"\r{n_series:,} series", end="", file=sys.stderr, flush=True)
                shown = time.monotonic()
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
