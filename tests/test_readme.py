"""Every block of code in the README works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_python_blocks_run_one_after_the_other(tmp_path):
    script = tmp_path / "readme.py"
    script.write_text("\n".join(["if __name__ == '__main__':", indented(blocks("python"))]))
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert float(printed[0]) > 0.9
    assert "(270, 16)" in printed
    assert "(5, 26, 12)" in printed
    assert (tmp_path / "speakers.joblib").exists()


def indented(sources: list[str]) -> str:
    return "\n".join("    " + line for source in sources for line in source.splitlines())


def test_shell_blocks_name_targets_that_make_knows():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert commands
    for command in commands:
        program, target = command.split()
        assert program == "make"
        dry_run = ["make", "--dry-run", "--directory", str(ROOT), target]
        subprocess.run(dry_run, check=True, capture_output=True)


def test_no_block_is_in_another_language():
    assert set(re.findall(r"^```(\w+)$", README, flags=re.MULTILINE)) <= {"python", "sh", "text"}


def test_files_that_the_readme_links_to_exist():
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make run" in script
    assert "make test" in script
