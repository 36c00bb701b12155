import io
import json
import os
import pty
import sys
import threading
import warnings

import numpy as np
import pytest

from seqfeat.cli import main
from seqfeat.cli.console import Console, count_series, show_one_line_warnings
from tests.commands import LONG, QUICK, ok


def test_a_warning_is_shown_once_in_one_line_unless_it_is_for_developers(capsys):
    with warnings.catch_warnings():
        show_one_line_warnings(Console())
        for _ in range(2):
            warnings.warn("two\nlines, pass missing='mask'", UserWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err == "seqfeat: warning: two lines, pass --missing mask\n"


def test_json_has_no_nan_and_no_numpy(capsys):
    Console(is_json=True).finish({"score": np.float64("nan"), "sizes": np.arange(2), "best": None})
    assert json.loads(capsys.readouterr().out) == {"score": None, "sizes": [0, 1], "best": None}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_series_are_counted_on_a_terminal_only(monkeypatch):
    for stream, expected in ((Terminal(), "\r3 series\r\033[K"), (io.StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(count_series([[1, 2, 3]], Console())) == [[1, 2, 3]]
        assert stream.getvalue() == expected


@pytest.mark.usefixtures("one_thread")
def test_a_progress_bar_is_shown_on_a_terminal_and_leaves_stdout_alone(
    tmp_path, csv, monkeypatch, capsys
):
    rich = pytest.importorskip("rich")
    terminals = pytest.importorskip("rich.console")
    monkeypatch.setattr(rich, "_console", terminals.Console())
    monkeypatch.setenv("TERM", "xterm")
    arguments = ["train", str(csv), *LONG, *QUICK, "--no-baselines", "--json", "-o"]
    arguments.append(str(tmp_path / "m.joblib"))
    received, child = pty.openpty()
    shown = []
    reader = threading.Thread(target=lambda: shown.append(read_all(received)))
    reader.start()
    with monkeypatch.context() as patch, open(child, "w") as terminal:
        patch.setattr(sys, "stderr", terminal)
        assert main(arguments) == 0
    reader.join()
    assert json.loads(capsys.readouterr().out)["n_series"] == 30
    assert "LSTMAutoencoder - fit" in shown[0]
    assert "100%" in shown[0]
    assert "LSTMAutoencoder - fit" not in ok(*arguments).err


def read_all(terminal):
    """Return everything that is written to a terminal until it is closed."""
    output = b""
    while True:
        try:
            output += os.read(terminal, 65536)
        except OSError:  # how Linux reports that the other end is closed
            os.close(terminal)
            return output.decode(errors="replace")
