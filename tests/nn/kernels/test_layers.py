"""The calls of an LSTM layer, of a linear map and of the decoder, against PyTorch's modules."""

import pytest
import torch
from torch import nn

from seqfeat.nn.kernels.layers import LSTMCalls
from seqfeat.nn.kernels.program import Program
from seqfeat.nn.kernels.weights import LSTMGradients, PackedLSTM
from seqfeat.nn.network import make_lstm
from tests.nn.kernels.arrays import generator, numbers


def make_layer(input_dim, hidden_dim, seed=0):
    made, source = make_lstm(input_dim, hidden_dim), generator(seed)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source) / hidden_dim**0.5)
    return made


def torch_lstm(made):
    lstm = nn.LSTM(made.input_size, made.hidden_size, batch_first=True)
    lstm.load_state_dict(made.state_dict())
    return lstm


def pack(kernels, made, constant_dim=0):
    weights = PackedLSTM(made, kernels.lanes, constant_dim)
    program = Program(kernels)
    program.copy_all(weights.copies)
    program.add_all(weights.sums)
    for rows, panels, padded_units in weights.panels:
        program.call("pack", rows=rows, panels=panels, padded_units=padded_units)
    program.finish()
    program.run()
    return weights


def by_time(kernels, sequences):
    """Return (B, L, D) as (L, B, D), in whole vectors."""
    width = -(-sequences.shape[2] // kernels.lanes) * kernels.lanes
    padded = nn.functional.pad(sequences, (0, width - sequences.shape[2]))
    return padded.transpose(0, 1).contiguous()


class Pass:
    """A layer's pass forward, and back if the outputs' gradient is given."""

    def __init__(self, kernels, made, sequences, constant=None, d_outputs=None, is_shared=False):
        constant_dim = 0 if constant is None else constant.shape[1]
        weights = pack(kernels, made, constant_dim)
        n_series, n_steps, depth = sequences.shape
        gradients = None
        if d_outputs is not None:
            into = tuple(torch.full_like(weight, torch.nan) for weight in made.parameters())
            gradients = LSTMGradients(weights, into, is_first=True)
        program = Program(kernels)
        values = by_time(kernels, sequences)
        calls = LSTMCalls(program, weights, n_series, n_steps, gradients)
        into_arena = []
        if is_shared:
            source = values[:, 0].contiguous()
        else:
            source = program.arena.take(*values.shape)
            into_arena.append((source, values))
        given = None
        if constant is not None:
            padded = by_time(kernels, constant[:, None])[0]
            given = program.arena.take(*padded.shape)
            into_arena.append((given, padded))
        calls.forward(source, given)
        n_forward = len(program.rows)
        found = None
        if gradients is not None:
            found = program.arena.take(n_steps, n_series, weights.units)
            into_arena.append((found, by_time(kernels, d_outputs)))
            widest = max(weights.units, weights.sequence_width, weights.constant_width)
            zeros = torch.zeros(1, widest)
            calls.backward(found, zeros, wants_sequences=constant is None)
        program.finish(torch.full((program.arena.n_floats,), torch.nan))
        for buffer, tensor in into_arena:
            program.tensor(buffer).copy_(tensor)
        program.run(0, n_forward)
        hidden_dim = made.hidden_size
        self.outputs = program.tensor(calls.outputs)[:, :, :hidden_dim].transpose(0, 1).clone()
        if gradients is None:
            return
        program.run(n_forward)
        self.d_sequences = self.d_constant = None
        if constant is None:
            self.d_sequences = program.tensor(calls.d_sequences)[:, :, :depth].transpose(0, 1)
        else:
            self.d_constant = program.tensor(calls.d_constant)[:, :constant_dim]
        copies = Program(kernels)
        copies.copy_all([(a, b) for a, b in gradients.copies() if not a.is_set_to(b)])
        copies.finish()
        copies.run()
        self.d_weights = gradients.into


def assert_close(found, expected, tolerance=1e-5):
    scale = float(expected.detach().abs().max()) or 1.0
    assert found.shape == expected.shape
    assert float((found - expected.detach()).abs().max()) <= tolerance * scale


def assert_as_in_pytorch(kernels, made, sequences):
    """Compare a layer's outputs and all gradients."""
    lstm = torch_lstm(made)
    d_outputs = numbers(*sequences.shape[:2], made.hidden_size, seed=2)
    done = Pass(kernels, made, sequences, d_outputs=d_outputs)
    sequences = sequences.clone().requires_grad_()
    expected = lstm(sequences)[0]
    assert_close(done.outputs, expected)
    wanted = torch.autograd.grad((expected * d_outputs).sum(), [sequences, *lstm.parameters()])
    assert_close(done.d_sequences, wanted[0])
    for found, other in zip(done.d_weights, wanted[1:], strict=True):
        assert_close(found, other)


# Widths: whole vectors of all lengths, of some, of none; one unit; more than one panel.
@pytest.mark.parametrize(
    ("input_dim", "hidden_dim", "n_series", "n_steps"),
    [
        (1, 1, 1, 1),
        (3, 5, 2, 9),
        (2, 16, 13, 6),
        (7, 48, 1, 25),
        (16, 32, 32, 25),
        (5, 100, 2, 6),
        (64, 128, 13, 9),
    ],
)
def test_outputs_and_gradients_are_those_of_pytorch(
    kernels, input_dim, hidden_dim, n_series, n_steps
):
    sequences = numbers(n_series, n_steps, input_dim)
    assert_as_in_pytorch(kernels, make_layer(input_dim, hidden_dim), sequences)


@pytest.mark.parametrize("own_dim", [0, 4])
def test_inputs_that_are_the_same_at_every_step_are_given_once(kernels, own_dim):
    made = make_layer(6 + own_dim, 24)
    lstm = torch_lstm(made)
    constant = numbers(5, 6, seed=3).requires_grad_()
    # The same for all series, as a decoder's time features are.
    steps = numbers(11, own_dim, seed=4).expand(5, -1, -1)
    d_outputs = numbers(5, 11, 24, seed=2)
    done = Pass(kernels, made, steps, constant.detach(), d_outputs, is_shared=True)
    repeated = torch.cat([constant[:, None].expand(-1, 11, -1), steps], dim=2)
    expected = lstm(repeated)[0]
    assert_close(done.outputs, expected)
    wanted = torch.autograd.grad((expected * d_outputs).sum(), [constant, *lstm.parameters()])
    assert_close(done.d_constant, wanted[0])
    for found, other in zip(done.d_weights, wanted[1:], strict=True):
        assert_close(found, other)


def test_without_gradients_the_outputs_have_the_same_bits(kernels):
    made, sequences = make_layer(3, 20), numbers(9, 12, 3)
    with_gradients = Pass(kernels, made, sequences, d_outputs=numbers(9, 12, 20))
    assert torch.equal(Pass(kernels, made, sequences).outputs, with_gradients.outputs)


def test_a_series_outputs_have_the_same_bits_in_any_batch(kernels):
    made, sequences = make_layer(5, 40), numbers(37, 15, 5)
    together = Pass(kernels, made, sequences).outputs
    for n_series in (1, 2, 5, 36):
        own = Pass(kernels, made, sequences[:n_series]).outputs
        assert torch.equal(own, together[:n_series])
    assert torch.equal(Pass(kernels, made, sequences.flip(0)).outputs.flip(0), together)


def test_rounding_is_no_worse_than_pytorchs(kernels):
    made, sequences = make_layer(8, 64), numbers(16, 200, 8)
    lstm = torch_lstm(made)
    with torch.no_grad():
        theirs = lstm(sequences)[0]
        exact = lstm.double()(sequences.double())[0]
    ours = Pass(kernels, made, sequences).outputs
    assert (ours - exact).abs().max() <= 3 * (theirs - exact).abs().max()


def test_what_is_not_finite_stays_with_its_series(kernels):
    made, sequences = make_layer(2, 16), numbers(3, 8, 2)
    expected = Pass(kernels, made, sequences).outputs
    sequences[1, 4] = torch.nan
    outputs = Pass(kernels, made, sequences).outputs
    assert torch.equal(outputs[[0, 2]], expected[[0, 2]])
    assert torch.equal(outputs[1, :4], expected[1, :4])
    assert bool(outputs[1, 4:].isnan().all())


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_gradients_of_saturated_gates(kernels, size):
    """Also of output gates that are 0 to PyTorch: the kernels divide by them."""
    sequences = numbers(3, 9, 1)
    sequences[0, 3], sequences[1, 2], sequences[2, 8] = size, -size, -size
    assert_as_in_pytorch(kernels, make_layer(1, 16), sequences)
