"""Try the wheel that is installed here without any extra; `make dist` does so in a new environment.

python .ci/try_wheel.py README.md
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DATA = ("py.typed", "datasets/data/japanese_vowels.npz", "report/assets/page.html")
IMPORT_SECONDS = 0.3
FOR_WORK_ON_SEQFEAT = {"test", "dev", "bench", "docs"}
"""Extras that no function needs."""


def check(is_right: bool, message: str) -> None:
    """Stop with a message unless something holds."""
    if not is_right:
        sys.exit(f"the wheel is wrong: {message}")


def check_content() -> None:
    """The package is the installed one, and has its data and its metadata."""
    import seqfeat

    package = Path(seqfeat.__file__).parent
    check(package.parent.name == "site-packages", f"this is {package}")
    for name in DATA:
        check((package / name).is_file(), f"{name} is missing")
    about = metadata.metadata("seqfeat")
    check(about["Version"] == seqfeat.__version__, f"its version is {about['Version']}")
    urls = {line.partition(",")[0] for line in about.get_all("Project-URL")}
    check({"Homepage", "Documentation", "Source", "Changelog"} <= urls, f"its links are {urls}")
    foreign = [
        str(file)
        for file in metadata.files("seqfeat") or []
        if not re.match(
            r"seqfeat/|seqfeat-[\w.]+\.dist-info/|(\.\./)+bin/seqfeat$", file.as_posix()
        )
        and "__pycache__" not in file.parts
    ]
    check(not foreign, f"it installs {foreign[:3]}")


def import_seconds() -> float:
    """Return the seconds that ``import seqfeat`` takes in a new process, without torch."""
    program = (
        "import sys, time; began = time.perf_counter(); import seqfeat\n"
        "print(time.perf_counter() - began, *{'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(5)
    ]
    check(all(len(run) == 1 for run in runs), f"import seqfeat imports {runs[0][1:]}")
    return min(float(run[0]) for run in runs)


def run_first_example(readme: Path) -> dict[str, Any]:
    """Run the first example of the README, and return its names."""
    source = re.search(
        r"^```python\n(.*?)^```$", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    check(source is not None, f"{readme} has no example")
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(source[1], str(readme), "exec"), names)
    return names


def run_command(*arguments: str) -> None:
    """Run ``seqfeat`` on a terminal; it has to succeed, and to name the extra for its bars."""
    received, child = pty.openpty()
    command = [str(Path(sys.executable).parent / "seqfeat"), *arguments]
    process = subprocess.Popen(command, stderr=child, stdout=subprocess.DEVNULL)
    os.close(child)
    shown = b""
    while True:
        try:
            shown += os.read(received, 65536)
        except OSError:  # how Linux reports that the other end is closed
            break
    os.close(received)
    check(process.wait() == 0, f"seqfeat {' '.join(arguments)} failed:\n{shown.decode()}")
    check(b"pip install 'seqfeat[progress]'" in shown, "progress bars do not name their extra")


def missing_extras(model: Any, X: Any, y: Any) -> dict[str, list[Callable[[], object]]]:
    """Return what needs each extra."""
    import seqfeat

    return {
        # PyTorch runs the network; the example has shown that.
        "fast": [],
        # Only a remark, which `run_command` looks for.
        "progress": [],
        "plot": [
            lambda: seqfeat.display.LossCurveDisplay.from_estimator(model),
            lambda: seqfeat.display.EmbeddingDisplay.from_estimator(model, X),
        ],
        "umap": [
            lambda: seqfeat.display.EmbeddingDisplay.from_estimator(model, X, projection="umap")
        ],
        "report": [lambda: seqfeat.save_report(model, X, y, "report.html")],
        "parquet": [lambda: seqfeat.series.read("table.parquet")],
        "secure": [lambda: seqfeat.save(model, "model.skops")],
        "aeon": [lambda: import_module("seqfeat.adapters.aeon")],
        "sktime": [lambda: import_module("seqfeat.adapters.sktime")],
        "onnx": [lambda: seqfeat.export_onnx(model, "model.onnx")],
        "cluster": [
            lambda: seqfeat.cluster.fit(model, X, y),
            lambda: seqfeat.cluster.transform(model, X),
        ],
    }


def check_missing_extras(names: dict[str, Any]) -> int:
    """Every use of an extra is an error that says how to install it; return how many there are."""
    tried = missing_extras(names["pipeline"], names["X_test"][:20], names["y_test"][:20])
    extras = set(metadata.metadata("seqfeat").get_all("Provides-Extra")) - FOR_WORK_ON_SEQFEAT
    check(extras == set(tried), f"tried are {sorted(tried)}, but its extras are {sorted(extras)}")
    for extra, uses in tried.items():
        for use in uses:
            try:
                use()
            except ImportError as error:
                line = f"pip install 'seqfeat[{extra}]'"
                check(line in str(error), f"the error does not say {line}: {error}")
            else:
                check(False, f"nothing needs {extra}")
    return sum(map(len, tried.values()))


def main() -> None:
    """Try everything, in an empty folder."""
    readme = Path(sys.argv[1]).resolve()
    extras = ("llvmlite", "rich", "matplotlib", "umap", "bokeh", "pyarrow", "skops", "onnx", "dask")
    check(not any(map(find_spec, extras)), "extras are installed, too")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_content()
        seconds = import_seconds()
        check(seconds < IMPORT_SECONDS, f"import seqfeat takes {seconds:.2f} s")
        print(f"import seqfeat: {seconds:.3f} s, without torch")
        began = time.perf_counter()
        names = run_first_example(readme)
        print(f"the README's first example: {time.perf_counter() - began:.1f} s")
        Path("table.parquet").touch()
        print(f"missing extras: {check_missing_extras(names)} errors name them")
        run_command(
            *("train", "demo:japanese-vowels", "--max-iter", "1", "--no-baselines"),
            *("-o", "model.joblib"),
        )
        print("seqfeat train: done")
        os.chdir("/")


if __name__ == "__main__":
    main()
