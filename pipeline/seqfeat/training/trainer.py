"""The training loop: `Trainer.run`, and below it a method for each smaller step.

All randomness comes from one CPU generator that the caller owns, so that a seed gives the same
batches and masks on every device, and no global random state is touched. Torch only.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from seqfeat.exceptions import DeviceMemoryError, TrainingError
from seqfeat.inference.consistency import check_optimizer_state
from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch, BatchShard
from seqfeat.nn.corruption import NO_CORRUPTION, Corruption, draw_corruption
from seqfeat.nn.loss import LossWeights
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.device import exact_device, halving_on_out_of_memory
from seqfeat.runtime.first_import import first_import
from seqfeat.runtime.ranks import ALONE, Ranks
from seqfeat.runtime.threads import WorkerPool
from seqfeat.runtime.torch_threads import n_cpu_threads, single_threaded, use_one_thread
from seqfeat.training.history import History
from seqfeat.training.sampler import TrainingData, bucket_batches, chunks_in_order, shuffled_chunks
from seqfeat.training.schedule import EarlyStopping, one_cycle

__all__ = ["Observer", "Trainer", "TrainerState", "TrainingSettings"]

MAX_GRADIENT_NORM = 1.0
CPU_MICRO_BATCH = 48
"""Number of series that run through the network at once on a CPU; more are slower."""
MIN_SPLIT_WORK = 1_500_000
"""Minimum of series x recurrent steps x hidden units² for a batch to be split on a CPU.

For a smaller one, a second thread saves less than the split costs where there is only one.
"""

TrainerState = dict[str, Any]
"""Everything that the remaining epochs depend on, as NumPy arrays, numbers and strings."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Names and meanings are those of `LSTMAutoencoder`."""

    max_iter: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    dropout: float = 0.0
    masking_ratio: float = 0.0
    input_noise: float = 0.0
    target_weight: float = 0.0
    encoder_rate: float = 1.0
    """Learning rate of the encoder, relative to the others'."""
    n_iter_no_change: int = 10
    tol: float = 1e-4
    keeps_start: bool = False
    """Whether the initial weights are kept unless an epoch's are better on the validation set."""
    decay: bool = True
    """Whether the learning rate warms up and decays; a stream has no end to decay to."""


class Observer(Protocol):
    """Is notified of every epoch."""

    def begin_epoch(self) -> None:
        """Called when an epoch begins."""

    def end_epoch(self, network: RecurrentAutoencoder, history: History) -> bool:
        """Called when an epoch has ended; returns whether to stop."""


