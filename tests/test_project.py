"""What pyproject.toml promises, and what is tested of it."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = ROOT / ".github" / "workflows"
OLDEST = runpy.run_path(str(ROOT / ".ci" / "oldest.py"))["oldest_versions"]()


def test_the_workflow_runs_every_python_that_the_classifiers_name():
    tests = yaml.safe_load((WORKFLOWS / "tests.yml").read_text(encoding="utf-8"))
    matrix = tests["jobs"]["matrix"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: "
    named = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if one.startswith(prefix)]
    assert matrix["python"] == [version for version in named if "." in version]
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    oldest = [one for one in matrix["include"] if one["versions"] == "oldest"]
    assert [one["system"] for one in oldest] == matrix["system"]
    assert {one["python"] for one in oldest} == {matrix["python"][0]}


def test_the_oldest_version_of_all_that_users_install_is_known():
    extras = PROJECT["optional-dependencies"]
    users = [extras[name] for name in extras if name not in ("test", "dev", "bench", "docs")]
    for requirement in sum(users, PROJECT["dependencies"]):
        assert re.split(r"[\[>]", requirement)[0] in OLDEST, requirement


def test_the_oldest_version_is_the_lower_bound():
    assert "scikit-learn>=" + OLDEST["scikit-learn"] in PROJECT["dependencies"]
    assert "dask[array,dataframe,distributed]>=" + OLDEST["dask"] in sum(
        PROJECT["optional-dependencies"].values(), []
    )


def test_the_placeholder_for_the_project_s_home_is_named_in_one_place():
    placeholder = "your-" + "organization"
    texts = [
        *ROOT.glob("*.*"),
        *(ROOT / ".github").rglob("*.*"),
        *(ROOT / "pipeline").rglob("*.py"),
        *(ROOT / "pipeline" / "docs").rglob("*.md"),
    ]
    named = [
        path.name
        for path in texts
        if path.suffix in (".md", ".toml", ".yml", ".cff", ".py")
        and placeholder in path.read_text(encoding="utf-8")
    ]
    assert named == ["pyproject.toml"]
