"""The kernels with vectors of any length, compiled once for all tests of a process."""

from functools import cache

from seqfeat.nn.kernels.ir.jit import compile_kernels

compiled_kernels = cache(compile_kernels)
