"""One LSTM layer: PyTorch's, or on a CPU with ``seqfeat[fast]`` a faster one.

Shapes use B series, L steps, D values a step, E values that do not change from
step to step, H hidden units, and U, which is H rounded up to whole vectors.
"""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from seqfeat.recurrence.kernels import Kernels

__all__ = ["LSTMLayer"]


class LSTMLayer(nn.LSTM):
    """One batch-first, unidirectional LSTM layer; its weights are uninitialized.

    Called, it is PyTorch's. `run` does the same for whole sequences: on a CPU by
    the compiled kernels, if llvmlite is there and the environment does not say
    ``SEQFEAT_FAST=0``. They agree to rounding, and with the kernels a series' outputs
    are the same to the last bit in any batch.

    Whoever writes into weights in a way that PyTorch does not count, as fused
    optimizers do, has to tell it: ``torch.autograd.graph.increment_version``.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter
    _packed: Packed | None = None

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        # On "meta" nothing is drawn from torch's global generator.
        super().__init__(input_dim, hidden_dim, batch_first=True, device="meta")
        self.to_empty(device="cpu")

    def prepare(self) -> None:
        """Bring the weights into the kernels' layout now, and not in every thread that runs it."""
        kernels = _kernels() if _is_plain(self.weight_hh_l0) else None
        if kernels is not None:
            self._pack(kernels)

    def run(self, sequences: Tensor, constant: Tensor | None = None) -> Tensor:
        """Return the outputs at all steps.

        `constant`, if given, comes before the sequences' own values at every step.

        Shape: (B, L, D - E), (B, E) -> (B, L, H).
        """
        kernels = _kernels() if _is_plain(sequences) else None
        if kernels is None:
            if constant is not None:
                repeated = constant[:, None, :].expand(-1, sequences.shape[1], -1)
                sequences = torch.cat([repeated, sequences], dim=2)
            outputs: Tensor = self(sequences)[0]
            return outputs
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        inputs = (sequences, constant, *weights)
        packed = self._pack(kernels)
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
            differentiated: Tensor = Recurrence.apply(packed, *inputs)  # type: ignore[no-untyped-call]
            return differentiated
        return _forward(packed, sequences, constant, keep=False).hidden(self.hidden_size)

    def __getstate__(self) -> dict[str, Any]:
        # Compiled code belongs to a process, and a copy packs its own weights.
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name != "_packed"}

    def _pack(self, kernels: Kernels) -> Packed:
        """Return the weights in the kernels' layout, which change with the weights only."""
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        # Read and replaced as a whole, so that threads at worst do the same work twice.
        packed = self._packed
        if packed is None or packed.kernels is not kernels or not packed.is_of(weights):
            with torch.no_grad():
                packed = self._packed = _pack(kernels, *weights)
        return packed


@functools.cache
def _is_wanted() -> bool:
    """Tell whether llvmlite is there, and ``SEQFEAT_FAST=0`` does not forbid its use."""
    return os.environ.get("SEQFEAT_FAST") != "0" and find_spec("llvmlite") is not None


def _kernels() -> Kernels | None:
    if not _is_wanted():
        return None
    from seqfeat.recurrence.kernels import kernels

    return kernels()


def _is_plain(values: Tensor) -> bool:
    """Tell whether these are float32 in this machine's own memory, and there are any."""
    is_empty = values.shape[0] == 0 or values.shape[1] == 0
    return values.device.type == "cpu" and values.dtype is torch.float32 and not is_empty


class Packed(NamedTuple):
    """A layer's weights, units filled up to whole vectors with zeros."""

    kernels: Kernels
    versions: tuple[int, ...]
    """How often each of the layer's weights had been written to."""
    units: int
    """U, in whole vectors."""
    inputs: Tensor
    """(4U, D), for the gradients."""
    hidden: Tensor
    """(4U, U), for the gradients."""
    bias: Tensor
    """(4U,)"""
    by_input: Tensor
    """(D, 4U), in panels; rows follow each other within a panel only."""
    by_hidden: Tensor
    """(U, 4U), in panels."""

    def is_of(self, weights: tuple[Tensor, ...]) -> bool:
        """Tell whether the weights have not been written to since."""
        return self.versions == tuple(map(_version, weights))


def _version(weight: Tensor) -> int:
    # Tensors made in inference mode count nothing; networks made there are never trained.
    return 0 if weight.is_inference() else weight._version


