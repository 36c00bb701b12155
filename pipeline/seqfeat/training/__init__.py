"""Training: from an estimator's parameters and series to the weights of a network.

In the order in which a fit goes through them:

- `parameters`: the constraints on the parameters of a fit, and a frozen record of their values
- `targets`: labels, numbers and weights of series
- `plan`: the facts that all processes share, and the plan that follows from them
- `dataset`, `sampler`: scaled series, read in chunks, in batches of similar length
- `fit`: one fit from beginning to end
- `trainer`: the training loop
- `schedule`, `history`: learning rate and early stopping, and the record of all epochs
- `checkpoints`: the state of the training on disk
- `progress`: reports to callbacks and to verbose users
"""

__all__: list[str] = []
