"""Fault 37, by reading the code: every new tensor names its dtype and device.

torch's default dtype and device are the caller's to choose. They must not reach a tensor of ours,
above all not one whose memory the kernels work on. By the same means: random numbers come from a
generator, torch's global settings are left alone, and addresses are taken in a single place.
"""

import ast
import inspect
from typing import NamedTuple

import pytest
import torch
from torch import nn

from tests.house import PACKAGE, sources

FACTORIES = {
    *("arange", "as_tensor", "asarray", "empty", "empty_permuted", "empty_strided", "eye"),
    *("full", "linspace", "logspace", "ones", "rand", "randint", "randn", "randperm", "range"),
    *("scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros", "fft.fftfreq"),
    *("fft.rfftfreq", "nested.nested_tensor", "bartlett_window", "blackman_window"),
    *("hamming_window", "hann_window", "kaiser_window", "sparse_coo_tensor"),
    *("sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor"),
    *("sparse_compressed_tensor", "normal"),
}
"""Functions of torch that use its default dtype, its default device, or both."""

LEGACY = {"Tensor", "FloatTensor", "DoubleTensor", "HalfTensor", "LongTensor", "ByteTensor"}
"""Constructors that name neither."""

RANDOM = {"rand", "randint", "randn", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
NOT_RANDOM = {"constant_", "dirac_", "eye_", "ones_", "zeros_", "calculate_gain"}
"""Of `torch.nn.init`."""

ADDRESSES = {"data_ptr", "addressof", "ctypes", "__array_interface__", "from_address", "byref"}
"""What gives the address of memory, or takes memory at an address."""


def parameters_of(module):
    """Return the names of the parameters of a class of modules, its bases' included."""
    return {
        name
        for base in inspect.getmro(module)
        if base is not nn.Module and "__init__" in vars(base)
        for name in inspect.signature(base.__init__).parameters
    }


MODULES = {
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value)
    and issubclass(value, nn.Module)
    and parameters_of(value) >= {"dtype", "device"}
}
"""Classes of `torch.nn` that make weights, such as Linear and LSTM."""


class Finding(NamedTuple):
    """Something in the code that a rule forbids."""

    line: int
    name: str
    problem: str


class Names(ast.NodeVisitor):
    """What the names in a file stand for, such as ``nn.Linear`` for ``torch.nn.Linear``."""

    def __init__(self, tree):
        self.origins = {}
        self.visit(tree)

    def visit_Import(self, node):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            self.origins[alias.asname or first] = alias.name if alias.asname else first

    def visit_ImportFrom(self, node):
        for alias in node.names:
            self.origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def of(self, node):
        """Return the full name of a name or an attribute, or an empty text."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, "")
        if isinstance(node, ast.Attribute):
            owner = self.of(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""


def subclasses_of_modules(trees):
    """Return the full names of the classes of the package that derive from those in `MODULES`."""
    found = {}
    for module, tree in trees.items():
        names = Names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {names.of(base).removeprefix("torch.nn.") for base in node.bases}
                if bases & MODULES:
                    found[f"{module}.{node.name}"] = node.name
    return found


def module_of(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def required_arguments(name, own_modules=()):
    """Return the keywords that a call of a function or a class must have."""
    if name in own_modules:
        return {"dtype", "device"}
    if not name.startswith("torch."):
        return set()
    name = name.removeprefix("torch.")
    if name == "Generator":
        return {"device"}
    required = {"generator"} if name in RANDOM else set()
    is_module = name.startswith("nn.") and name.split(".")[-1] in MODULES
    if name in FACTORIES or is_module:
        required |= {"dtype", "device"}
    if name.startswith("nn.init.") and name.split(".")[-1] not in NOT_RANDOM:
        required |= {"generator"}
    return required


def tensors_from_defaults(tree, own_modules=()):
    """Return the calls that make a tensor without saying how, and uses that hide such calls."""
    names, findings, called = Names(tree), [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called.add(node.func)
            name = names.of(node.func)
            missing = required_arguments(name, own_modules) - {one.arg for one in node.keywords}
            if missing:
                findings.append(Finding(node.lineno, name, f"without {sorted(missing)}"))
            if name.removeprefix("torch.") in LEGACY and name.startswith("torch."):
                findings.append(Finding(node.lineno, name, "names neither dtype nor device"))
    for node in ast.walk(tree):
        name = names.of(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
        # Classes are also used as types.
        is_function = name.rpartition(".")[2][:1].islower()
        if is_function and node not in called and required_arguments(name):
            findings.append(Finding(node.lineno, name, "is passed on, to be called elsewhere"))
    return findings


def addresses_taken(tree):
    """Return the places where the address of memory is taken, or imported what takes it."""
    findings = []
    for node in ast.walk(tree):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        findings += [Finding(node.lineno, name, "address") for name in names if name in ADDRESSES]
    return findings


def settings_changed(tree):
    """Return the calls that change one of torch's global settings."""
    names = Names(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        Finding(node.lineno, names.of(node.func), "changes a global setting")
        for node in calls
        if names.of(node.func).startswith(("torch.set_", "torch.manual_seed", "torch.use_"))
    ]


