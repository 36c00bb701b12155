import pytest


@pytest.fixture(scope="session")
def motions():
    """40 series of 6 channels and 100 timesteps, channels first, and 40 to test on."""
    datasets = pytest.importorskip("aeon.datasets")
    train, test = (datasets.load_basic_motions(split=split) for split in ("train", "test"))
    return *train, *test


@pytest.fixture(scope="session")
def vowels():
    """270 series of 12 channels and 7 to 26 timesteps, channels first, and 370 to test on."""
    datasets = pytest.importorskip("aeon.datasets")
    train, test = (datasets.load_japanese_vowels(split=split) for split in ("train", "test"))
    return *train, *test
