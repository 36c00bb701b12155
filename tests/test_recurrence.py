"""The compiled LSTM against PyTorch's own, weight for weight."""

import copy
import functools
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from seqfeat import LSTMAutoencoder
from seqfeat.nn import lstm as layer
from seqfeat.nn.kernels.ir import jit as kernels_module
from seqfeat.nn.kernels.ir.jit import compile_kernels, vector_shape
from seqfeat.nn.lstm import LSTMLayer
from seqfeat.training import trainer as training


def make_layer(input_dim, hidden_dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = LSTMLayer(input_dim, hidden_dim)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / hidden_dim**0.5)
    return made


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def torch_lstm(made):
    """Return PyTorch's own layer with the same weights."""
    lstm = nn.LSTM(made.input_size, made.hidden_size, batch_first=True)
    lstm.load_state_dict(made.state_dict())
    return lstm


def gradients(outputs, inputs, weighting):
    return torch.autograd.grad((outputs * weighting).sum(), inputs)


def assert_close(found, expected, tolerance=1e-5):
    scale = float(expected.detach().abs().max()) or 1.0
    assert found.shape == expected.shape
    assert float((found.detach() - expected.detach()).abs().max()) <= tolerance * scale


def assert_layers_agree(made, outputs, sequences, given):
    """Compare outputs, and the gradients of the weights and of what was given, with PyTorch's."""
    lstm = torch_lstm(made)
    expected = lstm(sequences)[0]
    assert_close(outputs, expected)
    weighting = numbers(*expected.shape, seed=2)
    found = gradients(outputs, [given, *made.parameters()], weighting)
    wanted = gradients(expected, [given, *lstm.parameters()], weighting)
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other)


# Widths: whole vectors of all lengths, of some, of none; one unit; more than one panel.
@pytest.mark.parametrize(
    ("input_dim", "hidden_dim"), [(1, 1), (3, 5), (2, 16), (7, 48), (16, 32), (5, 100), (64, 128)]
)
@pytest.mark.parametrize(("n_series", "n_steps"), [(1, 1), (2, 9), (13, 6), (32, 25)])
def test_outputs_and_gradients_are_those_of_pytorch(
    lanes, input_dim, hidden_dim, n_series, n_steps
):
    made = make_layer(input_dim, hidden_dim)
    sequences = numbers(n_series, n_steps, input_dim).requires_grad_()
    assert_layers_agree(made, made.run(sequences), sequences, sequences)


def test_without_gradients_the_outputs_are_the_same_to_the_last_bit(lanes):
    made, sequences = make_layer(3, 20), numbers(9, 12, 3)
    with torch.no_grad():
        outputs = made.run(sequences)
    assert torch.equal(outputs, made.run(sequences))


def test_gradients_lie_in_memory_as_their_weights_do(lanes):
    """PyTorch's fused AdamW takes them for that on a CPU, and updates other weights else."""
    made = make_layer(3, 10)
    made.run(numbers(4, 6, 3)).sum().backward()
    assert all(weight.grad.stride() == weight.stride() for weight in made.parameters())


@pytest.mark.parametrize("own_values", [0, 4])
def test_what_does_not_change_may_be_given_once(lanes, own_values):
    made = make_layer(6 + own_values, 24)
    constant = numbers(5, 6, seed=3).requires_grad_()
    # The same for all series, as a decoder's time features are.
    steps = numbers(11, own_values, seed=4)
    shared = steps.expand(5, -1, -1)
    repeated = torch.cat([constant[:, None].expand(-1, 11, -1), shared], dim=2)
    assert_layers_agree(made, made.run(shared, constant), repeated, constant)


def test_rounding_is_no_worse_than_pytorchs(lanes):
    made = make_layer(8, 64)
    sequences = numbers(16, 200, 8)
    exact = torch_lstm(made).double()(sequences.double())[0]
    with torch.no_grad():
        ours = (made.run(sequences) - exact).abs().max()
        theirs = (made(sequences)[0] - exact).abs().max()
    assert ours <= 3 * theirs


def test_a_series_outputs_are_the_same_bits_in_any_batch(lanes):
    made = make_layer(5, 40)
    sequences, constant = numbers(37, 15, 5), None
    with torch.no_grad():
        together = made.run(sequences, constant)
        for n_series in (1, 2, 3, 5, 11, 36):
            assert torch.equal(made.run(sequences[:n_series]), together[:n_series])
        assert torch.equal(made.run(sequences.flip(0)).flip(0), together)


