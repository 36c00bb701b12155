"""Ctrl-C, which ends a training early and anything else at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(BaseException):
    """Ctrl-C where a training is only a means, and half of it of no use.

    `LSTMAutoencoder.fit` takes a KeyboardInterrupt as its end and goes on with what it
    has; a search or a cross-validation would go on with its next fold.
    """


class Interrupts:
    """Takes note of ctrl-C while the block runs.

    Pressed again while what the first one began is being cleaned up, it is ignored.

    Parameters
    ----------
    is_program : bool, default=False
        Whether the process ends with the block, so that from then on ctrl-C would
        only disturb that, and is ignored.

    Attributes
    ----------
    came : bool
        Whether there was one.
    """

    def __init__(self, *, is_program: bool = False) -> None:
        self.came = False
        self._is_program = is_program
        self._exception: type[BaseException] = KeyboardInterrupt
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        # Only there may a handler be set; elsewhere ctrl-C never arrives.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN if self._is_program else self._before)

    @contextmanager
    def ending_all(self) -> Iterator[None]:
        """Let ctrl-C end the block, and not only the training within it."""
        self._exception = Interrupted
        try:
            yield
        finally:
            self._exception = KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        # Within an except or finally of the code that was interrupted, this is its exception.
        if not isinstance(sys.exception(), (KeyboardInterrupt, Interrupted)):
            raise self._exception
