"""Every block of code in the README works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import seqfeat
from seqfeat.datasets import load_japanese_vowels

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


def shell_blocks():
    """Return the shell blocks that call make, and those that call seqfeat."""
    of_make = [block for block in blocks("sh") if block.startswith("make ")]
    return of_make, [block for block in blocks("sh") if block not in of_make]


def test_shell_blocks_name_targets_that_make_knows():
    commands = [line for block in shell_blocks()[0] for line in block.splitlines()]
    assert commands
    for command in commands:
        program, target = command.split()
        assert program == "make"
        dry_run = ["make", "--dry-run", "--directory", str(ROOT), target]
        subprocess.run(dry_run, check=True, capture_output=True)


@pytest.mark.slow
def test_the_program_for_torchrun_runs(tmp_path):
    (program,) = blocks("python torchrun")
    (tmp_path / "train.py").write_text(program)
    X = load_japanese_vowels(split="train", return_X_y=True)[0]
    padded = np.full((len(X), max(map(len, X)), 12), np.nan)
    for row, utterance in zip(padded, X, strict=True):
        row[: len(utterance)] = utterance
    np.save(tmp_path / "series.npy", padded)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = seqfeat.LSTMAutoencoder(16, missing="mask", max_iter=5, random_state=0)
    alone.fit(np.load(tmp_path / "series.npy"))
    shared = seqfeat.load(tmp_path / "shared.joblib")
    assert shared.loss_curve_ == pytest.approx(alone.loss_curve_, abs=1e-4)


@pytest.mark.slow
def test_commands_run_one_after_the_other(tmp_path):
    script = "\n".join(shell_blocks()[1])
    assert "seqfeat train " in script
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "seqfeat").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m seqfeat \"$@\"\n")
    (programs / "seqfeat").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"^Accuracy (\d\.\d+) on 370 series", done.stdout, flags=re.MULTILINE)
    assert float(accuracy[1]) > 0.9
    for page in ("models/speakers.html", "report.html"):
        assert (tmp_path / page).read_text().lstrip().lower().startswith("<!doctype html>")
    features = pd.read_parquet(tmp_path / "features.parquet")
    assert features.shape == (370, 65)
    assert features["series"].is_unique
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 370
    assert (tmp_path / "speakers.onnx").stat().st_size > 0


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
