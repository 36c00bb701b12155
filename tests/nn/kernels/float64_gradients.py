"""Gradients of a whole network in float64, by autograd on formulas."""

import copy
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy, linear

from seqfeat.nn.network import count_windows, from_patches, windows
from seqfeat.nn.pooling import MIN_VARIANCE, STATISTICS

FORMULAS = {
    "mean": lambda x: x.mean(dim=0),
    "std": lambda x: (x.var(dim=0, correction=0) + MIN_VARIANCE).sqrt(),
    "max": lambda x: x.amax(dim=0),
    "min": lambda x: x.amin(dim=0),
}


def float64_gradients(network, batch, corruption, weights):
    """Return the gradients of the loss of a batch; of what has no part in it, zeros."""
    exact = copy.deepcopy(network).double()
    batch = replace(batch, values=batch.values.double())
    squared_error, entropy = errors(exact, batch, corruption)
    loss = squared_error * weights.squared_error + entropy * weights.target_error
    return torch.autograd.grad(loss, list(exact.parameters()), materialize_grads=True)


def errors(exact, batch, corruption):
    embeddings = embed(exact, corruption.apply(batch.values), batch.lengths)
    error = decode(exact, embeddings, batch.values.shape[1]) - batch.values
    if batch.observed is not None:
        error = error * batch.observed
    ones = torch.ones(len(batch), dtype=torch.float64)
    weights = ones if batch.weights is None else batch.weights.double()
    squared_error = (error.square().flatten(1).sum(dim=1) * weights).sum()
    if exact.head is None or batch.targets is None:
        return squared_error, 0.0
    weights = ones if batch.target_weights is None else batch.target_weights.double()
    scores = exact.head(embeddings)
    if exact.architecture.n_targets:
        of_series = (scores - batch.targets.double()).square().mean(dim=1)
    else:
        of_series = cross_entropy(scores, batch.targets, reduction="none")
    return squared_error, (of_series * weights).sum()


def embed(exact, values, lengths):
    encoder, pooling = exact.encoder, exact.architecture.pooling
    hidden, outputs, n_steps = run_encoder(exact, values, lengths)
    if pooling == "last":
        pooled = encoder._last_states(outputs, n_steps)
    else:
        layers = [hidden, outputs] if pooling == "statistics" else [outputs]
        pooled = torch.stack(
            [
                torch.cat(
                    [FORMULAS[name](one[row, :n]) for name in STATISTICS[pooling] for one in layers]
                )
                for row, n in enumerate(n_steps.tolist())
            ]
        )
    if isinstance(encoder.projection, torch.nn.Identity):
        return pooled
    return linear(pooled, encoder.projection.weight, encoder.projection.bias)


def run_encoder(exact, values, lengths):
    """Return the outputs of both layers, and how many steps are valid."""
    encoder, a = exact.encoder, exact.architecture
    sequences = windows(values, a.window_len, a.window_stride)
    n_steps = count_windows(lengths, a.window_len, a.window_stride)
    hidden = encoder._layer(0, sequences, n_steps)
    return hidden, encoder._layer(1, hidden, n_steps), n_steps


def smallest_gap(network, batch, corruption):
    """Return the smallest distance between a largest or smallest output and the next one."""
    exact = copy.deepcopy(network).double()
    with torch.no_grad():
        values = corruption.apply(batch.values.double())
        *layers, n_steps = run_encoder(exact, values, batch.lengths)
    outputs = torch.cat(layers, dim=2)
    gaps = []
    for row, n in enumerate(n_steps.tolist()):
        distances = outputs[row, :n].sort(dim=0).values.diff(dim=0)
        gaps += [distances[0], distances[-1]] if n > 1 else []
    return float(torch.stack(gaps).min()) if gaps else torch.inf


def decode(exact, embeddings, n_timesteps):
    decoder, a = exact.decoder, exact.architecture
    n_steps = -(-n_timesteps // a.patch_len)
    # Like the weights, they are numbers in float32.
    times = decoder.time_features(n_steps, embeddings).double().expand(len(embeddings), -1, -1)
    hidden = decoder.layers[0].outputs(times, embeddings)
    patches = decoder.output(decoder.layers[1].outputs(hidden))
    return from_patches(patches, n_timesteps, a.n_channels)
