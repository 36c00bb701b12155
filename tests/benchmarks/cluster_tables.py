"""What `make bench-cluster` prints and writes: measured figures, and what follows from them."""

import math
from collections.abc import Iterator

import numpy as np
from tests.benchmarks.measure import Row, figures, significant, summary
from tests.benchmarks.shared_fit import APART, EPOCH, EXCHANGE, HANDED_OVER, ONE, SENT, TWO
from tests.benchmarks.shared_fit import CASES as FITS
from tests.benchmarks.tables import markdown

SEARCH = "search, 4 sizes in 3 folds"
TRANSFORM = "transform, 10,000 series"
FIT = "fit, 1,024 series, 5 epochs, batches of 512"
CHUNKS = "transform, 500 chunks of one series"
KEEPING = "1 process that keeps its memory"
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
    """Return all tables, in Markdown."""
    parts = [
        "Written by `make bench-cluster`. Two cores, no GPU, one thread for each process. Medians, "
        "and in parentheses the least to the most; a speed-up is that of each round.\n",
        "## Two Dask workers against one\n",
        markdown(["seconds", "one", "two", "speed-up", "one that keeps its memory"], workers(rows)),
        f"Series have {N_TIMESTEPS} steps, {N_CHANNELS} channels and {N_FEATURES} features, but "
        "those of the search, which are Japanese Vowels. The fit is `cluster.fit` as it is called, "
        "with what comes before and after. CLUSTER.md tells what the last column is.\n",
        "## One fit on two processes against one\n",
        markdown(
            ["seconds an epoch", "one", "two", "speed-up", "two that share nothing: at most"],
            shared(rows),
        ),
        "Started by torchrun. The last column is twice the time of one process over that of two "
        "of which each makes the whole fit for itself: what two cores of this machine allow.\n",
        "## What the processes tell each other\n",
        markdown(
            [
                "of two",
                "updates an epoch",
                "bytes an epoch, each process",
                "of them for an update",
                "both, on the loopback device",
                "ms to add up one update's",
                "share of the epoch",
            ],
            exchanged(rows),
        ),
        "## A core, and a billion series\n",
        markdown(["", "", "how"], plan(rows)),
        "What is worked out for several processes does not know that fewer than 48 series of a "
        "batch take a core longer for each.\n",
    ]
    return "\n".join(parts)


def of(rows: list[Row], case: str, contestant: str, quantity: str) -> np.ndarray:
    return figures(rows, case=case, contestant=contestant, quantity=quantity)


def workers(rows: list[Row]) -> Iterator[list[str]]:
    for case in CASES:
        one, two = (of(rows, case, name, "seconds") for name in (ONE, TWO))
        keeping = of(rows, case, KEEPING, "seconds")
        last = summary(keeping) if len(keeping) else ""
        yield [case, summary(one), summary(two), summary(one / two), last]


def shared(rows: list[Row]) -> Iterator[list[str]]:
    for case, options in FITS.items():
        one, two, apart = (of(rows, case, name, EPOCH) for name in (ONE, TWO, APART))
        shape = f"{case}: {options['n_samples']:,} series of {options['n_timesteps']} steps"
        yield [
            f"{shape}, {options['embedding_dim']} features, batches of {options['batch_size']}",
            summary(one),
            summary(two),
            summary(one / two),
            summary(2 * one / apart),
        ]


def exchanged(rows: list[Row]) -> Iterator[list[str]]:
    for case, options in FITS.items():
        n_updates = math.ceil(options["n_samples"] / options["batch_size"])
        handed_over, sent, seconds, epoch = (
            np.median(of(rows, case, TWO, quantity))
            for quantity in (HANDED_OVER, SENT, EXCHANGE, EPOCH)
        )
        yield [
            case,
            str(n_updates),
            megabytes(handed_over),
            megabytes(handed_over / n_updates),
            megabytes(sent),
            significant(1000 * seconds),
            f"{n_updates * seconds / epoch:.0%}",
        ]


def megabytes(n_bytes: float) -> str:
    return f"{significant(n_bytes / 1e6)} MB"


