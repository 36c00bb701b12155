"""The shape of the code base: imports run one way, files stay small, names are proven."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import seqfeat

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline" / "seqfeat"
SOURCES = sorted(PACKAGE.rglob("*.py"))

IMPORT_ORDER = [
    "version",
    "exceptions",
    "series",
    "scaling",
    "device",
    "pooling",
    "recurrence",
    "network",
    "ranks",
    "regions",
    "batches",
    "corruption",
    "sampling",
    "initialization",
    "threads",
    "schedule",
    "objective",
    "compiled",
    "gradients",
    "history",
    "resuming",
    "training",
    "inference",
    "shards",
    "scaled",
    "labels",
    "atomic",
    "checkpoints",
    "fitting",
    "fingerprints",
    "input_contract",
    "network_cache",
    "embedding",
    "pickling",
    "parameters",
    "planning",
    "progress",
    "autoencoder",
    "distributed",
    "classifier",
    "cards",
    "persistence",
    "adapters",
    "onnx",
    "datasets",
    "stages",
    "storing",
    "writing",
    "cluster",
    "rebuilding",
    "display",
    "report",
    "baselines",
    "cli",
    "__main__",
]
"""The direction in which data flows; a module imports earlier ones only."""

FORBIDDEN = {
    "series": {"torch", "sklearn"},
    "scaling": {"torch", "sklearn", "pandas"},
    "network": {"sklearn", "pandas", "numpy"},
    "device": {"sklearn", "pandas"},
    "ranks": {"sklearn", "pandas", "numpy"},
    "regions": {"sklearn", "pandas", "numpy"},
    "batches": {"sklearn", "pandas", "numpy"},
    "corruption": {"sklearn", "pandas", "numpy"},
    "sampling": {"sklearn", "pandas", "numpy"},
    "objective": {"sklearn", "pandas", "numpy"},
    "compiled": {"sklearn", "pandas", "numpy"},
    "gradients": {"sklearn", "pandas", "numpy"},
    "initialization": {"sklearn", "pandas", "numpy"},
    "training": {"sklearn", "pandas", "numpy"},
}


def module_of(path):
    """Return the module, directly in the package, that a file makes up or belongs to."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def run_time_nodes(node):
    """Yield the nodes of a tree, without what only type checkers see."""
    yield node
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            for other in child.orelse:
                yield from run_time_nodes(other)
        else:
            yield from run_time_nodes(child)


def imports(path):
    """Return the dotted names that a file imports at run time, also within functions."""
    names = set()
    for node in run_time_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def packages(path):
    return {name.split(".")[0] for name in imports(path)}


def own_imports(path):
    """Return the modules of this package that a file imports at run time."""
    known = {module_of(source) for source in SOURCES}
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "seqfeat" and len(part) > 1} & known


def test_the_order_names_every_module():
    assert set(IMPORT_ORDER) == {module_of(path) for path in SOURCES} - {"__init__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_earlier_ones_only(path):
    module = module_of(path)
    place = len(IMPORT_ORDER) if module == "__init__" else IMPORT_ORDER.index(module)
    assert own_imports(path) - {module} <= set(IMPORT_ORDER[:place])


@pytest.mark.parametrize("module", sorted(FORBIDDEN))
def test_a_layer_does_not_know_what_lies_above_it(module):
    files = [path for path in SOURCES if module_of(path) == module]
    assert files
    assert not set().union(*map(packages, files)) & FORBIDDEN[module]


def test_inference_knows_numpy_and_torch_only():
    third_party = packages(PACKAGE / "inference.py") - set(sys.stdlib_module_names)
    assert third_party == {"numpy", "torch", "seqfeat"}


def test_the_lower_layers_run_without_the_libraries_of_the_upper_ones():
    # Also what they import in turn: only the package's own __init__ is left out.
    program = f"""
import sys, types
package = types.ModuleType("seqfeat")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["seqfeat"] = package
import seqfeat.scaling
print(*{{"torch", "sklearn"}} & set(sys.modules))
import seqfeat.inference
print(*{{"sklearn"}} & set(sys.modules))
"""
    assert output_of(program).split() == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nobody_imports_a_command_line(path):
    if module_of(path) not in ("cli", "__main__"):
        assert not {name for name in imports(path) if name.split(".")[-1] == "cli"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_outgrows_its_reader(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_source_root_is_no_package():
    assert (ROOT / "pipeline").is_dir()
    assert not (ROOT / "pipeline" / "__init__.py").exists()


def test_nothing_imports_through_the_source_root():
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert len(files) > len(SOURCES)
    assert [path for path in files if "pipeline" in packages(path)] == []


def test_public_names_are_sorted_and_the_package_s_own():
    assert seqfeat.__all__ == sorted(set(seqfeat.__all__))
    for name in seqfeat.__all__:
        assert getattr(seqfeat, name).__module__.startswith("seqfeat.")
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    origins = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("seqfeat.")
        for alias in node.names
    }
    assert sorted(set(origins) - {"__version__"}) == seqfeat.__all__
    # What type checkers read is what is found at run time.
    for name in seqfeat.__all__:
        assert getattr(importlib.import_module(origins[name]), name) is getattr(seqfeat, name)


def test_names_that_are_not_there_are_an_error():
    assert set(seqfeat.__all__) <= set(dir(seqfeat))
    assert seqfeat.series.read.__name__ == "read"
    with pytest.raises(AttributeError, match="'seqfeat' has no attribute 'no_such_name'"):
        seqfeat.no_such_name  # noqa: B018


def test_importing_the_package_does_not_wait_for_pytorch():
    program = """
import sys, seqfeat
from seqfeat import InputError
print(*{"torch", "sklearn", "pandas", "numpy"} & set(sys.modules))
from seqfeat import *
print(LSTMAutoencoder.__name__, load.__name__)
"""
    assert output_of(program).split() == ["LSTMAutoencoder", "load"]


@pytest.mark.parametrize("name", IMPORT_ORDER)
def test_what_a_module_offers_is_sorted_and_there(name):
    module = importlib.import_module(f"seqfeat.{name}")
    assert module.__doc__
    assert module.__all__ == sorted(set(module.__all__))
    assert [other for other in module.__all__ if not hasattr(module, other)] == []


def output_of(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_no_extra_and_touches_no_device():
    # scikit-learn's callbacks import rich by themselves where it is installed.
    program = """
import sys, sklearn.callback
before = set(sys.modules)
import torch
from seqfeat import *
extras = {"matplotlib", "rich", "aeon", "sktime", "dask", "onnx", "onnxruntime", "skl2onnx"}
extras |= {"skops", "polars", "pyarrow", "bokeh", "jinja2", "umap", "distributed", "cloudpickle"}
print(*extras & (set(sys.modules) - before))
print("CUDA" * torch.cuda.is_initialized())
"""
    assert output_of(program).split() == []
