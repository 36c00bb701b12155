"""Data-parallel training: one fit on several processes, with or without GPUs.

Each process holds its own shard of the series. All of them train the same network with
`torch.distributed`: in every step they sum their gradients. The result is the same as that
of one process with all the series. The processes can run on one machine or on several; start
them with torchrun:

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

On the workers of a Dask cluster, use `seqfeat.cluster.fit` instead.
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
from seqfeat.runtime.heartbeats import Heartbeats
from seqfeat.runtime.ranks import GroupRanks, Ranks, first_line, gloo_backends, use_ranks

__all__ = ["LocalRanks", "fit", "process_group", "processes"]

Model = TypeVar("Model", LSTMAutoencoder, Pipeline)

JOINING_TIMEOUTS = 5
"""How many timeouts the processes may take to join, as one may have to load its series first."""

LONGEST_WAIT = 30 * 24 * 3600.0
"""Seconds: a limit that torch demands, far above any wait for a process that is busy."""

RENDEZVOUS_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets for its processes."""


def fit(model: Model, X: Any, y: Any = None, *, timeout: float = 120.0) -> Model:
    """Fit one model to the series of several processes. Every process has to call this.

    Parameters
    ----------
    model : LSTMAutoencoder or Pipeline
        A pipeline has to start with the autoencoder; its other steps are fitted by rank 0
        to the embeddings of all processes. The parameters of rank 0's model are used.
    X : array-like
        The series of this process, at least one, as in `LSTMAutoencoder.fit`. Processes may
        hold different numbers of series; training is fastest if they are about equal.
    y : array-like of shape (n_samples,), default=None
        The labels of these series.
    timeout : float, default=120
        Seconds until a process that gives no sign of life counts as stalled, for example one
        that was stopped, and the others give up. One that is busy is waited for, however long
        it takes. Ignored inside a `processes` context, which has its own.

    Returns
    -------
    model
        The same object, fitted, and identical in all processes.

    Raises
    ------
    DistributedError
        If another process raised an error, died, or stalled, which the message names, or if
        there is neither a process group nor an environment that describes one.
    InputTypeError
        If `model` is something else, such as a search. To run the fits of a search in
        parallel, use ``joblib.parallel_config("dask")``.

    Notes
    -----
    Every batch ends with an all-reduce of the gradients, which are as large as the weights.
    With ``batch_size="auto"``, N series make up to ``sqrt(N) / 2`` batches per epoch; raise
    ``batch_size`` so that each process gets 48 or more series of every batch. With
    missing values, the loss is averaged over the observed values of all processes, and
    early stopping watches the loss over all processes.

    A thread in each process gives the signs of life, about 24 within the timeout. It cannot run
    during a single long call of a library that keeps Python's lock, such as some of SciPy's;
    raise `timeout` if such a call can take that long. In a process group that you initialized
    yourself, its own time limit applies as well, and to busy processes, too; so it does to
    NCCL, the sums of gradients between GPUs, where torch ends the processes without naming any.
    """
    autoencoder = _leading_autoencoder(model)
    with processes(timeout) as ranks:
        shared = ranks.broadcast(autoencoder)
        with use_ranks(ranks):
            shared.fit(X, y)
        autoencoder.__dict__ = shared.__dict__
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            _fit_remaining_steps(model, autoencoder.transform(X), y, ranks)
    return model


@contextmanager
def processes(timeout: float = 120.0) -> Iterator[Ranks]:
    """Join the process group of the processes that torchrun started; leave it on exit.

    If `torch.distributed` is already initialized, its default process group is used, and
    stays open.

    Parameters
    ----------
    timeout : float, default=120
        Seconds until a process that gives no sign of life counts as stalled. Joining may take
        five times as long.

    Yields
    ------
    ranks : Ranks
        With the attributes ``rank``, counted from 0, and ``world_size``.

    Raises
    ------
    DistributedError
        If not all processes join in time, or if the environment does not describe a
        process group.
    """
    if _joined is not None:
        yield _joined
        return
    if dist.is_initialized():
        with _watching(timeout, expects_all=False, rank_0_hosts_store=False) as ranks:
            yield ranks
        return
    missing = [name for name in RENDEZVOUS_VARIABLES if name not in os.environ]
    if missing:
        raise DistributedError(
            "there is no process group, and the environment does not describe one: "
            f"{', '.join(missing)} are not set. Start the program with `torchrun "
            "--nproc-per-node N program.py`, or call torch.distributed.init_process_group first."
        )
    local = LocalRanks(
        int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    )
    with process_group("env://", timeout, local) as ranks:
        yield ranks


class LocalRanks(NamedTuple):
    """The processes of a group that run on this machine and share its GPUs."""

    local_rank: int
    local_world_size: int