def plan(rows: list[Row]) -> Iterator[list[str]]:
    """Yield what a core does, measured, and what follows for a billion series, worked out."""
    large = FITS["large batch"]
    embedded = N_SERIES / np.median(of(rows, TRANSFORM, ONE, "seconds"))
    fitted = large["n_samples"] / np.median(of(rows, "large batch", ONE, EPOCH))
    overhead = np.median(of(rows, CHUNKS, ONE, "seconds")) / CHUNK
    yield ["transform, series a second and core", f"{embedded:,.0f}", "measured"]
    keeping = N_SERIES / np.median(of(rows, TRANSFORM, KEEPING, "seconds"))
    yield ["the same, if workers keep their memory", f"{keeping:,.0f}", "measured"]
    yield ["fit, series a second and core", f"{fitted:,.0f}", "measured, batches of 512"]
    yield ["a chunk, whatever is in it", f"{1000 * overhead:.1f} ms", "measured, one series each"]

    values = 4 * N_TIMESTEPS * N_CHANNELS
    n_chunks = N_PLANNED // CHUNK_SERIES
    hours = N_PLANNED / embedded / 3600
    yield [
        "**the series**, float32",
        f"{N_PLANNED * values / 1e12:.1f} TB",
        f"{N_TIMESTEPS} x {N_CHANNELS} x 4 bytes each",
    ]
    yield [
        "their features, float32",
        f"{N_PLANNED * 4 * N_FEATURES / 1e9:.0f} GB",
        f"{N_FEATURES} x 4 bytes each",
    ]
    yield [
        f"chunks of {CHUNK_SERIES:,} series",
        f"{n_chunks:,}, {CHUNK_SERIES * values / 1e6:.0f} MB each",
        "worked out",
    ]
    yield ["**transform**, one core", f"{hours:,.0f} hours", "worked out"]
    yield [f"on {N_CORES} cores", f"{hours / N_CORES:.1f} hours", "worked out, if none waits"]
    yield [
        f"read by {N_CORES} cores",
        f"{N_CORES * embedded * values / 1e6:,.0f} MB/s",
        "worked out; what storage has to give",
    ]
    yield [
        "the scheduler's part",
        f"{n_chunks * overhead / 60:.0f} minutes",
        "worked out; an upper bound, as it holds the call on one series",
    ]
    yield [
        f"**fit** of {N_SAMPLED:,} of them, {N_PLANNED_EPOCHS} epochs, one core",
        f"{N_SAMPLED * N_PLANNED_EPOCHS / fitted / 3600:.1f} hours",
        "worked out",
    ]
    for n_ranks in (2, 8, 32):
        yield on_ranks(rows, n_ranks)
    yield [
        "one epoch of all, one core",
        f"{N_PLANNED / fitted / 3600:,.0f} hours",
        f"worked out; {N_PLANNED / large['batch_size']:,.0f} updates",
    ]


def on_ranks(rows: list[Row], n_ranks: int) -> list[str]:
    """Return how long that fit takes on so many processes, on a network that is not shared.

    Each update takes its part of the computing, and to add up the gradients, of which each
    process sends and receives 2 (R - 1) / R times as many bytes.
    """
    large = FITS["large batch"]
    batch_size, n_samples = large["batch_size"], large["n_samples"]
    epoch = np.median(of(rows, "large batch", ONE, EPOCH))
    payload = np.median(of(rows, "large batch", TWO, HANDED_OVER)) / (n_samples / batch_size)
    computing = epoch * batch_size / n_samples / n_ranks
    sending = 2 * (n_ranks - 1) / n_ranks * payload / NETWORK
    hours = N_SAMPLED / batch_size * N_PLANNED_EPOCHS * (computing + sending) / 3600
    speed_up = n_ranks * computing / (computing + sending)
    return [
        f"on {n_ranks} processes, {batch_size // n_ranks} series of a batch each",
        f"{hours:.2f} hours",
        f"worked out for 10 Gbit/s: {1000 * computing:.0f} ms of computing and "
        f"{1000 * sending:.1f} ms of sending an update, speed-up {speed_up:.1f}",
    ]