class Trainer:
    """Trains a backend's network in place, and leaves it with its best weights.

    Parameters
    ----------
    backend : Backend
        Runs the network, on its device.
    data : TrainingData
        The training set.
    settings : TrainingSettings
    generator : torch.Generator
        A CPU generator, the source of all randomness.
    validation : TrainingData, optional
        The set whose loss is monitored; without it, the training loss is monitored.
    ranks : Ranks, default=ALONE
        The processes that share `data` and `validation`. Each trains the same network, with the
        same settings and an equal generator.
    optimizer_state : mapping, optional
        `optimizer_state` of an earlier trainer, to continue from.

    Attributes
    ----------
    history : History
    early_stopping : EarlyStopping
    best_weights : dict of str to Tensor
        The weights after the epoch with the lowest monitored loss.
    """

    def __init__(
        self,
        backend: Backend,
        data: TrainingData,
        settings: TrainingSettings,
        generator: torch.Generator,
        *,
        validation: TrainingData | None = None,
        ranks: Ranks = ALONE,
        optimizer_state: Mapping[str, Any] | None = None,
    ) -> None:
        self.backend, self.network, self.device = backend, backend.network, backend.device
        self.data, self.validation = data, validation
        self.settings, self.generator, self.ranks = settings, generator, ranks
        self.target_weight = settings.target_weight if self.network.head is not None else 0.0
        s, is_cpu = settings, self.device.type == "cpu"
        self.micro_batch = CPU_MICRO_BATCH if is_cpu else s.batch_size
        self.pool = WorkerPool(n_cpu_threads() if is_cpu else 1, use_one_thread)
        self.history = History(validation_loss_curve=None if validation is None else [])
        self.early_stopping = EarlyStopping(s.n_iter_no_change, s.tol, s.max_iter)
        self.best_weights = {
            name: weight.clone() for name, weight in self.network.state_dict().items()
        }
        groups = self._parameter_groups()
        with first_import("torch._dynamo"):
            self.optimizer = torch.optim.AdamW(
                groups, betas=(0.9, 0.99), weight_decay=s.weight_decay, fused=True
            )
        if optimizer_state:
            self._continue(optimizer_state)
        n_steps = s.max_iter * -(-len(data) // s.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, partial(one_cycle, n_steps=n_steps if s.decay else 0)
        )
        self.corrupts = max(s.dropout, s.masking_ratio, s.input_noise) > 0

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters, in two groups if the encoder has its own learning rate."""
        rate, encoder_rate = self.settings.learning_rate, self.settings.encoder_rate
        if encoder_rate == 1.0:
            return [{"params": self._trained(), "lr": rate}]
        encoder = list(self.network.encoder.parameters())
        known = set(encoder)
        others = [weight for weight in self._trained() if weight not in known]
        return [{"params": encoder, "lr": encoder_rate * rate}, {"params": others, "lr": rate}]

    def _trained(self) -> list[torch.nn.Parameter]:
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def _load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        check_optimizer_state(state, [tuple(weight.shape) for weight in self._trained()])
        # In JSON, keys are strings.
        moments = {int(index): value for index, value in state["state"].items()}
        self.optimizer.load_state_dict(_as_tensors({**state, "state": moments}))

    def _continue(self, optimizer_state: Mapping[str, Any]) -> None:
        # The state contains learning rates and other settings, too; those of this training apply.
        groups = self.optimizer.state_dict()["param_groups"]
        self._load_optimizer_state({**optimizer_state, "param_groups": groups})

    @property
    def optimizer_state(self) -> dict[str, Any]:
        """The optimizer's state, as NumPy arrays and numbers."""
        state: dict[str, Any] = _as_arrays(self.optimizer.state_dict())
        return state

    def run(
        self,
        observer: Observer | None = None,
        keep: Callable[[int, Callable[[], TrainerState]], None] = lambda n_iter, state_dict: None,
    ) -> History:
        """Train until the last epoch, or until something stops it.

        Parameters
        ----------
        observer : Observer, optional
            Is notified of every epoch, and may stop the training.
        keep : callable, optional
            Called after every epoch with its number and `state_dict`.

        Raises
        ------
        TrainingError
            If the loss was not finite in the first epoch.
        DeviceMemoryError
            If not even a single series fits into the memory of the device.
        DistributedError
            If another process ended, or did not answer in time.
        KeyboardInterrupt
            If it came in the first epoch, or if there are other processes. Otherwise the best
            weights so far are kept, and ``stop_reason`` is ``"interrupted"``.
        """
        history, s = self.history, self.settings
        try:
            with single_threaded(), self.pool:
                if s.keeps_start and history.n_iter == 0 and self.validation is not None:
                    history.best_loss = self.evaluate(self.validation)
                while history.n_iter < s.max_iter and history.stop_reason == "max_iter":
                    if observer is not None:
                        observer.begin_epoch()
                    loss = self.epoch()
                    monitored = loss if self.validation is None else self.evaluate(self.validation)
                    if not (math.isfinite(loss) and math.isfinite(monitored)):
                        history.stop_reason = "diverged"
                        break
                    self._record(loss, monitored)
                    keep(history.n_iter, self.state_dict)
                    stops = observer is not None and observer.end_epoch(self.network, history)
                    if any(self.ranks.all_gather(stops)):
                        history.stop_reason = "callback"
        except KeyboardInterrupt:
            # Other processes may be in another epoch.
            if history.n_iter == 0 or not self.ranks.is_alone:
                raise
            history.stop_reason = "interrupted"
        if history.stop_reason == "diverged" and not math.isfinite(history.best_loss):
            raise TrainingError(
                "the training loss was not finite in the first epoch, so there are no weights to "
                f"keep. Lower learning_rate_init (it is {s.learning_rate:g}), or check the input's "
                "scale if scale=None."
            )
        self._restore_best_weights()
        return history

    def _record(self, loss: float, monitored: float) -> None:
        """Record the losses of an epoch, its weights if they are the best, and whether to stop."""
        history = self.history
        history.loss_curve.append(loss)
        if history.validation_loss_curve is not None:
            history.validation_loss_curve.append(monitored)
        history.n_iter += 1
        if monitored < history.best_loss:
            history.best_loss, history.best_iter = monitored, history.n_iter
            weights = self.network.state_dict()
            # In one call, so that no interrupt comes in between.
            torch._foreach_copy_([self.best_weights[name] for name in weights], [*weights.values()])
        if self.early_stopping.should_stop(monitored, history.n_iter):
            history.stop_reason = "no_improvement"

    def _restore_best_weights(self) -> None:
        """Load the best weights; in all processes rank 0's, because machines round differently."""
        weights = self.best_weights
        if not self.ranks.is_alone:
            weights = self.ranks.broadcast({name: weight.cpu() for name, weight in weights.items()})
        self.network.load_state_dict(weights)

    # The state between two epochs

    def state_dict(self) -> TrainerState:
        """Return everything that the remaining epochs depend on."""
        schedule = self.schedule.state_dict()
        return {
            "weights": _as_arrays(self.network.state_dict()),
            "best_weights": _as_arrays(self.best_weights),
            "optimizer": self.optimizer_state,
            "schedule": {name: schedule[name] for name in schedule if name != "lr_lambdas"},
            "generator": _as_arrays(self.generator.get_state()),
            "micro_batch": self.micro_batch,
            "early_stopping": vars(self.early_stopping).copy(),
            "history": copy.deepcopy(vars(self.history)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from the state of an earlier trainer."""
        self.network.load_state_dict(_as_tensors(state["weights"]))
        self.best_weights = {
            name: weight.to(self.device)
            for name, weight in _as_tensors(state["best_weights"]).items()
        }
        self._load_optimizer_state(state["optimizer"])
        self.schedule.load_state_dict({**self.schedule.state_dict(), **state["schedule"]})
        self.generator.set_state(_as_tensors(state["generator"]))
        self.micro_batch = state["micro_batch"]
        vars(self.early_stopping).update(state["early_stopping"])
        vars(self.history).update(copy.deepcopy(state["history"]))

    # One epoch, one step

    def epoch(self) -> float:
        """Pass once over the training set, and return the mean training loss."""
        data, size = self.data, self.settings.batch_size
        total: Tensor | float = 0.0
        for rows in shuffled_chunks(data, size, self.generator):
            chunk, lengths = data.load(rows), data.lengths[rows]
            for index in bucket_batches(lengths, size, self.generator):
                batch, positions = chunk.take(rows[index])
                shard = None
                if positions is not None:
                    n_values = None
                    if data.is_dense and not data.is_weighted:
                        n_values = len(index) * data.values_per_series
                    shard = BatchShard(positions, len(index), int(lengths[index].max()), n_values)
                total += self.step(batch, shard) * len(index)
            # Not two chunks at once.
            del chunk
        return float(total) / len(data)

    def step(self, batch: Batch, shard: BatchShard | None = None) -> Tensor | float:
        """Update the weights once; return the batch's loss, or NaN if a gradient is not finite.

        A batch is cut into micro-batches, whose gradients are added up. On a CPU, several of them
        run at once, each on one thread. Their size does not depend on the number of threads, so
        the result does not either. If memory runs out, they are halved and the batch is retried.
        With a `shard`, other processes do the same with the rest of the batch, and gradients and
        losses are added up over all processes.
        """
        corruption = self.draw_corruption(batch, shard)
        counts = self._count(batch, shard)
        while True:
            with halving_on_out_of_memory(self._halve_micro_batch, self.device):
                loss = self.backward(batch, corruption, counts)
                break
        if not self.ranks.is_alone:
            loss = self.backend.add_up(self.ranks.all_reduce, loss)
        norm = self.backend.update(self.optimizer, MAX_GRADIENT_NORM, self.pool)
        self.schedule.step()
        # Such gradients have spoilt the weights, which the loss would show one step too late.
        if isinstance(norm, Tensor):
            return torch.where(norm.isfinite(), loss, math.nan)
        return loss if math.isfinite(norm) else math.nan

    def draw_corruption(self, batch: Batch, shard: BatchShard | None = None) -> Corruption:
        """Draw masks and noise for a batch.

        With a `shard`, they are drawn for the whole batch, and the shard's part is returned.
        """
        if not self.corrupts:
            return NO_CORRUPTION
        s, (size, n_timesteps, n_channels) = self.settings, batch.values.shape
        if shard is not None:
            size, n_timesteps = shard.n_samples, shard.n_timesteps
        corruption = draw_corruption(
            self.network.architecture,
            (size, n_timesteps, n_channels),
            self.generator,
            masking_ratio=s.masking_ratio,
            input_noise=s.input_noise,
            dropout=s.dropout,
        )
        if shard is not None:
            corruption = corruption.shard(shard, batch.values.shape[1])
        return corruption.where(batch.observed)

    def _count(self, batch: Batch, shard: BatchShard | None) -> tuple[float, float]:
        """Return the numbers of observed values and of targets in the whole batch."""
        if shard is None:
            return batch.counts
        if shard.n_values is not None:
            return shard.n_values, shard.n_samples
        device = exact_device(self.device)
        own = torch.tensor(batch.counts, dtype=torch.float64, device=device)
        n_values, n_targets = self.ranks.all_reduce(own).tolist()
        return n_values, n_targets

    def backward(
        self,
        batch: Batch,
        corruption: Corruption,
        counts: tuple[float, float] | None = None,
    ) -> Tensor | float:
        """Compute the gradients of a batch, and return its loss.

        `counts` are those of the whole batch, if `batch` is a shard of it.
        """
        slices = self.micro_batches(*batch.values.shape[:2])
        parts = [(batch, corruption)]
        if len(slices) != 1:
            parts = [(batch.rows(rows), corruption.rows(rows)) for rows in slices]
        weights = self._loss_weights(*(batch.counts if counts is None else counts))
        return self.backend.backward(parts, weights, self.pool)

    def _loss_weights(self, n_values: float, n_targets: float) -> LossWeights:
        """Return the factors of a loss over `n_values` values and `n_targets` targets."""
        share = self.target_weight
        return LossWeights((1 - share) / n_values, share / n_targets)

    def micro_batches(self, n_samples: int, n_timesteps: int) -> list[slice]:
        """Cut a batch into parts of about equal size, an empty one into none."""
        n_parts = -(-n_samples // self.micro_batch)
        if self.device.type == "cpu":
            a = self.network.architecture
            n_steps = n_timesteps // a.patch_len
            if a.pooling != "reservoir":
                n_steps += n_timesteps // a.window_stride
            if n_samples * n_steps * a.hidden_dim**2 >= MIN_SPLIT_WORK:
                n_parts = max(min(2, n_samples), n_parts)
        edges = [n_samples * part // max(1, n_parts) for part in range(n_parts + 1)]
        return [slice(start, stop) for start, stop in itertools.pairwise(edges)]

    def _halve_micro_batch(self) -> bool:
        """Halve the size of micro-batches, which must not be a single series already."""
        if self.micro_batch == 1:
            raise DeviceMemoryError(
                f"{self.device} ran out of memory with a single series in the batch. Reduce "
                "hidden_dim or embedding_dim, raise patch_len to take fewer steps, cut the series "
                "into shorter ones, or use device='cpu'."
            )
        self.micro_batch //= 2
        return True

    def evaluate(self, data: TrainingData) -> float:
        """Return the loss on a set, without corruption and without updates."""
        sums = torch.zeros(4, dtype=torch.float64, device=exact_device(self.device))
        for rows in chunks_in_order(data):
            held = data.load(rows).take_all(rows)
            while len(held):
                with halving_on_out_of_memory(self._halve_micro_batch, self.device):
                    sums += self._error_sums(held)
                    break
        squared_error, target_error, *counts = self.ranks.all_reduce(sums).tolist()
        weights = self._loss_weights(*counts)
        return float(squared_error * weights.squared_error + target_error * weights.target_error)

    def _error_sums(self, data: Batch) -> Tensor:
        """Return the summed errors of series in memory, which run in batches of similar length."""
        order = torch.split(torch.argsort(data.lengths, stable=True), self.micro_batch)
        parts = self.pool.map(lambda rows: self.backend.error_sums(data.take(rows)), order)
        return torch.stack(list(parts)).sum(dim=0)


def _as_arrays(state: Any) -> Any:
    """Replace tensors by copies as NumPy arrays in nested dicts and lists."""
    if isinstance(state, Tensor):
        return state.detach().cpu().numpy().copy()
    if isinstance(state, dict):
        return {key: _as_arrays(value) for key, value in state.items()}
    return [_as_arrays(value) for value in state] if isinstance(state, list) else state


def _as_tensors(state: Any) -> Any:
    """Replace NumPy arrays by copies as tensors on the CPU in nested dicts and lists."""
    if hasattr(state, "__array__"):
        return torch.from_numpy(state.copy())
    if isinstance(state, Mapping):
        return {key: _as_tensors(value) for key, value in state.items()}
    return [_as_tensors(value) for value in state] if isinstance(state, list) else state
