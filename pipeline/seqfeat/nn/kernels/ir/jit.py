"""Compiling the kernels for the CPU at hand, once in a process, in a quarter of a second.

The environment has a say:

- ``SEQFEAT_FAST=0``: nothing is compiled, and PyTorch does the work
- ``SEQFEAT_VECTOR_LANES=4``: float32 numbers in a vector (4, 8 or 16) instead of the CPU's own
- ``SEQFEAT_PRINT_IR=1``, ``SEQFEAT_PRINT_ASM=1``: print what was compiled to standard error
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from seqfeat.nn.kernels.ir import (
    adamw,
    elementwise,
    lstm,
    matmul,
    pooling,
    reservoir,
    sequences,
)
from seqfeat.nn.kernels.ir.kernel import Kernel
from seqfeat.nn.kernels.ir.vectors import INDEX, Value, VectorCode, index, loop
from seqfeat.runtime.user_warnings import warn_user

__all__ = ["KERNELS", "ROW_SIZE", "CompiledKernels", "compile_kernels", "compiled_kernels"]

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for module in (matmul, lstm, pooling, reservoir, elementwise, sequences, adamw)
    for kernel in module.KERNELS
}
"""All kernels that can be called from Python, by name."""

ROW_SIZE = 1 + max(len(kernel.signature) for kernel in KERNELS.values())
"""Integers in one call of a program: the address of the kernel's trampoline, and its arguments."""

NUMBERS = INDEX.as_pointer()
TRAMPOLINE = ir.FunctionType(ir.VoidType(), [NUMBERS])


@dataclass(frozen=True)
class CompiledKernels:
    """Compiled functions. They release Python's lock, and may run in many threads at once.

    Attributes
    ----------
    lanes, double_lanes : int
        Numbers in a vector of float32 and of float64.
    functions : mapping of str to callable
        The kernels by name, unchecked: `seqfeat.nn.kernels.program` checks their arguments.
    trampolines : mapping of str to int
        Addresses of what calls each kernel with a row of integers.
    run_program : callable
        Runs a table of such rows: its address, and the number of rows.
    engine : llvmlite.binding.ExecutionEngine
        Owns the compiled code.
    """

    lanes: int
    double_lanes: int
    functions: Mapping[str, Callable[..., None]]
    trampolines: Mapping[str, int]
    run_program: Callable[..., None]
    engine: Any


@functools.cache
def compiled_kernels() -> CompiledKernels | None:
    """Return this process's kernels, compiled on first use, or None where that fails."""
    try:
        return compile_kernels(_lanes_from_environment())
    except Exception as error:  # An llvmlite of another time fails in many ways.
        warn_user(
            "seqfeat[fast] could not be compiled for this CPU with llvmlite "
            f"{llvmlite.__version__} ({type(error).__name__}: {error}). PyTorch runs the network "
            "instead: slower, with the same results up to rounding. Try pip install --upgrade "
            "'seqfeat[fast]', or set SEQFEAT_FAST=0 to silence this warning.",
            RuntimeWarning,
        )
        return None


def _lanes_from_environment() -> int | None:
    value = os.environ.get("SEQFEAT_VECTOR_LANES")
    if value not in (None, "", "4", "8", "16"):
        raise ValueError(f"SEQFEAT_VECTOR_LANES={value!r}; set it to 4, 8 or 16, or unset it")
    return int(value) if value else None


def compile_kernels(lanes: int | None = None) -> CompiledKernels:
    """Compile the kernels for this CPU.

    Parameters
    ----------
    lanes : int, default=None
        Number of float32 in a vector; None takes what fills the CPU's registers. Other powers
        of two from 4 on work, too, if more slowly.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    own_lanes, n_registers = vector_shape(features)
    lanes = lanes or own_lanes
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3
    )
    # No optimization passes: the code is written as it should be, and they would take three times
    # as long as everything else.
    code = _write_module(lanes, n_registers)
    module = llvm.parse_assembly(code)
    if os.environ.get("SEQFEAT_PRINT_IR") == "1":
        print(code, file=sys.stderr)
    if os.environ.get("SEQFEAT_PRINT_ASM") == "1":
        print(machine.emit_assembly(module), file=sys.stderr)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return CompiledKernels(
        lanes=lanes,
        double_lanes=lanes // 2,
        functions={
            name: _prototype(kernel)(engine.get_function_address(name))
            for name, kernel in KERNELS.items()
        },
        trampolines={name: engine.get_function_address(_trampoline_name(name)) for name in KERNELS},
        run_program=ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
            engine.get_function_address("run_program")
        ),
        engine=engine,
    )


def vector_shape(features: Mapping[str, bool]) -> tuple[int, int]:
    """Return a CPU's number of float32 in a vector, and the registers that a tile may fill."""
    if features.get("avx512f"):
        return 16, 24
    if features.get("avx2") and features.get("fma"):
        return 8, 12
    # SSE, NEON and everything else; 64-bit ARM has twice as many registers as x86.
    return 4, 24 if features.get("neon") else 12


def _prototype(kernel: Kernel) -> Any:
    """Return the ctypes prototype that a kernel's signature makes."""
    kinds = [
        ctypes.c_void_p if argument.is_pointer else ctypes.c_int64 for argument in kernel.signature
    ]
    return ctypes.CFUNCTYPE(None, *kinds)


def _write_module(lanes: int, n_registers: int) -> str:
    """Return the module's code: the kernels, their trampolines, and ``run_program``."""
    code = VectorCode(ir.Module(name="seqfeat"), lanes)
    matmul.write_matmul(code, n_registers)
    lstm.write_lstm(code)
    pooling.write_pooling(code)
    reservoir.write_reservoir(code)
    elementwise.write_elementwise(code)
    sequences.write_sequences(code)
    adamw.write_adamw(code)
    for kernel in KERNELS.values():
        _write_trampoline(code, kernel)
    _write_run_program(code)
    return str(code.module)


def _trampoline_name(name: str) -> str:
    return f"call_{name}"


def _write_trampoline(code: VectorCode, kernel: Kernel) -> None:
    """Write what calls a kernel with arguments from an array of int64."""
    trampoline = ir.Function(code.module, TRAMPOLINE, _trampoline_name(kernel.name))
    builder = ir.IRBuilder(trampoline.append_basic_block())
    function, arguments = code.module.get_global(kernel.name), {}
    for number, argument in enumerate(kernel.signature):
        address = builder.gep(trampoline.args[0], [index(number)], source_etype=INDEX)
        value = builder.load(address, align=8, typ=INDEX)
        if argument.is_pointer:
            value = builder.inttoptr(value, function.args[number].type)
        arguments[argument.name] = value
    kernel.emit_call(code, builder, **arguments)
    builder.ret_void()


def _write_run_program(code: VectorCode) -> None:
    """Write ``run_program(table, n_calls)``, which makes one call for each row of a table."""
    function_type = ir.FunctionType(ir.VoidType(), [NUMBERS, INDEX])
    function = ir.Function(code.module, function_type, "run_program")
    table, n_calls = function.args
    builder = ir.IRBuilder(function.append_basic_block())

    def one_call(number: Value) -> None:
        row = builder.gep(table, [builder.mul(number, index(ROW_SIZE))], source_etype=INDEX)
        address = builder.load(row, align=8, typ=INDEX)
        trampoline = builder.inttoptr(address, TRAMPOLINE.as_pointer())
        builder.call(trampoline, [builder.gep(row, [index(1)], source_etype=INDEX)])

    loop(builder, n_calls, one_call)
    builder.ret_void()
