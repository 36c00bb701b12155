"""The default encoder: the states of random LSTM layers, whose weights are not trained.

A recurrent network with random weights, a reservoir (Jaeger, 2001), answers to many different
movements of a series at once; what it answers is summarized by statistics of its states over the
steps. Beside mean, standard deviation, maximum and minimum these are how much of the series a unit
spends above a threshold, and the longest stretch of it, as in MiniRocket (Dempster et al., 2021).
A fitted linear map turns the statistics, and the series itself, into the embedding. Torch only.

Shapes use B series, T timesteps, C channels, L steps, H hidden units, S statistics and E embedding
dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.nn.lstm import LSTMLayer, make_linear, make_lstm, project
from seqfeat.nn.pooling import pool_statistics, valid_steps
from seqfeat.nn.windows import count_windows, cut_or_pad, windows
from seqfeat.runtime.device import exact

__all__ = [
    "N_VIEWS",
    "RESERVOIR_STATISTICS",
    "THRESHOLD_WIDTH",
    "ReservoirEncoder",
    "count_statistics",
    "first_steps",
    "pool_reservoir",
    "standardize_series",
    "window_lens",
]

N_VIEWS = 2
"""The series as it is scaled, and scaled by its own mean and standard deviation."""
N_WINDOW_LENS = 3
"""About half of a length, that length, and twice as much; see `window_lens`."""
RESERVOIR_STATISTICS = ("mean", "std", "max", "min", "share_above", "longest_above")
"""The statistics of every unit, in order."""
THRESHOLD_WIDTH = 0.05
"""Interval around a threshold in which a state counts as above it in part.

A state at the threshold is rounded differently on every device. With a step there, so would the
statistics be.
"""
MIN_STD = 1e-6
"""Smallest standard deviation of a series, relative to its mean, that is more than rounding."""


def window_lens(window_len: int, window_stride: int) -> tuple[int, int, int]:
    """Return the lengths of the windows that the layers read: about half as many, W, and 2 W."""
    return max(window_stride, -(-9 * window_len // 16)), window_len, 2 * window_len


def count_statistics(hidden_dim: int) -> int:
    """Return the number of statistics of layers of a width: for each view, one a window length."""
    return len(RESERVOIR_STATISTICS) * N_VIEWS * N_WINDOW_LENS * hidden_dim


def standardize_series(values: Tensor, lengths: Tensor) -> Tensor:
    """Scale each channel of each series to mean 0 and standard deviation 1; padding stays 0.

    A constant channel becomes 0. Shape: (B, T, C), (B,) -> (B, T, C).
    """
    precise = exact(values)
    lengths = lengths.to(precise.device)
    valid, counts = valid_steps(precise, lengths), lengths[:, None, None]
    mean = precise.sum(dim=1, keepdim=True) / counts
    centred = (precise - mean).masked_fill(~valid, 0.0)
    std = (centred.square().sum(dim=1, keepdim=True) / counts).sqrt()
    std = torch.where(std > MIN_STD * (1 + mean.abs()), std, torch.ones_like(std))
    return (centred / std).to(values.device, values.dtype)


def first_steps(values: Tensor, n_timesteps: int) -> Tensor:
    """Return the first timesteps of series as rows, with zeros after a shorter one's end.

    Shape: (B, T, C) -> (B, n_timesteps * C).
    """
    return cut_or_pad(values, n_timesteps).reshape(len(values), -1)


def pool_reservoir(states: Tensor, n_steps: Tensor, thresholds: Tensor) -> Tensor:
    """Return the statistics of each unit. Shape: (B, L, H), (B,), (H,) -> (B, S * H)."""
    states = states.float()
    above = ((states - thresholds) / THRESHOLD_WIDTH + 0.5).clamp(0.0, 1.0)
    above = above * valid_steps(states, n_steps)
    stretch = longest = torch.zeros_like(above[:, 0])
    for step in above.unbind(dim=1):
        stretch = (stretch + 1.0) * step
        longest = torch.maximum(longest, stretch)
    counts = n_steps[:, None]
    of_states = pool_statistics([states], n_steps)
    return torch.cat([of_states, above.sum(dim=1) / counts, longest / counts], dim=1)


class ReservoirEncoder(nn.Module):
    """LSTM layers over windows of three lengths, for each view, and a projection.

    Shape: (B, T, C), (B,) -> (B, E).

    Parameters
    ----------
    n_channels, hidden_dim, embedding_dim : int
        Channels, units of each layer, and length of the embedding.
    window_len, window_stride : int
        Length of the middle windows, and timesteps from one window to the next.
    n_linear_steps : int
        Number of timesteps that the projection reads themselves.
    keeps_statistics : bool
        Whether the statistics follow the embedding, instead of being projected.
    device : str
    """

    pooling = "reservoir"

    def __init__(
        self,
        n_channels: int,
        hidden_dim: int,
        embedding_dim: int,
        window_len: int,
        window_stride: int,
        n_linear_steps: int,
        keeps_statistics: bool,
        device: str,
    ) -> None:
        super().__init__()
        self.window_lens = window_lens(window_len, window_stride)
        self.window_stride, self.n_linear_steps = window_stride, n_linear_steps
        self.layers = nn.ModuleList(
            make_lstm(length * n_channels, hidden_dim, device)
            for _ in range(N_VIEWS)
            for length in self.window_lens
        )
        self.thresholds = nn.Parameter(
            torch.empty(len(self.layers), hidden_dim, dtype=torch.float32, device=device)
        )
        self.n_statistics = count_statistics(hidden_dim)
        self.keeps_statistics = keeps_statistics
        n_projected = n_linear_steps * n_channels + (0 if keeps_statistics else self.n_statistics)
        self.projection = make_linear(n_projected, embedding_dim, device)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Embed series."""
        summary = self.summarize(values, lengths)
        if not self.keeps_statistics:
            return project(summary, self.projection)
        statistics, first = summary[:, : self.n_statistics], summary[:, self.n_statistics :]
        return torch.cat([project(first, self.projection), statistics], dim=1)

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the statistics and the first timesteps. Shape: (B, T, C), (B,) -> (B, D)."""
        thresholds = self.thresholds.unbind()
        pooled = [
            pool_reservoir(states, n_steps, of_layer)
            for (states, n_steps), of_layer in zip(
                self.states(values, lengths), thresholds, strict=True
            )
        ]
        return torch.cat([*pooled, first_steps(values.float(), self.n_linear_steps)], dim=1)

    def states(self, values: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each layer's states (B, L, H) and how many of them are valid (B,)."""
        for layer, (view, length) in zip(self.layers, self.inputs(values, lengths), strict=True):
            n_steps = count_windows(lengths, length, self.window_stride)
            sequences = windows(view, length, self.window_stride)
            yield cast(LSTMLayer, layer).outputs(sequences), n_steps

    def inputs(self, values: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Yield the view of the series (B, T, C) and the length of the windows of each layer."""
        for view in (values, standardize_series(values, lengths)):
            for length in self.window_lens:
                yield view, length
