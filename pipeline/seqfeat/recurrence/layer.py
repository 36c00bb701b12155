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
    bias: Tensor
    """(4U,)"""
    by_input: Tensor
    """The same (D, 4U), in panels; rows follow each other within a panel only."""
    hidden_panels: Tensor
    """(U, 4U), in panels."""
    hidden_panels_back: Tensor
    """(4U, U), in panels."""

    def is_of(self, weights: tuple[Tensor, ...]) -> bool:
        """Tell whether the weights have not been written to since."""
        return self.versions == tuple(map(_version, weights))


def _version(weight: Tensor) -> int:
    # Tensors made in inference mode count nothing; networks made there are never trained.
    return 0 if weight.is_inference() else weight._version


def _pack(kernels: Kernels, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Packed:
    lanes, hidden_dim = kernels.lanes, w_hh.shape[1]
    units = -(-hidden_dim // lanes) * lanes
    hidden = _fill_gates(w_hh, units)
    if units > hidden_dim:
        hidden = nn.functional.pad(hidden, (0, units - hidden_dim))
    inputs = _fill_gates(w_ih, units)
    bias = _fill_gates((b_ih + b_hh)[:, None], units)[:, 0].contiguous()
    back = kernels.panel_width(units) * lanes
    return Packed(
        kernels,
        tuple(map(_version, (w_ih, w_hh, b_ih, b_hh))),
        units,
        inputs,
        bias,
        _panels(inputs.T, 4 * lanes),
        _panels(hidden.T, 4 * lanes),
        _panels(hidden, back),
    )


def _fill_gates(rows: Tensor, units: int) -> Tensor:
    """Add zeros behind the rows of each gate. Shape: (4H, D) -> (4U, D)."""
    hidden_dim = len(rows) // 4
    if hidden_dim == units:
        return rows
    gates = rows.reshape(4, hidden_dim, -1)
    return nn.functional.pad(gates, (0, 0, 0, units - hidden_dim)).reshape(4 * units, -1)


def _cut_gates(rows: Tensor, hidden_dim: int) -> Tensor:
    """Undo `_fill_gates`. Shape: (4U, ...) -> (4H, ...)."""
    if len(rows) == 4 * hidden_dim:
        return rows
    gates = rows.reshape(4, len(rows) // 4, *rows.shape[1:])
    return gates[:, :hidden_dim].flatten(0, 1)


def _panels(matrix: Tensor, width: int) -> Tensor:
    """Cut a matrix into panels of columns. Shape: (K, N) -> (N / width, K, width)."""
    return matrix.reshape(len(matrix), -1, width).transpose(0, 1).contiguous()


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
    if constant is not None:
        panels = panels[:, constant.shape[1] :].contiguous()
    kernels.forward(
        start.data_ptr(),
        0,
        start.stride(0) if start.dim() == 2 else 0,
        sequences.data_ptr(),
        sequences.stride(1),
        sequences.stride(0),
        depth,
        panels.data_ptr(),
        packed.hidden_panels.data_ptr(),
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
    panels = packed.by_input[:, : constant.shape[1]].contiguous()
    packed.kernels.products[4](
        constant.data_ptr(),
        constant.stride(0),
        panels.data_ptr(),
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
        packed, states, hidden_dim = ctx.packed, States(*kept), ctx.hidden_dim
        gates = _backward(packed, states, gradient)
        split = 0 if constant is None else constant.shape[1]
        _, wants_sequences, wants_constant, *_ = ctx.needs_input_grad
        flat = gates.flatten(0, 1)
        d_sequences = d_constant = None
        if wants_sequences:
            d_inputs = flat @ packed.inputs[:, split:]
            d_sequences = d_inputs.unflatten(0, gates.shape[:2]).transpose(0, 1)
        d_input_weights = _input_weights(gates, sequences)
        if constant is not None:
            over_steps = gates.sum(dim=0)
            d_input_weights = torch.cat([over_steps.T @ constant, d_input_weights], dim=1)
            if wants_constant:
                d_constant = over_steps @ packed.inputs[:, :split]
        before = states.outputs[:-1].flatten(0, 1)[:, :hidden_dim]
        d_hidden_weights = _cut_gates(flat.T @ before, hidden_dim)
        d_bias = _cut_gates(flat.sum(dim=0), hidden_dim)
        d_input_weights = _cut_gates(d_input_weights, hidden_dim)
        # Not one tensor twice: who adds to one gradient in place would add to both.
        d_weights = (d_input_weights, d_hidden_weights, d_bias, d_bias.clone())
        return None, d_sequences, d_constant, *d_weights


def _backward(packed: Packed, states: States, gradient: Tensor) -> Tensor:
    """Put the gradient of what entered the gates in their place, and return it."""
    gates, _, cells = states
    n_steps, n_series, _ = gates.shape
    units, kernels = packed.units, packed.kernels
    if gradient.shape[2] != units:
        gradient = nn.functional.pad(gradient, (0, units - gradient.shape[2]))
    gradient = gradient if gradient.stride(2) == 1 else gradient.contiguous()
    zeros = torch.zeros(2 * n_series + 1, units)
    kernels.backward(
        gates.data_ptr(),
        gates.stride(0),
        cells.data_ptr(),
        cells.stride(0),
        gradient.data_ptr(),
        gradient.stride(1),
        gradient.stride(0),
        packed.hidden_panels_back.data_ptr(),
        zeros[2 * n_series :].data_ptr(),
        zeros[:n_series].data_ptr(),
        zeros[n_series:].data_ptr(),
        n_series,
        n_steps,
        units // kernels.lanes,
    )
    return gates


def _input_weights(gates: Tensor, sequences: Tensor) -> Tensor:
    """Return the gradient of the weights of the inputs. Shape: (L, B, 4U) -> (4U, D)."""
    if sequences.stride(0) == 0 and len(sequences) > 1:
        # All series have the same inputs.
        return gates.sum(dim=1).T @ sequences[0]
    return gates.flatten(0, 1).T @ sequences.transpose(0, 1).flatten(0, 1)
