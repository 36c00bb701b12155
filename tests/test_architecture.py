"""The shape of the code base: imports run one way, files stay readable, names are proven."""

import ast
import graphlib
import importlib
import sys

import pytest

import seqfeat
from tests.house import (
    PACKAGE,
    PICTURE,
    ROOMS,
    ROOT,
    draw,
    imported_names,
    imports,
    name_of,
    room_of,
    sources,
)
from tests.programs import run_python

ORDER = list(ROOMS)
SOURCES = sources()
MAX_LINES = 650

FORBIDDEN = {
    "runtime": {"sklearn", "pandas"},
    "series": {"torch", "sklearn"},
    "nn": {"sklearn", "pandas"},
}
"""Libraries that a room must not import, not even for types."""

USERS_PATHS = {
    "LSTMAutoencoder",
    "adapters",
    "cluster",
    "datasets",
    "display",
    "distributed",
    "report",
    "series",
}
"""What users import, and so has to stay where it is."""


def test_every_file_is_in_a_room():
    assert {room_of(name) for name in imports()} == {*ROOMS, "__init__", "__main__"}


@pytest.mark.parametrize("name", sorted(imports()))
def test_a_file_imports_only_from_rooms_below_its_own(name):
    """Also for types and within functions; the package's own __init__ is at the very top."""
    if name in ("__init__", "__main__"):
        return
    room = room_of(name)
    below = {*ORDER[: ORDER.index(room)], room}
    assert {room_of(other) for other in imports()[name]} <= below


def test_no_file_imports_one_that_imports_it():
    list(graphlib.TopologicalSorter(imports()).static_order())


def test_a_circle_would_be_found():
    graph = {**imports(), "runtime.device": {"training.fit"}}
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_does_not_know_the_libraries_of_those_above(room):
    files = [path for path in SOURCES if room_of(name_of(path)) == room]
    libraries = {name.partition(".")[0] for path in files for name in imported_names(path)}
    assert not libraries & FORBIDDEN[room]


@pytest.mark.parametrize(
    "name",
    [
        "inference.batched",
        "inference.evaluation",
        "training.dataset",
        "training.history",
        "training.sampler",
        "training.schedule",
        "training.trainer",
    ],
)
def test_what_runs_a_network_knows_numpy_and_torch_alone(name):
    (path,) = (path for path in SOURCES if name_of(path) == name)
    libraries = {one.partition(".")[0] for one in imported_names(path)}
    assert libraries - set(sys.stdlib_module_names) <= {"numpy", "torch", "seqfeat"}


def test_the_package_does_not_import_the_command_line():
    assert "cli" not in {room_of(name) for name in imports()["__init__"]}


def test_the_lower_rooms_run_without_the_libraries_of_the_upper_ones():
    """Also what they import in turn; only the package's own __init__ is left out."""
    program = f"""
import sys, types
package = types.ModuleType("seqfeat")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["seqfeat"] = package
import seqfeat.series
print(*{{"torch", "sklearn"}} & set(sys.modules))
for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
    del sys.modules[name]
for name in [name for name in sys.modules if name.startswith("seqfeat.")]:
    del sys.modules[name]
import seqfeat.nn.kernels, seqfeat.nn.initialization
print(*{{"sklearn", "pandas"}} & set(sys.modules))
import seqfeat.inference.evaluation, seqfeat.training.trainer
print(*{{"sklearn"}} & set(sys.modules))
"""
    assert run_python(program).split() == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_outgrows_its_reader(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_no_folder_outgrows_its_reader():
    root = [path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(root) <= 21
    for folder in {path.parent for path in SOURCES} - {PACKAGE}:
        hidden = ("__pycache__", "__init__.py")
        entries = [path for path in folder.iterdir() if path.name not in hidden]
        assert len(entries) <= 14, folder


def test_the_picture_of_the_house_is_that_of_the_imports():
    assert PICTURE.read_text(encoding="utf-8") == draw(), "draw it again: make house"


def test_the_source_root_is_no_package():
    assert (ROOT / "pipeline").is_dir()
    assert not (ROOT / "pipeline" / "__init__.py").exists()


def test_what_scikit_learn_may_change_any_day_is_imported_in_one_file():
    private = {
        name_of(path)
        for path in SOURCES
        for name in imported_names(path)
        if name.startswith("sklearn.") and (name.startswith("sklearn.callback") or "._" in name)
    }
    assert private == {"sklearn_compat"}


def test_nothing_imports_through_the_source_root():
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert len(files) > len(SOURCES)
    through = [
        path
        for path in files
        if any(name.partition(".")[0] == "pipeline" for name in imported_names(path))
    ]
    assert through == []


# Names


def test_the_paths_that_users_import_stay():
    for name in USERS_PATHS:
        assert getattr(seqfeat, name).__name__ in (name, f"seqfeat.{name}")
    # Pickles hold this one.
    assert seqfeat.LSTMAutoencoder.__module__ == "seqfeat.autoencoder"


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
        if not (alias.asname or alias.name).startswith("_")
    }
    assert sorted(origins) == seqfeat.__all__
    # What type checkers read is what is found at run time.
    for name in seqfeat.__all__:
        assert getattr(importlib.import_module(origins[name]), name) is getattr(seqfeat, name)


def test_a_name_that_does_not_exist_is_an_error():
    assert set(seqfeat.__all__) <= set(dir(seqfeat))
    assert seqfeat.series.read.__name__ == "read"
    with pytest.raises(AttributeError, match="'seqfeat' has no attribute 'no_such_name'"):
        seqfeat.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", sorted(set(imports()) - {"__main__"}))
def test_a_module_says_what_it_is_and_what_it_offers(name):
    if name in ("adapters.aeon", "adapters.sktime"):
        pytest.importorskip(name.removeprefix("adapters."))
    module = importlib.import_module("seqfeat" if name == "__init__" else f"seqfeat.{name}")
    assert module.__doc__
    offered = getattr(module, "__all__", [])
    assert offered or hasattr(module, "__path__"), "a module that offers nothing"
    assert len(set(offered)) == len(offered)
    assert [other for other in offered if not hasattr(module, other)] == []


# What an import brings along


def test_importing_the_package_does_not_wait_for_pytorch():
    program = """
import sys, seqfeat
from seqfeat import InputError
print(*{"torch", "sklearn", "pandas", "numpy"} & set(sys.modules))
from seqfeat import *
print(LSTMAutoencoder.__name__, load.__name__)
"""
    assert run_python(program).split() == ["LSTMAutoencoder", "load"]


def test_importing_the_package_imports_no_extra_and_touches_no_device():
    # scikit-learn's callbacks import rich by themselves where it is installed.
    program = """
import sys
try:
    import sklearn.callback
except ImportError:
    import sklearn
before = set(sys.modules)
import torch
from seqfeat import *
extras = {"matplotlib", "rich", "aeon", "sktime", "dask", "onnx", "onnxruntime", "skl2onnx"}
extras |= {"skops", "polars", "pyarrow", "bokeh", "jinja2", "umap", "distributed", "cloudpickle"}
extras |= {"llvmlite"}
print(*extras & (set(sys.modules) - before))
print("CUDA" * torch.cuda.is_initialized())
"""
    assert run_python(program).split() == []
