"""Training a recurrent autoencoder: `train(network, data, settings, generator)`.

Torch only. The loop is `Trainer.run`; below it, a step a method: `epoch`,
`step`, `backward`. All randomness comes from one CPU generator that the
caller owns, so that a seed gives the same batches and the same masks on every
device, and nothing global is touched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seqfeat.exceptions import DeviceMemoryError, TrainingError
from seqfeat.nn.batch import Batch, Share
from seqfeat.nn.corruption import Corruption, draw_corruption
from seqfeat.nn.kernels import compiled_backpropagation, compiled_optimizer
from seqfeat.nn.loss import Loss
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.device import halving_on_out_of_memory, single_threaded, use_one_thread
from seqfeat.runtime.ranks import ALONE, Ranks
from seqfeat.runtime.threads import WorkerPool
from seqfeat.training.history import History, as_arrays, as_tensors
from seqfeat.training.sampler import Source, bucket_batches, regions_in_order, shuffled_regions
from seqfeat.training.schedule import EarlyStopping, one_cycle

if TYPE_CHECKING:
    from seqfeat.nn.kernels.adamw import CompiledAdamW

    pass

__all__ = [
    "Settings",
    "State",
    "add_gradients",
    "add_up_ranks",
    "clip_gradients",
    "restore",
    "state_of",
    "train",
]

MAX_GRADIENT_NORM = 1.0
CPU_MICRO_BATCH = 48
"""Series that go through the network together on a CPU; more run slower there."""
LEAST_HALVED = 1_500_000
"""Series x recurrent steps x hidden units² of a batch whose halves run side by side on a CPU.

Of a smaller one a second thread wins less than the halves cost where there is none.
"""


@dataclass(frozen=True)
class Settings:
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
    """Learning rate of the encoder, as a share of the others'."""
    n_iter_no_change: int = 10
    tol: float = 1e-4
    decay: bool = True
    """Whether the learning rate warms up and decays; a stream has no end to decay to."""


def train(
    network: RecurrentAutoencoder,
    data: Source,
    settings: Settings,
    generator: torch.Generator,
    *,
    validation: Source | None = None,
    device: torch.device | None = None,
    ranks: Ranks = ALONE,
    on_epoch_begin: Callable[[], None] = lambda: None,
    on_epoch_end: Callable[[History], bool] = lambda history: False,
    optimizer_state: Mapping[str, Any] | None = None,
    resumed: Mapping[str, Any] | None = None,
    keep: Callable[[int, Callable[[], State]], None] = lambda n_iter, state: None,
) -> History:
    """Train `network` in place and leave it with its best weights.

    Parameters
    ----------
    network : RecurrentAutoencoder
        Trained in place, on `device`, and left there.
    data, validation : Source
        The loss to watch is that of `validation`, or else the training loss.
    settings : Settings
    generator : torch.Generator
        A CPU generator, the source of all randomness.
    device : torch.device, default=CPU
    ranks : Ranks, default=ALONE
        The processes that share `data` and `validation`, each of which calls this
        with the same network, settings and generator.
    on_epoch_begin, on_epoch_end : callable, optional
        Called around every epoch, the latter with the history; if it returns a
        true value, training stops.
    optimizer_state : mapping, optional
        ``History.optimizer_state`` of an earlier call, to continue from.
    resumed : mapping, optional
        The state of an earlier call between two of its epochs, to go on from.
    keep : callable, optional
        Called after every epoch with their number and with what returns the state.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss was not finite before any epoch ended well.
    DeviceMemoryError
        If the device's memory does not hold one series at a time.
    DistributedError
        If another process of `ranks` ended, or failed to answer in time.
    KeyboardInterrupt
        If it came before the first epoch ended, or if there are other processes.
        Else the best weights so far are kept and ``stop_reason`` says ``"interrupted"``.
    """
    trainer = Trainer(network, settings, generator, device or torch.device("cpu"), ranks)
    trainer.prepare(len(data), optimizer_state)
    with single_threaded(), trainer.pool:
        return trainer.run(data, validation, on_epoch_begin, on_epoch_end, resumed, keep)


