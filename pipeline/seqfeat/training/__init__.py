"""Training: from an estimator's parameters and series to the weights of a network.

In the order in which a fit goes through them:

- `parameters`: the parameters of a fit, checked, as a frozen record
- `labels`: class labels as indices
- `plan`: the facts that all processes share, and what follows from them and the parameters
- `dataset`, `sampler`: scaled series, read a chunk at a time, in batches of similar length
- `fit`: one fit from beginning to end
- `trainer`: the training loop
- `schedule`, `history`: its learning rate and early stopping, and what it records
- `checkpoints`: its state on disk
- `progress`: what callbacks and a verbose user see of it
"""

__all__: list[str] = []
