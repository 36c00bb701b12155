"""Devices, their memory and precision, and torch's threads on a CPU. Torch only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import DeviceError, DeviceWarning
from seqfeat.runtime.user_warnings import warn_user

__all__ = [
    "full_precision",
    "halving_on_out_of_memory",
    "inference_device",
    "is_out_of_memory",
    "mixed_precision",
    "n_cpu_threads",
    "outside_modes",
    "resolve_device",
    "single_threaded",
    "to_device",
    "use_one_thread",
]

_lock = threading.Lock()

# Devices

DEVICE_NAMES = "use 'auto', 'cpu', 'cuda' or 'cuda:N'"


def resolve_device(device: str) -> torch.device:
    """Return the device with a given name, if this machine has it.

    Parameters
    ----------
    device : str
        ``"auto"`` is CUDA if available and otherwise the CPU. Any other value is
        a device name of torch, such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    DeviceError
        If the name is not valid, or the device not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device={device!r} is not a device; {DEVICE_NAMES}.") from error
    if resolved.type == "cuda":
        _require_cuda(device, resolved)
    elif resolved.type != "cpu":
        raise DeviceError(f"device={device!r} is not supported; {DEVICE_NAMES}.")
    return resolved


def _require_cuda(name: str, device: torch.device) -> None:
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n_devices == 0:
        raise DeviceError(
            f"device={name!r}, but torch {torch.__version__} finds no CUDA device on this machine. "
            "Use device='auto' or device='cpu'."
        )
    if device.index is not None and device.index >= n_devices:
        raise DeviceError(
            f"device={name!r}, but there are only {n_devices} CUDA devices, numbered from 0."
        )


def inference_device(device: str) -> torch.device:
    """Return the device to run a fitted network on.

    A model that was fitted on CUDA can be used anywhere: without CUDA it runs on the CPU, with a
    warning.
    """
    try:
        return resolve_device(device)
    except DeviceError as error:
        if not device.startswith("cuda"):
            raise
        warn_user(f"{error} Until then, the model runs on the CPU.", DeviceWarning)
        return torch.device("cpu")


def to_device(array: NDArray[np.generic] | Tensor, device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; it is copied to CUDA from pinned memory."""
    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


# Modes and precision


@contextmanager
def outside_modes(device: torch.device) -> Iterator[None]:
    """Leave the modes of torch that the caller may be in: inference mode and autocast.

    Tensors made in inference mode cannot be trained, and autocast changes the dtype of results.
    Threads that start within this context are in no mode anyway.
    """
    with (
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
        torch.autocast(device.type, enabled=False),
    ):
        yield


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context for training: matrix products in bfloat16, where CUDA supports it.

    bfloat16 has the range of float32, so the loss need not be scaled.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


_full_precision: dict[str, Any] = {"users": 0, "flags": None}


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run inference without autocast and, on CUDA, without TF32 in cuDNN, so that devices agree.

    cuDNN's setting is global: the first of several threads changes it, the last one restores it.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type == "cuda":
            with _without_tf32():
                yield
        else:
            yield


@contextmanager
def _without_tf32() -> Iterator[None]:
    with _lock:
        if _full_precision["users"] == 0:
            _full_precision["flags"] = torch.backends.cudnn.flags(
                enabled=True, deterministic=True, allow_tf32=False
            )
            _full_precision["flags"].__enter__()
        _full_precision["users"] += 1
    try:
        yield
    finally:
        with _lock:
            _full_precision["users"] -= 1
            if _full_precision["users"] == 0:
                _full_precision["flags"].__exit__(None, None, None)


# Memory

OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""Parts of the RuntimeErrors that the CPU's allocator, cuBLAS and pinning raise."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device ran out of memory.

    Only CUDA's allocator raises `torch.OutOfMemoryError`; the others raise a RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY)


@contextmanager
def halving_on_out_of_memory(halve: Callable[[], bool], device: torch.device) -> Iterator[None]:
    """Suppress an out-of-memory error if `halve` could make the batch smaller."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error) or not halve():
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()


# Threads


class _OwnThread(threading.local):
    n_usable: int | None = None
    """Threads that work may be divided among in `single_threaded`; None outside of it."""


_own_thread = _OwnThread()
_single_threaded = {"users": 0, "restore": 0}


class single_threaded:
    """Run torch's CPU operations on the calling thread alone, in this context.

    The number of threads among which a sum is divided changes its last bits, and training
    amplifies them. On one thread, a seed gives the same weights in the main process and in a joblib
    worker, on any number of cores, and fits that run in parallel share the cores without
    oversubscribing them. A forked process needs it, too: it has none of OpenMP's threads, and
    would wait for them forever.

    torch's setting is partly global and partly a thread's own. Therefore every thread restores the
    number that the first one found. Within another `single_threaded`, torch's setting stays.

    Parameters
    ----------
    n_usable : int, optional
        What `n_cpu_threads` returns in this context; by default the number that torch used before.
    """

    # Embedding one series enters it, and a generator would take three times as long.

    def __init__(self, n_usable: int | None = None) -> None:
        self.n_usable = n_usable

    def __enter__(self) -> None:
        self.outer = found = _own_thread.n_usable
        if found is None:
            # Always asked for first: a new thread takes over the global setting when it first looks
            # at it, which could otherwise happen in the middle of a fit.
            found = torch.get_num_threads()
            with _lock:
                if _single_threaded["users"] == 0:
                    _single_threaded["restore"] = found
                _single_threaded["users"] += 1
        _own_thread.n_usable = found if self.n_usable is None else self.n_usable
        if self.outer is None:
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        _own_thread.n_usable = self.outer
        if self.outer is None:
            with _lock:
                _single_threaded["users"] -= 1
                torch.set_num_threads(_single_threaded["restore"])


def n_cpu_threads() -> int:
    """Return the number of threads that work may be divided among, torch's or our own.

    Outside of `single_threaded` it is torch's number.
    """
    n_usable = _own_thread.n_usable
    return torch.get_num_threads() if n_usable is None else n_usable


def use_one_thread() -> None:
    """Make a new worker thread run torch's CPU operations on itself, from now on.

    A new thread takes over the global setting, which the end of another fit may just have restored.
    Only within `single_threaded` may such a thread be started: this changes the global setting.
    """
    _own_thread.n_usable = 1
    torch.set_num_threads(1)
