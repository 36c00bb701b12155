"""Standard output and standard error: text that any terminal can show, and no failure midway.

Names come from files that anybody may have written. A terminal obeys control characters in them,
and does not show those that change the direction of text, so they are escaped. A reader that closes
its pipe, or a disk that is full, must not end a training before its model is saved: what cannot be
written is dropped, and the error is kept for the end.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from seqfeat.runtime.visible_text import escape_controls

__all__ = ["OutputStream"]


class OutputStream(io.TextIOBase):
    """One of the two streams as it was when this was made.

    Parameters
    ----------
    name : {"stdout", "stderr"}

    Attributes
    ----------
    error : OSError or None
        Why the first text that is missing could not be written.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: OSError | None = None
        self._stream = getattr(sys, name)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._is_open() and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write data, which is escaped for a terminal alone."""
        return self.write_raw(escape_controls(text, keep="\n\t\r") if self.isatty() else text)

    def write_line(self, text: str) -> None:
        """Write a line, or several, for people to read."""
        self.write_raw(escape_controls(text, keep="\n\t") + "\n")

    def _is_open(self) -> bool:
        return self._stream is not None and not self._stream.closed

    def write_raw(self, text: str) -> int:
        """Write text with its controls."""
        if self.error is None:
            try:
                if not self._is_open():
                    raise OSError(errno.EBADF, "it is closed")
                encoding = getattr(self._stream, "encoding", None) or "utf-8"
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
                self._stream.flush()
            except OSError as error:
                self.error = error
                self._discard()
        return len(text)

    def _discard(self) -> None:
        """Discard what Python would still flush at exit, and complain about."""
        with suppress(OSError, AttributeError, ValueError):
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, self._stream.fileno())
            os.close(sink)
