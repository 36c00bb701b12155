"""Print the oldest version of every dependency in pyproject.toml, as constraints for pip.

`make test-oldest` installs these. Names given as arguments are left out: where no build of an old
version can be had for the machine, another constraint has to choose one.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
TOOLS = ("dev", "bench", "docs")
BOUND = re.compile(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def oldest_versions() -> dict[str, str]:
    """Return the lower bound of every dependency, also of the extras that the tests need."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    # The others are of no use to the tests.
    lists = [project["dependencies"], *(extras[name] for name in extras if name not in TOOLS)]
    found: dict[str, str] = {}
    for requirement in (one for several in lists for one in several):
        match = BOUND.match(requirement)
        if match is None:
            continue
        name, version = match.groups()
        if found.setdefault(name, version) != version:
            raise SystemExit(f"{PROJECT}: two lower bounds of {name}, {found[name]} and {version}")
    return found


if __name__ == "__main__":
    left_out = set(sys.argv[1:])
    for name, version in oldest_versions().items():
        if name not in left_out:
            print(f"{name}=={version}")
