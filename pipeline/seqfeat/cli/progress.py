"""Progress on a terminal: scikit-learn's bars for training, a count for streams."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from seqfeat.cli.console import Console

__all__ = ["counted", "progress_bars"]

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
