"""Measuring the memory that Python and NumPy take."""

import gc
import tracemalloc


def peak_of(work):
    """Return the most bytes at a time that a second call of `work` takes, and its result."""
    work()  # imports and caches
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()
