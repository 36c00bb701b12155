"""The network against plain models in PyTorch with the same weights."""

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import (
    Architecture,
    build_network,
    count_windows,
    from_patches,
    reverse_within_length,
    weight_shapes,
    weights_of,
    windows,
)
from seqfeat.nn.pooling import MIN_VARIANCE
from tests.nn.kernels.arrays import generator, numbers
from tests.plain_network import PlainNetwork
from tests.programs import run_python

N_CHANNELS, WIDTH, N_TIMESTEPS = 3, 4, 10
LENGTHS = torch.tensor([7, 1, 4, 10, 2])
POOLINGS = ["last", "mean", "max", "statistics"]


def initialized(architecture, seed=0):
    network = build_network(architecture)
    initialize(network, generator(seed))
    return network


def ragged_values():
    values = numbers(len(LENGTHS), N_TIMESTEPS, N_CHANNELS)
    return values * (torch.arange(N_TIMESTEPS) < LENGTHS[:, None])[:, :, None]


# The plain model


LAYER_NAMES = {
    "encoder_1": "encoder.forward_layers.0",
    "encoder_2": "encoder.forward_layers.1",
    "decoder_1": "decoder.layers.0",
    "decoder_2": "decoder.layers.1",
    "output": "decoder.output",
}


def our_name(plain_name):
    layer, weight = plain_name.split(".")
    return f"{LAYER_NAMES[layer]}.{weight}"


def networks():
    ours = build_network(Architecture(N_CHANNELS, WIDTH, 2 * WIDTH, pooling="last"))
    plain = PlainNetwork(N_CHANNELS, WIDTH)
    return plain, ours


def plain_to_ours():
    plain, ours = networks()
    initialize(plain, generator(2))
    ours.load_state_dict({our_name(name): value for name, value in plain.state_dict().items()})
    return plain, ours


def ours_to_plain():
    plain, ours = networks()
    initialize(ours, generator(3))
    weights = ours.state_dict()
    plain.load_state_dict({name: weights[our_name(name)] for name in plain.state_dict()})
    return plain, ours


@pytest.mark.parametrize("moved", [plain_to_ours, ours_to_plain])
def test_the_plainest_architecture_is_the_plain_model(moved):
    plain, ours = moved()
    values, lengths = numbers(6, N_TIMESTEPS, N_CHANNELS), torch.full((6,), N_TIMESTEPS)
    torch.testing.assert_close(ours.encode(values, lengths), plain.encode(values))
    torch.testing.assert_close(ours(values, lengths), plain(values))


@pytest.mark.parametrize("moved", [plain_to_ours, ours_to_plain])
def test_the_plain_model_has_the_same_gradients(moved):
    plain, ours = moved()
    values, lengths = numbers(6, N_TIMESTEPS, N_CHANNELS), torch.full((6,), N_TIMESTEPS)
    nn.functional.mse_loss(ours(values, lengths), values).backward()
    nn.functional.mse_loss(plain(values), values).backward()
    for name, weight in plain.named_parameters():
        assert weight.grad.abs().max() > 0
        torch.testing.assert_close(ours.get_parameter(our_name(name)).grad, weight.grad)


# Packed sequences


def stacked_lstm(encoder, n_layers):
    """Return torch's own LSTM of one or two layers with the encoder's weights."""
    first = encoder.forward_layers[0]
    bidirectional = len(encoder.backward_layers) > 0
    lstm = nn.LSTM(
        first.input_size, first.hidden_size, n_layers, batch_first=True, bidirectional=bidirectional
    )
    weights = {}
    for suffix, layers in (("", encoder.forward_layers), ("_reverse", encoder.backward_layers)):
        for index, layer in enumerate(layers[:n_layers]):
            for name, value in layer.state_dict().items():
                weights[name.replace("_l0", f"_l{index}{suffix}")] = value
    lstm.load_state_dict(weights)
    return lstm


