"""The kernels compiled for CPUs other than this one."""

import re
from functools import cache

import llvmlite.binding as llvm
import pytest

from seqfeat.nn.kernels.ir import jit
from tests.nn.kernels.isolated import target_machine

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"

# The CPU, the features that count, and the registers that its vectors need.
TARGETS = {
    "SSE2": (X86, "x86-64", {}, "xmm"),
    "AVX": (X86, "sandybridge", {"avx": True}, "xmm"),
    "AVX2": (X86, "x86-64-v3", {"avx2": True, "fma": True}, "ymm"),
    "AVX-512": (X86, "x86-64-v4", {"avx512f": True, "avx2": True, "fma": True}, "zmm"),
    "NEON": (ARM, "generic", {"neon": True}, None),
    "Apple": ("arm64-apple-macosx", "apple-m1", {"neon": True}, None),
    "Windows": ("x86_64-pc-windows-msvc", "x86-64-v3", {"avx2": True, "fma": True}, "ymm"),
}

CALL = re.compile(r"^\s+(?:callq?|bl|jmp|b)\s+([A-Za-z_][\w.$]*)", re.MULTILINE)
LABEL = re.compile(r'^"?([A-Za-z_.][\w.$@]*)"?:', re.MULTILINE)


@cache
def assembly(target):
    _, _, features, _ = TARGETS[target]
    return compiled(target, jit._write_module(*jit.vector_shape(features)))


def compiled(target, code):
    triple, cpu, *_ = TARGETS[target]
    module = llvm.parse_assembly(code)
    module.triple = triple
    # By name, where code that is run at once would call an address.
    return target_machine(triple, cpu, codemodel="small").emit_assembly(module)


def called_but_not_defined(text):
    called = {name for name in CALL.findall(text) if not name.startswith((".L", "L"))}
    return called - set(LABEL.findall(text))


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernels_are_complete_for_every_cpu(target):
    """They are code of that CPU alone, and call nobody else: no expf, no memset."""
    text = assembly(target)
    labels = {name.removeprefix("_") for name in LABEL.findall(text)}
    assert labels >= jit.KERNELS.keys() | {"run_program"}
    assert not called_but_not_defined(text)


EXPONENTIAL = """
declare <4 x float> @llvm.exp.v4f32(<4 x float>)
define <4 x float> @exponential(<4 x float> %x) {
  %y = call <4 x float> @llvm.exp.v4f32(<4 x float> %x)
  ret <4 x float> %y
}
"""


@pytest.mark.parametrize("target", TARGETS)
def test_a_function_of_the_c_library_is_noticed(target):
    """The control of the test above."""
    called = called_but_not_defined(compiled(target, EXPONENTIAL))
    assert {name.removeprefix("_") for name in called} == {"expf"}


@pytest.mark.parametrize("target", [name for name, one in TARGETS.items() if one[0] == X86])
def test_registers_are_as_wide_as_the_cpus_and_no_wider(target):
    widths = ["xmm", "ymm", "zmm"]
    text, own = assembly(target), TARGETS[target][3]
    used = [width for width in widths if f"%{width}" in text]
    assert used[-1] == own
    has_three_operands = re.search(r"^\s+v[a-z]+[ps]s\s", text, re.MULTILINE) is not None
    assert has_three_operands == (target != "SSE2")
    assert ("vfmadd" in text) == (target in ("AVX2", "AVX-512"))


def test_vectors_of_arm_are_those_of_neon():
    text = assembly("NEON")
    assert re.search(r"fmla\s+v\d+\.4s", text)
    assert not re.search(r"\bz\d+\.s\b", text), "instructions of SVE"
