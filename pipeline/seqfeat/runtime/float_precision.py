"""float32 throughout, whatever the caller has set for the whole process. Torch only.

torch may replace float32 within matrix products and LSTM layers by TF32 on CUDA and by bfloat16 on
a CPU, by settings that belong to the process, not to a thread. The first thread that needs float32
changes them, and the last one restores them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from seqfeat.runtime.fork_safety import ForkSafeLock

__all__ = ["exact_float32"]

_lock = ForkSafeLock()


def _settings() -> list[tuple[Any, str, Any]]:
    """Return objects, names of their settings, and the values that mean float32."""
    backends: Any = torch.backends
    cudnn = backends.cudnn
    found: list[tuple[Any, str, Any]] = [(cudnn, "deterministic", True)]
    if not hasattr(cudnn, "rnn"):  # before PyTorch 2.9
        return [*found, (cudnn, "allow_tf32", False), (_MatmulPrecision(), "precision", "highest")]
    owners = (
        *(backends.mkldnn.matmul, backends.mkldnn.rnn),
        # cuDNN's settings for its two kinds of layers have to agree, or torch raises an error.
        *(backends.cuda.matmul, cudnn.rnn, cudnn.conv),
    )
    return [*found, *((owner, "fp32_precision", "ieee") for owner in owners)]


class _MatmulPrecision:
    """The setting of an older PyTorch as an attribute."""

    @property
    def precision(self) -> str:
        return torch.get_float32_matmul_precision()

    @precision.setter
    def precision(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


class _OwnThread(threading.local):
    depth = 0
    """Contexts of this thread."""


_own_thread = _OwnThread()
_process: dict[str, Any] = {"depth": 0, "restore": []}
"""Contexts of all threads, and what the last one restores."""


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute in float32 in this context; outside of it, the caller's settings hold."""
    with _lock:
        if _process["depth"] == 0:
            settings = _settings()
            _process["restore"] = [
                (owner, name, getattr(owner, name)) for owner, name, _ in settings
            ]
            _apply(settings)
        _process["depth"] += 1
        _own_thread.depth += 1
    try:
        yield
    finally:
        with _lock:
            _own_thread.depth -= 1
            _process["depth"] -= 1
            if _process["depth"] == 0:
                _apply(_process["restore"])


def _apply(settings: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in settings:
        setattr(owner, name, value)


def _forget_other_threads() -> None:
    """In a forked process, leave the contexts of the threads that were not copied."""
    if _process["depth"] > _own_thread.depth == 0:
        _apply(_process["restore"])
    _process["depth"] = _own_thread.depth


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
