"""Calls of every kernel with odd sizes, made from the kernels' declarations.

`CALLS` gives sizes; shapes and strides follow from them as in `seqfeat.nn.kernels.program`. Rows
that may be apart are, by a few elements. A kernel that is missing here fails a test.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from seqfeat.nn.kernels.ir.jit import KERNELS
from seqfeat.nn.kernels.ir.kernel import Array, Axis
from seqfeat.nn.kernels.program import DTYPES, contiguous_strides
from tests.nn.kernels.arrays import generator

GAP = 3
"""Elements between rows."""

WRONG_NUMBERS = [-(2**63), -5, 0, 99, 2**63 - 1]
"""Numbers of steps that no series has: whatever they are, kernels stay within their arrays."""


def sizes(names, *rows):
    """Return sizes by name, the same for all lengths of vectors."""
    return lambda lanes: [dict(zip(names.split(), row, strict=True)) for row in rows]


def pack_sizes(lanes):
    units = [(1, 1), (5, 3), (lanes + 1, 7), (3 * lanes, 2)]
    return [
        {
            "n_gates": 4,
            "n_units": n_units,
            "depth": depth,
            "padded_units": padded,
            "n_panels": padded // lanes,
            "padded_depth": depth + more,
            "width": 4 * lanes,
        }
        for n_units, depth in units
        for padded in [-(-n_units // lanes) * lanes]
        for more in (0, 3)
    ]


def backward_sizes(lanes):
    return [
        {
            "n_steps": n_steps,
            "n_series": n_series,
            "n_vectors": units,
            "n_input_vectors": inputs,
            "n_d_input_vectors": d_inputs,
            "n_sums": n_sums,
            "n_zeros": lanes * max(units, inputs, d_inputs),
        }
        for n_steps, n_series, units, inputs, d_inputs, n_sums in [
            (1, 1, 1, 1, 1, 1),
            (3, 5, 2, 1, 0, 5),
            (9, 7, 3, 0, 2, 1),
            # More rows than become gradients together.
            (11, 13, 1, 3, 1, 13),
            (2, 67, 1, 1, 1, 1),
        ]
    ]


def window_sizes(lanes):
    return [
        {
            "n_series": n_series,
            "n_timesteps": n_timesteps,
            "n_channels": n_channels,
            "window_len": length,
            "window_stride": stride,
            # With one more than the series has.
            "n_windows": 2 + max(n_timesteps - length, 0) // stride,
            "n_vectors": -(-length * n_channels // lanes),
        }
        for n_series, n_timesteps, n_channels, length, stride in [
            (1, 1, 1, 1, 1),
            (3, 11, 5, 3, 3),
            (5, 20, 1, 6, 2),
            (2, 4, 3, 7, 3),
        ]
    ]


def patch_sizes(lanes):
    return [
        {
            "n_series": n_series,
            "n_timesteps": n_timesteps,
            "n_channels": n_channels,
            "patch_len": patch_len,
            "n_patches": -(-n_timesteps // patch_len),
            "n_vectors": -(-patch_len * n_channels // lanes),
        }
        for n_series, n_timesteps, n_channels, patch_len in [
            (1, 1, 1, 1),
            (3, 11, 5, 3),
            (5, 20, 1, 6),
            (2, 4, 3, 7),
            # A whole vector of any length.
            (2, 32, 1, 16),
        ]
    ]


PRODUCTS = [(1, 1, 1), (5, 3, 2), (7, 9, 3), (13, 5, 5), (29, 2, 7), (6, 4, 4), (3, 1, 0)]
SEQUENCES = [(1, 1, 1), (7, 5, 2), (9, 3, 3)]
SERIES = [(1, 1, 1), (3, 7, 5), (5, 40, 1)]
ROWS = [(1, 1), (4, 5), (3, 16), (7, 37)]
BLOCKS = [(1, 1), (5, 3), (3, 7)]

product = sizes("n_rows depth n_vectors", *PRODUCTS)
forward = sizes("n_steps n_series depth n_vectors", (1, 1, 1, 1), (3, 5, 2, 2), (9, 13, 7, 5))
sequences = sizes("n_steps n_series n_vectors", *SEQUENCES)
series = sizes("n_series n_timesteps n_channels", *SERIES)
rows = sizes("n_rows n_columns", *ROWS)
blocks = sizes("n_blocks n_vectors", *BLOCKS)
vectors = sizes("n_vectors", (1,), (3,), (7,))

# Sizes of a kernel's calls, and the arrays that it writes to.
CALLS = {
    "product": (product, "result"),
    "product_transposed": (product, "result"),
    "product_float64": (product, "result"),
    "product_of_panels_4": (sizes("n_rows depth n_panels", *PRODUCTS), "result"),
    "pack": (pack_sizes, "panels"),
    "lstm_forward": (forward, "gates outputs cells"),
    "lstm_backward": (
        backward_sizes,
        "gates d_bias d_hidden_weights d_input_weights d_inputs d_hidden d_cells",
    ),
    "pool_statistics": (sequences, "pooled"),
    "pool_mean": (sequences, "pooled"),
    "pool_max": (sequences, "pooled"),
    "pool_statistics_backward": (sequences, "scratch d_outputs"),
    "pool_mean_backward": (sequences, "scratch d_outputs"),
    "pool_max_backward": (sequences, "scratch d_outputs"),
    "pool_above": (sequences, "stretches pooled"),
    "standardize_series": (series, "result"),
    "add": (blocks, "result"),
    "subtract": (blocks, "result"),
    "multiply": (blocks, "result"),
    "copy_rows": (rows, "target"),
    "add_rows": (rows, "target"),
    "add_rows_and_square": (rows, "target squares"),
    "square_sums": (vectors, "result"),
    "column_sums": (sizes("n_blocks n_rows n_vectors", *PRODUCTS), "result"),
    "scale": (series, "result largest"),
    "float32_to_float64": (vectors, "result"),
    "float64_to_float32": (rows, "result"),
    "count_windows": (
        sizes("n_series window_len window_stride", (1, 1, 1), (13, 4, 3)),
        "result",
    ),
    "cut_windows": (window_sizes, "result"),
    "join_patches": (patch_sizes, "result"),
    "gather_last_steps": (sequences, "result"),
    "scatter_last_steps": (sequences, "result"),
    "reverse_steps": (sequences, "result"),
    "adamw": (
        sizes("n_values", (1,), (7,), (17,), (64,), (101,)),
        "weights means squares",
    ),
}

# Rows that repeat: a bias, time features, and states of which only the last is kept.
REPEATED = {
    "product": [{"start_row": 0}],
    "lstm_forward": [
        {"start_step": 0, "start_row": 0, "inputs_row": 0},
        {"gates_step": 0, "cells_step": 0},
    ],
}


# Arrays that nobody reads to the end: the last state of the cells has no part in a gradient, and
# that of a mean does not depend on what it is the mean of.
READ_IN_PART = {
    ("lstm_backward", "cells"),
    ("pool_mean_backward", "outputs"),
    ("pool_mean_backward", "pooled"),
}


def written(name):
    """Return the names of the arrays that a kernel writes to."""
    return set(CALLS[name][1].split())


@dataclass(frozen=True)
class Layout:
    """Where an array lies: `extent` elements from the first to the last."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self):
        if 0 in self.shape:
            return 0
        reach = ((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return 1 + sum(reach)

    def positions(self):
        """Return those of all elements, counted from the first."""
        axes = torch.meshgrid(*map(torch.arange, self.shape), indexing="ij")
        found = torch.zeros(self.shape, dtype=torch.int64)
        for axis, stride in zip(axes, self.strides, strict=True):
            found += axis * stride
        return found.flatten()


@dataclass(frozen=True)
class Call:
    """One call of a kernel."""

    kernel: str
    lanes: int
    sizes: dict[str, int]
    strides: dict[str, int]
    are_numbers_wrong: bool = False

    def layouts(self) -> Iterator[tuple[str, Layout]]:
        """Yield the arrays' names and layouts."""
        constants = {"lanes": self.lanes, "double_lanes": self.lanes // 2}
        for name, array in KERNELS[self.kernel].parameters.items():
            if not isinstance(array, Array):
                continue
            axes = [Axis.parse(expression, constants) for expression in array.shape]
            shape = tuple(
                factor * self.sizes.get(symbol, 0) + offset for symbol, factor, offset in axes
            )
            strides = list(contiguous_strides(shape))
            for axis in reversed(range(len(array.strides))):
                follows = strides[axis + 1] * shape[axis + 1] if axis + 1 < len(shape) else 1
                strides[axis] = self.strides.get(array.strides[axis], follows + GAP)
            yield name, Layout(DTYPES[array.dtype], shape, tuple(strides))

    def contents(self, layout: Layout, n_more: int, seed: int) -> torch.Tensor:
        """Return numbers for an array, the gaps in it and `n_more` elements around it."""
        size, source = layout.extent + n_more, generator(seed)
        if layout.dtype is not torch.int64:
            return torch.rand(size, generator=source).to(layout.dtype)
        if self.are_numbers_wrong:
            return torch.tensor(list(itertools.islice(itertools.cycle(WRONG_NUMBERS), size)))
        longest = self.sizes.get("n_steps", self.sizes.get("n_timesteps", 40))
        return torch.randint(1, longest + 1, (size,), generator=source)

    def arguments(self, addresses: dict[str, int]) -> list[int]:
        """Return what the compiled function takes."""
        known = {**self.sizes, **addresses}
        for name, layout in self.layouts():
            named = KERNELS[self.kernel].parameters[name].strides
            known.update(zip(named, layout.strides, strict=False))
        return [known[argument.name] for argument in KERNELS[self.kernel].signature]


def calls_of(name: str, lanes: int) -> list[Call]:
    """Return the calls of a kernel."""
    calls = [Call(name, lanes, one, {}) for one in CALLS[name][0](lanes)]
    calls += [
        replace(call, strides=strides) for strides in REPEATED.get(name, []) for call in calls
    ]
    if any(layout.dtype is torch.int64 for _, layout in calls[0].layouts()):
        calls += [replace(call, are_numbers_wrong=True) for call in calls]
    return calls
