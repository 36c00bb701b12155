"""Windows, patches, last steps and reversal against the functions of the network."""

import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from seqfeat.nn.network import count_windows, from_patches, reverse_within_length, windows
from tests.nn.kernels.arrays import numbers

WINDOWS = [(1, 1, 1), (9, 3, 3), (11, 3, 3), (20, 6, 2), (4, 7, 3)]


@pytest.mark.parametrize(("n_timesteps", "length", "stride"), WINDOWS)
@pytest.mark.parametrize("n_channels", [1, 5, 16])
def test_windows_are_cut_as_by_the_network(
    kernels, guarded, n_timesteps, length, stride, n_channels
):
    values = guarded(numbers(6, n_timesteps, n_channels))
    expected = windows(values, length, stride)
    _, n_windows, depth = expected.shape
    width = -(-depth // kernels.lanes) * kernels.lanes
    result = guarded.empty(n_windows, 6, width)
    call_kernel(
        kernels,
        "cut_windows",
        values=values,
        result=result,
        window_len=length,
        window_stride=stride,
    )
    assert torch.equal(result[:, :, :depth].transpose(0, 1), expected)
    assert bool((result[:, :, depth:] == 0).all())


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (4, 1), (4, 4), (6, 4), (16, 2)])
def test_windows_are_counted_as_by_the_network(kernels, guarded, length, stride):
    lengths = guarded(torch.arange(1, 40))
    found = guarded.empty(39, dtype=torch.int64)
    call_kernel(
        kernels,
        "count_windows",
        lengths=lengths,
        result=found,
        window_len=length,
        window_stride=stride,
    )
    assert torch.equal(found, count_windows(lengths.clone(), length, stride))


@pytest.mark.parametrize(("n_timesteps", "patch_len"), [(1, 1), (9, 3), (11, 3), (4, 7), (40, 1)])
@pytest.mark.parametrize("n_channels", [1, 5])
def test_patches_are_joined_as_by_the_network(kernels, guarded, n_timesteps, patch_len, n_channels):
    n_patches, depth = -(-n_timesteps // patch_len), patch_len * n_channels
    width = -(-depth // kernels.lanes) * kernels.lanes
    patches = guarded(numbers(n_patches, 6, width))
    result = guarded.empty(6, n_timesteps, n_channels)
    call_kernel(kernels, "join_patches", patches=patches, result=result, patch_len=patch_len)
    expected = from_patches(patches[:, :, :depth].transpose(0, 1), n_timesteps, n_channels)
    assert torch.equal(result, expected)


def test_last_steps_and_their_gradient(kernels, guarded):
    lanes, n_valid = kernels.lanes, guarded(torch.tensor([3, 1, 6, 2]))
    both = guarded(numbers(6, 4, 2 * lanes))
    outputs, result = both[:, :, lanes:], guarded.empty(4, 3 * lanes)
    call_kernel(
        kernels,
        "gather_last_steps",
        outputs=outputs,
        n_valid=n_valid,
        result=result[:, lanes:-lanes],
    )
    series = torch.arange(4)
    last = result[:, lanes:-lanes]
    assert torch.equal(last, outputs[n_valid - 1, series])
    assert bool(result[:, :lanes].isnan().all())
    d_outputs = guarded.empty(6, 4, 2 * lanes)
    call_kernel(
        kernels,
        "scatter_last_steps",
        gradient=last,
        n_valid=n_valid,
        result=d_outputs[:, :, lanes:],
    )
    expected = torch.zeros(6, 4, lanes)
    expected[n_valid - 1, series] = last
    assert torch.equal(d_outputs[:, :, lanes:], expected)
    assert bool(d_outputs[:, :, :lanes].isnan().all())


@pytest.mark.parametrize("number", [-5, 0, 99])
def test_a_number_of_steps_that_is_wrong_stays_within_the_sequences(kernels, guarded, number):
    n_valid = guarded(torch.tensor([number, 2]))
    outputs = guarded(numbers(3, 2, kernels.lanes))
    result = guarded.empty(2, kernels.lanes)
    call_kernel(kernels, "gather_last_steps", outputs=outputs, n_valid=n_valid, result=result)
    assert torch.equal(result[0], outputs[2 if number > 0 else 0, 0])


def test_valid_steps_are_reversed_and_padding_stays(kernels, guarded):
    n_valid = guarded(torch.tensor([3, 1, 6, 2]))
    sequences = guarded(numbers(6, 4, 2 * kernels.lanes))
    result = guarded.empty(6, 4, 2 * kernels.lanes)
    call_kernel(kernels, "reverse_steps", sequences=sequences, n_valid=n_valid, result=result)
    expected = reverse_within_length(sequences.transpose(0, 1).contiguous(), n_valid)
    assert torch.equal(result.transpose(0, 1), expected)
