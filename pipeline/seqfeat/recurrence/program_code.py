"""Running many of the other functions in one call, as LLVM code.

A program is an array of int64, `ROW` of them for each call: the address of what calls
the function, then its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from seqfeat.recurrence.vector_code import INDEX, Value, VectorCode, index, loop

__all__ = ["ROW", "caller_name", "declare_program"]

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
