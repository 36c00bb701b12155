"""Initial weights: drawn at random, and fitted to the series where that helps.

Torch only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqfeat.nn.batch import Batch
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.nn.pooling import steps_inside

__all__ = ["fit_encoder", "initialize"]

BATCH_SERIES = 64
BATCH_VALUES = 2**18
"""Values in the windows of a batch, at most, so that long series come in smaller batches."""
LEAST_VARIANCE_SHARE = 0.1
"""Share of the mean variance added to each in whitening, so that noise is not blown up."""


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights from `generator`.

    Orthogonal recurrent matrices, gate by gate (Saxe et al., 2014), keep a
    state's length over many steps; a forget bias of 1 lets gradients through
    from the start (Jozefowicz et al., 2015); Glorot uniform elsewhere.
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
            # Gates lie as input, forget, cell, output.
            parameter.chunk(4)[1].fill_(1.0)


@torch.no_grad()
def fit_encoder(network: RecurrentAutoencoder, data: Batch, generator: torch.Generator) -> None:
    """Set the first and the last of the encoder's maps by what the series in `data` are like.

    For an encoder with statistics pooling (Krähenbühl et al., 2016, fit a
    network's initial weights to its data likewise). Gates then see slow and fast
    movements of a series alike, and the embedding starts as the principal
    components of the statistics: of all linear maps the one that keeps most of them.
    """
    _whiten_inputs(network, data, generator)
    encoder = network.encoder
    projection = encoder.projection
    if not isinstance(projection, nn.Linear):
        raise TypeError(f"a pooling without a linear map: {encoder.pooling!r}")
    summaries = torch.empty(len(data), projection.in_features, dtype=torch.float64)
    n_done = 0
    for windows, n_steps in _encoder_inputs(network, data):
        summaries[n_done : n_done + len(windows)] = encoder.summarize(windows, n_steps)
        n_done += len(windows)
    _project_on_components(projection, summaries, generator)


def _encoder_inputs(network: RecurrentAutoencoder, data: Batch) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield windows and their number, for a batch of the series after the other."""
    a, (_, n_timesteps, n_channels) = network.architecture, data.values.shape
    values_per_series = max(1, n_timesteps // a.window_stride) * a.window_len * n_channels
    batch_size = max(1, min(BATCH_SERIES, BATCH_VALUES // values_per_series))
    for rows in torch.split(torch.arange(len(data)), batch_size):
        part = data.take(rows)
        yield network.encoder_inputs(part.values, part.lengths)


def _whiten_inputs(network: RecurrentAutoencoder, data: Batch, generator: torch.Generator) -> None:
    """Draw input weights that see each direction in a window about equally.

    Consecutive values are much alike: drawn independently, weights see little
    but a window's mean.
    """
    length, n_channels = network.architecture.window_len, network.architecture.n_channels
    whitening = _whitening(_window_covariance(network, data)).float()
    encoder = network.encoder
    for layer in (*encoder.forward_layers[:1], *encoder.backward_layers[:1]):
        shape = (len(layer.weight_ih_l0), length, n_channels)
        drawn = torch.randn(shape, generator=generator) / math.sqrt(length * n_channels)
        weights = torch.einsum("hwc,wv->hvc", drawn, whitening)
        layer.weight_ih_l0.copy_(weights.reshape_as(layer.weight_ih_l0))


def _window_covariance(network: RecurrentAutoencoder, data: Batch) -> Tensor:
    """Return the mean product of any two timesteps in a window. Shape: (W, W)."""
    length = network.architecture.window_len
    total, count = torch.zeros(length, length, dtype=torch.float64), 0
    for inputs, n_steps in _encoder_inputs(network, data):
        own = inputs[steps_inside(inputs, n_steps)[:, :, 0]].double()
        timesteps = own.reshape(len(own), length, -1).transpose(1, 2).reshape(-1, length)
        total += timesteps.T @ timesteps
        count += len(timesteps)
    return total / count


def _whitening(covariance: Tensor) -> Tensor:
    """Return the symmetric matrix that makes all directions' variances alike, 1 in the mean."""
    variances, directions = torch.linalg.eigh(covariance)
    floor = LEAST_VARIANCE_SHARE * variances.mean()
    if not floor > 0:
        return torch.eye(len(covariance), dtype=covariance.dtype)
    matrix = directions / (variances.clamp(min=0) + floor).sqrt() @ directions.T
    variance = (matrix @ covariance @ matrix).trace() / len(matrix)
    scaled: Tensor = matrix / variance.sqrt()
    return scaled


def _project_on_components(
    projection: nn.Linear, summaries: Tensor, generator: torch.Generator
) -> None:
    """Make a linear map the first principal components of what it gets to see, which is lost.

    They are turned by a random rotation, so that each dimension of the embedding
    has a like part in all of them: alone, the last ones would be next to nothing but
    noise, which whoever scales features to unit variance would blow up. Where there
    are fewer components than dimensions, random directions fill up.
    """
    mean = summaries.mean(dim=0)
    summaries -= mean
    embedding_dim = projection.out_features
    n_components = min(embedding_dim, len(summaries) - 1)
    drawn = torch.randn(embedding_dim, len(mean), generator=generator, dtype=torch.float64)
    drawn[:n_components] = _principal_directions(summaries, n_components)
    basis = torch.linalg.qr(drawn.T)[0].T
    rotation = torch.empty(embedding_dim, embedding_dim, dtype=torch.float64)
    nn.init.orthogonal_(rotation, generator=generator)
    weights = rotation @ basis
    spread = (summaries @ weights.T).square().mean().sqrt()
    if spread > 0:
        weights = weights / spread
    projection.weight.copy_(weights)
    projection.bias.copy_(-weights @ mean)


def _principal_directions(centred: Tensor, n_directions: int) -> Tensor:
    """Return the directions of most variance, orthonormal. Shape: (N, D) -> (n_directions, D).

    From the products of all columns, or of all rows where they are fewer: a singular value
    decomposition takes twice the memory and time, more memory than training if series are short.
    """
    is_wide = centred.shape[0] < centred.shape[1]
    _, vectors = torch.linalg.eigh(centred @ centred.T if is_wide else centred.T @ centred)
    first: Tensor = vectors.flip(1)[:, :n_directions].T
    if is_wide:
        # Where there is no variance left any direction will do, and 0 leaves it to the caller.
        first = nn.functional.normalize(first @ centred, dim=1)
    return first