def packed_outputs_and_state(encoder, values, lengths, n_layers=2):
    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    outputs, (state, _) = stacked_lstm(encoder, n_layers)(packed)
    return pad_packed_sequence(outputs, batch_first=True)[0], state


def packed_embeddings(encoder, values, lengths, pooling):
    outputs, state = packed_outputs_and_state(encoder, values, lengths)
    if pooling == "last":
        n_directions = 2 if len(encoder.backward_layers) else 1
        pooled = torch.cat(list(state[-n_directions:]), dim=1)
    elif pooling == "statistics":
        hidden, _ = packed_outputs_and_state(encoder, values, lengths, n_layers=1)
        series = [
            torch.cat(layers, dim=1)[:length]
            for *layers, length in zip(hidden, outputs, lengths, strict=True)
        ]
        pooled = torch.stack([statistics_of_one(steps) for steps in series])
    else:
        series = [row[:length] for row, length in zip(outputs, lengths, strict=True)]
        pooled = torch.stack([s.mean(0) if pooling == "mean" else s.max(0).values for s in series])
    return encoder.projection(pooled)


def statistics_of_one(steps):
    std = torch.sqrt(steps.var(0, correction=0) + MIN_VARIANCE)
    return torch.cat([steps.mean(0), std, steps.max(0).values, steps.min(0).values])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_series_of_unequal_lengths_have_the_embeddings_of_packed_sequences(pooling, bidirectional):
    network = initialized(
        Architecture(N_CHANNELS, WIDTH, WIDTH, bidirectional=bidirectional, pooling=pooling)
    )
    expected = packed_embeddings(network.encoder, ragged_values(), LENGTHS, pooling)
    torch.testing.assert_close(network.encode(ragged_values(), LENGTHS), expected)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_input_gradients_are_those_of_packed_sequences(bidirectional):
    network = initialized(
        Architecture(N_CHANNELS, WIDTH, WIDTH, bidirectional=bidirectional, pooling="mean")
    )
    ours, packed = ragged_values().requires_grad_(), ragged_values().requires_grad_()
    network.encode(ours, LENGTHS).square().sum().backward()
    packed_embeddings(network.encoder, packed, LENGTHS, "mean").square().sum().backward()
    torch.testing.assert_close(ours.grad, packed.grad)
    assert (ours.grad[0, 7:] == 0).all()


def test_reversing_leaves_the_padding_at_the_end():
    sequences = torch.tensor([[[1], [2], [3], [0]], [[4], [5], [6], [7]], [[8], [0], [0], [0]]])
    lengths = torch.tensor([3, 4, 1])
    reversed_once = reverse_within_length(sequences, lengths)
    assert reversed_once[:, :, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [8, 0, 0, 0]]
    assert torch.equal(reverse_within_length(reversed_once, lengths), sequences)


# A series' embedding depends on nothing else


@pytest.fixture(params=[(pooling, two) for pooling in POOLINGS for two in (False, True)], ids=str)
def any_network(request):
    pooling, bidirectional = request.param
    return initialized(
        Architecture(
            N_CHANNELS, WIDTH, 6, patch_len=3, bidirectional=bidirectional, pooling=pooling
        )
    )


