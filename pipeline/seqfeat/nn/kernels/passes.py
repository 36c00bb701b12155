"""Passes through an LSTM layer by the compiled kernels, forward and back.

Shapes use B series, L steps, D values a step, E values that do not change from
step to step, H hidden units, and U, which is H rounded up to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqfeat.nn.kernels.program import rounded_up
from seqfeat.nn.kernels.weights import Packed

__all__ = ["LayerPass", "States", "outputs_of"]


class LayerPass(NamedTuple):
    """One pass through a layer, with what its gradient takes.

    `sequences` (B, L, D) lie in memory by time, in whole vectors, or are the same for all series.
    """

    packed: Packed
    hidden_dim: int
    sequences: Tensor
    constant: Tensor | None
    states: States

    @classmethod
    def through(
        cls, packed: Packed, hidden_dim: int, sequences: Tensor, constant: Tensor | None
    ) -> LayerPass:
        """Run the layer. Shape: (B, L, D - E), (B, E)."""
        if not _is_shared(sequences):
            sequences = _time_first(sequences, packed.kernels.lanes)
        states = _forward(packed, sequences, constant, keep=True)
        return cls(packed, hidden_dim, sequences, constant, states)

    @property
    def outputs(self) -> Tensor:
        """At all steps, as a view. Shape: (B, L, H)."""
        return self.states.hidden(self.hidden_dim)

    def gradient(
        self, d_outputs: Tensor, *, wants_sequences: bool, wants_constant: bool
    ) -> LayerGradient:
        """Return the gradient, given the outputs' (B, L, H); can be taken once."""
        packed, constant, hidden_dim = self.packed, self.constant, self.hidden_dim
        n_sums = 1 if constant is None else len(constant)
        found = _backward(packed, self.states, self.sequences, d_outputs, wants_sequences, n_sums)
        d_input_weights, d_constant = found.input_weights, None
        if constant is not None:
            d_input_weights = torch.cat([found.over_steps.T @ constant, d_input_weights], dim=1)
            if wants_constant:
                d_constant = found.over_steps @ packed.inputs[:, : constant.shape[1]]
        d_bias = _cut_gates(found.over_steps.sum(dim=0), hidden_dim)
        d_hidden_weights = _cut_gates(found.hidden_weights[:, :hidden_dim], hidden_dim)
        d_input_weights = _cut_gates(d_input_weights, hidden_dim)
        # In order in memory, as PyTorch's fused AdamW takes them for that on a CPU. And not one
        # tensor twice: who adds to one gradient in place would add to both.
        d_weights = (
            d_input_weights.contiguous(),
            d_hidden_weights.contiguous(),
            d_bias,
            d_bias.clone(),
        )
        return LayerGradient(found.sequences, d_constant, d_weights)


class LayerGradient(NamedTuple):
    """The gradient of a layer's inputs, of those that were wanted, and of its weights."""

    sequences: Tensor | None
    constant: Tensor | None
    weights: tuple[Tensor, Tensor, Tensor, Tensor]
    """In the order of the layer's parameters."""


def _fill_columns(values: Tensor, width: int) -> Tensor:
    """Add zeros behind the last axis, and copy where the values do not follow each other."""
    if values.shape[-1] < width:
        values = nn.functional.pad(values, (0, width - values.shape[-1]))
    return values.contiguous()


