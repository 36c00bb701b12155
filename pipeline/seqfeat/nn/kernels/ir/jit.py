"""Compiling the LSTM for the CPU at hand, once in a process, in a quarter of a second."""

from __future__ import annotations

import ctypes
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from seqfeat.nn.kernels.ir.adamw import declare_adamw
from seqfeat.nn.kernels.ir.elementwise import declare_between, declare_exact
from seqfeat.nn.kernels.ir.lstm import declare_backward, declare_forward
from seqfeat.nn.kernels.ir.matmul import declare_exact_product, declare_packing, declare_products
from seqfeat.nn.kernels.ir.pooling import declare_statistics
from seqfeat.nn.kernels.ir.vectors import INDEX, Value, VectorCode, index, loop
from seqfeat.nn.pooling import LEAST_VARIANCE
from seqfeat.series.scaling import LARGEST_SCALED

__all__ = ["ROW", "Kernels", "caller_name", "compile_kernels", "declare_program", "kernels"]

POINTER_ARGUMENT, INDEX_ARGUMENT = ctypes.c_void_p, ctypes.c_int64


@dataclass(frozen=True)
class Kernels:
    """Compiled functions; their arguments are those that the modules of code name.

    They let go of Python's lock, and may run in many threads at once.
    """

    lanes: int
    """Floats in a vector."""
    double_lanes: int
    """Numbers in a vector of float64."""
    forward: Callable[..., None]
    backward: Callable[..., None]
    product: Callable[..., None]
    product_of_panels: Callable[..., None]
    product_transposed: Callable[..., None]
    run_program: Callable[..., None]
    callers: Mapping[str, int]
    """Addresses of what a program calls, by the functions' names."""
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
    module, names = _module(lanes, n_registers)
    code = llvm.parse_assembly(module)
    engine = llvm.create_mcjit_compiler(code, machine)
    engine.finalize_object()

    def function(name: str, signature: str) -> Callable[..., None]:
        kinds = {"p": POINTER_ARGUMENT, "i": INDEX_ARGUMENT}
        prototype = ctypes.CFUNCTYPE(None, *(kinds[letter] for letter in signature))
        return prototype(engine.get_function_address(name))

    return Kernels(
        lanes=lanes,
        double_lanes=lanes // 2,
        forward=function("lstm_forward", "piipiiipippippiiii"),
        backward=function("lstm_backward", "pppiipppippppippiiii"),
        product=function("product", "pipiiipipii"),
        product_of_panels=function("product_4", "pipiiiipipii"),
        product_transposed=function("product_transposed", "pipiiipipii"),
        run_program=function("run_program", "pi"),
        callers={name: engine.get_function_address(caller_name(name)) for name in names},
        engine=engine,
    )


def _module(lanes: int, n_registers: int) -> tuple[str, list[str]]:
    """Return the code, and the names of what programs may call."""
    code = VectorCode(ir.Module(name="seqfeat"), lanes)
    products = declare_products(code, n_registers)
    functions = [
        *products,
        declare_forward(code, products),
        declare_backward(code, products),
        *declare_between(code),
        *declare_statistics(code, LEAST_VARIANCE),
        declare_adamw(code),
        declare_packing(code),
        declare_exact_product(code, n_registers),
        *declare_exact(code, LARGEST_SCALED),
    ]
    declare_program(code, functions)
    return str(code.module), [function.name for function in functions]


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


ROW = 24
"""Numbers of a call: its function and at most 23 arguments."""
NUMBERS = INDEX.as_pointer()
CALLER = ir.FunctionType(ir.VoidType(), [NUMBERS])


def caller_name(name: str) -> str:
    """Return the name of what calls a function with arguments from an array."""
    return f"call_{name}"


def declare_program(code: VectorCode, functions: Iterable[Any]) -> None:
    """Write ``run_program``, with arguments ``program, n_calls``, and what it calls."""
    for function in functions:
        declare_caller(code, function)
    signature = ir.FunctionType(ir.VoidType(), [NUMBERS, INDEX])
    run = ir.Function(code.module, signature, "run_program")
    program, n_calls = run.args
    builder = ir.IRBuilder(run.append_basic_block())

    def one_call(number: Value) -> None:
        row = builder.gep(program, [builder.mul(number, index(ROW))], source_etype=INDEX)
        address = builder.load(row, align=8, typ=INDEX)
        caller = builder.inttoptr(address, CALLER.as_pointer())
        builder.call(caller, [builder.gep(row, [index(1)], source_etype=INDEX)])

    loop(builder, n_calls, one_call)
    builder.ret_void()


def declare_caller(code: VectorCode, function: Any) -> None:
    """Write what calls a function with arguments from an array of int64."""
    caller = ir.Function(code.module, CALLER, caller_name(function.name))
    builder = ir.IRBuilder(caller.append_basic_block())
    arguments = []
    for number, argument in enumerate(function.args):
        place = builder.gep(caller.args[0], [index(number)], source_etype=INDEX)
        value = builder.load(place, align=8, typ=INDEX)
        is_pointer = isinstance(argument.type, ir.PointerType)
        arguments.append(builder.inttoptr(value, argument.type) if is_pointer else value)
    builder.call(function, arguments)
    builder.ret_void()
