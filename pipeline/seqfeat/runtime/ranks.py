"""The processes that share a fit, numbered by `torch.distributed`. Torch only.

The rest of the package only knows `Ranks`: the rank of this process, and how it communicates with
the others. A process that is alone has nothing to communicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from torch import Tensor
from torch import distributed as dist

from seqfeat.exceptions import DistributedError

__all__ = ["ALONE", "GroupRanks", "Ranks", "current_ranks", "first_line", "use_ranks"]

T = TypeVar("T")


class Ranks:
    """A process that trains alone."""

    rank = 0
    world_size = 1

    @property
    def is_alone(self) -> bool:
        """Whether there are no other processes."""
        return self.world_size == 1

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each of them."""
        return tensor

    def all_gather(self, value: T) -> list[T]:
        """Return every process's value, in the order of ranks."""
        return [value]

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0."""
        return value

    def exchange(self, function: Callable[[], T]) -> list[T]:
        """Call `function` in every process and return all results, in the order of ranks.

        If it raises an error in one process, all raise one; otherwise they would wait in vain.
        """
        return [function()]

    def attempt(self, function: Callable[[], T]) -> T:
        """Call `function` in every process, return the own result, and raise as `exchange` does."""
        return function()


ALONE = Ranks()


class GroupRanks(Ranks):
    """The processes of torch's default group."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.world_size = dist.get_world_size()

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each of them."""
        total = tensor.clone()
        with self._explaining_errors():
            dist.all_reduce(total)
        return total

    def all_gather(self, value: T) -> list[T]:
        """Return every process's value, in the order of ranks. Values are pickled."""
        values: list[T | None] = [None] * self.world_size
        with self._explaining_errors():
            dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0. It is pickled."""
        values = [value if self.rank == 0 else None]
        with self._explaining_errors():
            dist.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]

    def exchange(self, function: Callable[[], T]) -> list[T]:
        """Call `function` in every process and return all results, in one exchange of messages.

        If it raises an error in one process, all raise one.
        """
        result, error = None, None
        try:
            result = function()
        except Exception as raised:
            error = raised
        message = None if error is None else f"{type(error).__name__}: {error}"
        answers = self.all_gather((result, message))
        if error is not None:
            raise error
        for rank, (_, message) in enumerate(answers):
            if message is not None:
                raise DistributedError(
                    f"rank {rank} of {self.world_size}, with which this process shares a fit, "
                    f"failed: {message}"
                )
        return [result for result, _ in answers]  # type: ignore[misc]

    def attempt(self, function: Callable[[], T]) -> T:
        """Call `function` in every process, return the own result, and raise as `exchange` does."""
        results: list[T] = []
        self.exchange(lambda: results.append(function()))
        return results[0]

    @contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        """Explain the error that torch raises if a connection is closed or silent."""
        try:
            yield
        except RuntimeError as error:
            raise DistributedError(
                f"rank {self.rank} of {self.world_size} lost the connection to another process "
                "of this fit, which ended or did not answer within the time limit. See the output "
                "of the others for the reason. With checkpoint_dir set, the next fit resumes from "
                "the last checkpoint. "
                f"torch.distributed says: {first_line(error)}"
            ) from error


def first_line(error: Exception) -> str:
    """Return the beginning of torch's message, without its guesses at the cause."""
    return str(error).splitlines()[0].split(" This is typically")[0]


_current: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def current_ranks() -> Ranks:
    """Return the processes that share the fits of the current context."""
    return _current.get()


@contextmanager
def use_ranks(ranks: Ranks) -> Iterator[None]:
    """Share the fits in this context among processes."""
    token = _current.set(ranks)
    try:
        yield
    finally:
        _current.reset(token)
