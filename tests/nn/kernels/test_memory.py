"""Every kernel stays within its arrays, whatever their sizes, gaps and numbers of steps."""

import os

import llvmlite.binding as llvm
import pytest
import torch

from seqfeat.nn.kernels.ir import jit
from seqfeat.nn.kernels.ir.jit import KERNELS
from seqfeat.nn.kernels.program import bind
from tests.nn.kernels.arrays import GUARD
from tests.nn.kernels.calls import CALLS, READ_IN_PART, calls_of, written
from tests.nn.kernels.isolated import (
    groups_of_calls,
    outcomes,
    target_machine,
    wrong_and_unnoticed,
)

BITS = {4: torch.int32, 8: torch.int64}


def test_every_kernel_has_calls():
    assert CALLS.keys() == KERNELS.keys()


def arrays_between_guards(call):
    """Return each array's layout and the memory around it, by name."""
    return {
        name: (layout, call.contents(layout, 2 * GUARD, seed))
        for seed, (name, layout) in enumerate(call.layouts())
    }


def changes_outside(kernels, call, shifted=None):
    """Run a call; return the names of the arrays beside which something was written.

    That is before and after an array, between its rows, and anywhere in an array that is only read.
    The array called `shifted` is handed over one element too late.
    """
    arrays = arrays_between_guards(call)
    before = {name: memory.clone() for name, (_, memory) in arrays.items()}
    addresses = {
        name: memory.data_ptr() + (GUARD + (name == shifted)) * memory.element_size()
        for name, (_, memory) in arrays.items()
    }
    kernels.functions[call.kernel](*call.arguments(addresses))
    found = set()
    for name, (layout, memory) in arrays.items():
        bits = BITS[memory.element_size()]
        has_changed = memory.view(bits) != before[name].view(bits)
        if name in written(call.kernel):
            has_changed[GUARD + layout.positions()] = False
        if bool(has_changed.any()):
            found.add(name)
    return found


@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_written_beside_an_array(kernels, name):
    for call in calls_of(name, kernels.lanes):
        assert not changes_outside(kernels, call), call


@pytest.mark.parametrize("name", KERNELS)
def test_one_element_beside_an_array_is_noticed(kernels, name):
    """The control of the test above, for every array that is written to."""
    for shifted in written(name):
        found = [changes_outside(kernels, call, shifted) for call in calls_of(name, kernels.lanes)]
        assert {shifted} in found, shifted


@pytest.mark.parametrize("name", KERNELS)
def test_the_calls_are_those_that_programs_make(kernels, name):
    for call in calls_of(name, kernels.lanes):
        tensors = {
            one: memory.as_strided(layout.shape, layout.strides, GUARD)
            for one, (layout, memory) in arrays_between_guards(call).items()
        }
        own = {one: call.sizes[one] for one in KERNELS[name].parameters if one not in tensors}
        addresses = {one: tensor.data_ptr() for one, tensor in tensors.items()}
        assert bind(kernels, KERNELS[name], {**tensors, **own}) == call.arguments(addresses)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, and memory that can be protected")
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_nothing_is_read_beside_an_array(tmp_path, lanes):
    """Where a page of memory begins that nobody may touch.

    With each array handed over one element too late in turn, as a control.
    """
    features = llvm.get_host_cpu_features()
    machine = target_machine(
        llvm.get_default_triple(), llvm.get_host_cpu_name(), features.flatten()
    )
    code = jit._write_module(lanes, jit.vector_shape(features)[1])
    found, _ = outcomes(tmp_path, machine, code, groups_of_calls(lanes), "pages")
    wrong, unnoticed = wrong_and_unnoticed(found)
    assert not wrong
    assert unnoticed == READ_IN_PART
