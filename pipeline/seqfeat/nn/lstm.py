"""One LSTM layer, run by PyTorch; the compiled kernels run whole networks instead.

Shapes use B series, L steps, D inputs, E of which are the same at every step, and H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LSTMLayer"]


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
