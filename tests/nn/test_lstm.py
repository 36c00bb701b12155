"""An LSTM layer against torch's own."""

import torch
from torch import nn

from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import make_lstm
from tests.nn.kernels.arrays import generator, numbers


def layers(input_dim=5, hidden_dim=4):
    """Return our layer and torch's, with the same weights."""
    ours, theirs = make_lstm(input_dim, hidden_dim), nn.LSTM(input_dim, hidden_dim)
    initialize(ours, generator())
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def test_the_outputs_are_those_of_every_step():
    ours, theirs = layers()
    sequences = numbers(3, 7, 5)
    expected = theirs(sequences.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(ours.outputs(sequences), expected)


def test_constant_inputs_precede_the_others_at_every_step():
    ours, _ = layers()
    sequences, constant = numbers(3, 7, 2), numbers(3, 3, seed=2)
    repeated = torch.cat([constant[:, None].expand(3, 7, 3), sequences], dim=2)
    expected = ours.outputs(repeated)
    torch.testing.assert_close(ours.outputs(sequences, constant), expected)


def test_all_inputs_may_be_constant():
    ours, _ = layers()
    constant = numbers(3, 5)
    expected = ours.outputs(constant[:, None].expand(3, 7, 5))
    torch.testing.assert_close(ours.outputs(torch.zeros(3, 7, 0), constant), expected)
