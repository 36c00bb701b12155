"""What `torch.compile` does for the plain network: ``python -m tests.benchmarks.torch_compile``.

Network, series, batches and training loop are those of the equal-work benchmark. It measures the
seconds to compile; the seconds per epoch afterwards, in interleaved rounds; and, with batches of
several lengths, how often the network is compiled again and how long that takes. It prints
Markdown tables and writes no files.

Dynamo, the tracer of `torch.compile`, does not trace `nn.LSTM` by default and runs these layers
as eager PyTorch does. Two more contestants give it something to compile: PyTorch's experimental
setting `allow_rnn`, and the same network with its LSTMs written as Python loops over the weights
of `nn.LSTMCell`, which Dynamo unrolls, so that compiling takes longer the longer the series are.

Each contestant runs in a process of its own: all start with empty caches, none affects the
settings of another, and one that takes too long to compile can be stopped. Compiling needs a C++
compiler.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from tests.benchmarks.measure import (
    OURS,
    interleave,
    median_and_range,
    seconds,
    seconds_per_epoch,
    significant,
    threads,
    torch_threads,
)
from tests.benchmarks.ours import SEED_NETWORK, Seqfeat
from tests.benchmarks.plain import LEARNING_RATE, PlainLoop
from tests.benchmarks.tables import markdown
from tests.benchmarks.workloads import BATCH_SIZE, EPOCHS, SHAPES, walks
from tests.plain_network import PlainNetwork
from torch import Tensor, nn
from torch.nn import functional as F

EAGER = "PyTorch, eager"
COMPILED = "torch.compile"
ALLOW_RNN = "torch.compile, allow_rnn"
CELLS = "torch.compile, LSTM cells"
WARM_PASSES = 3


@dataclass(frozen=True)
class Task:
    """What a contestant trains on, and how it compiles.

    Attributes
    ----------
    lengths : tuple of int
        If there are several, there is one batch of series for each.
    dynamic : bool or None
        The parameter of `torch.compile`: None compiles for the first length, and for any
        length when it sees a second one; True compiles for any length from the start.
    """

    n_series: int
    lengths: tuple[int, ...]
    n_channels: int
    embedding_dim: int
    batch_size: int
    contestant: str
    dynamic: bool | None = None
    n_threads: int = torch.get_num_threads()


# The network as loops over LSTM cells


class CellNetwork(nn.Module):
    """The plain network, weight for weight, without `nn.LSTM`."""

    def __init__(self, plain: PlainNetwork) -> None:
        super().__init__()
        self.encoder_1, self.encoder_2 = as_cell(plain.encoder_1), as_cell(plain.encoder_2)
        self.decoder_1, self.decoder_2 = as_cell(plain.decoder_1), as_cell(plain.decoder_2)
        self.output = plain.output

    def forward(self, x: Tensor) -> Tensor:
        embeddings = run_cell(self.encoder_2, run_cell(self.encoder_1, x))[:, -1]
        repeated = embeddings[:, None, :].expand(-1, x.shape[1], -1)
        return self.output(run_cell(self.decoder_2, run_cell(self.decoder_1, repeated)))


def as_cell(layer: nn.LSTM) -> nn.LSTMCell:
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
    weights = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    cell.load_state_dict(weights)
    return cell


def run_cell(cell: nn.LSTMCell, x: Tensor) -> Tensor:
    """Return the hidden states of all steps; all input products are computed at once."""
    inputs = F.linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh)
    hidden = state = x.new_zeros(len(x), cell.hidden_size)
    outputs = []
    for gates in inputs.unbind(1):
        i, f, g, o = (gates + hidden @ cell.weight_hh.T).chunk(4, 1)
        state = f.sigmoid() * state + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * state.tanh()
        outputs.append(hidden)
    return torch.stack(outputs, 1)


# Contestants, each in a process of its own


class TorchLoop(PlainLoop):
    """The plain loop, with a network that may be compiled, over batches of one or more lengths."""

    def __init__(self, task: Task) -> None:
        self.by_length = [
            torch.from_numpy(walks(task.n_series, length, task.n_channels))
            for length in task.lengths
        ]
        X = self.by_length[0].numpy()
        super().__init__(X, task.embedding_dim, task.batch_size, task.n_threads)
        if task.contestant == CELLS:
            self._use(CellNetwork(self.network))
        if task.contestant != EAGER:
            torch._dynamo.config.allow_rnn = task.contestant == ALLOW_RNN
            self.network = torch.compile(self.network, dynamic=task.dynamic)

    def _use(self, network: nn.Module) -> None:
        x = self.by_length[0][:2]
        with torch.no_grad():
            torch.testing.assert_close(network(x), self.network(x))
        self.network = network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)

    def _batches(self) -> Iterator[Tensor]:
        for X in self.by_length:
            for rows in torch.randperm(len(X)).split(self.batch_size):
                yield X[rows]

    def _loss(self, x: Tensor) -> Tensor:
        return ((self.network(x) - x) ** 2).mean()

    def compile(self) -> dict[str, float]:
        """Compile, by training on the first batches of each length.

        The seconds to compile are those of the first step of each batch minus those of a warm one.
        """
        with torch_threads(self.n_threads):
            first = self._time_steps()
            graphs = count_graphs()
            warm = np.median([self._time_steps() for _ in range(WARM_PASSES)], axis=0)
        return {
            "seconds": float((first - warm).sum()),
            "graphs": graphs,
            "graphs in later passes": count_graphs() - graphs,
            "graph breaks": sum(torch._dynamo.utils.counters["graph_break"].values()),
        }

    def _time_steps(self) -> np.ndarray:
        return np.array([seconds(lambda x=x: self._step(x)) for x in self._batches()])


def count_graphs() -> int:
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


class OurLoop(Seqfeat):
    """Our autoencoder with the plain network's architecture."""

    def __init__(self, task: Task) -> None:
        series = [walks(task.n_series, length, task.n_channels) for length in task.lengths]
        X = series[0] if len(series) == 1 else [values for array in series for values in array]
        super().__init__(X, task.embedding_dim, task.batch_size, **SEED_NETWORK)

    def compile(self) -> dict[str, float]:
        """Compile, by a first fit; its seconds minus those of later ones are those to compile."""
        first, *later = (seconds(lambda: self.train(1)) for _ in range(1 + WARM_PASSES))
        return {"seconds": first - float(np.median(later))}