class Trainer:
    """One training run; see `train`."""

    def __init__(
        self,
        network: RecurrentAutoencoder,
        settings: Settings,
        generator: torch.Generator,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.network = network.to(device)
        self.ranks = ranks
        self.settings = settings
        self.generator = generator
        self.device = device
        self.objective = Loss(network, settings.target_weight, device)
        self.micro_batch = CPU_MICRO_BATCH if device.type == "cpu" else settings.batch_size
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.backpropagation = compiled_backpropagation(self.network)
        self.compiled_optimizer: CompiledAdamW | None = None
        n_threads = torch.get_num_threads() if device.type == "cpu" else 1
        self.pool = WorkerPool(n_threads, use_one_thread)

    def prepare(self, n_samples: int, optimizer_state: Mapping[str, Any] | None) -> None:
        """Set up the optimizer and its schedule."""
        s = self.settings
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(),
            betas=(0.9, 0.99),
            weight_decay=s.weight_decay,
            fused=True,
        )
        if optimizer_state:
            self.optimizer.load_state_dict(as_tensors(optimizer_state))
            # The state brings its rates along; what is asked for now counts.
            for group, wanted in zip(
                self.optimizer.param_groups, self._parameter_groups(), strict=True
            ):
                group["lr"] = group["initial_lr"] = wanted["lr"]
                group["weight_decay"] = s.weight_decay
        n_steps = s.max_iter * -(-n_samples // s.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: one_cycle(step, n_steps) if s.decay else 1.0
        )

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters, the encoder's apart if they have a learning rate of their own."""
        rate, share = self.settings.learning_rate, self.settings.encoder_rate
        if share == 1.0:
            return [{"params": list(self.network.parameters()), "lr": rate}]
        encoder = list(self.network.encoder.parameters())
        known = set(encoder)
        others = [weight for weight in self.network.parameters() if weight not in known]
        return [{"params": encoder, "lr": share * rate}, {"params": others, "lr": rate}]

    def run(
        self,
        data: Source,
        validation: Source | None,
        on_epoch_begin: Callable[[], None],
        on_epoch_end: Callable[[History], bool],
        resumed: Mapping[str, Any] | None = None,
        keep: Callable[[int, Callable[[], State]], None] = lambda n_iter, state: None,
    ) -> History:
        """Train until the end of the epochs, or until something says stop."""
        history = History(validation_loss_curve=None if validation is None else [])
        s = self.settings
        patience = EarlyStopping(s.n_iter_no_change, s.tol, s.max_iter)
        current = self.network.state_dict()
        best = {name: weight.clone() for name, weight in current.items()}
        if resumed is not None:
            best = restore(resumed, self, history, patience)
        try:
            while history.n_iter < s.max_iter and history.stop_reason == "max_iter":
                on_epoch_begin()
                loss = self.epoch(data)
                watched = loss if validation is None else self.evaluate(validation)
                if not (math.isfinite(loss) and math.isfinite(watched)):
                    history.stop_reason = "diverged"
                    break
                if history.record(loss, watched):
                    # In one call, which no interrupt cuts short.
                    torch._foreach_copy_([best[name] for name in current], [*current.values()])
                if patience.is_over(watched, history.n_iter):
                    history.stop_reason = "no_improvement"
                keep(history.n_iter, partial(state_of, self, history, patience, best))
                if any(self.ranks.gather(on_epoch_end(history))):
                    history.stop_reason = "callback"
        except KeyboardInterrupt:
            # The others may be in another epoch.
            if history.n_iter == 0 or not self.ranks.is_alone:
                raise
            history.stop_reason = "interrupted"
        if history.stop_reason == "diverged" and history.best_iter == 0:
            raise TrainingError(
                "the training loss was not finite in the first epoch, so there are no weights to "
                f"keep. Lower learning_rate_init (it is {self.settings.learning_rate:g}), or check "
                "the input's scale if scale=None."
            )
        self._adopt(best)
        history.optimizer_state = as_arrays(self.optimizer.state_dict())
        return history

    def _adopt(self, weights: dict[str, Tensor]) -> None:
        """Take over weights; in all processes those of rank 0, which differ where machines do."""
        if not self.ranks.is_alone:
            weights = self.ranks.first({name: weight.cpu() for name, weight in weights.items()})
        self.network.load_state_dict(weights)

    def epoch(self, data: Source) -> float:
        """Pass over the data once and return the mean training loss."""
        total: Tensor | float = 0.0
        size = self.settings.batch_size
        for region in shuffled_regions(len(data), data.values_per_series, size, self.generator):
            loaded, lengths = data.load(region), data.lengths[region]
            for index in bucket_batches(lengths, size, self.generator):
                batch, places = loaded.take(region[index])
                share = None
                if places is not None:
                    n_values = len(index) * data.values_per_series if data.is_dense else None
                    share = Share(places, len(index), int(lengths[index].max()), n_values)
                total += self.step(batch, share) * len(index)
            # Not two regions at once.
            del loaded
        return float(total) / len(data)

    def step(self, batch: Batch, share: Share | None = None) -> Tensor | float:
        """Update the weights once and return the batch's loss, if a tensor on the device.

        A batch goes through the network in micro-batches whose gradients add up
        to the batch's own. On a CPU they run side by side, each on one thread; as
        their size does not depend on the number of threads, nor does the result. If
        memory runs out they are halved and the batch starts again. With a `share`,
        other processes do the same with the rest of the batch, and gradients and
        losses of all add up.
        """
        corruption = self.corruption(batch, share)
        n_values, n_samples = self._divisors(batch, share)
        while True:
            for weight in self.weights:
                weight.grad = None  # The optimizer's zero_grad takes a twentieth of a small update.
            with halving_on_out_of_memory(self.halve_micro_batch, self.device):
                loss = self.backward(batch, corruption, n_values, n_samples)
                break
        if not self.ranks.is_alone:
            loss = add_up_ranks(self.weights, loss, self.ranks)
        loss = self._update(loss)
        self.schedule.step()
        return loss

    def _update(self, loss: Tensor | float) -> Tensor | float:
        """Clip the gradients and take a step; return the loss, NaN if they are not finite."""
        # Such gradients have ruined the weights, which the loss would show a step too late.
        compiled = self.backpropagation
        # The optimizer makes its state in its first step, unless that came from an earlier fit.
        if compiled is not None and self.optimizer.state and compiled.is_at(self.weights):
            if self.compiled_optimizer is None:
                options = self.optimizer, compiled, MAX_GRADIENT_NORM
                self.compiled_optimizer = compiled_optimizer(*options)
            is_finite = math.isfinite(self.compiled_optimizer.step(self.pool))
            return loss if is_finite else math.nan
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        norm = clip_gradients(gradients, MAX_GRADIENT_NORM)
        self.optimizer.step()
        # A fused step does not say that it wrote, and layers keep what they made of the weights.
        torch.autograd.graph.increment_version(self.weights)
        return torch.where(norm.isfinite(), loss, math.nan)

    def _divisors(self, batch: Batch, share: Share | None) -> tuple[int, int]:
        """Return how many observed values and series the whole batch has."""
        if share is None:
            return batch.n_values, len(batch)
        if share.n_values is not None:
            return share.n_values, share.n_samples
        n_values = torch.tensor(float(batch.n_values), dtype=torch.float64, device=self.device)
        return int(self.ranks.sum(n_values)), share.n_samples

    def backward(
        self,
        batch: Batch,
        corruption: Corruption,
        n_values: int | None = None,
        n_samples: int | None = None,
    ) -> Tensor | float:
        """Find the batch's gradients, added up over its parts, and return its loss."""
        n_values = batch.n_values if n_values is None else n_values
        n_samples = len(batch) if n_samples is None else n_samples
        parts = [(batch.rows(rows), corruption.rows(rows)) for rows in self.micro_batches(batch)]
        compiled, is_labelled = self.backpropagation, batch.targets is not None
        if compiled is not None and parts and is_labelled == (self.network.head is not None):
            weighting = self.objective.weighting(batch, n_values, n_samples)
            return compiled.run(parts, weighting, self.pool)
        self.network.prepare()
        differentiate = partial(self.objective.gradients, n_values=n_values, n_samples=n_samples)
        loss = torch.zeros((), device=self.device)
        for found, gradients in self.pool.map(differentiate, parts):
            loss += found
            add_gradients(self.weights, gradients)
        return loss

    def micro_batches(self, batch: Batch) -> list[slice]:
        """Cut a batch into parts of equal size, as far as that goes; an empty one into none."""
        n_samples = len(batch)
        n_parts = -(-n_samples // self.micro_batch)
        if self.device.type == "cpu" and self._work(batch) >= LEAST_HALVED:
            n_parts = max(min(2, n_samples), n_parts)
        edges = [n_samples * part // max(1, n_parts) for part in range(n_parts + 1)]
        return [slice(start, stop) for start, stop in itertools.pairwise(edges)]

    def _work(self, batch: Batch) -> int:
        a, n_timesteps = self.network.architecture, batch.values.shape[1]
        n_steps = n_timesteps // a.window_stride + n_timesteps // a.patch_len
        return len(batch) * n_steps * a.hidden_dim**2

    def evaluate(self, data: Source) -> float:
        """Return the loss without corruption and without an update."""
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        for region in regions_in_order(len(data), data.values_per_series):
            held, _ = data.load(region).take(region)
            while len(held):
                with halving_on_out_of_memory(self.halve_micro_batch, self.device):
                    sums += self._sums(held)
                    break
        return self.objective.loss_of_sums(self.ranks.sum(sums))

    def _sums(self, data: Batch) -> Tensor:
        """Return `Loss.sums` of series in memory, in batches of like length."""
        order = torch.argsort(data.lengths, stable=True)

        def sums_of(rows: Tensor) -> Tensor:
            with torch.no_grad():
                return self.objective.sums(data.take(rows))

        parts = self.pool.map(sums_of, torch.split(order, self.micro_batch))
        return torch.stack(list(parts)).sum(dim=0)

    def corruption(self, batch: Batch, share: Share | None = None) -> Corruption:
        """Draw what training hides from the network in this batch.

        Of a `share` all is drawn, too, and its own part returned.
        """
        s, (size, n_timesteps, n_channels) = self.settings, batch.values.shape
        if share is not None:
            size, n_timesteps = share.n_samples, share.n_timesteps
        drawn = draw_corruption(
            self.network.architecture,
            (size, n_timesteps, n_channels),
            self.generator,
            masking_ratio=s.masking_ratio,
            input_noise=s.input_noise,
            dropout=s.dropout,
        )
        drawn = drawn if share is None else drawn.share(share, batch.values.shape[1])
        return drawn.where(batch.observed)

    def halve_micro_batch(self) -> bool:
        """Halve the micro-batch; say why not if one series is too large already."""
        if self.micro_batch == 1:
            raise DeviceMemoryError(
                f"{self.device} ran out of memory with a single series in the batch. Reduce "
                "hidden_dim or embedding_dim, raise patch_len to take fewer steps, cut the series "
                "into shorter ones, or use device='cpu'."
            )
        self.micro_batch //= 2
        return True


def add_gradients(weights: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Add gradients to those that the weights have, in few calls, as weights may be small."""
    sums, parts = [], []
    for weight, gradient in zip(weights, gradients, strict=True):
        if weight.grad is None:
            weight.grad = gradient
        elif gradient is not None:
            sums.append(weight.grad)
            parts.append(gradient)
    if sums:
        torch._foreach_add_(sums, parts)


def add_up_ranks(weights: Sequence[nn.Parameter], loss: Tensor | float, ranks: Ranks) -> Tensor:
    """Add up the gradients and the loss of all processes, in one message; return the loss."""
    gradients = [
        torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights
    ]
    parts = [*gradients, torch.as_tensor(loss).to(weights[0])]
    sums = ranks.sum(torch.cat([part.flatten() for part in parts]))
    totals = torch.split(sums, [part.numel() for part in parts])
    for weight, gradient in zip(weights, totals, strict=False):
        weight.grad = gradient.view_as(weight)
    return totals[-1][0]


def clip_gradients(gradients: list[Tensor], max_norm: float) -> Tensor:
    """Shorten them in place to at most `max_norm`, all together, and return how long they were.

    As `torch.nn.utils.clip_grad_norm_`, which takes weights, and not a buffer of all gradients.
    """
    norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


State = dict[str, Any]


def state_of(
    trainer: Trainer, history: History, patience: EarlyStopping, best: dict[str, Tensor]
) -> State:
    """Return all that the epochs to come depend on, as NumPy arrays, numbers and texts."""
    return {
        "weights": as_arrays(trainer.network.state_dict()),
        "best_weights": as_arrays(best),
        "optimizer": as_arrays(trainer.optimizer.state_dict()),
        "schedule": _plain(trainer.schedule.state_dict()),
        "generator": as_arrays(trainer.generator.get_state()),
        "micro_batch": trainer.micro_batch,
        "patience": vars(patience).copy(),
        "history": {
            "loss_curve": list(history.loss_curve),
            "validation_loss_curve": history.validation_loss_curve,
            "best_iter": history.best_iter,
            "best_loss": history.best_loss,
            "stop_reason": history.stop_reason,
        },
    }


def restore(
    state: Mapping[str, Any], trainer: Trainer, history: History, patience: EarlyStopping
) -> dict[str, Tensor]:
    """Take up a state, and return the best weights so far."""
    trainer.network.load_state_dict(as_tensors(state["weights"]))
    optimizer = as_tensors(state["optimizer"])
    # JSON has no numbers for keys.
    optimizer["state"] = {int(index): value for index, value in optimizer["state"].items()}
    trainer.optimizer.load_state_dict(optimizer)
    trainer.schedule.load_state_dict({**trainer.schedule.state_dict(), **state["schedule"]})
    trainer.generator.set_state(torch.tensor(state["generator"]))
    trainer.micro_batch = state["micro_batch"]
    vars(patience).update(state["patience"])
    vars(history).update(state["history"])
    best: dict[str, Tensor] = {
        name: torch.tensor(value, device=trainer.device)
        for name, value in state["best_weights"].items()
    }
    return best


def _plain(schedule: State) -> State:
    """Return the scheduler's counters, without its functions."""
    return {name: value for name, value in schedule.items() if name != "lr_lambdas"}
