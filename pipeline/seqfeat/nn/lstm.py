"""Layers without initial weights: LSTM and linear; the compiled kernels run whole networks instead.

Shapes use B series, L steps, D inputs, E of which are the same at every step, and H hidden units.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from seqfeat.runtime.device import exact

__all__ = ["LSTMLayer", "make_linear", "make_lstm", "project"]

M = TypeVar("M", bound=nn.Module)


class LSTMLayer(nn.LSTM):
    """One batch-first, unidirectional LSTM layer."""

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def outputs(self, sequences: Tensor, constant: Tensor | None = None) -> Tensor:
        """Return the outputs at all steps.

        `constant` holds inputs that are the same at every step; they precede the others.

        Shape: (B, L, D - E), (B, E) -> (B, L, H).
        """
        if constant is not None:
            repeated = constant[:, None, :].expand(-1, sequences.shape[1], -1)
            sequences = torch.cat([repeated, sequences], dim=2)
        outputs: Tensor = self(sequences)[0]
        return outputs


def make_linear(input_dim: int, output_dim: int, device: str = "cpu") -> nn.Linear:
    """Return a linear layer with uninitialized weights."""
    return _allocate(nn.Linear(input_dim, output_dim, device="meta", dtype=torch.float32), device)


def make_lstm(input_dim: int, hidden_dim: int, device: str = "cpu") -> LSTMLayer:
    """Return an LSTM layer with uninitialized weights."""
    layer = LSTMLayer(input_dim, hidden_dim, batch_first=True, device="meta", dtype=torch.float32)
    return _allocate(layer, device)


def _allocate(layer: M, device: str) -> M:
    """Give a layer that was made on "meta" weights on a device.

    On "meta" nothing is drawn from torch's global generator. `torch.nn.Module.to_empty` does the
    same as this, but imports hundreds of torch's modules first, which takes the better part of a
    second.
    """
    weights = {
        name: torch.empty(weight.shape, dtype=weight.dtype, device=device)
        for name, weight in layer.state_dict().items()
    }
    layer.load_state_dict(weights, assign=True)
    return layer


def project(pooled: Tensor, linear: nn.Linear) -> Tensor:
    """Apply a linear map in float64, so that the result is the same in a batch of any size.

    Shape: (B, D) -> (B, E).
    """
    projected = nn.functional.linear(exact(pooled), exact(linear.weight), exact(linear.bias))
    return projected.to(pooled.device, torch.float32)
