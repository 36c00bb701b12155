"""10,000 random inputs to the public methods: what cannot be used is an error of seqfeat's."""

import pytest

from tests.random_inputs import problem

N_CALLS, BLOCK = 10_000, 500


@pytest.mark.fuzz
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("first", range(0, N_CALLS, BLOCK))
def test_random_inputs_give_finite_results_or_errors_of_seqfeat(first):
    found = {seed: problem(seed) for seed in range(first, first + BLOCK)}
    assert {seed: one for seed, one in found.items() if one is not None} == {}


@pytest.mark.usefixtures("one_thread")
def test_a_few_random_inputs_give_finite_results_or_errors_of_seqfeat():
    found = {seed: problem(seed) for seed in range(N_CALLS, N_CALLS + 60)}
    assert {seed: one for seed, one in found.items() if one is not None} == {}
