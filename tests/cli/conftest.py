"""Data files and trained models, which no test may change."""

import numpy as np
import pytest

import seqfeat as library
from seqfeat.series import from_long
from tests.commands import LONG, meters, ok, waves


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with models and with data for them.

    ============================================  =========================================
    ``m.joblib``                                  a classifier of ``train.csv``
    ``new.csv``, ``new.parquet``                  other series of that kind
    ``unlabelled.csv``                            the same without labels
    ``rows.joblib``, ``rows.npy``                 an autoencoder, and its training series
    ``wide.joblib``, ``wide.npy``, ``wider.npy``  one of a table, and a table with more columns
    ============================================  =========================================
    """
    folder = tmp_path_factory.mktemp("models")
    options = ["--embedding-dim", "4", "--max-iter", "12", "--no-baselines", "-o"]
    meters().to_csv(folder / "train.csv", index=False)
    ok("train", folder / "train.csv", *LONG, *options, folder / "m.joblib")
    new = meters(24, seed=1)
    new.to_csv(folder / "new.csv", index=False)
    new.to_parquet(folder / "new.parquet", index=False, row_group_size=40)
    new.drop(columns="kind").to_csv(folder / "unlabelled.csv", index=False)
    np.save(folder / "rows.npy", waves())
    ok("train", folder / "rows.npy", *options, folder / "rows.joblib")
    np.save(folder / "wide.npy", waves()[:, :, 0])
    np.save(folder / "wider.npy", np.zeros((4, 30)))
    ok("train", folder / "wide.npy", *options, folder / "wide.joblib")
    return folder


@pytest.fixture(scope="session")
def model(models):
    """The classifier, loaded."""
    return library.load(models / "m.joblib")


@pytest.fixture(scope="session")
def new():
    """The series and labels of ``new.csv``."""
    return from_long(meters(24, seed=1), "meter", "day", ["load", "heat"], "kind")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A folder with a classifier of the demo, and with the demo's test set as a table."""
    folder = tmp_path_factory.mktemp("demo")
    options = ["--embedding-dim", "8", "--max-iter", "2", "--no-baselines"]
    ok("train", "demo:japanese-vowels", *options, "-o", folder / "m.joblib")
    ok("convert", "demo:japanese-vowels:test", "-o", folder / "new.csv")
    return folder


@pytest.fixture
def small_batches(monkeypatch):
    """Read series in batches of only a few."""
    monkeypatch.setattr("seqfeat.series.files.streaming.BATCH_BYTES", 4000)
    monkeypatch.setattr("seqfeat.series.files.streaming.split_batches.__defaults__", (4000,))


@pytest.fixture
def csv(tmp_path):
    """A long table to train on."""
    path = tmp_path / "meters.csv"
    meters().to_csv(path, index=False)
    return path


@pytest.fixture
def npy(tmp_path):
    """Series without labels to train on."""
    path = tmp_path / "rows.npy"
    np.save(path, waves(24))
    return path
