"""LSTM layers on a CPU, faster than PyTorch's own where ``seqfeat[fast]`` is installed.

Modules in reading order, dependencies above users: `vector_code` (loops and
vectors of LLVM's intermediate language), `product_code` (a matrix product for a few
rows), `activation_code` (tanh and the logistic function), `lstm_code` (an LSTM over all steps, and
its gradient), `between_code`, `statistics_code`, `packing_code` and `update_code` (what else a
training step computes), `program_code` (many calls in one), `kernels` (compiles them for this CPU),
`program` (puts calls together), `passes` (a layer forward and back), `layer` (`LSTMLayer`, which
the network is made of).

Everything but `layer` is loaded when the first layer runs.
"""

from seqfeat.recurrence.layer import LSTMLayer

__all__ = ["LSTMLayer"]
