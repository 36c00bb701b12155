"""Parts of a batch side by side on threads. Nothing but the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

__all__ = ["SideBySide"]

S = TypeVar("S")
T = TypeVar("T")


class SideBySide:
    """Runs a function on several inputs at once and keeps their order.

    A context manager: its threads start with the first call that needs them and
    end with the context. The calling thread works as well.

    Parameters
    ----------
    n_threads : int
        How many inputs are worked on at once, at least 1.
    prepare_thread : callable, optional
        Called first on each thread but the calling one.
    """

    def __init__(self, n_threads: int, prepare_thread: Callable[[], object] = lambda: None) -> None:
        self.n_threads = n_threads
        self.prepare_thread = prepare_thread
        self.pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None

    def map(self, function: Callable[[S], T], inputs: Sequence[S]) -> Iterator[T]:
        """Yield the results, as many at a time as there are threads.

        If a call raises, the error comes when those beside it have ended.
        """
        for start in range(0, len(inputs), self.n_threads):
            yield from self._at_once(function, inputs[start : start + self.n_threads])

    def _at_once(self, function: Callable[[S], T], inputs: Sequence[S]) -> list[T]:
        if len(inputs) == 1:
            return [function(inputs[0])]
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.n_threads - 1, "seqfeat", self.prepare_thread)
        others = [self.pool.submit(function, one) for one in inputs[1:]]
        try:
            first = function(inputs[0])
        finally:
            wait(others)
        return [first, *(other.result() for other in others)]
