"""The processes that share a fit, numbered by `torch.distributed`. Torch only.

The rest of the package only knows `Ranks`: the rank of this process, and how it communicates with
the others. A process that is alone has nothing to communicate.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from seqfeat.exceptions import DistributedError
from seqfeat.runtime.heartbeats import Heartbeats

__all__ = [
    "ALONE",
    "GroupRanks",
    "Ranks",
    "current_ranks",
    "first_line",
    "gloo_backends",
    "use_ranks",
]

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
    """The processes of torch's default group.

    Parameters
    ----------
    heartbeats : Heartbeats, default=None
        What tells a stalled process from a busy one, so that waits for a busy one have no limit.
        Without it, the time limit of the group applies to both.
    """

    def __init__(self, heartbeats: Heartbeats | None = None) -> None:
        self.rank = dist.get_rank()
        self.world_size = dist.get_world_size()
        self._heartbeats = heartbeats
        self._failure: str | None = None
        self._watched_backends = {} if heartbeats is None else gloo_backends()
        self._places = [""] * self.world_size
        if heartbeats is not None:
            self._places = self.all_gather(f" (process {os.getpid()} on {socket.gethostname()})")

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, the same bits in each of them."""
        # Gloo and NCCL know no other devices.
        total = tensor.clone() if tensor.device.type in ("cpu", "cuda") else tensor.cpu()
        self._run(dist.all_reduce, total)
        return total.to(tensor.device)

    def all_gather(self, value: T) -> list[T]:
        """Return every process's value, in the order of ranks. Values are pickled."""
        message = self._to_message(value)
        size = torch.tensor([len(message)], dtype=torch.int64, device=message.device)
        sizes = self._gather_tensors(size, [1])
        messages = self._gather_tensors(message, [int(each) for each in sizes])
        return [pickle.loads(each.cpu().numpy().tobytes()) for each in messages]

    def _gather_tensors(self, tensor: Tensor, lengths: list[int]) -> list[Tensor]:
        """Return every process's tensor; there is one length for all of them, or one for each."""
        padded = tensor.new_zeros(max(lengths))
        padded[: len(tensor)] = tensor
        gathered = [torch.empty_like(padded) for _ in range(self.world_size)]
        self._run(lambda own, **options: dist.all_gather(gathered, own, **options), padded)
        lengths = lengths * (self.world_size // len(lengths))
        return [each[:length] for each, length in zip(gathered, lengths, strict=True)]

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0. It is pickled."""
        message = self._to_message(value if self.rank == 0 else None)
        size = torch.tensor([len(message)], dtype=torch.int64, device=message.device)
        self._run(dist.broadcast, size, src=0)
        if self.rank != 0:
            message = message.new_empty(int(size))
        self._run(dist.broadcast, message, src=0)
        return value if self.rank == 0 else pickle.loads(message.cpu().numpy().tobytes())

    def _to_message(self, value: Any) -> Tensor:
        message = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        return message.to(_device_of_messages())

    def _run(self, collective: Callable[..., Any], tensor: Tensor, **options: Any) -> None:
        """Run a collective of torch, and explain its errors. Every training step passes here."""
        if self._failure is not None:
            raise DistributedError(self._failure)  # any other work would wait for the pending one
        backend = self._watched_backends.get(tensor.device.type)
        try:
            work = collective(tensor, **options, async_op=True)
            if backend is None or self._heartbeats is None:
                work.wait()
                return
            stalled = self._heartbeats.wait(work)
        except RuntimeError as error:
            raise DistributedError(self._describe_loss(error)) from error
        if stalled:
            _keep_forever(backend)
            self._failure = self._describe_stalled(stalled)
            raise DistributedError(self._failure)

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

    def _describe_stalled(self, stalled: list[int]) -> str:
        heartbeats = self._heartbeats
        assert heartbeats is not None
        if heartbeats.is_store_silent and not heartbeats.rank_0_hosts_store:
            who = "the process that holds the store of this fit, for example torchrun's, does"
        else:
            named = " and ".join(f"rank {rank}{self._places[rank]}" for rank in stalled)
            who = f"{named} of the {self.world_size} processes that share this fit "
            who += "does" if len(stalled) == 1 else "do"
        return (
            f"{who} not respond, and has stalled: stopped (continue it with `kill -CONT`), "
            "suspended with its machine, or cut off from the network. A process that is busy "
            f"would have given a sign of life within the timeout of {heartbeats.timeout:g} "
            "seconds; raise timeout if it can be silent for longer. With checkpoint_dir set, the "
            "next fit resumes from the last checkpoint."
        )

    def _describe_loss(self, error: RuntimeError) -> str:
        """Describe the error that torch raises if a connection is closed or silent."""
        # One that notices a stalled process ends first, and so closes its own connections.
        silent = [] if self._heartbeats is None else self._heartbeats.silent_ranks()
        if silent:
            return self._describe_stalled(silent)
        return (
            f"rank {self.rank} of {self.world_size} lost the connection to another process "
            "of this fit, which ended or did not answer within the time limit. See the output "
            "of the others for the reason. With checkpoint_dir set, the next fit resumes from "
            f"the last checkpoint. torch.distributed says: {first_line(error)}"
        )


def gloo_backends() -> dict[str, Any]:
    """Return those parts of the default group that communicate by Gloo, by type of device.

    A wait for Gloo can be divided into short ones. One for NCCL cannot: the first that ends too
    early closes all connections.
    """
    group: Any = dist.group.WORLD
    backends = {
        device.type: group._get_backend(device) for device in map(torch.device, _device_types())
    }
    return {
        name: backend
        for name, backend in backends.items()
        if dist.is_gloo_available() and isinstance(backend, dist.ProcessGroupGloo)
    }


def _device_types() -> list[str]:
    group: Any = dist.group.WORLD
    return [device.type for device in group._device_types]


def _device_of_messages() -> str:
    return "cpu" if "cpu" in _device_types() else _device_types()[0]


def _keep_forever(backend: Any) -> None:
    """Never destroy a backend: its destructor would wait for the collective that is pending."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(backend))


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