class Process:
    """A contestant in a process of its own."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.cache = tempfile.TemporaryDirectory()
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, task, self.cache.name))
        self.process.start()
        other.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process, and those that compile for it."""
        self.connection.close()
        self.process.join(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.cache.cleanup()

    def call(self, method: str, *arguments: Any, limit: float | None = None) -> Any:
        """Call a method of the contestant.

        Raises
        ------
        RuntimeError
            If the method raised an error, or if the process ended.
        TimeoutError
            If it takes longer than `limit` seconds.
        """
        self.connection.send((method, arguments))
        if not self.connection.poll(limit):
            raise TimeoutError(f"not compiled within {limit:g} s")
        try:
            result, error = self.connection.recv()
        except EOFError:
            raise RuntimeError("the process ended") from None
        if error is not None:
            raise RuntimeError(error)
        return result


def serve(connection: Connection, task: Task, cache: str) -> None:
    """Answer calls until the other end of the connection is closed."""
    os.setsid()  # puts the compiler's processes into one group, so that they can be ended as well
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    warnings.simplefilter("ignore")
    loop: Any = OurLoop(task) if task.contestant == OURS else TorchLoop(task)
    with suppress(EOFError):
        while True:
            method, arguments = connection.recv()
            connection.send(outcome(lambda m=method, a=arguments: getattr(loop, m)(*a)))


def outcome(work: Callable[[], Any]) -> tuple[Any, str | None]:
    """Return the result of a call, or the first line of its error."""
    try:
        return work(), None
    except Exception as error:
        return None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


# Tables


def compare(
    tasks: dict[str, Task], n_epochs: int, rounds: int, limit: float
) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray], dict[str, str]]:
    """Return, by contestant, what compiling took, the seconds per epoch, and errors."""
    compiled, errors = {}, {}
    with ExitStack() as stack:
        processes = {}
        for name, task in tasks.items():
            progress(f"{name} compiles for lengths {task.lengths}, {task.embedding_dim} features")
            process = stack.enter_context(Process(task))
            try:
                compiled[name] = process.call("compile", limit=limit)
                processes[name] = process
            except (RuntimeError, TimeoutError) as error:
                errors[name] = str(error)
                process.end()
        epochs: dict[str, list[float]] = {name: [] for name in processes}
        measurements = interleave(
            processes, lambda p: seconds_per_epoch(p.call("train", n_epochs)), rounds
        )
        for name, _, value in measurements:
            epochs[name].append(value)
    return compiled, {name: np.array(values) for name, values in epochs.items()}, errors


