"""The tables of `make bench-cluster`: what was measured, and what can be calculated from that."""

import math
from collections.abc import Iterator

import numpy as np
from tests.benchmarks.data_parallel import ALL_REDUCE, EPOCH, INDEPENDENT, ONE, REDUCED, SENT, TWO
from tests.benchmarks.data_parallel import CASES as FITS
from tests.benchmarks.measure import Row, median_and_range, select_values, significant
from tests.benchmarks.tables import markdown

SEARCH = "search, 4 sizes with 3 folds"
TRANSFORM = "transform, 10,000 series"
FIT = "fit, 1,024 series, 5 epochs, batches of 512"
CHUNKS = "transform, 500 chunks of one series"
KEEPING = "1 process that keeps freed memory"
CASES = [SEARCH, TRANSFORM, FIT, CHUNKS]
N_SERIES, N_TIMESTEPS, N_CHANNELS, N_FEATURES = 10_000, 150, 4, 64
CHUNK = 500

N_PLANNED = 10**9
N_SAMPLED = 10**6
N_PLANNED_EPOCHS = 10
N_CORES = 64
CHUNK_SERIES = 10_000
NETWORK = 10e9 / 8
"""Bytes per second of a network of 10 Gbit/s."""


def page(rows: list[Row]) -> str:
    """Return all tables in Markdown."""
    parts = [
        "Written by `make bench-cluster`. Two cores, no GPU, one thread per process. Medians, with "
        "the minimum and maximum in parentheses; speed-ups are calculated for each round.\n",
        "## Two Dask workers and one\n",
        markdown(["seconds", "one", "two", "speed-up", "one that keeps freed memory"], dask(rows)),
        f"Series have {N_TIMESTEPS} steps and {N_CHANNELS} channels, and {N_FEATURES} features are "
        "computed, except in the search, which uses Japanese Vowels. The fit is a call of "
        "`cluster.fit`, including what comes before and after the training. CLUSTER.md explains "
        "the last column.\n",
        "## One fit on two processes and on one\n",
        markdown(
            ["seconds per epoch", "one", "two", "speed-up", "upper limit: two independent fits"],
            data_parallel(rows),
        ),
        "Started by torchrun. The last column is twice the time of one process divided by that of "
        "two processes that each run the whole fit independently: the most that the two cores of "
        "this machine allow.\n",
        "## Communication\n",
        markdown(
            [
                "two processes",
                "updates per epoch",
                "bytes per epoch and process",
                "of these, per update",
                "bytes on the loopback device, both",
                "all-reduce of one update, ms",
                "share of the epoch",
            ],
            communication(rows),
        ),
        "## One core, and a billion series\n",
        markdown(["", "", "source"], plan(rows)),
        "The calculations for several processes ignore that a core takes longer per series if its "
        "part of a batch is smaller than 48 series.\n",
    ]
    return "\n".join(parts)


def select(rows: list[Row], case: str, contestant: str, quantity: str) -> np.ndarray:
    return select_values(rows, case=case, contestant=contestant, quantity=quantity)


def dask(rows: list[Row]) -> Iterator[list[str]]:
    for case in CASES:
        one, two = (select(rows, case, name, "seconds") for name in (ONE, TWO))
        keeping = select(rows, case, KEEPING, "seconds")
        last = median_and_range(keeping) if len(keeping) else ""
        yield [case, *map(median_and_range, (one, two, one / two)), last]


def data_parallel(rows: list[Row]) -> Iterator[list[str]]:
    for case, options in FITS.items():
        one, two, both = (select(rows, case, name, EPOCH) for name in (ONE, TWO, INDEPENDENT))
        shape = f"{case}: {options['n_samples']:,} series of {options['n_timesteps']} steps"
        yield [
            f"{shape}, {options['embedding_dim']} features, batches of {options['batch_size']}",
            *map(median_and_range, (one, two, one / two, 2 * one / both)),
        ]


def communication(rows: list[Row]) -> Iterator[list[str]]:
    for case, options in FITS.items():
        n_updates = math.ceil(options["n_samples"] / options["batch_size"])
        reduced, sent, seconds, epoch = (
            np.median(select(rows, case, TWO, quantity))
            for quantity in (REDUCED, SENT, ALL_REDUCE, EPOCH)
        )
        yield [
            case,
            str(n_updates),
            megabytes(reduced),
            megabytes(reduced / n_updates),
            megabytes(sent),
            significant(1000 * seconds),
            f"{n_updates * seconds / epoch:.0%}",
        ]


