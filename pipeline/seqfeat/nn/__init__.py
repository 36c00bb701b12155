"""The network. Torch only: nothing here knows scikit-learn or pandas.

- `lstm`, `pooling`, `network`: the recurrent autoencoder, as PyTorch modules
- `batch`: series as tensors
- `corruption`, `loss`: what training hides from the network, and what it minimizes
- `backend`: what it takes to run a network, and how PyTorch does it
- `kernels`: how compiled kernels do it, and the choice between both
- `initialization`: initial weights
"""