def table(
    header: str, tasks: dict[str, Task], n_epochs: int, rounds: int, limit: float
) -> tuple[str, dict[str, str]]:
    """Return a table with a row per contestant, and errors."""
    compiled, epochs, errors = compare(tasks, n_epochs, rounds, limit)
    lines = []
    for name in tasks:
        if name in errors:
            lines.append([name, *[""] * (len(COLUMNS) - 1), errors[name].replace("|", "/")])
            continue
        is_peer = name != OURS and OURS in epochs
        lines.append(
            [
                name,
                significant(max(compiled[name]["seconds"], 0.0)),
                *(f"{compiled[name].get(count, 0):g}" for count in COUNTS),
                median_and_range(epochs[name]),
                median_and_range(epochs[name] / epochs[OURS]) if is_peer else "",
                "",
            ]
        )
    return markdown([header, *COLUMNS], lines), errors


COUNTS = ["graphs", "graphs in later passes", "graph breaks"]
COLUMNS = ["compile, s", *COUNTS, "s per epoch", "seqfeat's speed-up", "error"]


def compare_equal_lengths(base: Task, *options: Any) -> bool:
    """Print the comparison for one length; return whether the loops over cells were compiled."""
    tasks = eager_and_ours(base)
    for number in thread_counts(base):
        task = replace(base, contestant=COMPILED, n_threads=number)
        tasks[f"{COMPILED}, {threads(number)}"] = task
    tasks |= {name: replace(base, contestant=name) for name in (ALLOW_RNN, CELLS)}
    header = f"{base.lengths[0]} steps, {base.embedding_dim} features"
    text, errors = table(header, tasks, *options)
    print(text, flush=True)
    return CELLS not in errors


def compare_unequal_lengths(base: Task, with_cells: bool, *options: Any) -> None:
    """Print the comparison for several lengths."""
    tasks = eager_and_ours(base)
    for name in [COMPILED, CELLS] if with_cells else [COMPILED]:
        for dynamic in (None, True):
            task = replace(base, contestant=name, dynamic=dynamic)
            tasks[f"{name}, dynamic={dynamic}"] = task
    lengths = ", ".join(map(str, base.lengths))
    header = f"one batch each of {lengths} steps, {base.embedding_dim} features"
    print(table(header, tasks, *options)[0], flush=True)


def eager_and_ours(base: Task) -> dict[str, Task]:
    """Return what compiled networks are compared with; eager PyTorch also on a single thread."""
    tasks = {OURS: replace(base, contestant=OURS)}
    for number in thread_counts(base):
        tasks[f"{EAGER}, {threads(number)}"] = replace(base, n_threads=number)
    return tasks


def thread_counts(base: Task) -> list[int]:
    return sorted({1, base.n_threads})


def progress(text: str) -> None:
    print(f"  {text} ...", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--rounds", type=int, default=11, help="default: %(default)s")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds to compile at most; default: %(default)g"
    )
    parser.add_argument(
        "--lengths", type=int, default=4, help="number of lengths; default: %(default)s"
    )
    options = parser.parse_args()
    shapes, sizes, batch_size = SHAPES, (16, 128), BATCH_SIZE
    if options.quick:
        shapes, sizes, batch_size = {"8 series of 4 steps": (8, 4, 2)}, (4,), 4
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for case, (n_series, n_timesteps, n_channels) in shapes.items():
        print(f"## {case}, {n_channels} channel{'s' * (n_channels > 1)}\n")
        for size in sizes:
            n_epochs = EPOCHS.get(size, 2)
            base = Task(n_series, (n_timesteps,), n_channels, size, batch_size, EAGER)
            measuring = (n_epochs, options.rounds, options.limit)
            with_cells = compare_equal_lengths(base, *measuring)
            steps = np.linspace(n_timesteps, n_timesteps / 2, options.lengths).round()
            lengths = tuple(sorted({int(length) for length in steps}, reverse=True))
            unequal = replace(base, n_series=batch_size, lengths=lengths)
            compare_unequal_lengths(unequal, with_cells, *measuring)


if __name__ == "__main__":
    main()
