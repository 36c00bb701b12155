"""The recurrent autoencoder: it reads windows, embeds each series, and writes patches.

Classes in reading order: `Architecture`, `Encoder`, `Decoder`, `RecurrentAutoencoder`. Torch only.

Shapes use B series in a batch, T timesteps, C channels, W timesteps in a window and
P in a patch, L recurrent steps, H hidden units and E embedding dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqfeat.nn.lstm import LSTMLayer, make_linear, make_lstm, project
from seqfeat.nn.pooling import STATISTICS, pool_max, pool_mean, pool_statistics
from seqfeat.nn.reservoir import N_VIEWS, ReservoirEncoder, count_statistics
from seqfeat.nn.windows import count_windows, cut_or_pad, of_timesteps, windows

__all__ = [
    "MAX_DIMENSION",
    "POOLINGS",
    "Architecture",
    "Decoder",
    "Encoder",
    "RecurrentAutoencoder",
    "Weights",
    "build_network",
    "load_weights",
    "trained_weight_names",
    "weight_shapes",
    "weights_of",
]

POOLINGS = ("last", *STATISTICS, "reservoir")
"""What `pooling` may be."""
MAX_DIMENSION = 2**31 - 1
"""Largest dimension; products of two of them still fit into 64 bits."""
SMALLEST_DIMENSIONS = {
    **dict.fromkeys(("n_channels", "embedding_dim", "hidden_dim", "patch_len", "time_period"), 1),
    **dict.fromkeys(
        (
            "n_time_features",
            "n_classes",
            "n_targets",
            "window_len",
            "window_stride",
            "n_linear_steps",
        ),
        0,
    ),
}

Weights = Mapping[str, NDArray[np.float32]]
"""A network's weights by name, as NumPy arrays."""


@dataclass(frozen=True)
class Architecture:
    """The dimensions of a network; with its weights, all that it takes to build it again.

    Parameters
    ----------
    n_channels : int
        Channels C of a series.
    embedding_dim : int
        Length E of the embedding.
    hidden_dim : int
        Width H of the first encoder layer and the last decoder layer.
    patch_len : int
        Consecutive timesteps P that one recurrent step of the decoder reconstructs.
    bidirectional : bool
        Whether the encoder also reads each series backwards.
    pooling : {"last", "mean", "max", "statistics", "reservoir"}
        How the encoder's outputs at all steps become one vector. With "reservoir", the encoder is
        a `seqfeat.nn.reservoir.ReservoirEncoder`, which is not trained.
    n_time_features : int
        Number of cosines of the position that the decoder reads in addition to the embedding.
    time_period : int
        Number of recurrent steps in half a period of the slowest time feature.
    n_classes : int
        Outputs of the classification head; with 0 there is no head.
    window_len, window_stride : int
        Consecutive timesteps W that one recurrent step of the encoder reads, and the distance
        between the starts of two windows. 0 stands for `patch_len`.
    n_linear_steps : int
        Number of timesteps, the first ones, that a linear map from the embedding reconstructs,
        to which the LSTM layers of the decoder add. With 0 there is no such map.
    keeps_statistics : bool
        Whether the statistics of a reservoir are features themselves; `embedding_dim` is then the
        number of features that reconstruct the series, which precede the statistics.
    n_targets : int
        Outputs of a head that predicts numbers instead of classes; with 0 there is none.
    """

    n_channels: int
    embedding_dim: int
    hidden_dim: int
    patch_len: int = 1
    bidirectional: bool = False
    pooling: str = "last"
    n_time_features: int = 0
    time_period: int = 1
    n_classes: int = 0
    window_len: int = 0
    window_stride: int = 0
    n_linear_steps: int = 0
    keeps_statistics: bool = False
    n_targets: int = 0

    def __post_init__(self) -> None:
        for name, smallest in SMALLEST_DIMENSIONS.items():
            value = getattr(self, name)
            # A bool is none, and neither is a NumPy scalar, which overflows.
            if type(value) is not int or not smallest <= value <= MAX_DIMENSION:
                raise ValueError(
                    f"{name}={value!r} is not an integer from {smallest} to {MAX_DIMENSION}"
                )
        for name in ("bidirectional", "keeps_statistics"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name}={getattr(self, name)!r} is neither True nor False")
        if type(self.pooling) is not str or self.pooling not in POOLINGS:
            raise ValueError(f"pooling={self.pooling!r} is none of {', '.join(POOLINGS)}")
        is_reservoir = self.pooling == "reservoir"
        # What one kind of encoder does not have would be ignored.
        for name, is_foreign in (
            ("keeps_statistics", not is_reservoir),
            ("n_linear_steps", not is_reservoir),
            ("bidirectional", is_reservoir),
            ("n_classes", is_reservoir),
            ("n_targets", is_reservoir),
        ):
            if is_foreign and getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} with pooling={self.pooling!r}")
        if self.n_classes and self.n_targets:
            raise ValueError(f"n_classes={self.n_classes} with n_targets={self.n_targets}")
        for name in ("window_len", "window_stride"):
            object.__setattr__(self, name, getattr(self, name) or self.patch_len)
        if self.window_stride > self.window_len:
            raise ValueError(
                f"window_stride={self.window_stride} is larger than window_len={self.window_len}"
            )

    @property
    def n_statistics(self) -> int:
        """Number of statistics of a reservoir; 0 for other encoders."""
        return count_statistics(self.hidden_dim) if self.pooling == "reservoir" else 0

    @property
    def n_features(self) -> int:
        """Number of features of a series."""
        return self.embedding_dim + (self.n_statistics if self.keeps_statistics else 0)

    def as_dict(self) -> dict[str, int | bool | str]:
        """Return the fields as a plain dict."""
        return asdict(self)


