"""Interleaved measurements, the rows of the CSV files, and summaries over rounds.

A row is one measurement in one round, so that medians, ranges and ratios can be computed
again from the files.
"""

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

OURS = "seqfeat"
MATRIX_PRODUCT = "torch.mm"
MATRIX_SIZE = 1024

T = TypeVar("T")


class Row(NamedTuple):
    """One measurement. `embedding_dim` is 0 where it does not apply."""

    benchmark: str
    case: str
    embedding_dim: int
    contestant: str
    quantity: str
    round: int
    value: float
    note: str = ""


# Time


def interleave(
    contestants: dict[str, T], run: Callable[[T], float], rounds: int
) -> Iterator[tuple[str, int, float]]:
    """Yield name, round and measurement; all contestants take turns in every round.

    Whatever else the machine does then affects all of them alike.
    """
    for number in range(rounds):
        for name, contestant in contestants.items():
            yield name, number, run(contestant)


def seconds(run: Callable[[], object]) -> float:
    """Time a call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def seconds_per_epoch(epochs: list[float]) -> float:
    return sum(epochs) / len(epochs)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def matrix_product_rate() -> float:
    """Return the GFLOP/s of a large float32 matrix product on all of torch's threads."""
    a, b = (torch.rand(MATRIX_SIZE, MATRIX_SIZE) for _ in range(2))
    best = min(seconds(lambda: torch.mm(a, b)) for _ in range(10))
    return 2 * MATRIX_SIZE**3 / best / 1e9


# CSV files


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_parse(values) for values in csv.DictReader(file)]


def _parse(values: dict[str, str]) -> Row:
    numbers = {"embedding_dim": int, "round": int, "value": float}
    return Row(**{name: numbers.get(name, str)(value) for name, value in values.items()})


def replace_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows to a file, in place of earlier rows of the same benchmarks."""
    rows = list(rows)
    measured = {row.benchmark for row in rows}
    kept = [row for row in read_rows(path) if row.benchmark not in measured]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in kept + rows:
            writer.writerow(row._replace(value=float(f"{row.value:.6g}")))


# Summaries


def select_values(rows: Iterable[Row], **fields: object) -> np.ndarray:
    """Return the values, by round, of the rows with the given fields."""
    chosen = [row for row in rows if all(getattr(row, k) == v for k, v in fields.items())]
    return np.array([row.value for row in sorted(chosen, key=lambda row: row.round)])


def median_and_range(values: np.ndarray, digits: int = 3) -> str:
    """Format the median and, if there are several values, the minimum and the maximum."""
    median, least, most = (
        significant(value, digits) for value in (np.median(values), values.min(), values.max())
    )
    return median if len(values) == 1 else f"{median} ({least} to {most})"


def significant(value: float, digits: int = 3) -> str:
    """Format a number with that many significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{decimals}f}"
