"""What pyproject.toml promises, and what is tested of it."""

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
    """So that `make test-oldest` installs the lower bounds of all of it."""
    extras = PROJECT["optional-dependencies"]
    lists = [PROJECT["dependencies"]]
    lists += [extras[name] for name in extras if name not in ("test", "dev", "bench", "docs")]
    for requirement in (one for several in lists for one in several):
        name, _, version = requirement.partition(">=")
        assert OLDEST[name.partition("[")[0]] == version