def _pack(kernels: Kernels, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Packed:
    hidden_dim = w_hh.shape[1]
    units = _whole_vectors(hidden_dim, kernels.lanes)
    inputs = _fill_gates(w_ih, units)
    hidden = _fill_columns(_fill_gates(w_hh, units), units)
    bias = _fill_gates((b_ih + b_hh)[:, None], units)[:, 0].contiguous()
    width = 4 * kernels.lanes
    return Packed(
        kernels,
        tuple(map(_version, (w_ih, w_hh, b_ih, b_hh))),
        units,
        inputs,
        hidden,
        bias,
        _panels(inputs, width),
        _panels(hidden, width),
    )


def _whole_vectors(number: int, lanes: int) -> int:
    return -(-number // lanes) * lanes


def _fill_gates(rows: Tensor, units: int) -> Tensor:
    """Add zeros behind the rows of each gate. Shape: (4H, D) -> (4U, D)."""
    hidden_dim = len(rows) // 4
    if hidden_dim == units:
        return rows
    gates = rows.reshape(4, hidden_dim, -1)
    return nn.functional.pad(gates, (0, 0, 0, units - hidden_dim)).reshape(4 * units, -1)


def _fill_columns(values: Tensor, width: int) -> Tensor:
    """Add zeros behind the last axis, and copy where the values do not follow each other."""
    if values.shape[-1] < width:
        values = nn.functional.pad(values, (0, width - values.shape[-1]))
    return values.contiguous()


def _cut_gates(rows: Tensor, hidden_dim: int) -> Tensor:
    """Undo `_fill_gates`. Shape: (4U, ...) -> (4H, ...)."""
    if len(rows) == 4 * hidden_dim:
        return rows
    gates = rows.reshape(4, len(rows) // 4, *rows.shape[1:])
    return gates[:, :hidden_dim].flatten(0, 1)


def _panels(rows: Tensor, width: int) -> Tensor:
    """Transpose rows, `width` at a time. Shape: (N, K) -> (N / width, K, width)."""
    return rows.reshape(-1, width, rows.shape[1]).transpose(1, 2).contiguous()


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
    outputs[0].zero_()
    cells[0].zero_()
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


class Recurrence(torch.autograd.Function):
    """An LSTM layer and its gradient by the kernels."""

    @staticmethod
    def forward(
        ctx: Any,
        packed: Packed,
        sequences: Tensor,
        constant: Tensor | None,
        *weights: Tensor,
    ) -> Tensor:
        if not _is_shared(sequences):
            sequences = _time_first(sequences, packed.kernels.lanes)
        states = _forward(packed, sequences, constant, keep=True)
        ctx.packed, ctx.hidden_dim, ctx.is_done = packed, weights[1].shape[1], False
        ctx.save_for_backward(sequences, constant, *states)
        return states.hidden(ctx.hidden_dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.is_done:
            raise RuntimeError("a layer's gradient can be taken once, as it overwrites its gates")
        ctx.is_done = True
        sequences, constant, *kept = ctx.saved_tensors
        packed, hidden_dim = ctx.packed, ctx.hidden_dim
        _, wants_sequences, wants_constant, *_ = ctx.needs_input_grad
        found = _backward(packed, States(*kept), sequences, gradient, wants_sequences)
        d_input_weights, d_constant = found.input_weights, None
        if constant is not None:
            d_input_weights = torch.cat([found.over_steps.T @ constant, d_input_weights], dim=1)
            if wants_constant:
                d_constant = found.over_steps @ packed.inputs[:, : constant.shape[1]]
        d_bias = _cut_gates(found.over_steps.sum(dim=0), hidden_dim)
        d_hidden_weights = _cut_gates(found.hidden_weights[:, :hidden_dim], hidden_dim)
        d_input_weights = _cut_gates(d_input_weights, hidden_dim)
        # Not one tensor twice: who adds to one gradient in place would add to both.
        d_weights = (d_input_weights, d_hidden_weights, d_bias, d_bias.clone())
        return None, found.sequences, d_constant, *d_weights


class Gradients(NamedTuple):
    """What the kernels find of a layer's gradient."""

    sequences: Tensor | None
    """(B, L, D), a view"""
    input_weights: Tensor
    """(4U, D)"""
    hidden_weights: Tensor
    """(4U, U)"""
    over_steps: Tensor
    """(B, 4U), of what entered the gates"""


def _backward(
    packed: Packed, states: States, sequences: Tensor, gradient: Tensor, wants_sequences: bool
) -> Gradients:
    """Return the gradient, given the outputs'; the gates are overwritten.

    Shape: (B, L, D), or of `_time_first` the same filled up, and (B, L, H).
    """
    gates, outputs, cells = states
    n_steps, n_series, _ = gates.shape
    units, lanes = packed.units, packed.kernels.lanes
    depth = sequences.shape[2]
    width = _whole_vectors(depth, lanes)
    gradient = _fill_columns(gradient, units) if gradient.shape[2] < units else gradient
    gradient = gradient if gradient.stride(2) == 1 else gradient.contiguous()
    is_shared = _is_shared(sequences)
    zeros = torch.zeros(2 * n_series + 1, max(units, width))
    over_steps = torch.zeros(n_series, 4 * units)
    d_hidden_weights = torch.zeros(4 * units, units)
    d_input_weights = torch.zeros(0 if is_shared else 4 * units, width)
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
        zeros[:n_series].data_ptr(),
        zeros[n_series:-1].data_ptr(),
        over_steps.data_ptr(),
        outputs.data_ptr(),
        d_hidden_weights.data_ptr(),
        sequences.data_ptr(),
        d_input_weights.data_ptr(),
        0 if is_shared else width // lanes,
        input_weights.data_ptr(),
        None if d_sequences is None else d_sequences.data_ptr(),
        0 if d_sequences is None else width // lanes,
        zeros[-1].data_ptr(),
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
    width = _whole_vectors(depth, lanes)
    if sequences.stride() == (width, n_series * width, 1):
        return sequences
    return _fill_columns(sequences.transpose(0, 1), width).transpose(0, 1)[:, :, :depth]
