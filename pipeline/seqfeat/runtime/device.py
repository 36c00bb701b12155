"""Devices, their memory and precision. Torch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import DeviceError, DeviceWarning
from seqfeat.runtime.float_precision import exact_float32
from seqfeat.runtime.user_warnings import warn_user

__all__ = [
    "exact",
    "exact_device",
    "full_precision",
    "halving_on_out_of_memory",
    "inference_device",
    "is_out_of_memory",
    "mixed_precision",
    "outside_modes",
    "resolve_device",
    "to_device",
    "untried_note",
]

# Devices

DEVICE_NAMES = "use 'auto', 'cpu', 'cuda', 'cuda:N', 'xpu' or 'mps'"
ACCELERATORS = ("cuda", "xpu", "mps")
"""Types of devices that ``device="auto"`` chooses if PyTorch finds one."""
TRIED = ("cpu", "cuda")
"""Types of devices on which seqfeat has been run. Add one here once its tests have passed on it."""


def resolve_device(device: str) -> torch.device:
    """Return the device with a given name, if this machine has it.

    Parameters
    ----------
    device : str
        ``"auto"`` is the accelerator that torch finds, CUDA, an Intel GPU (``"xpu"``) or an Apple
        GPU (``"mps"``), and otherwise the CPU. Any other value is a device name of torch, such as
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    DeviceError
        If the name is not valid, or the device not available.

    Warns
    -----
    DeviceWarning
        If ``"auto"`` is a device of a type on which seqfeat has never been run.
    """
    if device == "auto":
        found = _accelerator()
        if found not in TRIED:
            warn_user(f"device='auto' is {found!r} here. {untried_note(found)}", DeviceWarning)
        return torch.device(found)
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device={device!r} is not a device; {DEVICE_NAMES}.") from error
    if resolved.type in ACCELERATORS:
        _require(device, resolved)
    elif resolved.type != "cpu":
        raise DeviceError(f"device={device!r} is not supported; {DEVICE_NAMES}.")
    return resolved


def _accelerator() -> str:
    """Return the type of the accelerator that torch can use here, or ``"cpu"``."""
    # torch.accelerator may start CUDA, which a process that is forked later could not use.
    if torch.cuda.is_available():
        return "cuda"
    found = torch.accelerator.current_accelerator()
    if found is None or found.type not in ACCELERATORS or _count_devices(found.type) == 0:
        return "cpu"
    return found.type


def _count_devices(kind: str) -> int:
    """Return the number of devices of a type."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = torch.accelerator.current_accelerator()
    if found is None or found.type != kind or not torch.accelerator.is_available():
        return 0
    return torch.accelerator.device_count()


def _require(name: str, device: torch.device) -> None:
    kind, n_devices = device.type.upper(), _count_devices(device.type)
    if n_devices == 0:
        raise DeviceError(
            f"device={name!r}, but torch {torch.__version__} finds no {kind} device on this "
            "machine. Use device='auto' or device='cpu'."
        )
    if device.index is not None and device.index >= n_devices:
        raise DeviceError(
            f"device={name!r}, but there are only {n_devices} {kind} devices, numbered from 0."
        )


def untried_note(kind: str) -> str:
    """Return what to know about a type of device; empty for those on which seqfeat was run."""
    if kind.partition(":")[0] in TRIED:
        return ""
    return "seqfeat has never been run on one; device='cpu' is tried and tested."


def inference_device(device: str) -> torch.device:
    """Return the device to run a fitted network on.

    A model that was fitted on an accelerator can be used anywhere: without one it runs on the CPU,
    with a warning.
    """
    try:
        return resolve_device(device)
    except DeviceError as error:
        if not device.startswith(ACCELERATORS):
            raise
        warn_user(f"{error} Until then, the model runs on the CPU.", DeviceWarning)
        return torch.device("cpu")


def to_device(array: NDArray[np.generic] | Tensor, device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; it is copied to CUDA from pinned memory."""
    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def exact_device(device: torch.device) -> torch.device:
    """Return where float64 is computed for a device: the CPU if it has none, as Apple's GPUs."""
    if device.type == "mps":
        return torch.device("cpu")
    if device.type == "xpu" and not torch.xpu.get_device_properties(device).has_fp64:
        return torch.device("cpu")
    return device


def exact(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, on its `exact_device`."""
    return tensor.to(exact_device(tensor.device), torch.float64)


# Modes and precision


@contextmanager
def outside_modes(device: torch.device) -> Iterator[None]:
    """Leave what the caller may have set: inference mode, autocast, and less than float32.

    Tensors made in inference mode cannot be trained, and autocast changes the dtype of results.
    Threads that start within this context are in no mode anyway.
    """
    with (
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
        torch.autocast(device.type, enabled=False),
        exact_float32(),
    ):
        yield


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context for training: matrix products in bfloat16, where CUDA supports it.

    bfloat16 has the range of float32, so the loss need not be scaled.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run inference in float32 throughout, whatever the caller has set, so that devices agree."""
    with torch.autocast(device.type, enabled=False), exact_float32():
        yield


# Memory

OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "MPS backend out of memory",
)
"""Parts of the RuntimeErrors that the CPU's allocator, cuBLAS, pinning and MPS raise."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device ran out of memory.

    The allocators of CUDA and XPU raise `torch.OutOfMemoryError`, the others a RuntimeError.
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
        if device.type in ACCELERATORS:
            torch.get_device_module(device).empty_cache()
