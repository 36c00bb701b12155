"""Where tensors live: one code path for the CPU and for CUDA. Torch only."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import DeviceError, DeviceWarning

__all__ = [
    "full_precision",
    "halving_on_out_of_memory",
    "inference_device",
    "is_out_of_memory",
    "mixed_precision",
    "n_cpu_threads",
    "resolve_device",
    "single_threaded",
    "to_device",
    "use_one_thread",
]

_lock = threading.Lock()
_full_precision: dict[str, Any] = {"users": 0, "flags": None}
_single_threaded = {"users": 0, "restore": 0}


class _OwnThread(threading.local):
    depth = 0
    """How often this thread is inside `single_threaded`."""


_own_thread = _OwnThread()

DEVICE_NAMES = "use 'auto', 'cpu', 'cuda' or 'cuda:N'"
OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""What the CPU's allocator, cuBLAS and pinning say, in a RuntimeError, when memory runs out."""


def resolve_device(device: str) -> torch.device:
    """Return the device that a name stands for, on this machine and now.

    Parameters
    ----------
    device : str
        ``"auto"`` is CUDA where there is one and else the CPU; any other value
        is torch's own name, such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    DeviceError
        If there is no such device.
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
        raise DeviceError(
            f"device={device!r} is not supported; use 'auto', 'cpu', 'cuda' or 'cuda:N'."
        )
    return resolved


def inference_device(device: str) -> torch.device:
    """Return the device that a fitted network runs on: the CPU where the named one is missing.

    A model that was fitted on CUDA has to open and predict anywhere.
    """
    try:
        return resolve_device(device)
    except DeviceError as error:
        if not device.startswith("cuda"):
            raise
        warnings.warn(f"{error} Until then the CPU does the work.", DeviceWarning, stacklevel=5)
        return torch.device("cpu")


def _require_cuda(name: str, device: torch.device) -> None:
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n_devices == 0:
        raise DeviceError(
            f"device={name!r}, but torch {torch.__version__} finds no CUDA device here. "
            "Use device='auto' or device='cpu'."
        )
    if device.index is not None and device.index >= n_devices:
        raise DeviceError(f"device={name!r}, but the {n_devices} CUDA devices are numbered from 0.")


def to_device(array: NDArray[np.generic] | Tensor, device: torch.device) -> Tensor:
    """Return `array` as a tensor on `device`; towards CUDA through pinned memory."""
    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a training step: bfloat16 products where CUDA has them.

    bfloat16 keeps float32's range, so that the loss needs no scaling.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run inference on CUDA without TF32 in cuDNN, so that devices agree.

    The flag is the process's own: the first of several threads sets it and the
    last one restores it.
    """
    if device.type != "cuda":
        yield
        return
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


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device ran out of memory, rather than something being wrong.

    CUDA's allocator has an error of its own; others raise a plain RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in OUT_OF_MEMORY)


@contextmanager
def halving_on_out_of_memory(halve: Callable[[], bool], device: torch.device) -> Iterator[None]:
    """Swallow an out-of-memory error if `halve` could make the batch smaller."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error) or not halve():
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()


def n_cpu_threads() -> int:
    """Return the number of threads that PyTorch may use, also within `single_threaded`."""
    return _single_threaded["restore"] if _own_thread.depth else torch.get_num_threads()


def use_one_thread() -> None:
    """Run torch's CPU operations of the calling thread, made for this, on itself.

    A new thread takes over the process's setting, which another fit that ends may
    have put back, so that it has to be made within `single_threaded` and call this.
    """
    torch.set_num_threads(1)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run torch's CPU operations on one thread each.

    How a sum is divided among threads changes its last bits, and training
    amplifies them: with one thread, a seed gives the same weights in the main
    process and in a joblib worker, on any number of cores. Side by side, fits
    then share the cores without over-subscribing them. The setting is partly the
    process's own and partly each thread's, so every thread brings back what the
    first one found.
    """
    # Asked for first in any case: a new thread takes over the process's setting when
    # it first looks, and would do so in the middle of its fit.
    found = torch.get_num_threads()
    with _lock:
        if _single_threaded["users"] == 0:
            _single_threaded["restore"] = found
        _single_threaded["users"] += 1
    _own_thread.depth += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _own_thread.depth -= 1
        with _lock:
            _single_threaded["users"] -= 1
            if _own_thread.depth == 0:
                torch.set_num_threads(_single_threaded["restore"])
