"""The network against plain PyTorch: the seed network, and packed sequences."""

import pytest
import torch
from torch import nn

from seqfeat.network import Architecture, RecurrentAutoencoder, initialize

C, E = 3, 5


class PlainAutoencoder(nn.Module):
    """The network that the library started from, written down as simply as it goes."""

    def __init__(self, n_channels, embedding_dim):
        super().__init__()
        self.encoder_1 = nn.LSTM(n_channels, 2 * embedding_dim, batch_first=True)
        self.encoder_2 = nn.LSTM(2 * embedding_dim, embedding_dim, batch_first=True)
        self.decoder_1 = nn.LSTM(embedding_dim, embedding_dim, batch_first=True)
        self.decoder_2 = nn.LSTM(embedding_dim, 2 * embedding_dim, batch_first=True)
        self.output = nn.Linear(2 * embedding_dim, n_channels)

    def encode(self, x):
        return self.encoder_2(self.encoder_1(x)[0])[1][0][-1]

    def forward(self, x):
        repeated = self.encode(x)[:, None, :].repeat(1, x.shape[1], 1)
        return self.output(self.decoder_2(self.decoder_1(repeated)[0])[0])


def layers(plain, ours):
    """Pair the layers of both networks."""
    return [
        (plain.encoder_1, ours.encoder.forward_layers[0]),
        (plain.encoder_2, ours.encoder.forward_layers[1]),
        (plain.decoder_1, ours.decoder.layers[0]),
        (plain.decoder_2, ours.decoder.layers[1]),
        (plain.output, ours.decoder.output),
    ]


@pytest.fixture
def networks():
    generator = torch.Generator().manual_seed(0)
    ours = RecurrentAutoencoder(Architecture(C, E, 2 * E, pooling="last"))
    plain = PlainAutoencoder(C, E)
    initialize(ours, generator)
    initialize(plain, generator)
    return plain, ours


@pytest.fixture
def values():
    return torch.randn((4, 9, C), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("ours_to_plain", [True, False])
def test_the_seed_network_is_a_special_case(networks, values, ours_to_plain):
    plain, ours = networks
    for theirs, own in layers(plain, ours):
        source, target = (own, theirs) if ours_to_plain else (theirs, own)
        target.load_state_dict(source.state_dict())
    lengths = torch.full((4,), 9)
    torch.testing.assert_close(ours.encode(values, lengths), plain.encode(values))
    rebuilt, expected = ours(values, lengths), plain(values)
    torch.testing.assert_close(rebuilt, expected)

    ((rebuilt - values) ** 2).mean().backward()
    ((expected - values) ** 2).mean().backward()
    for theirs, own in layers(plain, ours):
        for name, parameter in theirs.named_parameters():
            torch.testing.assert_close(own.get_parameter(name).grad, parameter.grad)


def test_both_networks_have_the_same_number_of_weights(networks):
    plain, ours = networks
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in ours.parameters())


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_unequal_lengths_equal_packed_sequences(pooling, bidirectional):
    architecture = Architecture(C, E, 2 * E, bidirectional=bidirectional, pooling=pooling)
    ours = RecurrentAutoencoder(architecture)
    initialize(ours, torch.Generator().manual_seed(2))
    lengths = torch.tensor([7, 1, 4, 9])
    values = padded_values(lengths)
    expected = ours.encoder.projection(packed_summary(ours.encoder, values, lengths, pooling))
    torch.testing.assert_close(ours.encode(values, lengths), expected)


def padded_values(lengths):
    values = torch.randn((len(lengths), 9, C), generator=torch.Generator().manual_seed(3))
    return values * (torch.arange(9) < lengths[:, None])[:, :, None]


def packed_summary(encoder, values, lengths, pooling):
    """Run torch's own packed LSTMs with the encoder's weights and pool their outputs."""
    packed = nn.utils.rnn.pack_padded_sequence(
        values, lengths, batch_first=True, enforce_sorted=False
    )
    for index in (0, 1):
        lstm = as_one_lstm(encoder, index)
        packed, (state, _) = lstm(packed)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    if pooling == "last":
        return torch.cat(list(state), dim=1)
    parts = [row[:length] for row, length in zip(outputs, lengths, strict=True)]
    return torch.stack([p.mean(0) if pooling == "mean" else p.amax(0) for p in parts])


def as_one_lstm(encoder, index):
    forward = encoder.forward_layers[index]
    lstm = nn.LSTM(
        forward.input_size,
        forward.hidden_size,
        batch_first=True,
        bidirectional=bool(encoder.backward_layers),
    )
    weights = dict(forward.state_dict())
    if encoder.backward_layers:
        backward = encoder.backward_layers[index].state_dict()
        weights |= {f"{name}_reverse": value for name, value in backward.items()}
    lstm.load_state_dict(weights)
    return lstm


@pytest.mark.parametrize("patch_len", [1, 4])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_one_series_one_vector(patch_len, bidirectional):
    architecture = Architecture(C, E, 2 * E, patch_len, bidirectional, "max", 4, 3)
    network = RecurrentAutoencoder(architecture)
    initialize(network, torch.Generator().manual_seed(4))
    lengths = torch.tensor([7, 1, 4, 9, 8])
    values = padded_values(lengths)
    together = network.encode(values, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = network.encode(values[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-6, atol=1e-6)
    more_padding = nn.functional.pad(values, (0, 0, 0, 13))
    torch.testing.assert_close(network.encode(more_padding, lengths), together)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(network.encode(values[order], lengths[order]), together[order])