def _cut_gates(rows: Tensor, hidden_dim: int) -> Tensor:
    """Leave out the zeros behind the rows of each gate. Shape: (4U, ...) -> (4H, ...)."""
    if len(rows) == 4 * hidden_dim:
        return rows
    gates = rows.reshape(4, len(rows) // 4, *rows.shape[1:])
    return gates[:, :hidden_dim].flatten(0, 1)


class States(NamedTuple):
    """What a forward pass leaves: gates (L, B, 4U), and (L + 1, B, U) with the state before."""

    gates: Tensor
    outputs: Tensor
    cells: Tensor

    def hidden(self, hidden_dim: int) -> Tensor:
        """Return the outputs, as a view. Shape: (B, L, H)."""
        return self.outputs[1:, :, :hidden_dim].transpose(0, 1)


def _forward(packed: Packed, sequences: Tensor, constant: Tensor | None, *, keep: bool) -> States:
    """Run the layer; `keep` all steps' gates and cells for the gradient."""
    n_series, n_steps, depth = sequences.shape
    sequences = sequences if sequences.stride(2) == 1 else sequences.contiguous()
    units, kernels = packed.units, packed.kernels
    gates = torch.empty(n_steps if keep else 1, n_series, 4 * units)
    outputs = torch.empty(n_steps + 1, n_series, units)
    cells = torch.empty(n_steps + 1 if keep else 1, n_series, units)
    start, panels = _start(packed, constant), packed.by_input
    kernels.forward(
        start.data_ptr(),
        0,
        start.stride(0) if start.dim() == 2 else 0,
        sequences.data_ptr(),
        sequences.stride(1),
        sequences.stride(0),
        depth,
        # What is constant comes first in a panel.
        panels.data_ptr() + 4 * (panels.shape[1] - depth) * panels.stride(1),
        panels.stride(0),
        packed.by_hidden.data_ptr(),
        gates.data_ptr(),
        gates.stride(0) if keep else 0,
        outputs.data_ptr(),
        cells.data_ptr(),
        cells.stride(0) if keep else 0,
        n_series,
        n_steps,
        units // kernels.lanes,
    )
    return States(gates, outputs, cells)


def _start(packed: Packed, constant: Tensor | None) -> Tensor:
    """Return what the gates begin with at every step. Shape: (B, E) -> (B, 4U), or (4U,)."""
    if constant is None:
        return packed.bias
    constant = constant.contiguous()
    start = torch.empty(len(constant), len(packed.bias))
    panels = packed.by_input
    packed.kernels.product_of_panels(
        constant.data_ptr(),
        constant.stride(0),
        panels.data_ptr(),
        panels.stride(1),
        panels.stride(0),
        len(panels),
        constant.shape[1],
        packed.bias.data_ptr(),
        0,
        start.data_ptr(),
        start.stride(0),
        len(constant),
    )
    return start


def outputs_of(
    packed: Packed, hidden_dim: int, sequences: Tensor, constant: Tensor | None
) -> Tensor:
    """Run a layer without keeping anything. Shape: (B, L, D - E), (B, E) -> (B, L, H)."""
    return _forward(packed, sequences, constant, keep=False).hidden(hidden_dim)


class Gradients(NamedTuple):
    """What the kernels find of a layer's gradient."""

    sequences: Tensor | None
    """(B, L, D), a view"""
    input_weights: Tensor
    """(4U, D)"""
    hidden_weights: Tensor
    """(4U, U)"""
    over_steps: Tensor
    """(B, 4U), or the sum (1, 4U), of what entered the gates"""


def _backward(
    packed: Packed,
    states: States,
    sequences: Tensor,
    gradient: Tensor,
    wants_sequences: bool,
    n_sums: int,
) -> Gradients:
    """Return the gradient, given the outputs'; the gates are overwritten.

    `n_sums` over the steps: as many as series, or one over all of them.
    Shape: (B, L, D), or of `_time_first` the same filled up, and (B, L, H).
    """
    gates, outputs, cells = states
    n_steps, n_series, _ = gates.shape
    units, lanes = packed.units, packed.kernels.lanes
    depth = sequences.shape[2]
    width = rounded_up(depth, lanes)
    gradient = _fill_columns(gradient, units) if gradient.shape[2] < units else gradient
    gradient = gradient if gradient.stride(2) == 1 else gradient.contiguous()
    is_shared = _is_shared(sequences)
    scratch = torch.empty(2 * n_series * units + max(units, width))
    over_steps = torch.empty(n_sums, 4 * units)
    d_hidden_weights = torch.empty(4 * units, units)
    d_input_weights = torch.empty(0 if is_shared else 4 * units, width)
    d_sequences, input_weights = None, packed.inputs[:, packed.inputs.shape[1] - depth :]
    if wants_sequences:
        d_sequences = torch.empty(n_steps, n_series, width)
        input_weights = _fill_columns(input_weights, width)
    packed.kernels.backward(
        gates.data_ptr(),
        cells.data_ptr(),
        gradient.data_ptr(),
        gradient.stride(1),
        gradient.stride(0),
        packed.hidden.data_ptr(),
        scratch.data_ptr(),
        over_steps.data_ptr(),
        n_sums,
        outputs.data_ptr(),
        d_hidden_weights.data_ptr(),
        sequences.data_ptr(),
        d_input_weights.data_ptr(),
        0 if is_shared else width // lanes,
        input_weights.data_ptr(),
        None if d_sequences is None else d_sequences.data_ptr(),
        0 if d_sequences is None else width // lanes,
        n_series,
        n_steps,
        units // lanes,
    )
    if is_shared:
        d_input_weights = gates.sum(dim=1).T @ sequences[0]
    if d_sequences is not None:
        d_sequences = d_sequences[:, :, :depth].transpose(0, 1)
    return Gradients(d_sequences, d_input_weights[:, :depth], d_hidden_weights, over_steps)


def _is_shared(sequences: Tensor) -> bool:
    """Tell whether all series have the same inputs, once in memory, or none at all."""
    return sequences.shape[2] == 0 or (sequences.stride(0) == 0 and len(sequences) > 1)


def _time_first(sequences: Tensor, lanes: int) -> Tensor:
    """Return it as a view of whole vectors in order of time. Shape: (B, L, D) -> (B, L, D)."""
    n_series, _, depth = sequences.shape
    width = rounded_up(depth, lanes)
    if sequences.stride() == (width, n_series * width, 1):
        return sequences
    return _fill_columns(sequences.transpose(0, 1), width).transpose(0, 1)[:, :, :depth]