def test_the_order_of_memory_does_not_matter(lanes):
    made = make_layer(4, 16)
    sequences = numbers(6, 10, 4)
    time_first = sequences.transpose(0, 1).contiguous().transpose(0, 1)
    every_other = numbers(6, 10, 8)
    every_other[:, :, ::2] = sequences
    with torch.no_grad():
        expected = made.run(sequences)
        assert torch.equal(made.run(time_first), expected)
        assert torch.equal(made.run(every_other[:, :, ::2]), expected)
        assert torch.equal(
            made.run(sequences[:1].expand(6, -1, -1)), expected[:1].expand(6, -1, -1)
        )


def test_a_gradient_may_come_in_any_order_of_memory(lanes):
    made = make_layer(4, 16)
    sequences = numbers(6, 10, 4).requires_grad_()
    plain = torch.autograd.grad(made.run(sequences).sum(), sequences)[0]
    weighted = gradients(made.run(sequences), sequences, torch.ones(6, 10, 16))[0]
    assert torch.equal(plain, weighted)


def test_what_is_not_finite_stays_with_its_series(lanes):
    made = make_layer(2, 16)
    sequences = numbers(3, 8, 2)
    with torch.no_grad():
        expected = made.run(sequences)
        sequences[1, 4] = torch.nan
        outputs = made.run(sequences)
    assert torch.equal(outputs[[0, 2]], expected[[0, 2]])
    assert torch.equal(outputs[1, :4], expected[1, :4])
    assert bool(outputs[1, 4:].isnan().all())


def test_gates_saturate(lanes):
    made = make_layer(1, 16)
    sequences = torch.tensor([1e4, -1e4, 1e30, -1e30]).reshape(1, 4, 1)
    with torch.no_grad():
        assert_close(made.run(sequences), made(sequences)[0])


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_gradients_of_saturated_gates(lanes, size):
    """Also of output gates that are 0 to PyTorch: the kernels divide by them."""
    made = make_layer(1, 16)
    sequences = numbers(3, 9, 1)
    sequences[0, 3], sequences[1, 2], sequences[2, 8] = size, -size, -size
    sequences.requires_grad_()
    assert_layers_agree(made, made.run(sequences), sequences, sequences)


def test_changed_weights_count_at_once(lanes):
    made, sequences = make_layer(3, 8), numbers(2, 5, 3)
    made.run(sequences)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(0.5)
        assert_close(made.run(sequences), torch_lstm(made)(sequences)[0])
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1, fused=True)
    made.run(sequences).sum().backward()
    optimizer.step()
    torch.autograd.graph.increment_version(list(made.parameters()))
    with torch.no_grad():
        assert_close(made.run(sequences), torch_lstm(made)(sequences)[0])


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"pooling": "mean"}, {"bidirectional": True}])
def test_training_goes_the_way_of_pytorchs_layers(parameters, is_compiled, monkeypatch):
    """Each step has to see the weights that the step before has left."""
    if not is_compiled:
        monkeypatch.setattr(training, "compiled_backpropagation", lambda network: None)
    series = np.sin(np.arange(30) / 3 + np.arange(40)[:, None])[:, :, None]
    losses = []
    for kernels in (compile_kernels(), None):
        monkeypatch.setattr(layer, "_kernels", lambda kernels=kernels: kernels)
        model = LSTMAutoencoder(
            6, max_iter=12, batch_size=8, early_stopping=True, random_state=0, **parameters
        )
        model.fit(series)
        losses.append([*model.loss_curve_, *model.validation_loss_curve_])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_layer_made_in_inference_mode_runs(lanes):
    with torch.inference_mode():
        made, sequences = make_layer(3, 8), numbers(2, 5, 3)
        assert_close(made.run(sequences), torch_lstm(made)(sequences)[0])


def test_a_copied_layer_is_its_own():
    made, sequences = make_layer(3, 8), numbers(2, 5, 3)
    before = made.run(sequences).detach()
    copied = copy.deepcopy(made)
    with torch.no_grad():
        for weight in copied.parameters():
            weight.zero_()
    assert torch.equal(made.run(sequences).detach(), before)
    assert bool((copied.run(sequences) == 0).all())


def test_the_gradients_of_the_two_biases_are_two_tensors():
    made = make_layer(3, 8)
    one, other = gradients(
        made.run(numbers(2, 5, 3)), [made.bias_ih_l0, made.bias_hh_l0], torch.ones(2, 5, 8)
    )
    assert one.data_ptr() != other.data_ptr()
    assert torch.equal(one, other)


