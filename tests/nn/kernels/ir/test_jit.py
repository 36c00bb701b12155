"""Compiling: for which CPU, with which vectors, what is printed, and what if it fails."""

import functools
import os
import subprocess
import sys
import warnings

import pytest
import torch

from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.kernels import CompiledBackend, make_backend
from seqfeat.nn.kernels.ir import jit
from seqfeat.nn.kernels.ir.jit import vector_shape
from seqfeat.nn.network import Architecture, build_network

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, (16, 24)),
        ({"avx2": True, "fma": True}, (8, 12)),
        ({"avx2": True}, (4, 12)),
        ({"neon": True}, (4, 24)),
        ({}, (4, 12)),
    ],
)
def test_vectors_are_as_long_as_the_cpus(features, expected):
    assert vector_shape(features) == expected


def fresh_kernels(monkeypatch):
    """Compile again when the kernels are next asked for."""
    uncached = functools.cache(jit.compiled_kernels.__wrapped__)
    monkeypatch.setattr(jit, "compiled_kernels", uncached)
    return uncached


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_the_environment_sets_the_length_of_vectors(monkeypatch, lanes):
    monkeypatch.setenv("SEQFEAT_VECTOR_LANES", lanes)
    assert fresh_kernels(monkeypatch)().lanes == int(lanes)


def test_a_length_that_is_none_is_named_and_pytorch_does_the_work(monkeypatch):
    monkeypatch.setenv("SEQFEAT_VECTOR_LANES", "three")
    kernels = fresh_kernels(monkeypatch)
    with pytest.warns(RuntimeWarning, match="SEQFEAT_VECTOR_LANES='three'; set it to 4, 8 or 16"):
        assert kernels() is None


@pytest.mark.parametrize(
    ("name", "sign"), [("SEQFEAT_PRINT_IR", "define void"), ("SEQFEAT_PRINT_ASM", "\tret")]
)
def test_the_code_is_printed_when_asked_for(monkeypatch, capsys, name, sign):
    monkeypatch.setenv(name, "1")
    jit.compile_kernels(8)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sign in printed.err
    assert "lstm_forward" in printed.err


def test_where_compilation_fails_pytorch_takes_over_and_says_so_once(monkeypatch):
    def fail(lanes):
        raise TypeError("no such argument")

    monkeypatch.setattr(jit, "compile_kernels", fail)
    fresh_kernels(monkeypatch)
    network = build_network(Architecture(1, 3, 5))
    with pytest.warns(RuntimeWarning, match=r"llvmlite .*no such argument.*SEQFEAT_FAST=0"):
        assert isinstance(make_backend(network, CPU), TorchBackend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(make_backend(network, CPU), TorchBackend)


PROGRAM = """
import sys
import numpy as np
from seqfeat import LSTMAutoencoder
import seqfeat.training.fit

def compiled():
    return "seqfeat.nn.kernels.ir.jit" in sys.modules

if "without" in sys.argv:
    sys.modules["llvmlite"] = None
X = np.sin(np.arange(60) / 4 + np.arange(24)[:, None]).astype(np.float32)[:, :, None]
print(compiled())
model = LSTMAutoencoder(5, max_iter=4, random_state=0).fit(X)
np.save(sys.argv[1], np.hstack([model.transform(X), model.reconstruct(X)[:, :, 0]]))
print(compiled())
"""


@pytest.mark.slow
def test_without_the_extra_a_model_is_the_same_up_to_rounding(tmp_path):
    """Nothing is compiled, nor llvmlite imported, before it is needed."""
    import numpy as np

    processes = {}
    for how in ("fast", "without", "forbidden"):
        processes[how] = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / f"{how}.npy"), how],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"SEQFEAT_FAST": "0" if how == "forbidden" else "1"},
        )
    printed = {how: process.communicate()[0].split() for how, process in processes.items()}
    found = {how: np.load(tmp_path / f"{how}.npy") for how in processes}
    assert printed["fast"] == ["False", "True"]
    assert printed["without"] == printed["forbidden"] == ["False", "False"]
    np.testing.assert_array_equal(found["forbidden"], found["without"])
    scale = np.abs(found["without"]).max()
    np.testing.assert_allclose(found["fast"], found["without"], atol=1e-4 * scale)


def test_compiled_networks_are_those_the_kernels_know():
    network = build_network(Architecture(1, 3, 5))
    assert isinstance(make_backend(network, CPU), CompiledBackend)
