"""The network that this library started from, which our architecture generalizes."""

from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """Two LSTM layers as encoder, two as decoder, written the usual way."""

    def __init__(self, n_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.encoder_1 = nn.LSTM(n_channels, 2 * embedding_dim, batch_first=True)
        self.encoder_2 = nn.LSTM(2 * embedding_dim, embedding_dim, batch_first=True)
        self.decoder_1 = nn.LSTM(embedding_dim, embedding_dim, batch_first=True)
        self.decoder_2 = nn.LSTM(embedding_dim, 2 * embedding_dim, batch_first=True)
        self.output = nn.Linear(2 * embedding_dim, n_channels)

    def encode(self, x: Tensor) -> Tensor:
        _, (state, _) = self.encoder_2(self.encoder_1(x)[0])
        return state[-1]

    def decode(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        repeated = embeddings[:, None, :].expand(-1, n_timesteps, -1)
        return self.output(self.decoder_2(self.decoder_1(repeated)[0])[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x), x.shape[1])
