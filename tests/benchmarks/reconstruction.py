"""How well series can be reconstructed, in R squared as `LSTMAutoencoder.score` defines it."""

from sklearn.decomposition import PCA
from tests.benchmarks.datasets import Split
from tests.benchmarks.features import EMBEDDING_DIM, Floats, missing
from tests.benchmarks.measure import OURS

from seqfeat import LSTMAutoencoder
from seqfeat.series import as_series

FULL_FRACTION = f"{OURS}, reconstruction_fraction=1"
COMPONENTS = {"PCA-8": 8, "PCA-64": 64}
RECONSTRUCTORS = [OURS, FULL_FRACTION, *COMPONENTS]

Scores = tuple[float, float]
"""Of the training series and of the test series."""


def reconstruction_scores(model: LSTMAutoencoder, split: Split, seed: int) -> dict[str, Scores]:
    """Score a fitted autoencoder and the others; of PCA one seed is enough."""
    scores = {
        OURS: (model.score(split.X), model.score(split.X_test)),
        FULL_FRACTION: full_fraction_scores(split, seed),
    }
    return {**scores, **(pca_scores(split) if seed == 0 else {})}


def full_fraction_scores(split: Split, seed: int) -> Scores:
    """Score an autoencoder whose whole embedding is for reconstructing, so labels are no use."""
    model = LSTMAutoencoder(
        EMBEDDING_DIM, reconstruction_fraction=1.0, missing=missing(split), random_state=seed
    ).fit(split.X)
    return model.score(split.X), model.score(split.X_test)


def pca_scores(split: Split) -> dict[str, Scores]:
    """Score principal components of the series, scaled by channel as seqfeat scales them.

    There are none for series of unequal lengths or with gaps.
    """
    series, series_test = (as_series(X, missing="mask") for X in (split.X, split.X_test))
    if not (series.is_dense and series_test.is_dense):
        return {}
    mean, std = series.values.mean(axis=(0, 1)), series.values.std(axis=(0, 1))
    std[std == 0] = 1.0
    X, X_test = ((part.values - mean) / std for part in (series, series_test))
    return {name: _scores_of_components(n, X, X_test) for name, n in COMPONENTS.items()}


def _scores_of_components(n_components: int, X: Floats, X_test: Floats) -> Scores:
    flat, flat_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    n_components = min(n_components, len(flat) - 1, flat.shape[1])
    model = PCA(n_components, svd_solver="full").fit(flat)
    own, other = (
        r_squared(part, model.inverse_transform(model.transform(rows)).reshape(part.shape))
        for part, rows in ((X, flat), (X_test, flat_test))
    )
    return own, other


def r_squared(X: Floats, reconstruction: Floats) -> float:
    """Return the explained fraction of each channel's variance about its mean in `X`."""
    variation = ((X - X.mean(axis=(0, 1))) ** 2).sum()
    return float(1 - ((X - reconstruction) ** 2).sum() / variation)
