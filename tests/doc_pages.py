"""Pages of the documentation whose examples are executed, section by section.

A section begins with the files that it shows (```` ```csv meters.csv````); its commands
(```` ```console````) print what stands below them, and its Python what stands behind ``#``. Dots
stand for any text.

``python -m tests.doc_pages`` executes them and keeps the pictures that they draw.
"""

import os
import re
import shlex
import shutil
import tempfile
from contextlib import chdir, redirect_stdout
from io import StringIO
from itertools import groupby
from pathlib import Path

from tests.commands import seqfeat

DOCS = Path(__file__).parents[1] / "pipeline" / "docs"
NAMES = ["your-data", "anomalies", "explanations", "regression", "weights", "pretraining"]
PAGES = [name for name in NAMES if (DOCS / f"{name}.md").exists()]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def sections():
    """Return the text of each section by the page's name and the heading."""
    found = {}
    for page in PAGES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
            heading, _, body = part.partition("\n")
            found[f"{page}: {heading}"] = body
    return found


def run_section(text):
    """Execute a section in the current folder."""
    names = {}
    for language, name, body in BLOCK.findall(text):
        if language == "console":
            run_commands(body)
        elif language == "python":
            run_python(body, names)
        else:
            Path(name).write_text(body, encoding="utf-8")


def run_commands(body):
    """Run each command and compare what it prints."""
    for session in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = session.replace("\\\n", "").partition("\n")
        program, *arguments = shlex.split(command)
        if program == "seqfeat":
            result = seqfeat(*arguments)
            printed = result.err + result.out
        else:
            assert (program, arguments[0]) == ("head", "-3"), command
            printed = "\n".join(Path(arguments[1]).read_text().splitlines()[:3])
        assert_matches(printed, expected)


def run_python(body, names):
    """Run a block; what it prints on a line, once or in a loop, is the comment behind it."""
    promises = re.findall(r"^ *print\(.*\)  # (.+)$", body, flags=re.MULTILINE)
    with redirect_stdout(StringIO()) as output:
        exec(compile(body, "a block of the page", "exec"), names)
    lines = [line for line, _ in groupby(output.getvalue().splitlines())]
    assert_matches("\n".join(lines), "\n".join(promises))


def assert_matches(printed, expected):
    """Compare texts; dots on a line of their own or within one stand for anything."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"\n{printed}\nis not\n{expected}"


def main():
    pictures = DOCS / "pictures"
    pictures.mkdir(exist_ok=True)
    for section, text in sections().items():
        if ".png" in text:
            with tempfile.TemporaryDirectory() as folder:
                with chdir(folder):
                    run_section(text)
                for picture in Path(folder).glob("*.png"):
                    shutil.move(picture, pictures / picture.name)
                    print(f"{section}: {os.path.relpath(pictures / picture.name)}")


if __name__ == "__main__":
    main()
