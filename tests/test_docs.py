"""The pages for contributors: their code runs, and their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import doc_pages

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / "pipeline" / "docs").glob("*.md"), ROOT / ".github" / "CONTRIBUTING.md"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_pages():
    assert {page.name for page in PAGES} >= {"kernels.md", "CONTRIBUTING.md"}


@pytest.mark.parametrize(
    "page",
    # The others' blocks need the files beside them: see test_your_data.py.
    [page for page in PAGES if page.stem not in doc_pages.PAGES],
    ids=lambda page: page.name,
)
def test_python_blocks_run_one_after_the_other(page):
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_and_sections_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        target, _, section = link.partition("#")
        if not target:
            assert section in headings, link
        elif "://" not in target:
            assert (page.parent / target).exists(), link


@pytest.mark.slow
def test_the_commands_that_print_code_print_it(tmp_path):
    (page,) = (page for page in PAGES if page.name == "kernels.md")
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(commands) == 2
    folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": folder + os.pathsep + os.environ["PATH"]}
    running = [
        subprocess.Popen(command, shell=True, cwd=tmp_path, env=environment) for command in commands
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert "define void" in (tmp_path / "kernels.ll").read_text()
    assert "lstm_forward" in (tmp_path / "kernels.s").read_text()


def test_the_commands_for_contributors_are_targets_of_the_makefile():
    (page,) = (page for page in PAGES if page.name == "CONTRIBUTING.md")
    named = set(re.findall(r"`make ([\w-]+)", page.read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets
