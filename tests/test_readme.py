"""Every block of code in the README runs and prints what it says.

Python blocks run one after the other in one namespace, as a reader would paste them; each test runs
some of them, after those that define what they use. So that this takes seconds, trainings are short
and nothing starts processes of its own, which the README does not show.
"""

import ast
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import seqfeat
from seqfeat.cli import main
from seqfeat.datasets import load_japanese_vowels

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def sources(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Run in an empty folder, with short trainings and in this process alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(seqfeat.LSTMAutoencoder.__init__.__kwdefaults__, "max_iter", 2)
    with joblib.parallel_config(backend="threading"), mpl.rc_context({"backend": "agg"}):
        yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


# Python


class Block:
    """A block of Python."""

    def __init__(self, source):
        self.source, self.tree = source, ast.parse(source)

    @cached_property
    def imports(self):
        """Import statements by the names that they bind."""
        return {
            (alias.asname or alias.name).partition(".")[0]: ast.unparse(statement)
            for statement in self.tree.body
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for alias in statement.names
        }

    def names(self, context):
        names = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name)]
        return {name.id for name in names if isinstance(name.ctx, context)}

    @cached_property
    def defined(self):
        return self.names(ast.Store)

    @cached_property
    def needed(self):
        return self.names(ast.Load) - self.defined - self.imports.keys()

    @property
    def promises(self):
        """What the block says it prints: ``print(shape)  # (270, 16)``."""
        return re.findall(r"^ *print\(.*\)  # (.+)$", self.source, flags=re.MULTILINE)


BLOCKS = [Block(source) for source in sources("python")]


def dependencies(number):
    """Return the import statements and the earlier blocks, by number, that a block builds on."""
    imports, blocks = set(), set()
    for name in BLOCKS[number].needed:
        for earlier in reversed(range(number)):
            if name in BLOCKS[earlier].imports:
                imports.add(BLOCKS[earlier].imports[name])
                break
            if name in BLOCKS[earlier].defined:
                more_imports, more_blocks = dependencies(earlier)
                imports |= more_imports
                blocks |= more_blocks | {earlier}
                break
    return imports, blocks


def run_blocks(numbers):
    """Run blocks, and what they build on, and return the lines that each prints."""
    imports, blocks = map(set.union, *(map(set, dependencies(number)) for number in numbers))
    namespace, printed = {"__name__": "readme"}, {}
    exec("\n".join(sorted(imports)), namespace)
    for number in sorted(blocks | set(numbers)):
        with redirect_stdout(StringIO()) as output:
            exec(compile(BLOCKS[number].source, f"README, block {number}", "exec"), namespace)
        printed[number] = output.getvalue().splitlines()
        for promise in BLOCKS[number].promises:
            assert any(promise.startswith(line) for line in printed[number] if line), promise
    return printed


def numbers_of(*excerpts):
    """Return the numbers of the blocks with these excerpts, each of which is in a single block."""
    numbers = []
    for excerpt in excerpts:
        (number,) = (i for i, block in enumerate(BLOCKS) if excerpt in block.source)
        numbers.append(number)
    return numbers


FIRST_STEPS = numbers_of(
    "make_classifier(embedding_dim=64", "search = GridSearchCV", "score_samples", "ProgressBar"
)
PICTURES = numbers_of("EmbeddingDisplay", "OcclusionDisplay", "make_regressor", "save_report")
FORMATS_AND_MEMORY = numbers_of("from_channels_first", "transform_into")
SAVING = numbers_of("export_onnx")
CLUSTER = numbers_of("cluster.fit")

ignore_warnings = pytest.mark.filterwarnings("ignore")


def test_the_tests_run_every_python_block():
    tested = FIRST_STEPS + PICTURES + FORMATS_AND_MEMORY + SAVING + CLUSTER
    assert sorted(tested) == list(range(len(BLOCKS)))


@ignore_warnings
@pytest.mark.usefixtures("quick")
def test_first_steps():
    printed = run_blocks(FIRST_STEPS)
    assert float(printed[FIRST_STEPS[0]][0]) > 0.9
    assert re.fullmatch(r"\['\d' '\d' '\d'\]", printed[FIRST_STEPS[1]][0])
    assert Path("speakers.joblib").exists()
    assert float(printed[FIRST_STEPS[2]][1]) > 0


