"""LSTM layers on a CPU, faster than PyTorch's own where ``seqfeat[fast]`` is installed.

Modules in reading order, dependencies above users: `vector_code` (loops and
vectors of LLVM's intermediate language), `product_code` (a matrix product for a few
rows), `lstm_code` (an LSTM over all steps, and its gradient), `kernels` (compiles
them for this CPU), `layer` (`LSTMLayer`, which the network is made of).

Everything but `layer` is loaded when the first layer runs.
"""

from seqfeat.recurrence.layer import LSTMLayer

__all__ = ["LSTMLayer"]
