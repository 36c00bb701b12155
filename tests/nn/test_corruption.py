"""What training hides from the network."""

import numpy as np
import pytest
import torch

from seqfeat.nn.batch import BatchShard
from seqfeat.nn.corruption import NO_CORRUPTION, Corruption, draw_corruption
from seqfeat.nn.network import Architecture

VALUES = torch.arange(24.0).reshape(4, 3, 2)
NOTHING = {"masking_ratio": 0.0, "input_noise": 0.0, "dropout": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def whole():
    return Corruption(
        torch.tensor([1.0, 0, 1, 0])[:, None, None].expand(4, 3, 1),
        torch.randn((4, 3, 2), generator=generator(10)),
        torch.arange(8.0).reshape(4, 2),
        torch.arange(12.0).reshape(4, 3),
    )


# Applying it


def test_no_corruption_changes_nothing():
    assert NO_CORRUPTION.apply(VALUES) is VALUES
    assert NO_CORRUPTION.rows(slice(0, 2)).apply(VALUES) is VALUES
    assert NO_CORRUPTION.where(torch.zeros(4, 3, 2, dtype=torch.bool)) is NO_CORRUPTION


def test_inputs_are_masked_before_noise_is_added():
    mask = torch.tensor([1.0, 0.0, 1.0])[None, :, None].expand(4, 3, 1)
    noise = torch.randn((4, 3, 2), generator=generator(9))
    expected = VALUES.numpy().copy()
    expected[:, 1] = 0.0
    expected += noise.numpy()
    np.testing.assert_allclose(Corruption(mask, noise).apply(VALUES), expected)


def test_the_series_themselves_are_not_written_to():
    before = VALUES.clone()
    Corruption(torch.zeros(4, 3, 1), torch.ones(4, 3, 2)).apply(VALUES)
    assert torch.equal(VALUES, before)


def test_a_slice_of_a_corruption_belongs_to_the_slice_of_the_series(whole):
    part = whole.rows(slice(1, 3)).on(torch.device("cpu"))
    assert torch.equal(part.apply(VALUES[1:3]), whole.apply(VALUES)[1:3])
    assert torch.equal(part.encoder_units, whole.encoder_units[1:3])
    assert torch.equal(part.decoder_units, whole.decoder_units[1:3])


def test_a_shard_of_a_corruption_belongs_to_a_processs_own_series(whole):
    positions = torch.tensor([3, 1])
    part = whole.shard(BatchShard(positions, 4, 3, None), n_timesteps=2)
    assert torch.equal(part.apply(VALUES[positions, :2]), whole.apply(VALUES)[positions, :2])
    assert torch.equal(part.encoder_units, whole.encoder_units[positions])
    assert torch.equal(part.decoder_units, whole.decoder_units[positions])


def test_noise_on_what_was_not_observed_is_left_out(whole):
    observed = torch.ones(4, 3, 2, dtype=torch.bool)
    observed[2, 1] = False
    noise = whole.where(observed).noise
    assert noise[2, 1].tolist() == [0.0, 0.0]
    assert torch.equal(noise[observed], whole.noise[observed])
    assert whole.where(None) is whole


# Drawing it


def drawn(shape=(200, 8, 2), seed=0, architecture=None, **rates):
    network = {"patch_len": 3, **(architecture or {})}
    return draw_corruption(Architecture(2, 4, 8, **network), shape, generator(seed), **rates)


def test_what_has_no_rate_is_not_drawn():
    nothing = drawn(**NOTHING)
    assert {nothing.inputs, nothing.noise, nothing.encoder_units, nothing.decoder_units} == {None}


def test_whole_patches_are_masked():
    mask = drawn(**{**NOTHING, "masking_ratio": 0.25}).inputs
    assert mask.shape == (200, 8, 1)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    for start in (0, 3, 6):
        patch = mask[:, start : start + 3]
        assert (patch == patch[:, :1]).all()
    assert mask.mean().item() == pytest.approx(0.75, abs=0.05)


def test_noise_has_the_given_standard_deviation():
    noise = drawn(**{**NOTHING, "input_noise": 0.3}).noise
    assert noise.shape == (200, 8, 2)
    assert noise.std().item() == pytest.approx(0.3, abs=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_units_that_are_kept_make_up_for_those_that_are_dropped(bidirectional):
    architecture = {"bidirectional": bidirectional}
    corruption = drawn(architecture=architecture, **{**NOTHING, "dropout": 0.2})
    assert corruption.encoder_units.shape == (200, 16 if bidirectional else 8)
    assert corruption.decoder_units.shape == (200, 4)
    for units in (corruption.encoder_units, corruption.decoder_units):
        assert set(units.unique().tolist()) == {0.0, 1.25}
        assert units.mean().item() == pytest.approx(1.0, abs=0.05)


def test_the_generator_decides_everything():
    rates = {"masking_ratio": 0.2, "input_noise": 0.1, "dropout": 0.2}
    before = torch.get_rng_state()
    first, second, other = (drawn(seed=seed, **rates) for seed in (0, 0, 1))
    for name in ("inputs", "noise", "encoder_units", "decoder_units"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    assert torch.equal(torch.get_rng_state(), before)
