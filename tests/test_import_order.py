"""Imports run one way, and each layer sees only what it may."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seqfeat

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline" / "seqfeat"
ORDER = [
    "exceptions",
    "series",
    "scaling",
    "device",
    "network",
    "batches",
    "training",
    "inference",
    "labels",
    "fitting",
    "input_contract",
    "network_cache",
    "embedding",
    "parameters",
    "planning",
    "progress",
    "autoencoder",
    "classifier",
    "datasets",
    "display",
    "demo",
]
MODULES = {path.stem: path for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def imported(path):
    """Return the full names of the modules imported when `path` is."""
    tree = ast.parse(path.read_text())
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    hidden = {
        id(inner)
        for node in for_types
        if ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module)
    return names


def test_the_order_names_every_module():
    assert set(MODULES) | {"datasets"} == set(ORDER)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_import_only_earlier_ones(name):
    earlier = set(ORDER[: ORDER.index(name)])
    own = {n.split(".")[1] for n in imported(MODULES[name]) if n.startswith("seqfeat.")}
    assert own <= earlier


@pytest.mark.parametrize(
    ("names", "forbidden"),
    [
        ("series scaling", {"torch", "sklearn"}),
        ("network device batches training inference", {"sklearn", "pandas"}),
    ],
)
def test_layers_do_not_know_each_other_s_libraries(names, forbidden):
    for name in names.split():
        assert not {n.split(".")[0] for n in imported(MODULES[name])} & forbidden


def test_nobody_imports_through_the_source_root():
    assert not (ROOT / "pipeline" / "__init__.py").exists()
    for folder in ("pipeline", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not {n for n in imported(path) if n.split(".")[0] == "pipeline"}, path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 400


def test_public_names_are_sorted_and_exist():
    assert seqfeat.__all__ == sorted(seqfeat.__all__)
    for name in seqfeat.__all__:
        assert getattr(seqfeat, name).__doc__


def test_importing_seqfeat_imports_no_optional_extra():
    program = "import sys, seqfeat; print(*{'matplotlib', 'aeon'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