@contextmanager
def process_group(
    init_method: str, timeout: float, local: LocalRanks, rank: int = -1, world_size: int = -1
) -> Iterator[Ranks]:
    """Initialize the default process group, and destroy it on exit.

    `init_method`, `rank` and `world_size` are passed to `torch.distributed.init_process_group`.
    """
    with ExitStack() as stack:
        if torch.cuda.is_available():
            device = local.local_rank % torch.cuda.device_count()
            stack.enter_context(torch.cuda.device(device))
        _join(init_method, timeout, local, rank, world_size)
        stack.callback(dist.destroy_process_group)
        agent_hosts_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        rank_0_hosts_store = not (agent_hosts_store and init_method == "env://")
        are_all_here = False
        with _watching(timeout, expects_all=True, rank_0_hosts_store=rank_0_hosts_store) as ranks:
            # From now on, only a process that has stalled is waited for in vain.
            _limit_waits(LONGEST_WAIT)
            yield ranks
            # One that leaves earlier can make torch's background threads in the others fail.
            with suppress(DistributedError):
                ranks.all_reduce(torch.zeros(1, dtype=torch.float32, device="cpu"))
                are_all_here = True
        if are_all_here:
            # The same for the threads of the heartbeats, which have ended by now.
            _limit_waits(timeout)
            with suppress(RuntimeError):
                dist.barrier()


def _join(init_method: str, timeout: float, local: LocalRanks, rank: int, world_size: int) -> None:
    """Wait for the other processes, which may have to load their series first."""
    seconds = JOINING_TIMEOUTS * timeout
    try:
        dist.init_process_group(
            _backend(local, torch.cuda.device_count(), dist.is_nccl_available()),
            init_method=init_method,
            timeout=timedelta(seconds=seconds),
            rank=rank,
            world_size=world_size,
        )
    except RuntimeError as error:
        raise DistributedError(
            f"not all processes of this fit joined within {seconds:g} seconds. Check that all "
            "of them were started, that they can reach each other over the network, and that "
            "no other job uses the same port; raise timeout if some of them take longer to load "
            f"their series. torch.distributed reports: {first_line(error)}"
        ) from error


_joined: GroupRanks | None = None
"""The processes of the context that is open, for those within it."""


@contextmanager
def _watching(
    timeout: float, *, expects_all: bool, rank_0_hosts_store: bool
) -> Iterator[GroupRanks]:
    """Give the others signs of life, and find out whether one of them has stalled."""
    global _joined
    heartbeats = None
    with ExitStack() as stack:
        if dist.get_world_size() > 1:
            heartbeats = Heartbeats(
                dist.distributed_c10d._get_default_store(),
                dist.get_rank(),
                dist.get_world_size(),
                timeout,
                expects_all=expects_all,
                rank_0_hosts_store=rank_0_hosts_store,
            )
            heartbeats.start()
            stack.callback(heartbeats.stop)
        _joined = GroupRanks(heartbeats)
        try:
            yield _joined
        finally:
            _joined = None


def _limit_waits(seconds: float) -> None:
    """Set the time limit of Gloo's own waits."""
    for backend in gloo_backends().values():
        backend._set_default_timeout(timedelta(seconds=seconds))


def _backend(local: LocalRanks, n_devices: int, has_nccl: bool) -> str:
    """Return torch's communication backends, for CPU and for GPU tensors.

    NCCL is faster between GPUs, but needs one GPU per process.
    """
    if n_devices == 0:
        return "gloo"
    has_own_device = local.local_world_size <= n_devices
    return "cpu:gloo,cuda:nccl" if has_nccl and has_own_device else "cpu:gloo,cuda:gloo"


def _leading_autoencoder(model: Any) -> LSTMAutoencoder:
    first = model.steps[0][1] if isinstance(model, Pipeline) else model
    if isinstance(first, LSTMAutoencoder):
        return first
    raise InputTypeError(
        f"model is {type(model).__name__}; pass an LSTMAutoencoder, or a Pipeline that starts with "
        "one. Apply other preprocessing steps to the series beforehand. To run the fits of a "
        "search in parallel, use joblib.parallel_config('dask')."
    )


def _fit_remaining_steps(model: Pipeline, embeddings: Any, y: Any, ranks: Ranks) -> None:
    """Fit the steps after the autoencoder in rank 0, and send them to all processes."""
    shards = ranks.all_gather((np.asarray(embeddings), None if y is None else np.asarray(y)))
    remaining = model[1:]

    def fit_in_rank_0() -> None:
        if ranks.rank == 0:
            labels = None if y is None else np.concatenate([labels for _, labels in shards])
            remaining.fit(np.concatenate([features for features, _ in shards]), labels)

    ranks.attempt(fit_in_rank_0)
    model.steps[1:] = ranks.broadcast(remaining.steps)