def from_patches(patches: Tensor, n_timesteps: int, n_channels: int) -> Tensor:
    """Join consecutive patches into series. Shape: (B, L, P * C) -> (B, T, C)."""
    return patches.reshape(patches.shape[0], -1, n_channels)[:, :n_timesteps]


def reverse_within_length(sequences: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each series' valid steps; its padding stays at the end.

    Shape: (B, L, D), (B,) -> (B, L, D).
    """
    steps = torch.arange(sequences.shape[1], device=sequences.device, dtype=torch.int64)
    last = lengths[:, None] - 1
    index = torch.where(steps <= last, last - steps, steps)
    return sequences.gather(1, index[:, :, None].expand_as(sequences))


def drop_units(sequences: Tensor, keep: Tensor | None) -> Tensor:
    """Drop the same units at every step of a series (Gal & Ghahramani, 2016).

    `keep` holds 0 for a dropped unit and 1 / (1 - rate) for any other; None drops nothing. The
    caller draws it, so that the network is a pure function and a seed gives the same masks on every
    device.

    Shape: (B, L, D), (B, D) -> (B, L, D).
    """
    return sequences if keep is None else sequences * keep[:, None, :]


class Encoder(nn.Module):
    """Two LSTM layers, a pooling and, where widths differ, a projection to the embedding.

    Sequences are padded rather than packed: with the padding at the end, the state of a forward
    LSTM at a series' last step does not depend on it. The backward direction is a second forward
    LSTM over each series reversed within its length.

    Shape: (B, L, W * C), (B,) -> (B, E).
    """

    def __init__(self, architecture: Architecture, device: str) -> None:
        super().__init__()
        a = architecture
        directions = 2 if a.bidirectional else 1
        self.pooling = a.pooling
        self.forward_layers = nn.ModuleList(
            [
                make_lstm(a.window_len * a.n_channels, a.hidden_dim, device),
                make_lstm(directions * a.hidden_dim, a.embedding_dim, device),
            ]
        )
        self.backward_layers = nn.ModuleList()
        if a.bidirectional:
            first = make_lstm(a.window_len * a.n_channels, a.hidden_dim, device)
            self.backward_layers.append(first)
            self.backward_layers.append(make_lstm(2 * a.hidden_dim, a.embedding_dim, device))
        self.projection: nn.Module = nn.Identity()
        pooled_dim = directions * a.embedding_dim
        if a.pooling == "statistics":
            pooled_dim = 4 * directions * (a.hidden_dim + a.embedding_dim)
        if pooled_dim != a.embedding_dim:
            self.projection = make_linear(pooled_dim, a.embedding_dim, device)

    def forward(self, inputs: Tensor, n_steps: Tensor, keep: Tensor | None = None) -> Tensor:
        """Embed series, given as windows; `keep` (B, H) drops units between the layers."""
        pooled = self.summarize(inputs, n_steps, keep)
        if not isinstance(self.projection, nn.Linear):
            return pooled
        return project(pooled, self.projection)

    def summarize(self, inputs: Tensor, n_steps: Tensor, keep: Tensor | None = None) -> Tensor:
        """Pool each series, without the projection. Shape: (B, L, W * C) -> (B, D)."""
        hidden = drop_units(self._layer(0, inputs, n_steps), keep)
        outputs = self._layer(1, hidden, n_steps)
        if self.pooling == "last":
            return self._last_states(outputs, n_steps)
        if self.pooling == "statistics":
            return pool_statistics([hidden, outputs], n_steps)
        return (pool_max if self.pooling == "max" else pool_mean)(outputs, n_steps)

    def states(self, inputs: Tensor, n_steps: Tensor) -> list[Tensor]:
        """Return the outputs of the layers that are pooled. Shape: (B, L, W * C) -> (B, L, H)."""
        hidden = self._layer(0, inputs, n_steps)
        outputs = self._layer(1, hidden, n_steps)
        return [hidden, outputs] if self.pooling == "statistics" else [outputs]

    def _layer(self, index: int, sequences: Tensor, n_steps: Tensor) -> Tensor:
        outputs = cast(LSTMLayer, self.forward_layers[index]).outputs(sequences)
        if not self.backward_layers:
            return outputs
        backwards = reverse_within_length(sequences, n_steps)
        reversed_outputs = cast(LSTMLayer, self.backward_layers[index]).outputs(backwards)
        return torch.cat([outputs, reverse_within_length(reversed_outputs, n_steps)], dim=2)

    def _last_states(self, outputs: Tensor, n_steps: Tensor) -> Tensor:
        rows = torch.arange(len(outputs), device=outputs.device, dtype=torch.int64)
        last = outputs[rows, n_steps - 1]
        if not self.backward_layers:
            return last
        # The backward direction ends at the series' first step.
        width = outputs.shape[2] // 2
        return torch.cat([last[:, :width], outputs[:, 0, width:]], dim=1)


def _make_encoder(architecture: Architecture, device: str) -> Encoder | ReservoirEncoder:
    a = architecture
    if a.pooling != "reservoir":
        return Encoder(a, device)
    return ReservoirEncoder(
        a.n_channels,
        a.hidden_dim,
        a.embedding_dim,
        a.window_len,
        a.window_stride,
        a.n_linear_steps,
        a.keeps_statistics,
        device,
    )


class Decoder(nn.Module):
    """The embedding, repeated at every step, two LSTM layers and a linear map to patches.

    Where there is one, a linear map reconstructs the first timesteps, and the layers add to it.

    Shape: (B, E), L -> (B, L, P * C).
    """

    def __init__(self, architecture: Architecture, device: str) -> None:
        super().__init__()
        a = architecture
        self.n_time_features = a.n_time_features
        self.time_period = a.time_period
        self.layers = nn.ModuleList(
            [
                make_lstm(a.embedding_dim + a.n_time_features, a.embedding_dim, device),
                make_lstm(a.embedding_dim, a.hidden_dim, device),
            ]
        )
        self.output = make_linear(a.hidden_dim, a.patch_len * a.n_channels, device)
        self.linear: nn.Linear | None = None
        if a.n_linear_steps:
            self.linear = make_linear(a.embedding_dim, a.n_linear_steps * a.n_channels, device)

    def forward(self, embeddings: Tensor, n_steps: int, keep: Tensor | None = None) -> Tensor:
        """Run the layers; `keep` (B, E) drops units between them."""
        times = self.time_features(n_steps, embeddings).expand(len(embeddings), -1, -1)
        first, second = (cast(LSTMLayer, layer) for layer in self.layers)
        hidden = drop_units(first.outputs(times, embeddings), keep)
        patches: Tensor = self.output(second.outputs(hidden))
        return patches

    def time_features(self, n_steps: int, like: Tensor) -> Tensor:
        """Return cosines of the position, on the device of `like`. Shape: (L, F).

        These are the first waves of a discrete cosine transform over `time_period` steps, with 1,
        2, ... half periods; in longer series they continue.
        """
        steps = torch.arange(n_steps, device=like.device, dtype=torch.float32)
        waves = torch.arange(1, self.n_time_features + 1, device=like.device, dtype=torch.float32)
        return torch.cos(math.pi / self.time_period * (steps[:, None] + 0.5) * waves)


class RecurrentAutoencoder(nn.Module):
    """Encoder, decoder and, with targets, a linear head that predicts them.

    The weights are uninitialized; on the device "meta" they only have shapes.

    Shape: (B, T, C), (B,) -> (B, T, C).
    """

    def __init__(self, architecture: Architecture, device: str = "cpu") -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = _make_encoder(architecture, device)
        self.decoder = Decoder(architecture, device)
        self.head: nn.Linear | None = None
        n_outputs = architecture.n_classes or architecture.n_targets
        if n_outputs:
            self.head = make_linear(architecture.embedding_dim, n_outputs, device)

    def encode(self, values: Tensor, lengths: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return one embedding per series.

        Values after the end of a series must be 0, because its last window may extend beyond it.

        Shape: (B, T, C), (B,) in timesteps -> (B, E).
        """
        embeddings: Tensor
        if isinstance(self.encoder, ReservoirEncoder):
            embeddings = self.encoder(values, lengths)
        else:
            embeddings = self.encoder(*self.encoder_inputs(values, lengths), keep)
        return embeddings

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode series without the projection. Shape: (B, T, C), (B,) -> (B, D)."""
        if isinstance(self.encoder, ReservoirEncoder):
            return self.encoder.summarize(values, lengths)
        return self.encoder.summarize(*self.encoder_inputs(values, lengths))

    def timestep_states(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the states of the encoder at each timestep. Shape: (B, T, C), (B,) -> (B, T, D).

        These are the outputs of all layers whose outputs are pooled, side by side.
        """
        a, n_timesteps = self.architecture, values.shape[1]
        if isinstance(self.encoder, ReservoirEncoder):
            lens = list(self.encoder.window_lens) * N_VIEWS
            states = [one for one, _ in self.encoder.states(values, lengths)]
        else:
            states = self.encoder.states(*self.encoder_inputs(values, lengths))
            lens = [a.window_len] * len(states)
        return torch.cat(
            [
                of_timesteps(one, lengths, n_timesteps, length, a.window_stride)
                for one, length in zip(states, lens, strict=True)
            ],
            dim=2,
        )

    def encoder_inputs(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows and how many are valid. Shape: (B, T, C), (B,) -> (B, L, W * C), (B,)."""
        a = self.architecture
        return windows(values, a.window_len, a.window_stride), self.n_steps(lengths)

    def n_steps(self, lengths: Tensor) -> Tensor:
        """Return the number of the encoder's recurrent steps. Shape: (B,) -> (B,)."""
        return count_windows(lengths, self.architecture.window_len, self.architecture.window_stride)

    def decode(self, embeddings: Tensor, n_timesteps: int, keep: Tensor | None = None) -> Tensor:
        """Reconstruct series of `n_timesteps` timesteps. Shape: (B, E) -> (B, T, C).

        Statistics after the first E columns are ignored.
        """
        embeddings = embeddings[:, : self.architecture.embedding_dim]
        series = self.decode_recurrently(embeddings, n_timesteps, keep)
        return (
            series
            if self.decoder.linear is None
            else series + self.decode_linearly(embeddings, n_timesteps)
        )

    def decode_recurrently(
        self, embeddings: Tensor, n_timesteps: int, keep: Tensor | None = None
    ) -> Tensor:
        """Reconstruct series by the decoder's layers alone. Shape: (B, E) -> (B, T, C)."""
        patch_len = self.architecture.patch_len
        patches = self.decoder(embeddings, -(-n_timesteps // patch_len), keep)
        return from_patches(patches, n_timesteps, self.architecture.n_channels)

    def decode_linearly(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct series by the decoder's linear map alone. Shape: (B, E) -> (B, T, C)."""
        linear = self.decoder.linear
        assert linear is not None
        a = self.architecture
        first = linear(embeddings).view(len(embeddings), a.n_linear_steps, a.n_channels)
        return cut_or_pad(first, n_timesteps)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode and decode series. Shape: (B, T, C), (B,) -> (B, T, C)."""
        return self.decode(self.encode(values, lengths), values.shape[1])


def build_network(
    architecture: Architecture, weights: Weights | None = None
) -> RecurrentAutoencoder:
    """Return a network on the CPU, with the given weights or with uninitialized ones.

    Raises
    ------
    RuntimeError
        If the names or shapes of the weights are not those of the architecture.
    """
    network = RecurrentAutoencoder(architecture).requires_grad_(False)
    parameters = dict(network.named_parameters())
    for name in trained_weight_names(architecture, parameters):
        parameters[name].requires_grad_(True)
    if weights is not None:
        network.load_state_dict(_as_tensors(weights))
    return network


def load_weights(network: RecurrentAutoencoder, weights: Weights) -> None:
    """Replace some weights of a network; all others stay as they are.

    Raises
    ------
    RuntimeError
        If a name or shape is not one of the network's.
    """
    network.load_state_dict({**network.state_dict(), **_as_tensors(weights)})


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights by name; nothing of their size is allocated."""
    network = RecurrentAutoencoder(architecture, device="meta")
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


def trained_weight_names(architecture: Architecture, names: Iterable[str]) -> list[str]:
    """Return which of a network's weights are trained, given the names of all.

    A reservoir is random, and the linear maps that go with it are fitted before the training.
    """
    if architecture.pooling != "reservoir":
        return list(names)
    return [name for name in names if not name.startswith(("encoder.", "decoder.linear."))]


def _as_tensors(weights: Weights) -> dict[str, Tensor]:
    return {
        name: torch.tensor(value, dtype=torch.float32, device="cpu")
        for name, value in weights.items()
    }


def weights_of(network: RecurrentAutoencoder) -> dict[str, NDArray[np.float32]]:
    """Return copies of the weights as NumPy arrays on the CPU."""
    return {
        name: weight.detach().cpu().numpy().copy() for name, weight in network.state_dict().items()
    }
