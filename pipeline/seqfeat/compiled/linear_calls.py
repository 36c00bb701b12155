"""A linear map's calls of the kernels in a program, forward and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqfeat.compiled.layer_calls import Copy, place_of
from seqfeat.recurrence.kernels import Kernels
from seqfeat.recurrence.program import Memory, Place, Program, rounded_up

__all__ = ["ExactWeights", "LinearCalls", "LinearGradients", "LinearWeights"]


class LinearWeights:
    """A linear map's weights as its calls take them; `program` brings them up to date.

    Its inputs are `n_groups` times the same parts, each of which lies in whole vectors.
    """

    def __init__(
        self, linear: nn.Linear, part_dims: Sequence[int], n_groups: int, kernels: Kernels
    ) -> None:
        lanes = kernels.lanes
        weight, bias = linear.weight.detach(), linear.bias.detach()
        self.output_dim = len(weight)
        self.part_dims, self.n_groups = part_dims, n_groups
        self.filled_dims = [rounded_up(dim, lanes) for dim in part_dims]
        self.width = rounded_up(self.output_dim, lanes)
        self.depth = n_groups * sum(self.filled_dims)
        self.program = Program(kernels)
        self.rows = weight
        if weight.shape[1] != self.depth:
            self.rows = torch.zeros(self.output_dim, self.depth)
            for own, filled in self.parts(weight, self.rows):
                self.program.copy(filled, own)
        self.transposed, self.bias = torch.zeros(self.depth, self.width), torch.zeros(self.width)
        sizes = 1, self.output_dim, self.depth, self.output_dim
        into = self.transposed.data_ptr(), self.depth, self.width
        self.program.call("pack", self.rows.data_ptr(), *sizes, *into)
        self.program.copy(self.bias[: self.output_dim], bias)

    def parts(self, own: Tensor, filled: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each part of the columns of (N, K), without and with what fills it up."""
        own = own.view(self.output_dim, self.n_groups, -1)
        filled = filled.view(self.output_dim, self.n_groups, -1)
        starts = 0, 0
        for dim, filled_dim in zip(self.part_dims, self.filled_dims, strict=True):
            first, second = starts
            yield own[:, :, first : first + dim], filled[:, :, second : second + dim]
            starts = first + dim, second + filled_dim


class ExactWeights:
    """The same in float64, for a product that leaves no rounding to float32."""

    def __init__(self, weights: LinearWeights) -> None:
        self.weights, self.depth = weights, weights.depth
        self.lanes = weights.program.kernels.double_lanes
        self.width = rounded_up(weights.output_dim, self.lanes)
        self.transposed = torch.zeros(self.depth, self.width, dtype=torch.float64)
        self.bias = torch.zeros(self.width, dtype=torch.float64)

    def refresh(self) -> None:
        """Take over what they are now."""
        output_dim = self.weights.output_dim
        self.transposed[:, :output_dim] = self.weights.rows.T
        self.bias[:output_dim] = self.weights.bias[:output_dim]


class LinearGradients:
    """Where a linear map's calls put the gradients of its weights, in whole vectors.

    Parameters are as for a layer's.
    """

    def __init__(self, weights: LinearWeights, into: tuple[Tensor, ...], is_first: bool) -> None:
        self.weights, self.into = weights, into
        weight, bias = into if is_first else (None, None)
        self.rows = place_of(weight, weights.output_dim, weights.depth)
        self.bias = place_of(bias, weights.width)

    def copies(self) -> Iterator[Copy]:
        """Yield what brings them into those of the parameters."""
        d_weight, d_bias = self.into
        yield from self.weights.parts(d_weight, self.rows)
        yield d_bias, self.bias[: self.weights.output_dim]


class LinearCalls:
    """A linear map's share of a program. Shape: (rows, K) -> (rows, N), in whole vectors."""

    def __init__(self, memory: Memory, gradients: LinearGradients) -> None:
        self.memory, self.gradients, self.weights = memory, gradients, gradients.weights

    def forward(self, program: Program, inputs: Place) -> Place:
        """Add the call that writes the outputs, and return where."""
        weights = self.weights
        self.inputs, self.n_rows = inputs, inputs.n_floats // weights.depth
        outputs = self.memory.take(self.n_rows, weights.width)
        program.call(
            "product",
            *(inputs.address, weights.depth, weights.transposed.data_ptr(), weights.width),
            *(weights.width // program.kernels.lanes, weights.depth, weights.bias.data_ptr(), 0),
            *(outputs.address, weights.width, self.n_rows),
        )
        return outputs

    def backward(self, program: Program, d_outputs: Place, zeros: int) -> Place:
        """Add the calls that find the gradients, and return where that of the inputs is."""
        weights, n_rows, lanes = self.weights, self.n_rows, program.kernels.lanes
        depth, width = weights.depth, weights.width
        found = self.gradients
        d_inputs = self.memory.take(n_rows, depth)
        sizes = 1, n_rows, width // lanes
        program.call("column_sums", d_outputs.address, *sizes, found.bias.data_ptr())
        program.call(
            "product_transposed",
            *(d_outputs.address, width, self.inputs.address, depth, depth // lanes, n_rows),
            *(zeros, 0, found.rows.data_ptr(), depth, weights.output_dim),
        )
        program.call(
            "product",
            *(d_outputs.address, width, weights.rows.data_ptr(), depth, depth // lanes),
            *(weights.output_dim, zeros, 0, d_inputs.address, depth, n_rows),
        )
        return d_inputs
