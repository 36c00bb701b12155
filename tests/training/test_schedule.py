import math

import numpy as np
import pytest

from seqfeat.training.schedule import EarlyStopping, one_cycle

# The learning rate


def test_the_rate_rises_for_a_fifth_of_the_steps_and_falls_to_zero_along_half_cosines():
    rates = np.array([one_cycle(step, 200) for step in range(201)])
    rise, fall = np.arange(41) / 40, np.arange(161) / 160
    expected_rise = 0.04 + 0.96 * (1 - np.cos(np.pi * rise)) / 2
    expected_fall = (1 + np.cos(np.pi * fall)) / 2
    np.testing.assert_allclose(rates[:41], expected_rise, atol=1e-12)
    np.testing.assert_allclose(rates[40:], expected_fall, atol=1e-12)
    assert rates.argmax() == 40
    assert rates[40] == 1.0


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4])
def test_the_rate_is_positive_in_all_of_a_few_steps(n_steps):
    rates = [one_cycle(step, n_steps) for step in range(n_steps)]
    assert all(0 < rate <= 1 for rate in rates)


def test_without_a_number_of_steps_the_rate_is_constant():
    assert [one_cycle(step, 0) for step in (0, 1, 10**6)] == [1.0, 1.0, 1.0]


# Early stopping


def epochs_until_stopped(losses, n_iter_no_change=2, tol=0.0, max_iter=0):
    stopping = EarlyStopping(n_iter_no_change, tol, max_iter)
    stops = [stopping.should_stop(loss, n_iter) for n_iter, loss in enumerate(losses, start=1)]
    return 1 + stops.index(True) if any(stops) else None


def test_it_stops_after_so_many_epochs_without_an_improvement():
    assert epochs_until_stopped([5.0, 4.0, 4.0, 4.0, 4.0]) == 4
    assert epochs_until_stopped([5.0, 4.0, 4.5, 4.3, 4.0], n_iter_no_change=3) == 5


def test_an_improvement_starts_the_count_again():
    assert epochs_until_stopped([5.0, 5.0, 4.0, 4.0, 3.0, 3.0]) is None
    assert epochs_until_stopped([5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 3.0]) == 7


def test_improvements_smaller_than_tol_do_not_count_however_often_they_come():
    losses = [1.0 - 0.01 * epoch for epoch in range(10)]
    assert epochs_until_stopped(losses, tol=0.02) == 3
    assert epochs_until_stopped(losses, tol=0.005) is None


def test_losses_that_are_not_finite_are_no_improvement():
    assert epochs_until_stopped([1.0, math.inf, math.nan]) == 3


@pytest.mark.parametrize(("max_iter", "expected"), [(20, 4 + 2), (11, 3 + 2), (1, 1 + 2)])
def test_epochs_of_the_warm_up_do_not_count(max_iter, expected):
    assert epochs_until_stopped([1.0] * 20, max_iter=max_iter) == expected
