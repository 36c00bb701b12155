import pytest
import torch


@pytest.fixture(scope="module")
def one_thread():
    """Networks as small as those of the tests spend their time waiting for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