def test_a_second_gradient_is_refused_not_wrong():
    outputs = make_layer(3, 8).run(numbers(2, 5, 3))
    outputs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="can be taken once"):
        outputs.sum().backward()


def test_threads_do_not_disturb_each_other():
    made = make_layer(4, 32)
    batches = [numbers(20, 50, 4, seed=seed) for seed in range(16)]

    def run(batch):
        with torch.no_grad():
            return made.run(batch)

    expected = [run(batch) for batch in batches]
    made._packed = None
    with ThreadPoolExecutor(8) as threads:
        for outputs, wanted in zip(threads.map(run, batches), expected, strict=True):
            assert torch.equal(outputs, wanted)


@pytest.mark.parametrize("n_vectors", [0, 1, 2, 3, 4, 7, 9])
@pytest.mark.parametrize("n_rows", [1, 2, 7, 12, 29])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_the_product_is_that_of_two_matrices(n_vectors, n_rows, is_transposed):
    compiled = compile_kernels()
    depth, columns = 9, n_vectors * compiled.lanes
    left, right = numbers(n_rows, depth), numbers(depth, columns + 5, seed=2)
    start, result = numbers(n_rows, columns, seed=3), torch.zeros(n_rows, columns + 3)
    stored = left.T.contiguous() if is_transposed else left
    product = compiled.product_transposed if is_transposed else compiled.product
    product(
        stored.data_ptr(),
        stored.stride(0),
        right.data_ptr(),
        right.stride(0),
        n_vectors,
        depth,
        start.data_ptr(),
        columns,
        result.data_ptr(),
        result.stride(0),
        n_rows,
    )
    assert torch.equal(result[:, columns:], torch.zeros(n_rows, 3))
    if n_vectors:
        assert_close(result[:, :columns], start + left @ right[:, :columns])


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, (16, 24)),
        ({"avx2": True, "fma": True}, (8, 12)),
        ({"avx2": True}, (4, 12)),
        ({"neon": True}, (4, 24)),
        ({}, (4, 12)),
    ],
)
def test_vectors_are_as_long_as_the_cpus(features, expected):
    assert vector_shape(features) == expected


def test_other_dtypes_and_empty_batches_go_to_pytorch():
    made = make_layer(3, 8)
    assert made.run(torch.empty(0, 5, 3)).shape == (0, 5, 8)
    expected = torch_lstm(made).double()(numbers(2, 5, 3).double())[0]
    doubled = copy.deepcopy(made).double()
    assert torch.equal(doubled.run(numbers(2, 5, 3).double()), expected)


def test_where_compilation_fails_pytorch_takes_over(monkeypatch):
    def fail():
        raise TypeError("no such argument")

    monkeypatch.setattr(kernels_module, "compile_kernels", fail)
    monkeypatch.setattr(
        kernels_module, "kernels", functools.cache(kernels_module.kernels.__wrapped__)
    )
    made, sequences = make_layer(3, 8), numbers(2, 5, 3)
    with pytest.warns(RuntimeWarning, match=r"llvmlite .*no such argument.*SEQFEAT_FAST=0"):
        outputs = made.run(sequences)
    assert torch.equal(outputs, torch_lstm(made)(sequences)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.run(sequences)  # says so once


PROGRAM = """
import sys
import numpy as np
from seqfeat import LSTMAutoencoder, training

def compiled():
    return "seqfeat.recurrence.kernels" in sys.modules

if "without" in sys.argv:
    sys.modules["llvmlite"] = None
X = np.sin(np.arange(60) / 4 + np.arange(24)[:, None]).astype(np.float32)[:, :, None]
print(compiled())
model = LSTMAutoencoder(5, max_iter=4, random_state=0).fit(X)
np.save(sys.argv[1], model.transform(X))
print(compiled())
"""


def test_without_the_extra_a_model_is_the_same_but_for_rounding(tmp_path):
    features, compiled = {}, {}
    for how in ("fast", "without", "forbidden"):
        path = tmp_path / f"{how}.npy"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path), how],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"SEQFEAT_FAST": "0" if how == "forbidden" else "1"},
        )
        features[how], compiled[how] = np.load(path), done.stdout.split()
    # Nothing is compiled before it is needed.
    assert compiled["fast"] == ["False", "True"]
    assert compiled["without"] == compiled["forbidden"] == ["False", "False"]
    np.testing.assert_array_equal(features["forbidden"], features["without"])
    scale = np.abs(features["without"]).max()
    np.testing.assert_allclose(features["fast"], features["without"], atol=1e-4 * scale)