@ignore_warnings
@pytest.mark.usefixtures("quick")
def test_plots_and_report():
    run_blocks(PICTURES)
    assert Path("embeddings.png").stat().st_size > 0
    assert is_html("report.html")


def is_html(path):
    return Path(path).read_text().lstrip().lower().startswith("<!doctype html>")


@ignore_warnings
@pytest.mark.usefixtures("quick")
def test_input_formats_and_large_sets():
    run_blocks(FORMATS_AND_MEMORY)
    assert list(Path("checkpoints").iterdir())


@pytest.fixture
def mlflow_on_a_fast_disk():
    """Let SQLite not wait for the disk after each of the hundred steps that set up a store."""
    mlflow = pytest.importorskip("mlflow")
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def do_not_wait(connection, record):
        connection.execute("PRAGMA synchronous=OFF")

    before = mlflow.get_tracking_uri()
    event.listen(Engine, "connect", do_not_wait)
    yield
    event.remove(Engine, "connect", do_not_wait)
    mlflow.set_tracking_uri(before)


@ignore_warnings
@pytest.mark.usefixtures("quick", "mlflow_on_a_fast_disk")
def test_saving_and_exporting():
    printed = run_blocks(SAVING)[SAVING[0]]
    assert {"speakers.json", "speakers.onnx"} <= {path.name for path in Path().iterdir()}
    # MLflow and joblib give back the same pipeline.
    assert printed[-1] == printed[-2]


@ignore_warnings
@pytest.mark.usefixtures("quick")
def test_a_dask_cluster(monkeypatch):
    distributed = pytest.importorskip("dask.distributed")

    def client_of_one_thread(n_workers, **options):
        assert n_workers == 2
        return client(n_workers=1, processes=False, **options)

    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", client_of_one_thread)
    run_blocks(CLUSTER)


def test_the_program_for_torchrun(tmp_path):
    (program,) = sources("python torchrun")
    (tmp_path / "train.py").write_text(program)
    X = load_japanese_vowels(split="train", return_X_y=True)[0]
    padded = np.full((len(X), max(map(len, X)), 12), np.nan)
    for row, utterance in zip(padded, X, strict=True):
        row[: len(utterance)] = utterance
    np.save(tmp_path / "series.npy", padded)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, *re.match(r"# torchrun (.+)", program)[1].split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = seqfeat.LSTMAutoencoder(16, missing="mask", max_iter=5, random_state=0).fit(padded)
    shared = seqfeat.load(tmp_path / "shared.joblib")
    assert shared.loss_curve_ == pytest.approx(alone.loss_curve_, abs=1e-4)


# Commands


def commands():
    """Return all command lines, as lists of arguments."""
    lines = "".join(sources("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_make_knows_the_targets():
    targets = [command[1:] for command in commands() if command[0] == "make"]
    assert targets
    for target in targets:
        dry_run = ["make", "--dry-run", "--directory", str(ROOT), *target]
        subprocess.run(dry_run, check=True, capture_output=True)


@ignore_warnings
@pytest.mark.usefixtures("quick")
def test_commands(capsys):
    convert, *others = [command for command in commands() if command[0] != "make"]
    assert convert[:2] == ["seqfeat", "convert"]
    subprocess.run([sys.executable, "-m", *convert], check=True, capture_output=True)
    for program, *arguments in others:
        if program == "seqfeat":
            assert main(arguments) == 0, arguments
        else:
            subprocess.run([program, *arguments], check=True, capture_output=True)
    printed = capsys.readouterr().out
    accuracy = re.search(r"^Accuracy (\d\.\d+) on 370 series", printed, flags=re.MULTILINE)
    assert float(accuracy[1]) > 0.9
    assert is_html("models/speakers.html")
    assert is_html("report.html")
    features = pd.read_parquet("features.parquet")
    assert features.shape == (370, 65)
    assert features["series"].is_unique
    assert len(pd.read_csv("predictions.csv")) == 370
    assert Path("speakers.onnx").stat().st_size > 0


# Everything else


def test_no_block_is_in_another_language():
    languages = set(re.findall(r"^```(.+)$", README, flags=re.MULTILINE))
    assert languages == {"python", "python torchrun", "sh", "text"}


def test_files_that_the_readme_links_to_exist():
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make run" in script
    assert "make test" in script
