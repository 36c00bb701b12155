"""Arrays for the kernels: random numbers, and guards that show whoever writes beside an array."""

import math

import torch

GUARD = 64
"""Elements before and after an array."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(*shape, seed=1, dtype=torch.float32):
    """Return normally distributed numbers."""
    return torch.randn(*shape, generator=generator(seed)).to(dtype)


class Guards:
    """Makes arrays that lie between guards; `check` finds out whether these were written to."""

    def __init__(self):
        self.kept = []

    def __call__(self, array):
        """Return a copy of an array between guards."""
        size = array.numel()
        around = torch.empty(size + 2 * GUARD, dtype=array.dtype)
        around.fill_(-(2**40) if array.dtype is torch.int64 else math.pi)
        self.kept.append((around, size))
        inside = around[GUARD : GUARD + size].view(array.shape)
        inside.copy_(array)
        return inside

    def empty(self, *shape, dtype=torch.float32):
        """Return an array that holds nothing useful: NaN, or the smallest integers."""
        fill = -(2**40) if dtype is torch.int64 else math.nan
        return self(torch.full(shape, fill, dtype=dtype))

    def check(self):
        for around, size in self.kept:
            outside = torch.cat([around[:GUARD], around[GUARD + size :]])
            guard = -(2**40) if around.dtype is torch.int64 else math.pi
            expected = torch.full_like(outside, guard)
            assert torch.equal(outside, expected), "a kernel wrote beside an array"
