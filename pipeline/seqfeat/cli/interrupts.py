"""Ctrl-C: it stops a training early, and aborts anything else."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Aborted", "InterruptHandler"]


class Aborted(BaseException):
    """Ctrl-C during a search or an evaluation, which is useless when incomplete.

    `LSTMAutoencoder.fit` handles a KeyboardInterrupt itself: it stops and keeps the
    weights so far. A search or a cross-validation would then go on with its next fold.
    """


class InterruptHandler:
    """Records ctrl-C while its block runs.

    Ctrl-C is ignored while an earlier one is still being handled, so that pressing it
    repeatedly does not disturb the cleaning up.

    Parameters
    ----------
    is_last : bool, default=False
        Whether the process exits after the block; ctrl-C is then ignored from there on.

    Attributes
    ----------
    received : bool
        Whether ctrl-C was pressed.
    """

    def __init__(self, *, is_last: bool = False) -> None:
        self.received = False
        self._is_last = is_last
        self._exception: type[BaseException] = KeyboardInterrupt
        self._previous: Any = None

    def __enter__(self) -> InterruptHandler:
        # Python delivers signals to the main thread alone, and lets no other one set handlers.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN if self._is_last else self._previous)

    @contextmanager
    def aborting(self) -> Iterator[None]:
        """Make ctrl-C abort the whole block instead of only the training within it."""
        self._exception = Aborted
        try:
            yield
        finally:
            self._exception = KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        # Set only while an except or finally block handles an earlier ctrl-C.
        if not isinstance(sys.exception(), (KeyboardInterrupt, Aborted)):
            raise self._exception
