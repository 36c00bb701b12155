"""Windows of consecutive timesteps. Torch only.

Shapes use B series, T timesteps, C channels, W timesteps in a window and L windows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["count_windows", "cut_or_pad", "n_windows", "of_timesteps", "windows"]


def n_windows(n_timesteps: int, length: int, stride: int) -> int:
    """Return the number of windows that cover a number of timesteps."""
    return -(-max(n_timesteps - length, 0) // stride) + 1


def windows(values: Tensor, length: int, stride: int) -> Tensor:
    """Stack windows of consecutive timesteps; the last one is filled with zeros.

    Shape: (B, T, C) -> (B, L, W * C).
    """
    batch, n_timesteps, n_channels = values.shape
    n_steps = n_windows(n_timesteps, length, stride)
    padding = (n_steps - 1) * stride + length - n_timesteps
    if padding:
        values = nn.functional.pad(values, (0, 0, 0, padding))
    if stride != length:
        values = values.unfold(1, length, stride).transpose(2, 3)
    return values.reshape(batch, n_steps, length * n_channels)


def count_windows(lengths: Tensor, length: int, stride: int) -> Tensor:
    """Return the number of windows that cover each series. Shape: (B,) -> (B,)."""
    return ((lengths + (stride - 1 - length)) // stride).clamp_(min=0).add_(1)


def of_timesteps(
    states: Tensor, lengths: Tensor, n_timesteps: int, length: int, stride: int
) -> Tensor:
    """Return for each timestep the state of the window whose centre is nearest, or the later one.

    Timesteps after the end of a series get its last state. Shape: (B, L, H), (B,) -> (B, T, H).
    """
    steps = torch.arange(n_timesteps, dtype=torch.int64, device=states.device)
    nearest = torch.div(2 * steps - (length - 1) + stride, 2 * stride, rounding_mode="floor")
    last = count_windows(lengths.to(states.device), length, stride) - 1
    index = torch.minimum(nearest.clamp(min=0), last[:, None])
    return states.gather(1, index[:, :, None].expand(-1, -1, states.shape[2]))


def cut_or_pad(values: Tensor, n_timesteps: int) -> Tensor:
    """Return the first timesteps, with zeros after them if there are fewer.

    Shape: (B, T, C) -> (B, n_timesteps, C).
    """
    missing = n_timesteps - values.shape[1]
    if missing > 0:
        values = nn.functional.pad(values, (0, 0, 0, missing))
    return values[:, :n_timesteps]
