"""Initial weights: random, and partly fitted to the data if that helps. Torch only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch
from seqfeat.nn.network import Encoder, RecurrentAutoencoder

__all__ = [
    "draw_input_weights",
    "fit_encoder",
    "initialize",
    "principal_basis",
    "weighted_mean",
    "whitening_matrix",
    "window_covariance",
]

BATCH_SERIES = 64
BATCH_VALUES = 2**18
"""Maximum number of values in the windows of a batch: the longer the series, the fewer."""
MIN_VARIANCE_SHARE = 0.1
"""Share of the mean variance that whitening adds to every variance, so as not to amplify noise."""


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights from `generator`.

    Recurrent matrices are orthogonal, gate by gate, which preserves the norm of a state over many
    steps (Saxe et al., 2014). The forget gates' biases are 1, so that gradients pass from the start
    (Jozefowicz et al., 2015), and all others 0. The other weights are Glorot uniform.
    """
    for name, parameter in network.named_parameters():
        if "weight_hh" in name:
            for gate in parameter.chunk(4):
                nn.init.orthogonal_(gate, generator=generator)
        elif "weight" in name:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            parameter.zero_()
        if "bias_ih" in name:
            # The gates' order is input, forget, cell, output.
            parameter.chunk(4)[1].fill_(1.0)


@torch.no_grad()
def fit_encoder(backend: Backend, data: Batch, generator: torch.Generator) -> None:
    """Fit the input weights and the projection of an encoder with statistics pooling to data.

    The gates then see slow and fast movements of a series equally well, and the embedding starts as
    the principal components of the statistics, the projection that preserves most of their
    variance. Krähenbühl et al. (2016) describe data-dependent initialization.
    """
    network = backend.network
    projection = network.encoder.projection
    if not isinstance(network.encoder, Encoder) or not isinstance(projection, nn.Linear):
        raise TypeError(f"pooling={network.encoder.pooling!r} has no projection to fit")
    _whiten_inputs(network, data, generator)
    summaries = torch.empty(len(data), projection.in_features, dtype=torch.float64, device="cpu")
    n_done = 0
    for part in _batches(network, data):
        stop = n_done + len(part)
        summaries[n_done:stop] = backend.summarize(part.values, part.lengths)
        n_done = stop
    _project_on_components(projection, summaries, data.weights, generator)