def assert_equal_within_rounding(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


def test_a_series_has_the_same_embedding_alone_and_in_a_batch(any_network):
    values = ragged_values()
    together = any_network.encode(values, LENGTHS)
    assert together.std(dim=0).max() > 1e-3
    for row, length in enumerate(LENGTHS.tolist()):
        alone = any_network.encode(values[row : row + 1, :length], LENGTHS[row : row + 1])
        assert_equal_within_rounding(alone[0], together[row])


def test_the_order_of_series_does_not_matter(any_network):
    values, order = ragged_values(), torch.tensor([4, 2, 0, 3, 1])
    shuffled = any_network.encode(values[order], LENGTHS[order])
    assert_equal_within_rounding(shuffled, any_network.encode(values, LENGTHS)[order])


def test_additional_padding_does_not_matter(any_network):
    values = ragged_values()
    expected = any_network.encode(values, LENGTHS)
    for n_more in (1, 2, 29):
        padded = nn.functional.pad(values, (0, 0, 0, n_more))
        assert_equal_within_rounding(any_network.encode(padded, LENGTHS), expected)


def test_the_values_of_padding_do_not_matter(any_network):
    values, padding = ragged_values(), numbers(len(LENGTHS), 6, N_CHANNELS, seed=5)
    # Twelve timesteps end a patch of three; everything after them is padding.
    followed = torch.cat([nn.functional.pad(values, (0, 0, 0, 2)), 100 * padding], dim=1)
    expected = any_network.encode(values, LENGTHS)
    assert_equal_within_rounding(any_network.encode(followed, LENGTHS), expected)


def test_the_batch_size_does_not_matter(any_network):
    values = ragged_values()
    expected = any_network.encode(values, LENGTHS)
    for size in (2, 3):
        batches = zip(values.split(size), LENGTHS.split(size), strict=True)
        parts = torch.cat([any_network.encode(*batch) for batch in batches])
        assert_equal_within_rounding(parts, expected)


# Patches


@pytest.mark.parametrize("n_timesteps", [1, 2, 3, 4, 6, 7])
def test_series_are_cut_into_patches_and_joined_again(n_timesteps):
    values = numbers(2, n_timesteps, N_CHANNELS)
    patches = windows(values, 3, 3)
    assert patches.shape == (2, -(-n_timesteps // 3), 3 * N_CHANNELS)
    assert torch.equal(from_patches(patches, n_timesteps, N_CHANNELS), values)


def test_the_last_patch_is_filled_with_zeros():
    values = torch.arange(1.0, 11.0).reshape(1, 5, 2)
    assert windows(values, 3, 3).tolist() == [[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 0, 0]]]


@pytest.mark.parametrize("length", [1, 3, 5, 16])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_overlapping_windows_are_slices_of_each_series(length, stride):
    stride = min(stride, length)
    values = ragged_values()
    stacked, counts = windows(values, length, stride), count_windows(LENGTHS, length, stride)
    assert stacked.shape[1] == counts.max()
    longer = np.pad(values.numpy(), ((0, 0), (0, length + stride), (0, 0)))
    for series, (n_timesteps, count) in enumerate(zip(LENGTHS, counts, strict=True)):
        # No more windows than it takes to cover the series.
        assert (count - 1) * stride + length >= n_timesteps
        assert count == 1 or (count - 2) * stride + length < n_timesteps
        for step in range(count):
            window = longer[series, step * stride : step * stride + length]
            assert stacked[series, step].tolist() == window.ravel().tolist()


def test_windows_are_patches_by_default():
    architecture = Architecture(N_CHANNELS, WIDTH, 6, patch_len=3)
    assert (architecture.window_len, architecture.window_stride) == (3, 3)
    explicit = Architecture(N_CHANNELS, WIDTH, 6, patch_len=3, window_len=3, window_stride=3)
    assert explicit == architecture


def stack_by_hand(values, patch_len):
    """Return one row of patch_len * C numbers for each patch of each series."""
    n_steps = int(np.ceil(values.shape[1] / patch_len))
    stacked = np.zeros((len(values), n_steps, patch_len * N_CHANNELS), dtype=np.float32)
    for series in range(len(values)):
        for step in range(values.shape[1]):
            start = (step % patch_len) * N_CHANNELS
            row = values[series, step].numpy()
            stacked[series, step // patch_len, start : start + N_CHANNELS] = row
    return torch.from_numpy(stacked)


@pytest.mark.parametrize("patch_len", [2, 3, 10, 16])
def test_a_patch_is_one_step_with_more_channels(patch_len):
    patched = Architecture(N_CHANNELS, WIDTH, 6, patch_len=patch_len, n_time_features=2)
    network = initialized(patched)
    stacked = build_network(Architecture(patch_len * N_CHANNELS, WIDTH, 6, n_time_features=2))
    stacked.load_state_dict(network.state_dict())
    values = ragged_values()
    by_hand, steps = stack_by_hand(values, patch_len), torch.ceil(LENGTHS / patch_len).long()
    torch.testing.assert_close(network.encode(values, LENGTHS), stacked.encode(by_hand, steps))
    joined = stacked(by_hand, steps).reshape(len(values), -1, N_CHANNELS)[:, :N_TIMESTEPS]
    torch.testing.assert_close(network(values, LENGTHS), joined)


# Time features


def time_features(n_features, period, n_steps):
    network = initialized(Architecture(1, 2, 2, n_time_features=n_features, time_period=period))
    return network.decoder.time_features(n_steps, torch.zeros(1)).numpy()


def test_time_features_are_waves_of_the_discrete_cosine_transform():
    basis = dct(np.eye(12), type=2, axis=1) / 2
    np.testing.assert_allclose(time_features(5, 12, 12), basis[:, 1:6], atol=1e-6)


def test_time_features_continue_after_their_period():
    steps, waves = np.arange(30)[:, None] + 0.5, np.arange(1, 6)
    expected = np.cos(np.pi / 12 * steps * waves)
    features = time_features(5, 12, 30)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    np.testing.assert_array_equal(features[:12], time_features(5, 12, 12))


def test_a_longer_series_begins_as_the_shorter_one():
    network = initialized(
        Architecture(N_CHANNELS, WIDTH, 6, patch_len=2, n_time_features=4, time_period=5)
    )
    embeddings = numbers(3, WIDTH)
    longer = network.decode(embeddings, 37)
    assert longer.shape == (3, 37, N_CHANNELS)
    assert longer.isfinite().all()
    torch.testing.assert_close(longer[:, :9], network.decode(embeddings, 9))


def test_the_decoder_reads_the_embedding_and_the_time_features():
    network = initialized(Architecture(N_CHANNELS, WIDTH, 6, n_time_features=4, time_period=5))
    decoder, embeddings = network.decoder, numbers(3, WIDTH)
    times = torch.from_numpy(time_features(4, 5, 7))
    inputs = torch.cat([embeddings[:, None].repeat(1, 7, 1), times[None].repeat(3, 1, 1)], dim=2)
    expected = decoder.output(decoder.layers[1](decoder.layers[0](inputs)[0])[0])
    torch.testing.assert_close(network.decode(embeddings, 7), expected)


# Dropout


KEEP = torch.tensor([2.0, 0.0, 2.0, 2.0, 0.0, 2.0])


def scaled_inputs(network, layer, factors):
    """Return a copy of the network whose `layer` reads its inputs times `factors`."""
    copy = build_network(network.architecture)
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        copy.get_parameter(f"{layer}.weight_ih_l0").mul_(factors)
    return copy


def test_the_encoder_drops_the_same_units_at_every_step():
    network = initialized(Architecture(N_CHANNELS, WIDTH, 6))
    values = ragged_values()
    dropped = network.encode(values, LENGTHS, KEEP.expand(len(values), -1))
    expected = scaled_inputs(network, "encoder.forward_layers.1", KEEP).encode(values, LENGTHS)
    torch.testing.assert_close(dropped, expected)
    assert not torch.allclose(dropped, network.encode(values, LENGTHS))


def test_the_decoder_drops_the_same_units_at_every_step():
    network = initialized(Architecture(N_CHANNELS, 6, 8))
    embeddings = numbers(3, 6)
    dropped = network.decode(embeddings, 5, KEEP.expand(3, -1))
    expected = scaled_inputs(network, "decoder.layers.1", KEEP).decode(embeddings, 5)
    torch.testing.assert_close(dropped, expected)
    assert not torch.allclose(dropped, network.decode(embeddings, 5))


def test_each_series_has_its_own_mask():
    network = initialized(Architecture(N_CHANNELS, WIDTH, 6))
    values = ragged_values()
    keep = torch.ones(len(values), 6)
    keep[2] = KEEP
    dropped, whole = network.encode(values, LENGTHS, keep), network.encode(values, LENGTHS)
    others = torch.tensor([0, 1, 3, 4])
    assert_equal_within_rounding(dropped[others], whole[others])
    assert not torch.allclose(dropped[2], whole[2])


# Building networks


@pytest.fixture
def every_layer():
    return Architecture(
        N_CHANNELS, WIDTH, 6, patch_len=2, bidirectional=True, n_time_features=3, n_classes=5
    )


def test_an_architecture_is_built_again_from_its_fields(every_layer):
    assert Architecture(**every_layer.as_dict()) == every_layer


def test_weights_are_copied_out_of_a_network_and_into_another(every_layer):
    network = initialized(every_layer)
    weights = weights_of(network)
    copy = build_network(every_layer, weights)
    assert weights.keys() == network.state_dict().keys()
    for name, weight in copy.state_dict().items():
        assert weight.dtype is torch.float32
        assert torch.equal(weight, network.state_dict()[name])
    next(copy.parameters()).data.fill_(7.0)
    next(network.parameters()).data.fill_(8.0)
    assert all(7.0 not in weight and 8.0 not in weight for weight in weights.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("head.bias"), "Missing key"),
        (lambda weights: weights.update(other=np.zeros(3)), "Unexpected key"),
        (lambda weights: weights.update({"head.bias": np.zeros(3)}), "size mismatch for head.bias"),
    ],
)
def test_weights_of_another_architecture_are_an_error(every_layer, change, message):
    weights = weights_of(initialized(every_layer))
    change(weights)
    with pytest.raises(RuntimeError, match=message):
        build_network(every_layer, weights)


def test_the_shapes_of_weights_are_known_without_allocating_them(every_layer):
    weights = weights_of(initialized(every_layer))
    assert weight_shapes(every_layer) == {name: one.shape for name, one in weights.items()}
    shapes = weight_shapes(Architecture(2**20, 2**20, 2**20))
    assert shapes["decoder.output.weight"] == (2**20, 2**20)


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({"hidden_dim": 0}, "hidden_dim=0 is not an integer from 1 to"),
        ({"n_channels": -3}, "n_channels=-3"),
        ({"embedding_dim": 2.0}, r"embedding_dim=2\.0"),
        ({"patch_len": "4"}, "patch_len='4'"),
        ({"time_period": 0}, "time_period=0"),
        ({"n_time_features": -1}, "n_time_features=-1 is not an integer from 0 to"),
        ({"window_stride": -2}, "window_stride=-2"),
        ({"window_len": 2, "window_stride": 3}, "window_stride=3 is larger than window_len=2"),
        ({"window_len": 2}, "window_stride=5 is larger than window_len=2"),
        ({"pooling": "sum"}, "pooling='sum' is none of last, statistics, mean, max"),
    ],
)
def test_impossible_dimensions_are_an_error(dimensions, message):
    possible = {"n_channels": 2, "embedding_dim": 4, "hidden_dim": 8, "patch_len": 5}
    with pytest.raises(ValueError, match=message):
        Architecture(**{**possible, **dimensions})


def test_every_parameter_of_a_new_network_is_trained(every_layer):
    with torch.no_grad():
        network = build_network(every_layer)
    assert all(weight.requires_grad and weight.is_leaf for weight in network.parameters())
    assert {weight.device.type for weight in network.parameters()} == {"cpu"}


def test_building_a_network_leaves_the_global_generator_alone(every_layer):
    before = torch.get_rng_state()
    build_network(every_layer)
    assert torch.equal(torch.get_rng_state(), before)


def test_building_a_network_imports_nothing_else():
    """`to_empty` would import hundreds of modules, for most of a second, in each new process."""
    program = """
import sys
from seqfeat.nn.network import Architecture, build_network
before = set(sys.modules)
build_network(Architecture(2, 4, 8, bidirectional=True, n_classes=3))
print(*set(sys.modules) - before)
"""
    assert run_python(program).split() == []
