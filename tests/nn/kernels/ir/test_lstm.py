"""The LSTM's kernels, by themselves, against formulas in float64.

Whole layers, with what surrounds the kernels, are compared with `torch.nn.LSTM` in test_layers.py.
"""

import numpy as np
import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from tests.nn.kernels.arrays import numbers

LARGE = [0.0, 1e-8, -1e-8, 0.5, -3.0, 7.9, 7.91, -7.91, 20.0, 90.0, -90.0, 1e4, -1e30, np.inf]


def run(kernels, guarded, start, n_series=1):
    """Run one step of a layer whose inputs and weights are 0, and return gates, c and h."""
    units = start.shape[-1] // 4
    n_vectors, lanes = units // kernels.lanes, kernels.lanes
    gates, outputs = guarded.empty(1, n_series, 4 * units), guarded.empty(2, n_series, units)
    cells = guarded.empty(2, n_series, units)
    call_kernel(
        kernels,
        "lstm_forward",
        start=start.expand(1, n_series, -1),
        inputs=guarded(torch.zeros(1, n_series, 1)),
        input_panels=guarded(torch.zeros(n_vectors, 1, 4 * lanes)),
        hidden_panels=guarded(torch.zeros(n_vectors, units, 4 * lanes)),
        gates=gates,
        outputs=outputs,
        cells=cells,
    )
    return gates.view(n_series, 4, units), cells[1], outputs[1]


@pytest.mark.parametrize("gate", range(4))
def test_the_gates_functions_are_exact_to_the_last_digits(kernels, guarded, gate):
    values = torch.cat([torch.tensor(LARGE), torch.linspace(-12, 12, 4 * 64 - len(LARGE))])
    start = torch.zeros(4, len(values))
    start[gate] = values
    gates, *_ = run(kernels, guarded, guarded(start.flatten()))
    exact = values.double()
    expected = torch.tanh(exact) if gate == 2 else torch.sigmoid(exact)
    error = (gates[0, gate].double() - expected).abs()
    # The exponent of a large number is rounded. A gate is never 0, as its gradient
    # divides by it.
    tolerance = 1e-7 * (3 + exact.abs().clamp(max=100)) * expected.abs()
    assert bool((error <= tolerance + 2.0**-125).all())
    if gate == 2:
        assert bool((gates[0, gate][exact.abs() > 7.91].abs() == 1.0).all())
    else:
        assert float(gates[0, gate].min()) > 2.0**-127


@pytest.mark.parametrize("gate", range(4))
def test_nan_stays_nan(kernels, guarded, gate):
    start = torch.zeros(4, kernels.lanes)
    start[gate, 1] = torch.nan
    gates, cells, outputs = run(kernels, guarded, guarded(start.flatten()))
    assert bool(gates[0, gate, 1].isnan())
    assert bool(outputs[0, 1].isnan())
    assert int(gates.isnan().sum()) == int(outputs.isnan().sum()) == 1
    assert int(cells.isnan().sum()) == (gate != 3)


def test_the_state_of_one_step(kernels, guarded):
    start = numbers(4, kernels.lanes)
    gates, cells, outputs = run(kernels, guarded, guarded(start.flatten()), n_series=3)
    i, _, g, o = torch.sigmoid(start[0]), None, torch.tanh(start[2]), torch.sigmoid(start[3])
    torch.testing.assert_close(cells[2], i * g)
    torch.testing.assert_close(outputs[2], o * torch.tanh(i * g))
    assert torch.equal(gates[0], gates[2])
