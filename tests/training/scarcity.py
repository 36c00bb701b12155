"""Backends that are interrupted, or that run out of memory."""

import math
import mmap

import torch


class CheckedBackend:
    """Another backend, with a check before each part of a batch, in training and inference.

    If the check raises an error, the parts of the batch before it have been run all the same.
    """

    def __init__(self, backend, check):
        self.backend, self.check = backend, check

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def backward(self, parts, loss_weights, pool):
        for number, (part, _) in enumerate(parts):
            try:
                self.check(len(part))
            except BaseException:
                self.backend.backward(parts[:number], loss_weights, pool)
                raise
        return self.backend.backward(parts, loss_weights, pool)

    def error_sums(self, part):
        self.check(len(part))
        return self.backend.error_sums(part)

    def embed(self, values, lengths):
        self.check(len(values))
        return self.backend.embed(values, lengths)

    def scale_and_embed(self, values, lengths, mean_and_scale):
        self.check(len(values))
        return self.backend.scale_and_embed(values, lengths, mean_and_scale)

    def decode(self, embeddings, n_timesteps):
        self.check(len(embeddings))
        return self.backend.decode(embeddings, n_timesteps)


def out_of_memory_beyond(backend, n_series, allocate=lambda: None):
    """Return a backend that has no memory for more than `n_series` series at a time."""

    def check(size):
        if size > n_series:
            allocate()
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return CheckedBackend(backend, check)


def allocate_too_much_on_cuda():
    torch.empty(2**50, dtype=torch.uint8, device="cuda")


def interrupted_at(backend, n_parts):
    """Return a backend in which somebody presses ctrl-C before the n-th part of a batch."""
    sizes = []

    def check(size):
        sizes.append(size)
        if len(sizes) == n_parts:
            raise KeyboardInterrupt

    return CheckedBackend(backend, check)


class MemoryMaps:
    """Takes the place of `mmap.mmap`: notes how much memory the kernels ask for, and may refuse it.

    Attributes
    ----------
    sizes : list of int
        Bytes that were asked for.
    limit : float
        More than that is refused.
    """

    def __init__(self, monkeypatch):
        self.sizes, self.limit, self.map = [], math.inf, mmap.mmap
        monkeypatch.setattr(mmap, "mmap", self)

    def __call__(self, number, n_bytes, **options):
        self.sizes.append(n_bytes)
        if n_bytes > self.limit:
            raise OSError(12, "Cannot allocate memory")
        return self.map(number, n_bytes, **options)
