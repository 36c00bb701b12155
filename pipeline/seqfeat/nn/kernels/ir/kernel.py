"""The declaration of a kernel: its parameters, named and typed, and the signature that follows.

A `Kernel` is declared once, at the top of the file that writes its code::

    SCALE_ROWS = Kernel(
        "scale_rows",
        x=floats("n_rows", "n_vectors * lanes", strides=["x_row"]),
        factors=floats("n_rows"),
    )

From this follow the LLVM signature (`Kernel.begin`), the ctypes prototype and the conversion of
a program's row of integers (both in `jit`), and the check of a call from Python
(`seqfeat.nn.kernels.program.bind`). Nothing else writes down the order of the arguments.

An array is a pointer to its first element. Its shape is given in symbols, which become arguments
of the kernel themselves: they are read off the arrays that are passed, and every array has to agree
on them. A stride that has a name is an argument, too, and is counted in elements; axes without a
named stride are contiguous, in C order. An axis is a sum or product such as ``"n_steps + 1"`` or
``"4 * n_vectors * lanes"``, with at most one symbol; `lanes` is the number of float32 in a vector
and `double_lanes` that of float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

from llvmlite import ir

from seqfeat.nn.kernels.ir.vectors import INDEX, POINTER, Builder, Value, VectorCode

__all__ = ["Argument", "Array", "Axis", "Kernel", "Size", "doubles", "floats", "indices"]


class Axis(NamedTuple):
    """The size of an axis, ``factor * symbol + offset``; without a symbol it is the offset."""

    symbol: str | None
    factor: int
    offset: int

    @classmethod
    def parse(cls, expression: str, constants: Mapping[str, int]) -> Axis:
        """Read an expression such as ``"4 * n_vectors * lanes"``."""
        product, _, offset = expression.partition("+")
        symbol, factor = None, 1
        for name in map(str.strip, product.split("*")):
            if name.isdigit():
                factor *= int(name)
            elif name in constants:
                factor *= constants[name]
            else:
                symbol = name
        added = int(offset or 0)
        return cls(symbol, factor, added) if symbol else cls(None, 0, factor + added)


@dataclass(frozen=True)
class Array:
    """An array parameter: a pointer, and whatever of its shape and strides has a name."""

    dtype: str
    shape: tuple[str, ...]
    strides: tuple[str, ...] = ()
    """Names of the strides of the first axes; the other axes are contiguous."""

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(self.shape)})"


@dataclass(frozen=True)
class Size:
    """A number that no array's shape gives away, at least 0."""

    def __str__(self) -> str:
        return "int"


def floats(*shape: str, strides: Sequence[str] = ()) -> Array:
    """Declare an array of float32."""
    return Array("float32", shape, tuple(strides))


def doubles(*shape: str, strides: Sequence[str] = ()) -> Array:
    """Declare an array of float64."""
    return Array("float64", shape, tuple(strides))


def indices(*shape: str) -> Array:
    """Declare an array of int64."""
    return Array("int64", shape)


class Argument(NamedTuple):
    """One argument of the compiled function."""

    name: str
    is_pointer: bool


class Kernel:
    """A kernel's name and parameters.

    Parameters
    ----------
    name : str
        Name of the compiled function.
    requires : str
        Expressions in the sizes, `lanes` and `double_lanes` that must hold beyond what the shapes
        say, such as ``"n_zeros >= n_columns"``.
    parameters : Array or Size
        The parameters, in the order of the arguments.
    """

    def __init__(self, name: str, /, *requires: str, **parameters: Array | Size) -> None:
        self.name, self.parameters = name, parameters
        self.requires = {one: compile(one, f"<{name}>", "eval") for one in requires}
        self.signature = list(self._signature())
        """Arguments of the compiled function: pointers each followed by its named strides,
        then the sizes in the order in which they first occur."""

    def _signature(self) -> Iterator[Argument]:
        sizes: dict[str, None] = {}
        strides: dict[str, None] = {}
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Size):
                sizes[name] = None
                continue
            yield Argument(name, True)
            for stride in parameter.strides:
                # Arrays that share a stride's name have the same stride.
                if stride not in strides:
                    yield Argument(stride, False)
                strides[stride] = None
            for expression in parameter.shape:
                symbol = Axis.parse(expression, {"lanes": 1, "double_lanes": 1}).symbol
                if symbol is not None:
                    sizes[symbol] = None
        yield from (Argument(size, False) for size in sizes)

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}: {one}" for name, one in self.parameters.items())
        return f"{self.name}({parameters})"

    def begin(self, code: VectorCode) -> tuple[Builder, Any]:
        """Start the function in a module; return its builder, and its arguments by name."""
        kinds = [POINTER if argument.is_pointer else INDEX for argument in self.signature]
        function = ir.Function(code.module, ir.FunctionType(ir.VoidType(), kinds), self.name)
        for argument, value in zip(self.signature, function.args, strict=True):
            value.name = argument.name
        arguments = {value.name: value for value in function.args}
        return ir.IRBuilder(function.append_basic_block()), SimpleNamespace(**arguments)

    def emit_call(self, code: VectorCode, builder: Builder, **values: Value) -> None:
        """Write a call of the function from another one in the same module."""
        names = [argument.name for argument in self.signature]
        if set(names) != set(values):
            raise TypeError(f"{self.name} takes {names}, not {list(values)}")
        builder.call(code.module.get_global(self.name), [values[name] for name in names])