def megabytes(n_bytes: float) -> str:
    return f"{significant(n_bytes / 1e6)} MB"


def plan(rows: list[Row]) -> Iterator[list[str]]:
    """Yield what one core achieves, and what that means for a billion series."""
    large = FITS["large batch"]
    embedded = N_SERIES / np.median(select(rows, TRANSFORM, ONE, "seconds"))
    fitted = large["n_samples"] / np.median(select(rows, "large batch", ONE, EPOCH))
    overhead = np.median(select(rows, CHUNKS, ONE, "seconds")) / CHUNK
    keeping = N_SERIES / np.median(select(rows, TRANSFORM, KEEPING, "seconds"))
    yield ["transform, series per second and core", f"{embedded:,.0f}", "measured"]
    yield ["the same, if workers keep freed memory", f"{keeping:,.0f}", "measured"]
    yield ["fit, series per second and core", f"{fitted:,.0f}", "measured, batches of 512"]
    yield ["overhead per chunk", f"{1000 * overhead:.1f} ms", "measured, chunks of one series"]

    bytes_per_series = 4 * N_TIMESTEPS * N_CHANNELS
    n_chunks = N_PLANNED // CHUNK_SERIES
    hours = N_PLANNED / embedded / 3600
    yield [
        "**the series**, float32",
        f"{N_PLANNED * bytes_per_series / 1e12:.1f} TB",
        f"{N_TIMESTEPS} x {N_CHANNELS} x 4 bytes each",
    ]
    yield [
        "their features, float32",
        f"{N_PLANNED * 4 * N_FEATURES / 1e9:.0f} GB",
        f"{N_FEATURES} x 4 bytes each",
    ]
    yield [
        f"chunks of {CHUNK_SERIES:,} series",
        f"{n_chunks:,}, {CHUNK_SERIES * bytes_per_series / 1e6:.0f} MB each",
        "calculated",
    ]
    yield ["**transform**, one core", f"{hours:,.0f} hours", "calculated"]
    yield [f"on {N_CORES} cores", f"{hours / N_CORES:.1f} hours", "calculated, if no core waits"]
    yield [
        f"read by {N_CORES} cores",
        f"{N_CORES * embedded * bytes_per_series / 1e6:,.0f} MB/s",
        "calculated; what the storage has to deliver",
    ]
    yield [
        "time in the scheduler",
        f"{n_chunks * overhead / 60:.0f} minutes",
        "calculated; an upper bound, because it includes transforming one series",
    ]
    yield [
        f"**fit** of {N_SAMPLED:,} of them, {N_PLANNED_EPOCHS} epochs, one core",
        f"{N_SAMPLED * N_PLANNED_EPOCHS / fitted / 3600:.1f} hours",
        "calculated",
    ]
    for n_ranks in (2, 8, 32):
        yield fit_on_ranks(rows, n_ranks)
    yield [
        "one epoch over all of them, one core",
        f"{N_PLANNED / fitted / 3600:,.0f} hours",
        f"calculated; {N_PLANNED / large['batch_size']:,.0f} updates",
    ]


def fit_on_ranks(rows: list[Row], n_ranks: int) -> list[str]:
    """Return how long the fit takes on that many processes with a network of their own.

    An update takes its share of the computation, plus an all-reduce of the gradients, in which
    each process sends and receives 2 (R - 1) / R times their size.
    """
    large = FITS["large batch"]
    batch_size, n_samples = large["batch_size"], large["n_samples"]
    epoch = np.median(select(rows, "large batch", ONE, EPOCH))
    payload = np.median(select(rows, "large batch", TWO, REDUCED)) / (n_samples / batch_size)
    computing = epoch * batch_size / n_samples / n_ranks
    sending = 2 * (n_ranks - 1) / n_ranks * payload / NETWORK
    hours = N_SAMPLED / batch_size * N_PLANNED_EPOCHS * (computing + sending) / 3600
    speed_up = n_ranks * computing / (computing + sending)
    return [
        f"on {n_ranks} processes, {batch_size // n_ranks} series of every batch each",
        f"{hours:.2f} hours",
        f"calculated for 10 Gbit/s: {1000 * computing:.0f} ms of computation and "
        f"{1000 * sending:.1f} ms of communication per update, speed-up {speed_up:.1f}",
    ]
