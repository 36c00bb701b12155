"""The kernels as LLVM code. Imported when a network is first compiled, as it needs llvmlite.

- `vectors`: loops, loads, stores and arithmetic of vectors
- `kernel`: the declaration of a kernel: named, typed parameters
- `matmul`, `lstm`, `pooling`, `elementwise`, `sequences`, `adamw`: the kernels
- `jit`: compiles them for the CPU at hand
"""
