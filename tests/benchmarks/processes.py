"""Tasks on two processes with one thread each, so that the seconds of all methods compare."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import joblib
import numba
import torch
from threadpoolctl import threadpool_limits

PROCESSES = 2

T = TypeVar("T")


def run_in_processes(function: Callable[..., T], tasks: Iterable[tuple[Any, ...]]) -> Iterator[T]:
    """Yield the results in the order of the tasks, each of which is the arguments of a call."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(PROCESSES, return_as="generator")
    return parallel(joblib.delayed(_with_one_thread)(function, task) for task in tasks)


def _with_one_thread(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    with threadpool_limits(1):
        return function(*arguments)
