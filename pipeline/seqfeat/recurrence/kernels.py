"""Compiling the LSTM for the CPU at hand, once in a process, in a quarter of a second."""

from __future__ import annotations

import ctypes
import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from seqfeat.recurrence.lstm_code import declare_backward, declare_forward
from seqfeat.recurrence.product_code import declare_products
from seqfeat.recurrence.vector_code import VectorCode

__all__ = ["Kernels", "compile_kernels", "kernels"]

POINTER_ARGUMENT, INDEX_ARGUMENT = ctypes.c_void_p, ctypes.c_int64


@dataclass(frozen=True)
class Kernels:
    """Compiled functions; their arguments are those that the modules of code name.

    They let go of Python's lock, and may run in many threads at once.
    """

    lanes: int
    """Floats in a vector."""
    forward: Callable[..., None]
    backward: Callable[..., None]
    product: Callable[..., None]
    product_of_panels: Callable[..., None]
    product_transposed: Callable[..., None]
    engine: Any
    """Owns the compiled code."""


def vector_shape(features: dict[str, bool]) -> tuple[int, int]:
    """Return a CPU's floats in a vector, and the registers that a tile may fill."""
    if features.get("avx512f"):
        return 16, 24
    if features.get("avx2") and features.get("fma"):
        return 8, 12
    # SSE, NEON and whatever else; 64-bit ARM has twice as many registers as x86.
    return 4, 24 if features.get("neon") else 12


def compile_kernels(lanes: int | None = None) -> Kernels:
    """Compile the functions for this CPU.

    Parameters
    ----------
    lanes : int, default=None
        Floats in a vector; None takes as many as the CPU's registers hold. Vectors
        of any other length work too.

    Returns
    -------
    Kernels
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    own_lanes, n_registers = vector_shape(features)
    lanes = lanes or own_lanes
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3
    )
    # No optimization passes: the code is written as it is to be, and they take three
    # times as long as all else.
    code = llvm.parse_assembly(_module(lanes, n_registers))
    engine = llvm.create_mcjit_compiler(code, machine)
    engine.finalize_object()

    def function(name: str, signature: str) -> Callable[..., None]:
        kinds = {"p": POINTER_ARGUMENT, "i": INDEX_ARGUMENT}
        prototype = ctypes.CFUNCTYPE(None, *(kinds[letter] for letter in signature))
        return prototype(engine.get_function_address(name))

    return Kernels(
        lanes=lanes,
        forward=function("lstm_forward", "piipiiipippippiiii"),
        backward=function("lstm_backward", "pppiippppppppippipiii"),
        product=function("product", "pipiiipipii"),
        product_of_panels=function("product_4", "pipiiiipipii"),
        product_transposed=function("product_transposed", "pipiiipipii"),
        engine=engine,
    )


def _module(lanes: int, n_registers: int) -> str:
    code = VectorCode(ir.Module(name="seqfeat"), lanes)
    products = declare_products(code, n_registers)
    declare_forward(code, products)
    declare_backward(code, products)
    return str(code.module)


@functools.cache
def kernels() -> Kernels | None:
    """Return this process's kernels, compiled on first use, or None where that fails."""
    try:
        return compile_kernels()
    except Exception as error:  # An llvmlite of another time fails in many ways.
        warnings.warn(
            "seqfeat[fast] could not be compiled for this CPU with llvmlite "
            f"{llvmlite.__version__} ({type(error).__name__}: {error}). PyTorch's own LSTM "
            "runs instead, which is slower and otherwise the same. Try pip install "
            "--upgrade 'seqfeat[fast]', or set SEQFEAT_FAST=0 not to see this again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
