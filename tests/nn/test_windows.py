"""Windows of consecutive timesteps."""

import torch

from seqfeat.nn.windows import count_windows, n_windows, windows


def test_windows_cover_every_timestep_and_end_with_zeros():
    values = torch.arange(1.0, 8.0).view(1, 7, 1)
    expected = torch.tensor([[1.0, 2, 3], [3, 4, 5], [5, 6, 7]])
    assert torch.equal(windows(values, 3, 2)[0], expected)
    assert windows(values, 4, 4)[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]


def test_the_number_of_windows_is_the_same_for_one_series_and_for_many():
    lengths = torch.arange(1, 30)
    for length, stride in ((1, 1), (5, 2), (16, 16), (40, 3)):
        counts = count_windows(lengths, length, stride).tolist()
        assert counts == [n_windows(one, length, stride) for one in lengths.tolist()]
        assert counts == [
            windows(torch.zeros(1, one, 1), length, stride).shape[1] for one in lengths.tolist()
        ]