TREES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sources()}
OWN_MODULES = subclasses_of_modules(TREES)


def findings_of(rule, *options):
    """Return the findings of a rule in the files of the package, where there are any."""
    found = {module: rule(tree, *options) for module, tree in TREES.items()}
    return {module: findings for module, findings in found.items() if findings}


def test_fault_37_every_new_tensor_names_its_dtype_and_device():
    assert findings_of(tensors_from_defaults, OWN_MODULES) == {}


def test_addresses_are_taken_in_one_place():
    assert findings_of(addresses_taken).keys() == {"seqfeat.nn.kernels.program"}


def test_torchs_global_settings_are_left_alone():
    found = findings_of(settings_changed)
    names = {module: {finding.name for finding in one} for module, one in found.items()}
    assert names == {
        "seqfeat.runtime.torch_threads": {"torch.set_num_threads"},
        "seqfeat.runtime.float_precision": {"torch.set_float32_matmul_precision"},
    }


# The rules find what they are for


@pytest.mark.parametrize(
    "code",
    [
        "import torch; torch.zeros(3)",
        "import torch; torch.zeros(3, dtype=torch.float32)",
        "import torch; torch.zeros(3, device='cpu')",
        "import torch as t; t.arange(5, device=x.device)",
        "from torch import tensor as make; make([1.0], dtype=d)",
        "import torch.fft; torch.fft.fftfreq(3)",
        "from torch import fft; fft.fftfreq(3, device='cpu')",
        "import torch; torch.Generator()",
        "import torch; torch.FloatTensor([1.0])",
        "from torch import Tensor; Tensor([1.0])",
        "from torch import nn; nn.Linear(2, 3)",
        "from torch import nn; nn.Linear(2, 3, device='meta')",
        "from torch.nn import LSTM; LSTM(2, 3, dtype=d)",
        "from torch.nn.modules.linear import Linear; Linear(2, 3)",
        "import torch.nn as layers; layers.LSTM(2, 3)",
        "from seqfeat.nn.lstm import LSTMLayer; LSTMLayer(2, 3)",
        "import torch; torch.randn(3, dtype=d, device='cpu')",
        "from torch import nn; nn.init.orthogonal_(weight)",
        "import torch; torch.bernoulli(p)",
        "import torch\ndef f():\n    return [torch.empty(n) for n in range(3)]",
        "import torch; list(map(torch.zeros, [1, 2]))",
        "from functools import partial; from torch import eye; partial(eye, dtype=d, device=c)",
        "import torch; torch.zeros(3, **options)",
    ],
)
def test_a_tensor_from_a_default_is_found(code):
    assert len(tensors_from_defaults(ast.parse(code), OWN_MODULES)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import torch; torch.zeros(3, dtype=torch.int64, device='cpu')",
        "import torch; torch.randn(3, dtype=d, device=c, generator=g)",
        "import torch; torch.Generator(device='cpu')",
        "import torch\ndef f(generator: torch.Generator, x: torch.Tensor): pass",
        "from torch import nn\ndef f(layer: nn.Linear): return isinstance(layer, nn.Linear)",
        "from torch import nn; nn.Identity()",
        "from torch import nn; nn.init.orthogonal_(weight, generator=g)",
        "import torch; torch.empty_like(x); x.new_zeros(3); torch.stack([x])",
        "import numpy as np; np.zeros(3); np.arange(4)",
        "from elsewhere import zeros; zeros(3)",
    ],
)
def test_other_code_is_left_alone(code):
    assert tensors_from_defaults(ast.parse(code), OWN_MODULES) == []


@pytest.mark.parametrize(
    "code",
    [
        "address = tensor.data_ptr()",
        "address = array.ctypes.data",
        "address = array.ctypes.data_as(kind)",
        "import ctypes; ctypes.addressof(buffer)",
        "from ctypes import addressof; addressof(buffer)",
        "array.__array_interface__['data']",
        "take = tensor.data_ptr",
    ],
)
def test_a_taken_address_is_found(code):
    assert len(addresses_taken(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    ["import torch; torch.set_default_dtype(d)", "from torch import manual_seed; manual_seed(0)"],
)
def test_a_changed_setting_is_found(code):
    assert len(settings_changed(ast.parse(code))) == 1


def test_every_function_with_a_default_device_is_known():
    """torch itself lists what `torch.set_default_device` reaches, under no public name."""
    from torch.utils._device import _device_constructors

    known = set()
    for name in FACTORIES:
        value = torch
        for part in name.split("."):
            value = getattr(value, part, None)
        known.add(value)
    assert {one.__name__ for one in _device_constructors() - known} <= {"empty_quantized"}


def test_the_layers_of_the_network_are_known():
    assert {"Linear", "LSTM", "Embedding", "BatchNorm1d"} <= MODULES
    assert {"Identity", "ModuleList", "Module"}.isdisjoint(MODULES)
    assert "seqfeat.nn.lstm.LSTMLayer" in OWN_MODULES
