"""A pool of worker threads that wake up quickly. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import finalize

__all__ = ["WorkerPool"]

S = TypeVar("S")
T = TypeVar("T")

Answers = SimpleQueue[tuple[int, Any, BaseException | None]]
"""Results with the number of their input, or the error that was raised instead."""
Task = tuple[Callable[[Any], Any], int, Any, Answers]


class Worker(Thread):
    """A thread that works on tasks until it receives None.

    A `ThreadPoolExecutor` takes twice as long to pass a task and its result on, a twentieth of a
    small training step.
    """

    def __init__(self, number: int, prepare: Callable[[], object]) -> None:
        super().__init__(name=f"seqfeat_{number}", daemon=True)
        self.prepare = prepare
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Work on tasks."""
        self.prepare()
        while (task := self.tasks.get()) is not None:
            function, number, one, answers = task
            try:
                answers.put((number, function(one), None))
            except BaseException as error:
                answers.put((number, None, error))
            # Otherwise they would stay alive until the next task.
            del task, function, one, answers


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.tasks.put(None)
    workers.clear()


class WorkerPool:
    """Runs a function on several inputs at a time, and returns the results in order.

    It is a context manager: threads start when they are first needed, and end with the context.
    The calling thread works as well.

    Parameters
    ----------
    n_threads : int
        Number of inputs to work on at a time, at least 1.
    prepare_thread : callable, optional
        Called once on each new thread.
    """

    def __init__(self, n_threads: int, prepare_thread: Callable[[], object] = lambda: None) -> None:
        self.n_threads = n_threads
        self.prepare_thread = prepare_thread
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        workers = list(self.workers)
        _end(self.workers)
        for worker in workers:
            worker.join()

    def map(
        self,
        function: Callable[[S], T],
        inputs: Sequence[Any],
        prepare: Callable[[Any], S] = lambda one: one,
    ) -> Iterator[T]:
        """Yield the results; as many inputs at a time as there are threads.

        `prepare` is called on the calling thread, right before `function` gets its result. An error
        is raised after all calls that ran at the same time have ended.
        """
        for start in range(0, len(inputs), self.n_threads):
            yield from self._at_once(function, inputs[start : start + self.n_threads], prepare)

    def _at_once(
        self, function: Callable[[S], T], inputs: Sequence[Any], prepare: Callable[[Any], S]
    ) -> list[T]:
        if len(inputs) == 1:
            return [function(prepare(inputs[0]))]
        n_others = len(inputs) - 1
        if not self.workers:
            # Threads end also if nobody enters the context.
            finalize(self, _end, self.workers)
        while len(self.workers) < n_others:
            self.workers.append(Worker(len(self.workers), self.prepare_thread))
        # A queue of this call alone: after an interrupt, its answers must not reach another call.
        answers: Answers = SimpleQueue()
        n_begun, others = 0, []
        try:
            # Start the others first, because threads take a while to wake up.
            for worker, one in zip(self.workers, inputs[1:], strict=False):
                worker.tasks.put((function, n_begun, prepare(one), answers))
                n_begun += 1
            first = function(prepare(inputs[0]))
        finally:
            others = [answers.get() for _ in range(n_begun)]
        results: list[T] = [first] * len(inputs)
        for number, result, error in sorted(others, key=lambda answer: answer[0]):
            if error is not None:
                raise error
            results[number + 1] = result
        return results
