"""One fit shared among processes, on one machine or several, with or without GPUs.

Data-parallel training with `torch.distributed`: each process holds series of its own,
all of them train the same network, and in each step they add up their gradients. The
result is what one process makes of all the series. Start the processes with torchrun:

.. code-block:: python

    # torchrun --nproc-per-node 2 train.py
    import numpy as np
    import seqfeat
    from seqfeat import distributed

    with distributed.processes() as ranks:
        X = np.load("series.npy", mmap_mode="r")
        start, stop = len(X) * np.array([ranks.rank, ranks.rank + 1]) // ranks.world_size
        model = distributed.fit(seqfeat.LSTMAutoencoder(random_state=0), X[start:stop])
        if ranks.rank == 0:
            seqfeat.save(model, "model.joblib")

or on the workers of a Dask cluster with `seqfeat.cluster.fit`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from torch import distributed as dist

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import DistributedError, InputTypeError
from seqfeat.runtime.ranks import GroupRanks, Ranks, first_words, working_as

__all__ = ["Neighbours", "fit", "meeting", "processes"]

Model = TypeVar("Model", LSTMAutoencoder, Pipeline)

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells its processes."""


def fit(model: Model, X: Any, y: Any = None, *, timeout: float = 600.0) -> Model:
    """Fit one model to the series of several processes, each of which calls this.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        In a pipeline the autoencoder comes first; what follows it is fitted by rank 0 to
        the embeddings of all. Parameters are those of rank 0's model.
    X : array-like
        This process's own series, at least one, as in `LSTMAutoencoder.fit`. Processes
        may hold different numbers; those that hold about the same finish first.
    y : array-like of shape (n_samples,), default=None
        Their labels.
    timeout : float, default=600
        Seconds that a process waits for the others before it gives up. Counts where
        no `processes` context is open.

    Returns
    -------
    model
        The same object, fitted, alike in all processes.

    Raises
    ------
    DistributedError
        If another process raised an error, ended, or did not answer in time, or if
        nothing says which processes there are.
    InputTypeError
        If `model` is something else, such as a search; a search shares out whole fits, with
        ``joblib.parallel_config("dask")``.

    Notes
    -----
    Each step moves the gradients, as many bytes as the weights have, to and from every
    process, and each epoch as often as there are batches. With ``batch_size="auto"`` of a
    set of N series that is ``sqrt(N) / 2`` times or less; raise ``batch_size`` so that each
    process gets 48 series or more of a batch. Masked values count as often as they
    were observed in all processes, and the watched loss is that of all.
    """
    autoencoder = _autoencoder(model)
    with processes(timeout) as ranks:
        shared = ranks.first(autoencoder)
        with working_as(ranks):
            shared.fit(X, y)
        autoencoder.__dict__ = shared.__dict__
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            _fit_rest(model, autoencoder.transform(X), y, ranks)
    return model


@contextmanager
def processes(timeout: float = 600.0) -> Iterator[Ranks]:
    """Meet the other processes that torchrun started, and part at the end.

    Where `torch.distributed` is in use already, its default group is taken and left.

    Parameters
    ----------
    timeout : float, default=600
        Seconds that a process waits for the others before it gives up.

    Yields
    ------
    ranks : Ranks
        With ``rank``, from 0, and ``world_size``.

    Raises
    ------
    DistributedError
        If the others do not come in time, or if nothing says who they are.
    """
    if dist.is_initialized():
        yield GroupRanks()
        return
    missing = [name for name in ENVIRONMENT if name not in os.environ]
    if missing:
        raise DistributedError(
            f"nothing says which processes share this fit: {', '.join(missing)} are not set. Start "
            "the program with `torchrun --nproc-per-node N program.py`, or call "
            "torch.distributed.init_process_group before."
        )
    neighbours = Neighbours(
        int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    )
    with meeting("env://", timeout, neighbours) as ranks:
        yield ranks


class Neighbours(NamedTuple):
    """The processes on one machine: which one this is, and how many share its GPUs."""

    local_rank: int
    n_processes: int


@contextmanager
def meeting(
    address: str, timeout: float, neighbours: Neighbours, rank: int = -1, world_size: int = -1
) -> Iterator[Ranks]:
    """Meet at an address, as `torch.distributed.init_process_group` has them."""
    with ExitStack() as stack:
        if torch.cuda.is_available():
            device = neighbours.local_rank % torch.cuda.device_count()
            stack.enter_context(torch.cuda.device(device))
        try:
            dist.init_process_group(
                _backend(neighbours, torch.cuda.device_count(), dist.is_nccl_available()),
                init_method=address,
                timeout=timedelta(seconds=timeout),
                rank=rank,
                world_size=world_size,
            )
        except RuntimeError as error:
            raise DistributedError(
                f"the processes of this fit did not all meet within {timeout:g} seconds. Check "
                "that all were started, that they reach each other over the network, and that no "
                f"other run uses the same port. torch.distributed says: {first_words(error)}"
            ) from error
        stack.callback(dist.destroy_process_group)
        yield GroupRanks()
        # Together, or torch's threads may find the others gone before they have ended.
        with suppress(RuntimeError):
            dist.barrier()


def _backend(neighbours: Neighbours, n_devices: int, has_nccl: bool) -> str:
    """Return torch's backends for tensors on CPUs and GPUs.

    NCCL is faster between GPUs, but wants one for each process.
    """
    if n_devices == 0:
        return "gloo"
    is_one_each = neighbours.n_processes <= n_devices
    return "cpu:gloo,cuda:nccl" if has_nccl and is_one_each else "cpu:gloo,cuda:gloo"


def _autoencoder(model: Any) -> LSTMAutoencoder:
    first = model.steps[0][1] if isinstance(model, Pipeline) else model
    if isinstance(first, LSTMAutoencoder):
        return first
    raise InputTypeError(
        f"model is {type(model).__name__}; pass an LSTMAutoencoder, or a Pipeline of which it is "
        "the first step: transform the series first where other steps come before it. A search "
        "shares out whole fits: joblib.parallel_config('dask')."
    )


def _fit_rest(model: Pipeline, embeddings: Any, y: Any, ranks: Ranks) -> None:
    """Fit what follows the autoencoder once, and give it to all."""
    parts = ranks.gather((np.asarray(embeddings), None if y is None else np.asarray(y)))
    rest = model[1:]

    def fit_in_rank_0() -> None:
        if ranks.rank == 0:
            labels = None if y is None else np.concatenate([part for _, part in parts])
            rest.fit(np.concatenate([part for part, _ in parts]), labels)

    ranks.attempt(fit_in_rank_0)
    model.steps[1:] = ranks.first(rest.steps)
