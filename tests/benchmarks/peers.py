"""The plain network in other libraries, written the way their users would; see `plain`."""

import os
import time
import warnings
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from tests.benchmarks.plain import LEARNING_RATE, PlainNetwork, unexplained

KERAS_BACKEND = "jax"


class SkorchAutoencoder(NeuralNet):
    """The plain network in skorch, as a transformer.

    The target is the input, and the embedding is the last hidden state of the encoder.
    """

    def fit(self, X: np.ndarray, y: object = None, **fit_params: Any) -> "SkorchAutoencoder":
        return super().fit(X, X, **fit_params)

    @torch.no_grad()
    def transform(self, X: np.ndarray) -> np.ndarray:
        self.module_.eval()
        return self.module_.encode(torch.as_tensor(X)).numpy()


def skorch_autoencoder(
    n_channels: int, embedding_dim: int, batch_size: int, max_epochs: int
) -> SkorchAutoencoder:
    return SkorchAutoencoder(
        PlainNetwork,
        module__n_channels=n_channels,
        module__embedding_dim=embedding_dim,
        criterion=torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        batch_size=batch_size,
        max_epochs=max_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


class Skorch:
    """The plain network in skorch."""

    def __init__(self, X: np.ndarray, embedding_dim: int, batch_size: int) -> None:
        self.X = np.ascontiguousarray(X, dtype=np.float32)
        torch.manual_seed(0)
        self.net = skorch_autoencoder(X.shape[2], embedding_dim, batch_size, 1).initialize()

    def train(self, n_epochs: int) -> list[float]:
        self.net.fit_loop(self.X, self.X, epochs=n_epochs)
        return self.net.history[-n_epochs:, "dur"]

    @torch.no_grad()
    def unexplained(self) -> float:
        return unexplained(torch.from_numpy(self.X), self.net.forward(self.X))


class Keras:
    """The plain network in Keras 3 on JAX. Compiles in the first epoch, so do not time that one."""

    def __init__(self, X: np.ndarray, embedding_dim: int, batch_size: int) -> None:
        # Keras reads this once, when it is imported.
        os.environ["KERAS_BACKEND"] = KERAS_BACKEND
        import keras

        assert keras.backend.backend() == KERAS_BACKEND
        self.keras, self.batch_size = keras, batch_size
        self.X = np.ascontiguousarray(X, dtype=np.float32)
        keras.utils.set_random_seed(0)
        LSTM, (_, n_timesteps, n_channels) = keras.layers.LSTM, X.shape
        self.model = keras.Sequential(
            [
                keras.Input((n_timesteps, n_channels)),
                LSTM(2 * embedding_dim, return_sequences=True),
                LSTM(embedding_dim),
                keras.layers.RepeatVector(n_timesteps),
                LSTM(embedding_dim, return_sequences=True),
                LSTM(2 * embedding_dim, return_sequences=True),
                keras.layers.Dense(n_channels),
            ]
        )
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss="mse")

    def train(self, n_epochs: int) -> list[float]:
        starts, ends = [], []
        clock = self.keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: starts.append(time.perf_counter()),
            on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()),
        )
        self.model.fit(
            self.X,
            self.X,
            batch_size=self.batch_size,
            epochs=n_epochs,
            verbose=0,
            callbacks=[clock],
        )
        return [end - start for start, end in zip(starts, ends, strict=True)]

    def unexplained(self) -> float:
        reconstruction = self.model.predict(self.X, batch_size=len(self.X), verbose=0)
        return unexplained(torch.from_numpy(self.X), torch.tensor(reconstruction))


class Sequitur:
    """sequitur's LSTM_AE, which trains on one series at a time and has no batch size.

    With `h_dims=[2 * embedding_dim]`, its encoder is the plain one; its decoder is wider.
    """

    def __init__(self, X: np.ndarray, embedding_dim: int) -> None:
        from sequitur.models import LSTM_AE

        self.series = list(torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32)))
        torch.manual_seed(0)
        self.model = LSTM_AE(X.shape[2], embedding_dim, h_dims=[2 * embedding_dim])

    def train(self, n_epochs: int) -> list[float]:
        from sequitur.quick_train import train_model

        started = time.perf_counter()
        with warnings.catch_warnings():
            # It calls PyTorch's loss in a deprecated way.
            warnings.simplefilter("ignore")
            train_model(self.model, self.series, False, LEARNING_RATE, n_epochs, False)
        return [(time.perf_counter() - started) / n_epochs] * n_epochs

    @torch.no_grad()
    def unexplained(self) -> float:
        reconstruction = torch.stack([self.model(x).reshape(x.shape) for x in self.series])
        return unexplained(torch.stack(self.series), reconstruction)
