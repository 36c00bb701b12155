"""One LSTM layer: PyTorch's, or on a CPU with ``seqfeat[fast]`` a faster one.

Shapes use B series, L steps, D values a step, E values that do not change from
step to step, H hidden units, and U, which is H rounded up to whole vectors.
"""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from seqfeat.nn.kernels.ir.jit import Kernels
    from seqfeat.nn.kernels.weights import Packed

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
        if self.is_compiled:
            self.packed()

    @property
    def is_compiled(self) -> bool:
        """Whether the kernels run this layer, as its weights are in this machine's own memory."""
        return _is_plain(self.weight_hh_l0) and _kernels() is not None

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
        packed = self.packed()
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
            differentiated: Tensor = Recurrence.apply(packed, *inputs)  # type: ignore[no-untyped-call]
            return differentiated
        from seqfeat.nn.kernels.passes import outputs_of

        return outputs_of(packed, self.hidden_size, sequences, constant)

    def __getstate__(self) -> dict[str, Any]:
        # Compiled code belongs to a process, and a copy packs its own weights.
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name != "_packed"}

    def packed(self) -> Packed:
        """Return the weights in the kernels' layout, as they are now."""
        kernels = _kernels()
        assert kernels is not None
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        # Read and replaced as a whole, so that threads at worst do the same work twice.
        packed = self._packed
        if packed is None or packed.kernels is not kernels or not packed.lies_in(weights):
            from seqfeat.nn.kernels.weights import Packed

            packed = Packed(kernels, *weights)
        if not packed.is_of(weights):
            packed.refresh(weights)
            self._packed = packed
        return packed


@functools.cache
def _is_wanted() -> bool:
    """Tell whether llvmlite is there, and ``SEQFEAT_FAST=0`` does not forbid its use."""
    return os.environ.get("SEQFEAT_FAST") != "0" and find_spec("llvmlite") is not None


def _kernels() -> Kernels | None:
    if not _is_wanted():
        return None
    from seqfeat.nn.kernels.ir.jit import kernels

    return kernels()


def _is_plain(values: Tensor) -> bool:
    """Tell whether these are float32 in this machine's own memory, and there are any."""
    is_empty = values.shape[0] == 0 or values.shape[1] == 0
    return values.device.type == "cpu" and values.dtype is torch.float32 and not is_empty


class Recurrence(torch.autograd.Function):
    """A `LayerPass` for autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        packed: Packed,
        sequences: Tensor,
        constant: Tensor | None,
        *weights: Tensor,
    ) -> Tensor:
        from seqfeat.nn.kernels.passes import LayerPass

        done = LayerPass.through(packed, weights[1].shape[1], sequences, constant)
        ctx.packed, ctx.hidden_dim, ctx.is_done = packed, done.hidden_dim, False
        ctx.versions = packed.versions
        ctx.save_for_backward(done.sequences, constant, *done.states)
        return done.outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.is_done:
            raise RuntimeError("a layer's gradient can be taken once, as it overwrites its gates")
        ctx.is_done = True
        if ctx.packed.versions != ctx.versions:
            raise RuntimeError("a layer's weights were written to before its gradient was taken")
        from seqfeat.nn.kernels.passes import LayerPass, States

        sequences, constant, *states = ctx.saved_tensors
        _, wants_sequences, wants_constant, *_ = ctx.needs_input_grad
        done = LayerPass(ctx.packed, ctx.hidden_dim, sequences, constant, States(*states))
        found = done.gradient(
            gradient, wants_sequences=wants_sequences, wants_constant=wants_constant
        )
        return None, found.sequences, found.constant, *found.weights