def _batches(network: RecurrentAutoencoder, data: Batch) -> Iterator[Batch]:
    """Yield the series in batches of limited size."""
    a, (_, n_timesteps, n_channels) = network.architecture, data.values.shape
    values_per_series = max(1, n_timesteps // a.window_stride) * a.window_len * n_channels
    batch_size = max(1, min(BATCH_SERIES, BATCH_VALUES // values_per_series))
    rows = torch.arange(len(data), dtype=torch.int64, device="cpu")
    return map(data.take, torch.split(rows, batch_size))


def _whiten_inputs(network: RecurrentAutoencoder, data: Batch, generator: torch.Generator) -> None:
    """Draw input weights that respond to all directions in a window about equally.

    Consecutive values are highly correlated, so that independent weights would respond to little
    but a window's mean.
    """
    length = network.architecture.window_len
    parts = (
        (*network.encoder_inputs(part.values, part.lengths), part.weights)
        for part in _batches(network, data)
    )
    whitening = whitening_matrix(window_covariance(parts, length))
    encoder = cast(Encoder, network.encoder)
    for layer in (*encoder.forward_layers[:1], *encoder.backward_layers[:1]):
        draw_input_weights(layer.weight_ih_l0, whitening, generator)


def draw_input_weights(weight: Tensor, whitening: Tensor, generator: torch.Generator) -> None:
    """Draw the input weights (4H, W * C) of a layer that reads windows, given their whitening."""
    shape = (len(weight), len(whitening), weight.shape[1] // len(whitening))
    drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
    drawn = drawn / math.sqrt(weight.shape[1])
    weights = torch.einsum("hwc,wv->hvc", drawn, whitening.float())
    weight.copy_(weights.reshape_as(weight))


def window_covariance(parts: Iterable[tuple[Tensor, Tensor, Tensor | None]], length: int) -> Tensor:
    """Return the mean product of every two timesteps in a window. Shape: (W, W).

    `parts` are windows (B, L, W * C), how many are valid (B,), and the series' weights (B,).
    """
    total, count = torch.zeros(length, length, dtype=torch.float64, device="cpu"), 0.0
    for windows, n_steps, weights in parts:
        steps = torch.arange(windows.shape[1], dtype=torch.int64, device="cpu")
        is_valid = steps < n_steps[:, None]
        valid = windows[is_valid].double()
        n_channels = valid.shape[1] // length
        n_windows = float(len(valid))
        if weights is not None:
            of_windows = weights.double()[:, None].expand(is_valid.shape)[is_valid]
            valid, n_windows = valid * of_windows.sqrt()[:, None], float(of_windows.sum())
        timesteps = valid.reshape(len(valid), length, -1).transpose(1, 2).reshape(-1, length)
        total += timesteps.T @ timesteps
        count += n_windows * n_channels
    return total / count


def whitening_matrix(covariance: Tensor) -> Tensor:
    """Return the symmetric matrix that equalizes the variances of all directions, 1 on average."""
    variances, directions = torch.linalg.eigh(covariance)
    floor = MIN_VARIANCE_SHARE * variances.mean()
    if not floor > 0:
        return torch.eye(len(covariance), dtype=torch.float64, device="cpu")
    matrix = directions / (variances.clamp(min=0) + floor).sqrt() @ directions.T
    variance = (matrix @ covariance @ matrix).trace() / len(matrix)
    scaled: Tensor = matrix / variance.sqrt()
    return scaled


def _project_on_components(
    projection: nn.Linear, summaries: Tensor, weights: Tensor | None, generator: torch.Generator
) -> None:
    """Set a projection to the first principal components of its inputs, which are overwritten.

    A random rotation gives each dimension of the embedding a similar share of all components. On
    their own the last ones would be mostly noise, which scaling features to unit variance would
    amplify. If there are fewer components than dimensions, random directions complete them.
    """
    mean = weighted_mean(summaries, weights)
    summaries -= mean
    if weights is not None:
        summaries *= (weights.double() / weights.double().mean()).sqrt()[:, None]
    embedding_dim = projection.out_features
    basis = principal_basis(summaries, embedding_dim, generator)
    rotation = torch.empty(embedding_dim, embedding_dim, dtype=torch.float64, device="cpu")
    nn.init.orthogonal_(rotation, generator=generator)
    rows = rotation @ basis
    spread = (summaries @ rows.T).square().mean().sqrt()
    if spread > 0:
        rows = rows / spread
    projection.weight.copy_(rows)
    projection.bias.copy_(-rows @ mean)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of rows in float64, weighted if there are weights. Shape: (N, D) -> (D,)."""
    if weights is None:
        return values.mean(dim=0, dtype=torch.float64)
    weights = weights.double()
    mean: Tensor = weights @ values.double() / weights.sum()
    return mean


def principal_basis(centred: Tensor, n_directions: int, generator: torch.Generator) -> Tensor:
    """Return the first principal components, completed by random directions; orthonormal rows.

    Shape: (N, D) -> (n_directions, D), or (D, D) if there are fewer dimensions.
    """
    n_components = min(n_directions, len(centred) - 1)
    shape = n_directions, centred.shape[1]
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    drawn[:n_components] = _principal_directions(centred, n_components)
    basis: Tensor = torch.linalg.qr(drawn.T)[0].T
    return basis


def _principal_directions(centred: Tensor, n_directions: int) -> Tensor:
    """Return the directions of largest variance, orthonormal. Shape: (N, D) -> (n_directions, D).

    They are computed from the eigenvectors of the products of all columns, or of all rows if there
    are fewer. A singular value decomposition takes twice the time and memory, for short series more
    memory than training.
    """
    is_wide = centred.shape[0] < centred.shape[1]
    _, vectors = torch.linalg.eigh(centred @ centred.T if is_wide else centred.T @ centred)
    first: Tensor = vectors.flip(1)[:, :n_directions].T
    if is_wide:
        # A direction without variance becomes 0, and the caller completes the basis.
        first = nn.functional.normalize(first @ centred, dim=1)
    return first
