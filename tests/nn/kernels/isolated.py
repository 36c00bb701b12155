"""Running calls of the kernels in a process without PyTorch; see `exact_memory`."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm

from seqfeat.nn.kernels.ir import jit
from tests.nn.kernels import exact_memory
from tests.nn.kernels.calls import calls_of

PROGRAM = exact_memory.__file__


def with_contents(call, shifted=None):
    """Return a call's arguments with their shifts; the array called `shifted` is a bit too late."""
    contents, shifts = {}, {}
    for seed, (name, layout) in enumerate(call.layouts()):
        content = call.contents(layout, 0, seed)
        contents[name] = content.numpy().tobytes()
        shifts[name] = content.element_size() * (name == shifted)
    signature = jit.KERNELS[call.kernel].signature
    values = call.arguments(contents)
    return [(value, shifts.get(one.name, 0)) for value, one in zip(values, signature, strict=True)]


def groups_of_calls(lanes):
    """Return, by kernel and array that is handed over too late, the calls, with their contents.

    Where no array is, its name is None.
    """
    groups = {}
    for name in jit.KERNELS:
        calls = calls_of(name, lanes)
        for array in (None, *(array for array, _ in calls[0].layouts())):
            groups[name, array] = [(name, with_contents(call, array)) for call in calls]
    return groups


def target_machine(triple, cpu, features="", codemodel="jitdefault"):
    """Return what compiles for any CPU as `compile_kernels` does for this one."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu, features, opt=3, codemodel=codemodel)


def outcomes(folder, machine, code, groups, how, command=()):
    """Run groups of calls of compiled code; return what each led to, and what was printed."""
    Path(folder, "kernels.o").write_bytes(machine.emit_object(llvm.parse_assembly(code)))
    Path(folder, "calls.pickle").write_bytes(pickle.dumps(list(groups.values())))
    done = subprocess.run(
        [*command, sys.executable, PROGRAM, str(folder), how],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(zip(groups, json.loads(done.stdout), strict=True)), done.stderr


def wrong_and_unnoticed(found):
    """Return the calls that led to something, and the arrays that were late without consequence."""
    wrong = {name: outcome for (name, shifted), outcome in found.items() if outcome and not shifted}
    unnoticed = {key for key, outcome in found.items() if not outcome and key[1] is not None}
    return wrong, unnoticed
