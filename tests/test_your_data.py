"""The gallery of input formats: every command and block of code on the page does what it says.

A section of the page begins with the files that it shows (```` ```csv meters.csv````); its commands
(```` ```console````) print what stands below them, and its Python what stands behind ``#``.
A line of dots stands for any lines.
"""

import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from itertools import groupby
from pathlib import Path

import pytest

from tests.commands import seqfeat

PAGE = Path(__file__).parents[1] / "pipeline" / "docs" / "your-data.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECTIONS = dict(
    part.partition("\n")[::2]
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
)


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_does_what_it_says(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for language, name, body in BLOCK.findall(SECTIONS[section]):
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
        exec(compile(body, str(PAGE), "exec"), names)
    assert [line for line, _ in groupby(output.getvalue().splitlines())] == promises


def assert_matches(printed, expected):
    """Compare texts; dots on a line of their own or within one stand for anything."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"\n{printed}\nis not\n{expected}"


def test_every_section_shows_something():
    assert len(SECTIONS) >= 12
    for section, text in SECTIONS.items():
        assert BLOCK.search(text), section


def test_text_that_differs_is_noticed():
    with pytest.raises(AssertionError):
        assert_matches("Wrote 3 series", "Wrote 4 ...")
    assert_matches("one\ntwo\nthree", "one\n...\nthree")
