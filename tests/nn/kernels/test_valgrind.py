"""The kernels under valgrind's memcheck, which sees every read and write beside an array.

Valgrind knows AVX2 but not AVX-512: vectors of 16 are two registers here. With AVX-512 itself, the
same calls run between pages that nobody may touch, in test_memory.py.
"""

import platform
import shutil

import llvmlite.binding as llvm
import pytest

from seqfeat.nn.kernels.ir import jit
from tests.nn.kernels.calls import READ_IN_PART
from tests.nn.kernels.isolated import groups_of_calls, outcomes, target_machine, wrong_and_unnoticed

VALGRIND = shutil.which("valgrind")
COMMAND = (
    *("env", "PYTHONMALLOC=malloc", VALGRIND or "valgrind", "--error-limit=no"),
    # More than the longest vector between two arrays.
    "--redzone-size=128",
)

pytestmark = [
    pytest.mark.valgrind,
    pytest.mark.skipif(VALGRIND is None, reason="valgrind is not installed"),
    pytest.mark.skipif(
        platform.machine() not in ("x86_64", "AMD64"),
        reason="valgrind is asked for its count of errors by code for x86-64",
    ),
]

# A CPU of each kind, with the lengths of vectors that it is tried with.
CPUS = [("x86-64", 4), ("haswell", 4), ("haswell", 8), ("haswell", 16)]


@pytest.mark.parametrize(("cpu", "lanes"), CPUS)
def test_no_kernel_touches_what_is_not_its_own(tmp_path, cpu, lanes):
    machine = target_machine(llvm.get_default_triple(), cpu)
    groups = groups_of_calls(lanes)
    code = jit._write_module(lanes, 12)
    found, printed = outcomes(tmp_path, machine, code, groups, "valgrind", COMMAND)
    wrong, unnoticed = wrong_and_unnoticed(found)
    assert not wrong, printed
    assert unnoticed == READ_IN_PART
    # Shown with -rP. The summary also counts the errors of Python before the first call.
    n_calls = sum(len(group) for (_, shifted), group in groups.items() if shifted is None)
    print(f"{n_calls} calls without an error; {sum(found.values())} errors in the controls")
    print(printed.splitlines()[-1])
