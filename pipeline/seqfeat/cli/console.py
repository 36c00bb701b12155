"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
import warnings
from typing import Any

from seqfeat.cli.wording import advice_in_options

__all__ = ["Console", "show_warnings_in_one_line", "table"]

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
